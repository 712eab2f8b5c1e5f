"""Show decoded pictures of equal file size side by side."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from aecodec import pages
from aecodec.eval.codecs import Codec
from aecodec.eval.measure import Picture, open_pool, read_picture, values_of
from aecodec.eval.results import Results

PICTURES = 4
SIDE = 512  # larger pictures are cut to their middle
LEVELS = (0.2, 0.55)  # where between the smallest and the largest size that every codec has, on a log scale
TOLERANCE = 0.01  # files this near in size are equal; codecs whose qualities are whole numbers may miss it
TRIES = 8
BUDGET = 16_000_000  # bytes of embedded pictures in a report


def choose(results: Results) -> list[str]:
    """Return the names of the pictures to show, from the worst to the best in equal steps.

    The order is that of the BD-rate, in the first metric, of the first codec that has one: in a usual report, of aecodec.
    """
    metric = next(iter(results["metrics"]))
    compared = (codec["bd_rate_details"] for codec in results["codecs"].values() if "bd_rate_details" in codec)
    images: dict[str, Results] = next((details[metric]["pchip"]["images"] for details in compared), {})
    ranked = sorted(results["averaged"], key=lambda name: -images.get(name, {}).get("percent", -math.inf))
    if len(ranked) <= PICTURES:
        return ranked
    return [ranked[round(index * (len(ranked) - 1) / (PICTURES - 1))] for index in range(PICTURES)]


def embed(
    pictures: Sequence[Picture], codecs: Sequence[Codec], results: Results, processes: int = 1
) -> Iterator[dict[str, Any]]:
    """Return for each picture, as far as BUDGET reaches, the result of every codec in files of equal size."""
    work = partial(_entry, codecs=codecs, results=results)
    left = BUDGET
    with open_pool(processes) if processes > 1 else contextlib.nullcontext() as pool:
        for entry in pool.map(work, pictures) if pool else map(work, pictures):
            shown = [shown for level in entry["levels"] for shown in level["codecs"].values()]
            size = len(entry["original"]) + sum(len(each["image"]) for each in shown)
            if size > left < BUDGET:  # the first is shown, however large
                break
            left -= size
            yield entry


def _entry(picture: Picture, codecs: Sequence[Codec], results: Results) -> dict[str, Any]:
    image = read_picture(picture.path)
    measured = {codec.name: results["codecs"][codec.name]["images"][picture.name] for codec in codecs}
    able = [codec for codec in codecs if len(measured[codec.name]) > 1]
    low = max(min(point["bytes"] for point in measured[codec.name]) for codec in able)
    high = max(low, min(max(point["bytes"] for point in measured[codec.name]) for codec in able))
    entry: dict[str, Any] = {
        "name": picture.name, "width": picture.width, "height": picture.height,
        "box": _box(image), "original": _data_uri(image), "levels": [],
    }  # fmt: skip
    for share in LEVELS:
        target = round(low * (high / low) ** share)
        level = {"bytes": target, "bpp": 8 * target / picture.pixels, "codecs": {}}
        for codec in able:
            qualities = [(point["quality"], point["bytes"]) for point in measured[codec.name]]
            try:
                quality, data = at_size(image, codec, qualities, target)
                decoded = codec.decode(data).convert("RGB")
            except Exception:  # noqa: BLE001  a codec that fails between the measured qualities must not cost the report
                continue
            level["codecs"][codec.name] = {
                "quality": quality, "bytes": len(data), "bpp": 8 * len(data) / picture.pixels,
                **values_of(results["metrics"], np.asarray(image), np.asarray(decoded)),
                "image": _data_uri(decoded),
            }  # fmt: skip
        entry["levels"].append(level)
    return entry


def at_size(
    image: Image.Image,
    codec: Codec,
    known: Sequence[tuple[float, int]],
    target: int,
    tolerance: float = TOLERANCE,
    tries: int = TRIES,
) -> tuple[float, bytes]:
    """Return quality and file nearest to ``target`` bytes that a short search finds.

    ``known`` are qualities and the bytes of their files, from which the search starts. It ends at a file that differs by
    less than ``tolerance``, or after so many ``tries``.
    """
    sizes = dict(known)
    files: dict[float, bytes] = {}

    def nearest() -> float:
        return min(sizes, key=lambda quality: abs(math.log(sizes[quality] / target)))

    for _ in range(tries):
        below = max((quality for quality, size in sizes.items() if size <= target), default=math.inf)
        above = min((quality for quality, size in sizes.items() if size > target), default=-math.inf)
        steps = round((above - below) / codec.step) if math.isfinite(above - below) else 0
        if steps < 2 or abs(math.log(sizes[nearest()] / target)) < tolerance:
            break
        share = math.log(target / sizes[below]) / math.log(sizes[above] / sizes[below])
        quality = round(below + codec.step * min(max(round(steps * share), 1), steps - 1), 6)
        files[quality] = codec.encode(image, quality)
        sizes[quality] = len(files[quality])
    best = nearest()
    return best, files.get(best) or codec.encode(image, best)


def _box(image: Image.Image) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the middle, at most SIDE x SIDE pixels."""
    left, top = (max(0, side - SIDE) // 2 for side in image.size)
    return left, top, min(left + SIDE, image.width), min(top + SIDE, image.height)


def _data_uri(image: Image.Image) -> str:
    """Return the middle of a picture, lossless: the reader sees exactly what was measured."""
    return pages.picture_uri(image.crop(_box(image)))
