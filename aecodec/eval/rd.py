"""Rate-distortion of a folder of pictures: aecodec against JPEG.

    python -m aecodec.eval.rd FOLDER [--weights NAME] [--qualities 5,15,...] [--json OUT] [-j N]
    python -m aecodec.eval.rd FOLDER --check-monotonic

Rates are whole files, distortions those of what a decoder returns.
"""

from __future__ import annotations

import io
import json
import math
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, get_args

import click
import numpy as np
from PIL import Image

from aecodec.eval.anchors import JPEG_QUALITIES, jpeg
from aecodec.eval.bdrate import BdRate, Curve, Method, bd_rate, load_bjontegaard, mean_curve
from aecodec.eval.metrics import psnr

SUFFIXES = frozenset({".png", ".ppm", ".bmp", ".tif", ".tiff", ".webp", ".jpg", ".jpeg"})
QUALITIES = tuple(range(5, 100, 10))
MONOTONIC_QUALITIES = tuple(range(0, 101, 10))

RoundTrip = Callable[[Image.Image, float], tuple[bytes, Image.Image]]  # (RGB, quality) to (file, decoded)


@dataclass(frozen=True)
class Point:
    """One picture at one quality of a codec's own scale: whole-file bytes, bits per pixel and dB."""

    quality: float
    bytes: int
    bpp: float
    psnr_rgb: float


Measurements = dict[str, list[Point]]  # one codec: by picture's name, in the order of its qualities


@dataclass(frozen=True)
class Comparison:
    """BD-rate by one method, of the mean curve and of each picture; in its place, the reason why there is none."""

    mean_curve: BdRate | str
    pictures: dict[str, BdRate | str]


def find_pictures(folder: Path) -> list[Path]:
    """The folder's pictures, by name; subfolders are not searched.

    Reads headers only.  Raises OSError for a damaged one and ValueError where there is no picture, or one of more than
    8 bits a channel.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise ValueError(f"{folder} has no pictures ({', '.join(sorted(SUFFIXES))})")
    for path in paths:
        with Image.open(path) as picture:
            if picture.mode.startswith(("I", "F")):
                raise ValueError(f"{path} has more than 8 bits a channel (mode {picture.mode}); convert it first")
    return paths


def read_picture(path: Path) -> Image.Image:
    """A picture as RGB, without alpha or metadata: a codec that keeps metadata must not pay for it here."""
    with Image.open(path) as picture:
        return Image.fromarray(np.asarray(picture.convert("RGB")))


def roundtrip_jpeg(picture: Image.Image, quality: float) -> tuple[bytes, Image.Image]:
    """JPEG file of an RGB picture, and what it decodes to."""
    data = jpeg(picture, int(quality))
    return data, Image.open(io.BytesIO(data))


def roundtrip_aecodec(picture: Image.Image, quality: float, weights: str | None) -> tuple[bytes, Image.Image]:
    """aecodec file of an RGB picture, and what it decodes to; ``weights`` None for the default ones."""
    import aecodec  # here, because ``--help`` and the JPEG curve need no networks

    options = {} if weights is None else {"weights": weights}
    data = aecodec.encode(picture, quality=quality, **options)
    return data, aecodec.decode(data, **options)


def measure(picture: Image.Image, quality: float, roundtrip: RoundTrip) -> Point:
    """Rate and distortion of one RGB picture at one quality.  Raises ValueError if it comes back in another size."""
    data, decoded = roundtrip(picture, quality)
    bpp = 8 * len(data) / (picture.width * picture.height)
    return Point(quality, len(data), bpp, psnr(np.asarray(picture), np.asarray(decoded.convert("RGB"))))


def measure_file(path: Path, qualities: Sequence[float], roundtrip: RoundTrip) -> list[Point]:
    """One point per quality for the picture in a file."""
    picture = read_picture(path)
    return [measure(picture, quality, roundtrip) for quality in qualities]


def measure_all(
    paths: Sequence[Path], qualities: Sequence[float], roundtrip: RoundTrip, processes: int = 1
) -> Measurements:
    """One point per picture and quality, ``processes`` pictures at a time; the result does not depend on how many."""
    work = partial(measure_file, qualities=qualities, roundtrip=roundtrip)
    names = [path.name for path in paths]
    if processes == 1:
        return dict(zip(names, map(work, paths)))
    # Spawned, since a fork of a process whose inference threads have started may hang.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        return dict(zip(names, pool.map(work, paths)))


def curve(points: Sequence[Point]) -> Curve:
    """Points as (bits per pixel, dB)."""
    return [(point.bpp, point.psnr_rgb) for point in points]


def compare(anchor: Measurements, test: Measurements, method: Method) -> Comparison:
    """BD-rate of one codec against another on the same pictures."""
    return Comparison(
        _bd_rate_or_reason(mean_of(anchor), mean_of(test), method),
        {name: _bd_rate_or_reason(curve(anchor[name]), curve(test[name]), method) for name in test},
    )


def mean_of(measurements: Measurements) -> Curve:
    """The mean curve over all pictures."""
    return mean_curve([curve(points) for points in measurements.values()])


def monotonic_faults(points: Sequence[Point]) -> list[str]:
    """A line for each quality at which one picture has a lower PSNR or fewer bytes than at the quality before."""
    faults = []
    for before, after in pairwise(points):
        step = f"quality {before.quality:g} to {after.quality:g}"
        if after.psnr_rgb < before.psnr_rgb:
            faults.append(f"{step}: PSNR falls from {before.psnr_rgb:.4f} to {after.psnr_rgb:.4f} dB")
        if after.bytes < before.bytes:
            faults.append(f"{step}: bytes fall from {before.bytes} to {after.bytes}")
    return faults


def _bd_rate_or_reason(anchor: Curve, test: Curve, method: Method) -> BdRate | str:
    """One picture without a BD-rate must not cost the others theirs."""
    try:
        return bd_rate(anchor, test, method)
    except ValueError as error:
        return str(error)


def table(codecs: dict[str, Measurements]) -> list[str]:
    """Lines of codec, quality, mean bits per pixel and mean PSNR."""
    lines = [f"{'codec':<8} {'quality':>7} {'mean bpp':>9} {'mean PSNR-RGB':>14}"]
    for codec, measurements in codecs.items():
        for quality, (bpp, db) in zip(_qualities_of(measurements), mean_of(measurements)):
            lines.append(f"{codec:<8} {quality:>7g} {bpp:>9.4f} {db:>11.3f} dB")
    return lines


def summary(method: Method, comparison: Comparison) -> list[str]:
    """Lines of one method's BD-rate: on the mean curve, its spread over pictures, and the pictures that have none."""
    mean = comparison.mean_curve
    if isinstance(mean, BdRate):
        where = f"over {mean.low_db:.2f}..{mean.high_db:.2f} dB, {mean.overlap:.0%} of both ranges"
        lines = [f"{method}  mean curve    {mean.percent:+.2f} %  {where}"]
    else:
        lines = [f"{method}  mean curve    none: {mean}"]
    percents = {name: result.percent for name, result in comparison.pictures.items() if isinstance(result, BdRate)}
    if percents:
        best, worst = min(percents, key=percents.__getitem__), max(percents, key=percents.__getitem__)
        lines.append(
            f"{method}  per picture   min {percents[best]:+.2f} % ({best})  median {median(percents.values()):+.2f} %  "
            f"max {percents[worst]:+.2f} % ({worst})  {len(percents)} of {len(comparison.pictures)} pictures"
        )
    reasons = {name: result for name, result in comparison.pictures.items() if isinstance(result, str)}
    return [*lines, *(f"{method}  {name}    none: {reason}" for name, reason in reasons.items())]


def as_json(codecs: dict[str, Measurements], anchor: str, comparisons: dict[str, dict[Method, Comparison]]) -> str:
    """Everything that was measured, as JSON text; an infinite PSNR is null."""

    def plain(point: Point) -> dict[str, Any]:
        return {**asdict(point), "psnr_rgb": _finite(point.psnr_rgb)}

    def result(outcome: BdRate | str) -> dict[str, Any]:
        return asdict(outcome) if isinstance(outcome, BdRate) else {"error": outcome}

    report: dict[str, Any] = {"images": sorted(codecs[anchor]), "codecs": {}}
    for codec, measurements in codecs.items():
        entry = report["codecs"][codec] = {
            "points": [
                {"quality": quality, "bpp": bpp, "psnr_rgb": _finite(db)}
                for quality, (bpp, db) in zip(_qualities_of(measurements), mean_of(measurements))
            ],
            "images": {name: [plain(point) for point in points] for name, points in measurements.items()},
        }
        if codec in comparisons:
            entry["bd_rate"] = {"anchor": anchor} | {
                method: {
                    "mean_curve": result(comparison.mean_curve),
                    "images": {name: result(outcome) for name, outcome in comparison.pictures.items()},
                }
                for method, comparison in comparisons[codec].items()
            }
    return json.dumps(report, indent=1, allow_nan=False) + "\n"


def _qualities_of(measurements: Measurements) -> list[float]:
    return [point.quality for point in next(iter(measurements.values()))]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _parse_qualities(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[float, ...] | None:
    """"5,15,25" to numbers; BadParameter unless they rise within 0..100."""
    if text is None:
        return None
    try:
        qualities = tuple(float(word) for word in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a list of numbers with commas between them") from error
    rising = all(before < after for before, after in pairwise(qualities))
    if not rising or not all(0 <= quality <= 100 for quality in qualities):
        raise click.BadParameter(f"{text!r} must rise and stay within 0..100")
    return qualities


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--weights", metavar="NAME", help="Weights to encode with; aecodec's default without it.")
@click.option(
    "--qualities",
    metavar="Q,Q,...",
    callback=_parse_qualities,
    help=f"aecodec's qualities, rising, in 0..100.  [default: {','.join(map(str, QUALITIES))}]",
)
@click.option(
    "--json", "json_path", metavar="OUT", type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Also write every measurement to this file.",
)
@click.option("-j", "--processes", type=click.IntRange(1), default=1, show_default=True, help="Pictures at a time.")
@click.option(
    "--check-monotonic",
    is_flag=True,
    help="Instead: does every picture, at qualities 0,10,...,100, gain PSNR and bytes or keep them?  Exits 1 if not.",
)
def main(
    folder: Path,
    weights: str | None,
    qualities: tuple[float, ...] | None,
    json_path: Path | None,
    processes: int,
    check_monotonic: bool,
) -> None:
    """Rate-distortion of aecodec and JPEG on the pictures of FOLDER, and the BD-rate of the one against the other."""
    if check_monotonic and (qualities or json_path):
        raise click.UsageError("--check-monotonic has its own qualities and writes no JSON")
    try:
        paths = find_pictures(folder)
    except (OSError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    roundtrip = partial(roundtrip_aecodec, weights=weights)
    if check_monotonic:
        _report_monotonic(measure_all(paths, MONOTONIC_QUALITIES, roundtrip, processes))
    else:
        _report_rd(paths, qualities or QUALITIES, roundtrip, json_path, processes)


def _report_monotonic(measurements: Measurements) -> None:
    """Print every fault; exit 1 if there is one."""
    faults = {name: monotonic_faults(points) for name, points in measurements.items()}
    for name, lines in faults.items():
        for line in lines:
            click.echo(f"{name}: {line}")
    bad = sum(bool(lines) for lines in faults.values())
    click.echo(f"{len(faults) - bad} of {len(faults)} pictures are monotonic")
    if bad:
        raise click.exceptions.Exit(1)


def _report_rd(
    paths: Sequence[Path], qualities: Sequence[float], roundtrip: RoundTrip, json_path: Path | None, processes: int
) -> None:
    """Measure both codecs, print the table and the BD-rates, write the JSON."""
    try:
        load_bjontegaard()  # before minutes of encoding, not after
    except ImportError as error:
        raise click.ClickException(str(error)) from error
    codecs = {
        "aecodec": measure_all(paths, qualities, roundtrip, processes),
        "jpeg": measure_all(paths, JPEG_QUALITIES, roundtrip_jpeg, processes),
    }
    comparisons = {method: compare(codecs["jpeg"], codecs["aecodec"], method) for method in get_args(Method)}
    lines = [*table(codecs), "", f"BD-rate of aecodec against jpeg, PSNR-RGB, {len(paths)} pictures"]
    for method, comparison in comparisons.items():
        lines += summary(method, comparison)
    click.echo("\n".join(lines))
    if json_path is not None:
        json_path.write_text(as_json(codecs, "jpeg", {"aecodec": comparisons}), encoding="utf-8")


if __name__ == "__main__":
    main()
