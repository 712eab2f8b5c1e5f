"""Draw heat over a picture: nothing where good pictures are as hot, yellow at the threshold, red far above it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw

from aecodec.anomaly.model import Region, Threshold, Verdict
from aecodec.anomaly.pictures import Pixels

STRONGEST = 3  # times the way from the usual heat to the threshold: as red as it gets
OPACITY = 0.65  # from the threshold on
YELLOW, RED = np.array([255, 210, 40], np.float32), np.array([215, 25, 30], np.float32)
BOX = (0, 160, 255)


def overlaid(pixels: Pixels, verdict: Verdict, threshold: Threshold) -> Image.Image:
    """Return a picture (H, W, 3) with the heat of its verdict over it, and boxes around the regions."""
    excess = (verdict.heat_map() - threshold.usual) / max(threshold.heat - threshold.usual, 1e-9)
    colour = YELLOW + (RED - YELLOW) * np.clip((excess[..., None] - 1) / (STRONGEST - 1), 0, 1)
    opacity = OPACITY * np.square(np.clip(excess[..., None], 0, 1))
    mixed = Image.fromarray(np.rint(pixels + opacity * (colour - pixels)).astype(np.uint8))
    return _boxed(mixed, verdict.regions)


def _boxed(image: Image.Image, regions: Iterable[Region]) -> Image.Image:
    draw = ImageDraw.Draw(image)
    width = max(1, round(max(image.size) / 400))
    for each in regions:
        draw.rectangle(
            (each.left, each.top, each.left + each.width - 1, each.top + each.height - 1), outline=BOX, width=width
        )
    return image
