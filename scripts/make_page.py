"""Writes page.png, terminal.png and diagram.png of docs: all learned on the left, as they are coded on the right."""

from __future__ import annotations

import colorsys
import math
import textwrap
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from aecodec.codec.decoder import decode
from aecodec.codec.encoder import Encoder
from aecodec.quality import index_of_quality

ROOT = Path(__file__).parent.parent
TEXT = "Text of twelve pixels stays sharp beside a photograph, whatever the quality of the rest is. "
WIDTH, HEIGHT = 400, 300
LOG = """$ ls --color
letter.txt  photo.jpg  src
$ cat letter.txt
The quick brown fox jumps over
the lazy dog. 0123456789
$ ls src
main.c  read.c  write.c
$ make test
1 failed, 41 passed"""
COLOURS = {"$": (138, 226, 52), "src": (114, 159, 207), "photo.jpg": (173, 127, 168), "failed,": (239, 41, 41)}


def page() -> Image.Image:
    """Return text on white, a bar, a button, and a photograph."""
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


def terminal() -> Image.Image:
    """Return a terminal: lines of words in a few colours on a dark ground."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (46, 52, 54))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(15)
    draw.rectangle((0, 0, WIDTH, 24), fill=(85, 87, 83))
    draw.text((10, 4), "sample: bash", (238, 238, 236), ImageFont.load_default(12))
    for row, line in enumerate(LOG.splitlines()):
        left = 10.0
        for word in line.split(" "):
            draw.text((left, 36 + 22 * row), word, COLOURS.get(word, (211, 215, 207)), font)
            left += draw.textlength(word + " ", font)
    draw.rectangle((10, 240, 19, 257), fill=(211, 215, 207))
    return image


def diagram() -> Image.Image:
    """Return shapes and curves of one colour each with smooth edges, drawn at four times the size."""
    image = Image.new("RGB", (4 * WIDTH, 4 * HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    for part in range(12):
        hue = colorsys.hsv_to_rgb(part / 12, 0.65, 0.9)
        colour = tuple(round(255 * channel) for channel in hue)
        draw.pieslice((80, 80, 740, 740), 30 * part, 30 * part + 30, colour, "white", 12)
        draw.rectangle((60 + 124 * part, 1130 - 20 * (part * 5 % 12), 150 + 124 * part, 1140), colour)
    draw.ellipse((270, 270, 550, 550), "white")
    for phase, colour in ((0.0, (32, 74, 135)), (1.0, (164, 0, 0)), (2.0, (78, 154, 6))):
        curve = [(820 + x, 400 - 260 * math.sin(x / 110 + phase) * math.exp(-x / 600)) for x in range(0, 720, 4)]
        draw.line(curve, colour, 14, "curve")
    draw.line(((820, 60), (820, 740), (1560, 740)), "black", 8)
    return image.resize((WIDTH, HEIGHT), Image.Resampling.BOX)


def main() -> None:
    for drawn, quality in ((page, 30), (terminal, 60), (diagram, 60)):
        picture = drawn()
        shown = Image.new("RGB", (2 * WIDTH + 10, HEIGHT), "gray")
        for all_learned, left in ((True, 0), (False, WIDTH + 10)):
            encoded = Encoder(picture, device="cpu", all_learned=all_learned).encode(index_of_quality(quality))
            ways = f"{encoded.exact:.0%} exact, {encoded.near:.0%} in fewer colours"
            print(f"{drawn.__name__} at quality {quality}: {len(encoded.data)} bytes, {ways}")
            shown.paste(decode(encoded.data), (left, 0))
        shown.save(ROOT / "docs" / f"{drawn.__name__}.png", optimize=True)


if __name__ == "__main__":
    main()
