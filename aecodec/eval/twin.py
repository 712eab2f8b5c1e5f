"""Measure the cost of integer arithmetic: the entropy model against its float twin, the same weights without any rounding.

    python -m aecodec.eval.twin FOLDER [--weights NAME] [--checkpoint FILE]

Both are evaluated in torch on the same pictures, by the PSNR of the decoded pictures and the bits that the model's
probabilities give (files are within 1 % of that, which the tests check).
"""

from __future__ import annotations

import click
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from aecodec.container.tiles import whole
from aecodec.defaults import DEFAULT_WEIGHTS
from aecodec.eval.bdrate import Curve, bd_rate, mean_curve
from aecodec.eval.measure import find_pictures
from aecodec.images import samples
from aecodec.metrics import psnr
from aecodec.networks.export import import_tensors
from aecodec.networks.model import Model
from aecodec.quality import INTERVALS
from aecodec.weights.store import load

POSITIONS = tuple(range(0, INTERVALS + 1, 2))  # every other knot


@torch.inference_mode()
def curve(model: Model, array: NDArray[np.uint8]) -> list[tuple[float, float]]:
    """Return (bits per pixel, PSNR in dB) of a picture (H, W, 3) uint8 at POSITIONS."""
    height, width = array.shape[:2]
    padded = samples.window(array, whole(*samples.padded_size(height, width)))
    x = torch.tensor(padded).permute(2, 0, 1)[None].float() / 255
    points = []
    for position in POSITIONS:
        out = model(x, torch.tensor([float(position)]))
        bits = (out.latent_bits + out.hyper_bits).item()
        decoded = out.picture[0].permute(1, 2, 0)[:height, :width].mul(255).round().clamp(0, 255).byte().numpy()
        points.append((bits / (height * width), psnr(array, decoded)))
    return points


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@click.option("--weights", default=DEFAULT_WEIGHTS, show_default=True, help="Installed weights, or a folder.")
@click.option(
    "--checkpoint",
    type=click.Path(exists=True, dir_okay=False),
    help="Take the twin's weights from before they were rounded, from a training run.",
)
def main(folder: str, weights: str, checkpoint: str | None) -> None:
    """Show the BD-rate of the integer entropy model against its float twin."""
    opened = load(weights)
    integer, twin = Model(opened.arch).eval(), Model(opened.arch).eval()
    integer.load_state_dict(import_tensors(opened))
    twin.load_state_dict(integer.state_dict())
    if checkpoint:
        twin.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["average"])
    twin.quantise(False)
    curves: dict[str, list[Curve]] = {"integer": [], "float": []}
    for path in find_pictures([folder], recursive=True):
        array = np.asarray(Image.open(path).convert("RGB"))
        curves["integer"].append(curve(integer, array))
        curves["float"].append(curve(twin, array))
    means = {name: mean_curve(points) for name, points in curves.items()}
    click.echo("   integer bpp      dB     float bpp      dB")
    for (rate, db), (twin_rate, twin_db) in zip(means["integer"], means["float"], strict=True):
        click.echo(f"{rate:14.4f}{db:8.3f}{twin_rate:14.4f}{twin_db:8.3f}")
    click.echo(f"rate of the integer model at equal PSNR: {bd_rate(means['float'], means['integer']).percent:+.2f} %")


if __name__ == "__main__":
    main()
