"""Writes docs/page.png: a page of small text and a photograph at quality 30, all learned and as it is coded."""

from __future__ import annotations

import textwrap
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from aecodec.codec.decoder import decode
from aecodec.codec.encoder import Encoder
from aecodec.quality import index_of_quality

ROOT = Path(__file__).parent.parent
TEXT = "Text of twelve pixels stays sharp beside a photograph, whatever the quality of the rest is. "
WIDTH, HEIGHT, QUALITY = 400, 300, 30


def page() -> Image.Image:
    """Text on white, a bar, a button, and a photograph."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (250, 250, 252))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(12)
    draw.rectangle((0, 0, WIDTH, 26), fill=(36, 41, 47))
    draw.text((10, 6), "aecodec   Docs   Issues   Releases", (255, 255, 255), font)
    for row, line in enumerate(textwrap.wrap(2 * TEXT, 32)):
        draw.text((10, 38 + 16 * row), line, (31, 35, 40), font)
    for row, line in enumerate(textwrap.wrap(TEXT, 60)):
        draw.text((10, 232 + 16 * row), line, (9, 105, 218), font)
    draw.rounded_rectangle((10, 268, 96, 290), 5, fill=(31, 136, 61))
    draw.text((22, 272), "Download", (255, 255, 255), font)
    with Image.open(ROOT / "samples" / "astronaut.png") as photograph:
        image.paste(photograph.convert("RGB").crop((120, 0, 430, 310)).resize((181, 181)), (209, 37))
    return image


def main() -> None:
    encoder = Encoder(page(), device="cpu")
    shown = Image.new("RGB", (2 * WIDTH + 10, HEIGHT), "gray")
    for tries, left in ((False, 0), (True, WIDTH + 10)):
        encoder._tries_exact = tries
        encoded = encoder.encode(index_of_quality(QUALITY))
        print(f"{len(encoded.data)} bytes, {encoded.exact:.0%} exact, {encoded.near:.0%} in fewer colours")
        shown.paste(decode(encoded.data), (left, 0))
    shown.save(ROOT / "docs" / "page.png", optimize=True)


if __name__ == "__main__":
    main()
