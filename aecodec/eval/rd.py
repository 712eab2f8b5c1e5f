"""Show the rate-distortion of a folder of pictures on the terminal: aecodec against JPEG by PSNR-RGB.

    python -m aecodec.eval.rd FOLDER [--weights NAME] [--qualities 5,15,...] [--json OUT] [-j N]
    python -m aecodec.eval.rd FOLDER --check-monotonic

A short form of ``aecodec eval``, whose functions it calls; only the second use is its own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from aecodec.errors import AecodecError
from aecodec.eval import codecs as known
from aecodec.eval.bdrate import Method, load_bjontegaard
from aecodec.eval.codecs import Codec
from aecodec.eval.measure import Journal, Picture, Point, find_pictures, measure_all, missing, open_pictures
from aecodec.eval.results import METHODS, Results, spread, summarise

QUALITIES = tuple(range(5, 100, 10))
MONOTONIC_QUALITIES = tuple(range(0, 101, 10))
METRIC = "psnr_rgb"


def measured(pictures: Sequence[Picture], codecs: Sequence[Codec], processes: int) -> Journal:
    """Measure every picture by every codec at every quality. Raises AecodecError for the first that cannot be measured."""
    journal = Journal()
    for failure in measure_all(missing(pictures, codecs, [METRIC], journal), journal, processes):
        if failure is not None:
            raise AecodecError(f"{failure.picture}: {failure}")
    return journal


def monotonic_faults(points: Sequence[Point]) -> list[str]:
    """Return a line for each quality at which a picture has a lower PSNR or fewer bytes than at the one below."""
    faults = []
    for before, after in pairwise(points):
        step = f"quality {before.quality:g} to {after.quality:g}"
        db_before, db_after = (math.inf if (db := point.values[METRIC]) is None else db for point in (before, after))
        if db_after < db_before:
            faults.append(f"{step}: PSNR falls from {db_before:.4f} to {db_after:.4f} dB")
        if after.bytes < before.bytes:
            faults.append(f"{step}: bytes fall from {before.bytes} to {after.bytes}")
    return faults


def table(results: Results) -> list[str]:
    """Return lines of codec, quality, mean bits per pixel and mean PSNR."""
    lines = [f"{'codec':<8} {'quality':>7} {'mean bpp':>9} {'mean PSNR-RGB':>14}"]
    for name, codec in results["codecs"].items():
        for point in codec["points"]:
            db = "infinite" if point[METRIC] is None else f"{point[METRIC]:.3f}"
            lines.append(f"{name:<8} {point['quality']:>7g} {point['bpp']:>9.4f} {db:>11} dB")
    return lines


def summary(method: Method, details: dict[str, Any]) -> list[str]:
    """Return lines of one method's BD-rate: on the mean curve, its spread over pictures, and pictures that have none."""
    mean, pictures = details["mean_curve"], details["images"]
    if "percent" in mean:
        where = f"over {mean['low']:.2f}..{mean['high']:.2f} dB, {mean['overlap']:.0%} of both ranges"
        lines = [f"{method}  mean curve    {mean['percent']:+.2f} %  {where}"]
    else:
        lines = [f"{method}  mean curve    none: {mean['error']}"]
    if extremes := spread(pictures):
        least, middle, greatest = extremes
        name_of = {result.get("percent"): name for name, result in pictures.items()}
        lines.append(
            f"{method}  per picture   min {least:+.2f} % ({name_of[least]})  median {middle:+.2f} %  "
            f"max {greatest:+.2f} % ({name_of[greatest]})  "
            f"{sum('percent' in result for result in pictures.values())} of {len(pictures)} pictures"
        )
    reasons = {name: result["error"] for name, result in pictures.items() if "error" in result}
    return [*lines, *(f"{method}  {name}    none: {reason}" for name, reason in reasons.items())]


def _parse_qualities(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[float, ...] | None:
    """Return "5,15,25" as numbers; raises BadParameter unless they rise within 0..100."""
    if text is None:
        return None
    try:
        qualities = known.rising(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a list of rising numbers with commas between them") from error
    if not all(0 <= quality <= 100 for quality in qualities):
        raise click.BadParameter(f"{text!r} must stay within 0..100")
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
    "--json",
    "json_path",
    metavar="OUT",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
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
    """Show rate-distortion of aecodec and JPEG on the pictures of FOLDER, and the BD-rate of one against the other."""
    if check_monotonic and (qualities or json_path):
        raise click.UsageError("--check-monotonic has its own qualities and writes no JSON")
    try:
        pictures, failures = open_pictures(find_pictures([str(folder)]))
    except AecodecError as error:
        raise click.UsageError(str(error)) from error
    if failures:
        raise click.UsageError(f"{failures[0].picture}: {failures[0]}")
    try:
        aecodec = known.aecodec(weights)
        if check_monotonic:
            _report_monotonic(pictures, replace(aecodec, qualities=MONOTONIC_QUALITIES), processes)
        else:
            _report_rd(pictures, replace(aecodec, qualities=qualities or QUALITIES), json_path, processes)
    except (AecodecError, ImportError) as error:
        raise click.ClickException(str(error)) from error


def _report_monotonic(pictures: Sequence[Picture], codec: Codec, processes: int) -> None:
    """Print every fault; exit 1 if there is one."""
    journal = measured(pictures, [codec], processes)
    bad = 0
    for picture in pictures:
        found = (journal.find(picture, codec, quality) for quality in codec.qualities)
        faults = monotonic_faults([point for point in found if point is not None])
        bad += bool(faults)
        for line in faults:
            click.echo(f"{picture.name}: {line}")
    click.echo(f"{len(pictures) - bad} of {len(pictures)} pictures are monotonic")
    if bad:
        raise click.exceptions.Exit(1)


def _report_rd(pictures: Sequence[Picture], codec: Codec, json_path: Path | None, processes: int) -> None:
    """Measure both codecs, print the table and the BD-rates, write the JSON."""
    load_bjontegaard()  # before minutes of encoding, not after
    (jpeg,), _ = known.open_codecs(["jpeg"])
    journal = measured(pictures, [codec, jpeg], processes)
    results = summarise(pictures, [codec, jpeg], [METRIC], journal, jpeg.name)
    lines = [*table(results), "", f"BD-rate of aecodec against jpeg, PSNR-RGB, {len(pictures)} pictures"]
    for method in METHODS:
        lines += summary(method, results["codecs"][codec.name]["bd_rate_details"][METRIC][method])
    click.echo("\n".join(lines))
    if json_path is not None:
        json_path.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
