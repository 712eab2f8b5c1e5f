"""Measure what an edge filter behind a decoder could gain, before anything is trained for it.

    python benchmarks/edge_filter.py --data FOLDER [--weights photo-psnr] [--qualities 5 20 40 60]

The filter is linear in the values of its functions at their knots, so least squares finds the best ones: on crops of the
pictures to train on, at one quality at a time. The gain is that of crops of the held-out pictures, in dB: the mean over
crops, and that of the mean error. It is printed for pairs at different distances, by luma alone, and for each colour by
itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import torch
from torch import Tensor

from aecodec.images.edge_filter import KNOTS, LUMA
from aecodec.networks.model import Model
from aecodec.networks.precision import autocast
from aecodec.quality import INTERVALS
from aecodec.training import data
from aecodec.training.checkpoint import initial_state

PEAK = 255
CROP, BORDER, BATCH = 256, 4, 4
DISTANCES = {
    "1": [(0, 1), (1, 0)],
    "sqrt 2": [(1, 1), (1, -1)],
    "2": [(0, 2), (2, 0)],
    "sqrt 5": [(1, 2), (2, 1), (1, -2), (2, -1)],
    "sqrt 8": [(2, 2), (2, -2)],
}
VARIANTS = {
    "8 neighbours, luma": (("1", "sqrt 2"), True),
    "12 neighbours, luma": (("1", "sqrt 2", "2"), True),
    "24 neighbours, luma": (tuple(DISTANCES), True),
    "24 neighbours, each colour": (tuple(DISTANCES), False),
}


def hats(difference: Tensor) -> Iterator[Tensor]:
    """Yield the odd functions that are 1 at one of KNOTS, 0 at the others and linear between.

    The last one stays 1 beyond its knot.
    """
    ends = (0, *KNOTS)
    size, sign = difference.abs(), difference.sign()
    for low, middle, high in zip(ends[:-1], ends[1:], (*ends[2:], None), strict=True):
        rising = (size - low) / (middle - low)
        falling = torch.ones_like(size) if high is None else (high - size) / (high - middle)
        yield torch.minimum(rising, falling).clamp(0, 1) * sign


def features(x: Tensor, names: tuple[str, ...]) -> Tensor:
    """Return what each function's value adds to each pixel of x (B, C, H, W) inside the border.

    It is (N, len(names) * len(KNOTS)).
    """
    found = []
    for name in names:
        sums: list[Tensor] | None = None
        for down, right in DISTANCES[name]:
            for sign in (1, -1):
                parts = hats(x.roll((-sign * down, -sign * right), (2, 3)) - x)
                sums = list(parts) if sums is None else [a + b for a, b in zip(sums, parts, strict=True)]
        found += sums
    return inside(torch.stack(found, -1)).reshape(-1, len(found))


def inside(x: Tensor) -> Tensor:
    """Return (B, C, H, W, ..) without the border that rolling spoils."""
    return x[:, :, BORDER:-BORDER, BORDER:-BORDER]


@torch.no_grad()
def decoded(model: Model, originals: Tensor, quality: float) -> Tensor:
    """Return what a model shows of pictures (B, 3, H, W) in 0..1 at a quality."""
    shown = []
    for part in originals.split(BATCH):
        with autocast(part):
            shown.append(model(part, torch.full((len(part),), INTERVALS * quality / 100)).picture)
    return torch.cat(shown)


def luma(x: Tensor) -> Tensor:
    """Return the luma (B, 1, H, W) of (B, 3, H, W)."""
    return torch.einsum("c,bchw->bhw", x.new_tensor(LUMA) / sum(LUMA), x)[:, None]


def fit(shown: Tensor, originals: Tensor, names: tuple[str, ...], by_luma: bool) -> Tensor:
    """Return the values of least squared error, in levels."""
    size = len(names) * len(KNOTS)
    squares, products = torch.zeros(size, size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    for x, y in zip(shown.split(BATCH), originals.split(BATCH), strict=True):
        columns = features(luma(x) if by_luma else x, names)
        error = inside(y - x)
        error = error.mean(1, keepdim=True) if by_luma else error
        squares += (columns.T @ columns).double()
        products += (columns.T @ error.reshape(-1)).double()
    return torch.linalg.solve(squares + 1e-6 * squares.diagonal().mean() * torch.eye(size), products).float()


def gain(shown: Tensor, originals: Tensor, names: tuple[str, ...], by_luma: bool, values: Tensor) -> tuple[float, float]:
    """Return decibels: their mean over pictures, and those of the mean squared error."""
    before, after = [], []
    for x, y in zip(shown.split(BATCH), originals.split(BATCH), strict=True):
        error = inside(y - x)
        change = (features(luma(x) if by_luma else x, names) @ values).view(len(x), -1, *error.shape[2:])
        before.append(error.square().mean((1, 2, 3)))
        after.append((error - change).square().mean((1, 2, 3)))
    a, b = torch.cat(before), torch.cat(after)
    return 10 * (a / b).log10().mean().item(), 10 * (a.mean() / b.mean()).log10().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, action="append")
    parser.add_argument("--weights", default="photo-psnr")
    parser.add_argument("--qualities", type=float, nargs="+", default=[5, 20, 40, 60])
    parser.add_argument("--crops", type=int, nargs=2, default=[120, 40], metavar=("FITTED", "HELD_OUT"))
    arguments = parser.parse_args()
    files = data.find(arguments.data)
    held = {path for path in files if data.is_held_out(path.name, 0.05)}
    arch, state = initial_state(arguments.weights)
    model = Model(arch)
    model.load_state_dict(state)
    model.eval()
    sets = []
    for paths, count in zip(([path for path in files if path not in held], sorted(held)), arguments.crops, strict=True):
        crops = data.sample(data.load(paths, print), count, CROP, 3)
        sets.append(data.to_tensor(crops, torch.device("cpu")))
    print("| pairs | quality | mean of dB | dB of the mean error |\n|---|---|---|---|")
    for quality in arguments.qualities:
        shown = [decoded(model, originals, quality) for originals in sets]
        (x, y), (x_held, y_held) = [(PEAK * a, PEAK * b) for a, b in zip(shown, sets, strict=True)]
        for name, (names, by_luma) in VARIANTS.items():
            values = fit(x, y, names, by_luma)
            found = gain(x_held, y_held, names, by_luma, values)
            print(f"| {name} | {quality:g} | {found[0]:.2f} | {found[1]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
