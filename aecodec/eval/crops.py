"""Draw parts of pictures at equal bytes, enlarged and side by side, to see what metrics say.

    python -m aecodec.eval.crops NAME=FILE:X,Y,WIDTH,HEIGHT... -o FOLDER [--weights NAME] [--bpp 0.15,0.3,0.6]

Each crop gives a picture in FOLDER: a row for each rate, with the original and each codec. The whole picture is coded at
the quality whose file comes nearest to the rate; bytes, bits per pixel and SSIMULACRA2 are those of the whole picture.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from aecodec.defaults import DEFAULT_WEIGHTS
from aecodec.errors import AecodecError
from aecodec.eval.codecs import AECODEC, Codec, open_codecs, rising
from aecodec.eval.measure import read_picture
from aecodec.eval.sidebyside import at_size
from aecodec.metrics import ssimulacra2

CODECS = (AECODEC, "avif444-iq", "jxl")
RATES = (0.15, 0.3, 0.6)  # bits per pixel
TOLERANCE, TRIES = 0.001, 16  # of the search for a size
REACHED = 0.05  # a file that misses its size by more is reported
SCALE = 2
GAP, TEXT_SIZE, LINE = 8, 14, 18  # pixels
INK, PAPER = (22, 25, 29), (255, 255, 255)


@dataclass(frozen=True)
class Crop:
    """A part of a picture, by left, top, width and height in pixels."""

    name: str
    path: Path
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Shown:
    """A picture by a codec at the size that is nearest to a rate; without a codec, the original, of 0 bytes."""

    title: str
    picture: Image.Image
    quality: float | None = None
    bytes: int = 0
    score: float | None = None

    @property
    def bpp(self) -> float:
        return 8 * self.bytes / (self.picture.width * self.picture.height)

    @property
    def facts(self) -> str:
        if not self.bytes:
            return f"whole picture {self.picture.width} x {self.picture.height}"
        return f"{self.bytes} bytes, {self.bpp:.3f} bpp, SSIMULACRA2 {self.score:.1f}"


def read_crop(text: str) -> Crop:
    """Parse "NAME=FILE:X,Y,WIDTH,HEIGHT". Raises AecodecError for anything else, and where the name cannot be a file's."""
    name, _, rest = text.partition("=")
    path, _, numbers = rest.rpartition(":")
    try:
        box = tuple(int(word) for word in numbers.split(","))
        if not path or len(box) != 4 or min(box[:2]) < 0 or min(box[2:]) < 1 or not name or Path(name).name != name:
            raise ValueError
    except ValueError:
        raise AecodecError(f"{text!r} is not a crop: write NAME=FILE:X,Y,WIDTH,HEIGHT") from None
    return Crop(name, Path(path), box)


def at_rates(original: Image.Image, codec: Codec, rates: Sequence[float]) -> list[Shown]:
    """Return a picture by a codec at the sizes nearest to these rates in bits per pixel."""
    files: dict[float, bytes] = {}

    def encode(image: Image.Image, quality: float) -> bytes:
        if quality not in files:
            files[quality] = codec.encode(image, quality)
        return files[quality]

    for quality in (codec.least, codec.qualities[-1]):
        encode(original, quality)
    shown = []
    for rate in rates:
        target = round(rate * original.width * original.height / 8)
        known = [(quality, len(data)) for quality, data in files.items()]
        quality, data = at_size(original, replace(codec, encode=encode), known, target, TOLERANCE, TRIES)
        decoded = codec.decode(data).convert("RGB")
        score = ssimulacra2(np.asarray(original), np.asarray(decoded))
        shown.append(Shown(f"{codec.name} ({codec.settings})", decoded, quality, len(data), score))
    return shown


def sheet(rows: Sequence[Sequence[Shown]], box: tuple[int, int, int, int], scale: int = SCALE) -> Image.Image:
    """Draw the ``box`` of every picture, rows by columns, with two lines of text.

    It is enlarged ``scale`` times without smoothing.
    """
    left, top, width, height = box
    font = ImageFont.load_default(TEXT_SIZE)
    texts = [font.getlength(text) for row in rows for shown in row for text in (shown.title, shown.facts)]
    across, down = max(width * scale, round(max(texts) + 0.5)) + GAP, height * scale + 2 * LINE + GAP
    canvas = Image.new("RGB", (len(rows[0]) * across + GAP, len(rows) * down + GAP), PAPER)
    draw = ImageDraw.Draw(canvas)
    for y, row in enumerate(rows):
        for x, shown in enumerate(row):
            at = (GAP + x * across, GAP + y * down)
            part = shown.picture.crop((left, top, left + width, top + height))
            canvas.paste(part.resize((width * scale, height * scale), Image.Resampling.NEAREST), at)
            for line, text in enumerate((shown.title, shown.facts)):
                draw.text((at[0], at[1] + height * scale + line * LINE), text, INK, font)
    return canvas


def _rates(context: click.Context, parameter: click.Parameter, text: str) -> tuple[float, ...]:
    try:
        rates = rising(text)
        if rates[0] <= 0:
            raise ValueError
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a list of rising numbers over 0 with commas between them") from None
    return rates


@click.command()
@click.argument("crops", metavar="NAME=FILE:X,Y,WIDTH,HEIGHT...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    "folder",
    required=True,
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="The pictures go here.",
)
@click.option("--codecs", default=",".join(CODECS), show_default=True, metavar="NAME,...", help="As aecodec eval has them.")
@click.option("--weights", default=DEFAULT_WEIGHTS, show_default=True, metavar="NAME,...", help="What aecodec stands for.")
@click.option(
    "--bpp",
    "rates",
    default=",".join(map(str, RATES)),
    show_default=True,
    metavar="B,B,...",
    callback=_rates,
    help="Bits per pixel of the whole picture.",
)
@click.option("--scale", type=click.IntRange(1, 8), default=SCALE, show_default=True, help="How many times enlarged.")
@click.option(
    "--format", "suffix", type=click.Choice(["webp", "png"]), default="webp", show_default=True, help="Both without loss."
)
def main(
    crops: tuple[str, ...],
    folder: Path,
    codecs: str,
    weights: str,
    rates: tuple[float, ...],
    scale: int,
    suffix: str,
) -> None:
    """Draw crops at equal bytes: the original and each codec, a row for each rate."""
    try:
        wanted = [read_crop(text) for text in crops]
        if len({crop.name for crop in wanted}) < len(wanted):
            raise AecodecError("two crops have one name")
        found, absent = open_codecs(codecs.split(","), weights.split(","))
        if absent:
            raise AecodecError("; ".join(f"{name}: {reason}" for name, reason in absent.items()))
        for crop in wanted:  # before minutes of coding
            _check_inside(crop)
        folder.mkdir(parents=True, exist_ok=True)
        rows_of = functools.cache(functools.partial(_rows, codecs=tuple(found), rates=rates))
        for crop in wanted:
            rows = rows_of(crop.path)
            path = folder / f"{crop.name}.{suffix}"
            sheet(rows, crop.box, scale).save(path, lossless=True, quality=100, method=6, optimize=True)
            click.echo(f"{path}  {path.stat().st_size} bytes, of {crop.path.name}")
            for rate, row in zip(rates, rows, strict=True):
                for shown in row[1:]:
                    missed = "" if abs(shown.bpp / rate - 1) < REACHED else f"  (not {rate:g}: out of reach)"
                    click.echo(f"  {shown.title:<40} quality {shown.quality:<6g} {shown.facts}{missed}")
    except (AecodecError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _check_inside(crop: Crop) -> None:
    """Raise AecodecError for a crop that is not inside its picture, or a picture that cannot be read."""
    left, top, width, height = crop.box
    picture = read_picture(crop.path)
    if left + width > picture.width or top + height > picture.height:
        raise AecodecError(f"{crop.name} lies outside of {crop.path}, {picture.width} x {picture.height}")


def _rows(path: Path, codecs: Sequence[Codec], rates: Sequence[float]) -> list[list[Shown]]:
    """Return, for each rate, the original and every codec."""
    original = read_picture(path)
    columns = [at_rates(original, codec, rates) for codec in codecs]
    return [[Shown("original", original), *row] for row in zip(*columns, strict=True)]


if __name__ == "__main__":
    main()
