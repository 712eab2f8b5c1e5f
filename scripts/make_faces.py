"""Draws cartoon faces into FOLDER/smile and FOLDER/frown, 200 each: pictures of one kind, to try autoencoders on."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE, COUNT = 128, 200
EYE, MOUTH = (30, 30, 50), (140, 20, 30)


def face(rng: np.random.Generator, smiles: bool) -> Image.Image:
    """Return a round face anywhere near the middle; colours, eyes and mouth differ."""
    image = Image.new("RGB", (SIDE, SIDE), tuple(rng.integers(150, 256, 3).tolist()))
    draw = ImageDraw.Draw(image)
    x, y = rng.uniform(54, 74, 2)
    radius, eye = rng.uniform(35, 48), rng.uniform(3.5, 7)
    skin = rng.integers((200, 140, 90), (250, 210, 160)).tolist()
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tuple(skin))
    apart = rng.uniform(0.3, 0.42) * radius
    for side in (x - apart, x + apart):
        level = y - 0.25 * radius
        draw.ellipse((side - eye, level - eye, side + eye, level + eye), fill=EYE)
    wide, high = rng.uniform(0.35, 0.55) * radius, rng.uniform(0.15, 0.4) * radius
    box = (x - wide, y + 0.4 * radius - high, x + wide, y + 0.4 * radius + high)
    draw.arc(box, *((20, 160) if smiles else (200, 340)), fill=MOUTH, width=4)
    return image


def main() -> None:
    rng = np.random.default_rng(0)
    for name in ("smile", "frown"):
        folder = Path(sys.argv[1], name)
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(COUNT):
            face(rng, name == "smile").save(folder / f"{number:03}.png")


if __name__ == "__main__":
    main()
