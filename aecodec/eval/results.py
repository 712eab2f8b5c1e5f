"""Turn measurements into a report's results: mean curves, BD-rates, speeds, published curves, and changes."""

from __future__ import annotations

import csv
import datetime
import io
import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from itertools import chain
from pathlib import Path
from statistics import fmean, median
from typing import Any, get_args

from aecodec import __version__
from aecodec.errors import AecodecError, reason
from aecodec.eval.bdrate import Curve, Method, bd_rate
from aecodec.eval.codecs import Codec, is_aecodec
from aecodec.eval.measure import Failure, Journal, Picture, Point
from aecodec.metrics import METRICS

Results = dict[str, Any]  # what results.json holds; the keys are those of summarise
METHODS: tuple[Method, ...] = get_args(Method)
PACKAGES = ("bjontegaard", "cvvdp", "numpy", "openvino", "pillow", "scipy", "ssimulacra2", "torch")
# CompressAI's names of metrics
_PUBLISHED = {"psnr-rgb": "psnr_rgb", "psnr": "psnr_rgb", "ms-ssim-rgb": "ms_ssim", "ms-ssim": "ms_ssim"}


def summarise(
    pictures: Sequence[Picture],
    codecs: Sequence[Codec],
    metrics: Sequence[str],
    journal: Journal,
    anchor: str,
    failures: Sequence[Failure] = (),
    references: dict[str, Results] | None = None,
) -> Results:
    """Return everything that was measured and what follows from it, as plain JSON.

    Means are over the pictures that every codec has coded at every quality and for which every metric is defined, so that
    all curves speak of the same pictures. Codecs that have no such picture are left out of that rule, and have no curve.
    """
    points = {
        codec.name: {
            picture.name: [point for quality in codec.qualities if (point := journal.find(picture, codec, quality))]
            for picture in pictures
        }
        for codec in codecs
    }
    common = _common(pictures, codecs, metrics, points)
    results: Results = {
        "images": [{"name": p.name, "width": p.width, "height": p.height, "content": p.content} for p in pictures],
        "averaged": [picture.name for picture in common],
        "metrics": {name: {"title": METRICS[name].title, "definition": METRICS[name].definition} for name in metrics},
        "anchor": anchor,
        "codecs": {},
        "references": references or {},
        "failures": [asdict(failure) for failure in failures],
    }
    for codec in codecs:
        measured = [points[codec.name][picture.name] for picture in common]
        complete = bool(measured) and all(len(each) == len(codec.qualities) for each in measured)
        entry: Results = {
            "version": codec.version,
            "settings": codec.settings,
            "points": [_mean(column, metrics) for column in zip(*measured, strict=True)] if complete else [],
            "images": {name: [_plain(point) for point in each] for name, each in points[codec.name].items()},
        }
        results["codecs"][codec.name] = entry
        if complete:
            pixels = len(codec.qualities) * sum(picture.pixels for picture in common)
            for way in ("encode", "decode"):
                seconds = sum(getattr(point, f"{way}_seconds") for point in chain(*measured))
                entry[f"{way}_megapixels_per_second"] = pixels / 1e6 / seconds if seconds else None
    _add_bd_rates(results)
    results["against"] = _against(results)
    return results


def _common(
    pictures: Sequence[Picture],
    codecs: Sequence[Codec],
    metrics: Sequence[str],
    points: dict[str, dict[str, list[Point]]],
) -> list[Picture]:
    def whole(codec: Codec, picture: Picture) -> bool:
        return len(points[codec.name][picture.name]) == len(codec.qualities)

    def defined(metric: str, picture: Picture) -> bool:
        values = (point.values.get(metric) for codec in codecs for point in points[codec.name][picture.name])
        return any(value is not None for value in values)

    able = [codec for codec in codecs if any(whole(codec, picture) for picture in pictures)]
    known = [metric for metric in metrics if any(defined(metric, picture) for picture in pictures)]
    return [
        picture
        for picture in pictures
        if able and all(whole(codec, picture) for codec in able) and all(defined(metric, picture) for metric in known)
    ]


def _plain(point: Point) -> Results:
    """Return a point as a dictionary, with its metrics among the other values."""
    entry = asdict(point)
    values: Results = entry.pop("values")
    return entry | values


def _mean(column: Sequence[Point], metrics: Sequence[str]) -> Results:
    """Return the mean over pictures, metric by metric, taken on the scale of curves.

    It is None where one picture has no value (a lossless one is infinite).
    """
    mean: Results = {"quality": column[0].quality}
    for name in ("bytes", "bpp", "encode_seconds", "decode_seconds"):
        mean[name] = fmean(getattr(point, name) for point in column)
    for name in metrics:
        values = [value for point in column if (value := point.values[name]) is not None]
        mean[name] = METRICS[name].mean(values) if len(values) == len(column) else None
    return mean


def curve(points: Sequence[Results], metric: str) -> Curve:
    """Return (bits per pixel, value on the scale of curves) of points, without those that are infinite or undefined."""
    values = [(point["bpp"], point.get(metric)) for point in points]
    drawn = [(bpp, METRICS[metric].on_curve(value)) for bpp, value in values if value is not None]
    return [(bpp, value) for bpp, value in drawn if math.isfinite(value)]


def _add_bd_rates(results: Results) -> None:
    """Add "bd_rate" of every codec and published curve against the anchor: on the mean curves, and of each picture."""
    anchor = results["anchor"]
    base = results["codecs"].get(anchor)
    if base is None:
        return
    for name, entry in chain(results["codecs"].items(), results["references"].items()):
        if name == anchor:
            continue
        entry["bd_rate"] = {"anchor": anchor}
        entry["bd_rate_details"] = details = {}
        for metric in results["metrics"]:
            details[metric] = {
                method: {
                    "mean_curve": bd_rate_or_reason(curve(base["points"], metric), curve(entry["points"], metric), method),
                    "images": {
                        image: bd_rate_or_reason(curve(base["images"][image], metric), curve(points, metric), method)
                        for image, points in entry.get("images", {}).items()
                    },
                }
                for method in METHODS
            }
            entry["bd_rate"][metric] = details[metric]["pchip"]["mean_curve"].get("percent")


def _against(results: Results) -> Results:
    """Return the BdRate of aecodec's mean curves, or the reason for none, by weights, by other codec, by metric."""
    sources = {**results["codecs"], **results["references"]}
    return {
        ours: {
            other: {
                metric: bd_rate_or_reason(curve(source["points"], metric), curve(sources[ours]["points"], metric), "pchip")
                for metric in results["metrics"]
            }
            for other, source in sources.items()
            if not is_aecodec(other)
        }
        for ours in results["codecs"]
        if is_aecodec(ours)
    }


def bd_rate_or_reason(anchor: Curve, test: Curve, method: Method) -> Results:
    """Return a BdRate as a dictionary, or {"error": reason}: one failure must not cost other curves their results."""
    try:
        return asdict(bd_rate(anchor, test, method))
    except ValueError as error:
        return {"error": str(error)}


def spread(images: dict[str, Results]) -> tuple[float, float, float] | None:
    """Return least, median and greatest BD-rate in percent over pictures; None where no picture has one."""
    percents = [result["percent"] for result in images.values() if "percent" in result]
    return (min(percents), median(percents), max(percents)) if percents else None


def headlines(results: Results) -> list[str]:
    """Return lines for the terminal.

    They are BD-rates against the anchor with speeds, then those of aecodec against each of the others.
    """
    where = f"{len(results['averaged'])} pictures, pchip on mean curves"
    speeds = {way: f"{way}_megapixels_per_second" for way in ("encode", "decode")}
    rows = [
        [
            name,
            *(_percent(codec.get("bd_rate", {}).get(metric), name == results["anchor"]) for metric in results["metrics"]),
            *(f"{codec[key]:.3g}" if codec.get(key) else "none" for key in speeds.values()),
        ]
        for name, codec in results["codecs"].items()
    ]
    head = ["codec", *results["metrics"], *(f"{way} MP/s" for way in speeds)]
    lines = [f"bytes at equal quality (BD-rate) against {results['anchor']}, {where}:", *_aligned([head, *rows])]
    for ours, others in results["against"].items():
        rows = [
            [other, *(_percent(by_metric[metric].get("percent")) for metric in results["metrics"])]
            for other, by_metric in others.items()
        ]
        if rows:
            lines += ["", f"BD-rate of {ours}, {where}:", *_aligned([["against", *results["metrics"]], *rows])]
    return lines


def _percent(value: float | None, is_anchor: bool = False) -> str:
    if is_anchor:
        return "-"
    return "none" if value is None else f"{value:+.1f} %"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of a table as lines: the first column to the left, the others to the right."""
    first, *others = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([f"{row[0]:<{first}}", *map(str.rjust, row[1:], others)]) for row in rows]


def read_reference(path: Path) -> tuple[str, Results]:
    """Return name and points of a published curve, {"name", "results": {"psnr-rgb": [], "bpp": []}}.

    This is CompressAI's form. Raises AecodecError for any other file.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        lists = content["results"]
        columns = {"bpp": lists["bpp"]} | {_PUBLISHED[key]: lists[key] for key in _PUBLISHED if key in lists}
        if len({len(column) for column in columns.values()}) != 1 or len(columns) < 2:
            raise ValueError("it needs bpp and one of " + ", ".join(_PUBLISHED) + ", all of one length")
        rows = sorted(zip(*([float(value) for value in column] for column in columns.values()), strict=True))
        points = [dict(zip(columns, row, strict=True)) for row in rows]
        return str(content["name"]), {
            "source": path.name, "description": str(content.get("description", "")), "points": points,
        }  # fmt: skip
    except OSError as error:
        raise AecodecError(f"cannot read {path}: {reason(error)}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AecodecError(f"{path} is not a curve in CompressAI's form: {error}") from None


def environment(command: str, processes: int, packages: Sequence[str] = PACKAGES) -> Results:
    """Return what a reader needs to repeat the report."""
    versions = {"aecodec": __version__}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "command": command, "date": datetime.date.today().isoformat(), "processes": processes,
        "cpu": _cpu(), "cores": os.cpu_count(),
        "system": platform.platform(), "python": platform.python_version(), "versions": versions,
    }  # fmt: skip


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def as_csv(results: Results) -> str:
    """Return one line for each measurement."""
    metrics = list(results["metrics"])
    columns = ["quality", "bytes", "bpp", *metrics, "encode_seconds", "decode_seconds"]
    sizes = {image["name"]: (image["width"], image["height"]) for image in results["images"]}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "width", "height", "codec", "version", "settings", *columns])
    for name, codec in results["codecs"].items():
        for image, points in codec["images"].items():
            for point in points:
                row = [image, *sizes[image], name, codec["version"], codec["settings"]]
                writer.writerow(row + [point.get(column) for column in columns])
    return text.getvalue()


def against_as_csv(results: Results) -> str:
    """Return one line for each of aecodec's weights, each codec that they are compared with, and each metric."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = ["percent", "low", "high", "overlap", "error"]
    writer.writerow(["codec", "against", "metric", *columns])
    for ours, others in results["against"].items():
        for other, by_metric in others.items():
            for metric, rate in by_metric.items():
                writer.writerow([ours, other, metric, *(rate.get(column) for column in columns)])
    return text.getvalue()


def read_results(path: Path) -> Results:
    """Return results.json of an earlier report. Raises AecodecError where it is none."""
    try:
        results: Results = json.loads(path.read_text("utf-8"))
        if not all(isinstance(results[key], kind) for key, kind in (("codecs", dict), ("metrics", dict), ("images", list))):
            raise ValueError
        return results
    except OSError as error:
        raise AecodecError(f"cannot read {path}: {reason(error)}") from None
    except (ValueError, KeyError, TypeError):
        raise AecodecError(f"{path} is not a results.json of aecodec eval") from None


def compare(before: Results, after: Results) -> list[str]:
    """Return lines that say what changed: pictures, codecs, versions, and of each codec rate at equal quality and speed.

    Rates are compared on the pictures that both reports have, by content, as the median of the BD-rates of each picture.
    """
    lines = _changes("pictures", *({image["name"] for image in each["images"]} for each in (before, after)))
    lines += _changes("codecs", *(set(each["codecs"]) for each in (before, after)))
    names = {image["content"]: image["name"] for image in before["images"]}
    pairs = [(names[image["content"]], image["name"]) for image in after["images"] if image["content"] in names]
    if not pairs:
        return [*lines, "the reports have no picture in common"]
    metrics = [name for name in after["metrics"] if name in before["metrics"] and name in METRICS]
    lines.append(f"bytes at equal quality, median of {len(pairs)} pictures, second report against the first:")
    for name in (name for name in after["codecs"] if name in before["codecs"]):
        old, new = before["codecs"][name], after["codecs"][name]
        cells = [f"  {name:<20}"]
        for metric in metrics:
            images = {
                b: bd_rate_or_reason(curve(old["images"][a], metric), curve(new["images"][b], metric), "pchip")
                for a, b in pairs
            }
            middle = spread(images)
            cells.append(f"{metric} {middle[1]:+.2f} %" if middle else f"{metric} none")
        for way in ("encode", "decode"):
            speeds = [codec.get(f"{way}_megapixels_per_second") for codec in (old, new)]
            if all(speeds):
                cells.append(f"{way} {speeds[0]:.3g} -> {speeds[1]:.3g} MP/s")
        lines.append("  ".join(cells))
        lines += [f"    {what}: {old[what]} -> {new[what]}" for what in ("version", "settings") if old[what] != new[what]]
    return lines


def _changes(what: str, before: set[str], after: set[str]) -> list[str]:
    groups = (("only in the first", before - after), ("only in the second", after - before))
    return [f"{what} {where}: {', '.join(sorted(names))}" for where, names in groups if names]
