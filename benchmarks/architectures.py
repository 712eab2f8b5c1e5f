"""Train architectures of about equal cost of decoding, each for as many steps (table: docs/research-log.md).

    python benchmarks/architectures.py --data FOLDER [--steps 1500] [--crop 128] [--picture checker.png] [NAME ...]

The score is that of held-out pictures (``training/validation.py``); differences of 0.01 are about 1 % of rate. A short run
shows which one learns faster, and only hints at which is better after a long one. --picture writes what each upsampler
makes of flat colour, with the contrast raised.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from aecodec.entropy.partition import CONTEXT_STEPS
from aecodec.networks import model, transforms
from aecodec.networks.complexity import kmac_per_pixel
from aecodec.quality import INTERVALS
from aecodec.training.run import Run
from aecodec.training.settings import make
from aecodec.training.validation import validate


class DepthwiseBlock(nn.Module):
    """x + conv1(act(depthwise3(act(conv1(x))))), twice as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(width, 2 * width, 1)
        self.gather = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width)
        self.project = nn.Conv2d(2 * width, width, 1)
        with torch.no_grad():
            self.project.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.leaky_relu(self.gather(F.leaky_relu(self.expand(x), 0.1)), 0.1)
        return x + self.project(inner)


@dataclass(frozen=True)
class Variant:
    """The differences from the shipped architecture.

    ``block`` replaces its residual blocks; ``seen`` is the number of context steps whose latents the later steps see.
    """

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    block: type[nn.Module] = transforms.ResidualBlock
    seen: int = CONTEXT_STEPS


VARIANTS = (
    Variant("shipped"),
    Variant("wide and flat", {"decoder_width_8": 176, "decoder_blocks_8": 1}),
    Variant("narrow and deep", {"decoder_width_8": 96, "decoder_blocks_8": 4}),
    Variant("more at 1/16", {"decoder_width_16": 256, "decoder_blocks_8": 1}),
    Variant(
        "depthwise blocks", {"blocks_8": 13, "blocks_16": 9, "decoder_blocks_8": 9, "decoder_blocks_16": 9}, DepthwiseBlock
    ),
    Variant("192 latents", {"latents": 192}),
    Variant("320 latents", {"latents": 320}),
    Variant("no context", {}, seen=0),
    Variant("one context step", {}, seen=1),
    Variant("context 96 wide", {"context_width": 96}),
    Variant("context 256 wide", {"context_width": 256}),
    Variant("encoder twice as deep", {"blocks_8": 6, "blocks_16": 4}),
    Variant("resize-conv", {"upsampler": "resize-conv"}),
    Variant("transposed", {"upsampler": "transposed"}),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of variants; all by default")
    parser.add_argument("--data", required=True, action="append")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--optimiser", default="adam", help="soap learns more in a step, which takes much longer on a CPU")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    chosen = [variant for variant in VARIANTS if variant.name in arguments.names or not arguments.names]
    print("| architecture | reading, kMAC/px | writing, kMAC/px | score | time of a step |\n|---|---|---|---|---|")
    base, patches = None, {}
    for variant in chosen:
        with patched(variant), tempfile.TemporaryDirectory() as folder:
            run = Run(settings(variant, arguments), Path(folder), lambda message: None)
            seconds = train(run)
            score, _ = validate(run.average, run.validation)
            costs = kmac_per_pixel(run.settings.architecture)
            patches[variant.name] = flat_patch(run.average)
        base = base or seconds
        reading = costs["synthesis"] + costs["context"] + costs["hyper_synthesis"]
        writing = sum(costs.values()) - costs["synthesis"]
        print(f"| {variant.name} | {reading:.1f} | {writing:.1f} | {score:.4f} | {seconds / base:.2f} |", flush=True)
    if arguments.picture is not None:
        kinds = [patches[name] for name in ("shipped", "resize-conv", "transposed") if name in patches]
        picture = Image.fromarray(np.concatenate(kinds, 1))
        picture.resize((3 * picture.width, 3 * picture.height), Image.Resampling.NEAREST).save(arguments.picture)


def settings(variant: Variant, arguments: argparse.Namespace):
    return make({
        "data": arguments.data, "steps": arguments.steps, "crop": arguments.crop, "device": arguments.device,
        "validate_every": arguments.steps + 1, "hyper_warm_up": arguments.steps // 3, "warm_up": arguments.steps // 10,
        "decay": 0.5, "ema": 0.99, "optimiser": arguments.optimiser, "architecture": variant.changes,
    })  # fmt: skip


def train(run: Run) -> float:
    """Train to the end and return the median seconds of a step."""
    seconds = []
    step = run.train_step

    def timed():
        start = time.perf_counter()
        result = step()
        seconds.append(time.perf_counter() - start)
        return result

    run.train_step = timed
    run.validate_and_save = lambda: None
    for _ in run.progress():
        pass
    return statistics.median(seconds)


@contextlib.contextmanager
def patched(variant: Variant) -> Iterator[None]:
    """Give networks the variant's form for as long as the context lasts."""
    block, join = transforms.ResidualBlock, model.join_steps

    def seen(parts: list[Tensor]) -> Tensor:
        """Return all steps for the synthesis; for the context those that the variant lets it see."""
        return join(parts if len(parts) == CONTEXT_STEPS else parts[: variant.seen] or [torch.zeros_like(parts[0])])

    transforms.ResidualBlock, model.join_steps = variant.block, seen
    try:
        yield
    finally:
        transforms.ResidualBlock, model.join_steps = block, join


@torch.no_grad()
def flat_patch(trained: nn.Module) -> np.ndarray:
    """Return (128, 128, 3) uint8: flat colours after the codec at a low quality, their error sixteen times as large."""
    colours = torch.tensor([[0.8, 0.4, 0.3], [0.2, 0.5, 0.4], [0.3, 0.4, 0.8], [0.7, 0.7, 0.6]])
    x = colours[:, :, None, None].expand(-1, -1, 128, 128).contiguous().to(next(trained.parameters()).device)
    shown = trained(x, torch.full((4,), INTERVALS / 4, device=x.device)).picture
    middle = shown[:, :, 32:96, 32:96]
    error = middle - middle.mean((2, 3), keepdim=True)
    tiles = (0.5 + 16 * error).clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return np.concatenate([np.concatenate(tiles[:2], 0), np.concatenate(tiles[2:], 0)], 1)


if __name__ == "__main__":
    main()
