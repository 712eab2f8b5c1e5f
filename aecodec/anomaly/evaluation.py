"""Measure a model on a set whose pictures are known to be good or bad."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec import pages
from aecodec.anomaly import metrics, sets
from aecodec.anomaly.model import Model, Verdict
from aecodec.anomaly.overlay import overlaid
from aecodec.anomaly.pictures import Pixels, opened, resized
from aecodec.defaults import MAX_PIXELS
from aecodec.errors import PictureError

Floats = NDArray[np.float32]
MEASURED = 512  # pixels, the longer side at most at which pixels are counted
SHOWN = 60  # pictures on the page, the worst misses first
THUMBNAIL = 360  # pixels, their longer side
CURVE = 200  # points of a curve on the page


@dataclass(frozen=True)
class Row:
    """A picture of the set: its path from there, the kind of its defect, and what the model says."""

    path: str
    kind: str
    bad: bool
    score: float
    normalised: float
    found: bool

    @property
    def miss(self) -> float:
        """Return how far the model is from right: above 0 where it is wrong, -0.5 where it is quite right."""
        return 0.5 - self.normalised if self.bad else self.normalised - 0.5


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was measured: ``numbers`` that JSON can hold, a row for each picture, the worst misses first, and pictures.

    pictures: for each of the first rows the address of the picture, that of its heat over it, and that of its mask or "".
    """

    numbers: dict[str, Any]
    rows: list[Row]
    curves: dict[str, list[tuple[float, float]]]
    pictures: list[tuple[str, str, str]]


def evaluate(
    model: Model,
    folder: str | Path,
    extensions: Collection[str],
    *,
    device: str = "auto",
    max_pixels: int | None = MAX_PIXELS,
    progress: Callable[[], object] = lambda: None,
    with_pictures: bool = True,
) -> Evaluation:
    """Judge all test pictures of a set that is laid out as those of MVTec.

    Raises PictureError where it has no good or no bad pictures, or one cannot be read.
    """
    samples = sets.testing(folder, extensions)
    if len({sample.bad for sample in samples}) < 2:
        raise PictureError(f"{folder} needs both good and bad pictures in its folder test")
    rows, maps, masks, seconds = [], [], [], 0.0
    for sample in samples:
        pixels = opened(sample.path, device=device, max_pixels=max_pixels)
        start = time.perf_counter()
        verdict = model.judge(pixels, device=device)
        seconds += time.perf_counter() - start
        path = sample.path.relative_to(folder).as_posix()
        rows.append(Row(path, sample.kind, sample.bad, verdict.score, verdict.normalised, verdict.bad))
        mask = sample.pixels(*pixels.shape[:2])
        if mask is not None:
            heat, mask = _comparable(verdict.heat, mask)
            maps.append(heat)
            masks.append(mask)
        progress()
    numbers, curves = _measured(model, rows, maps, masks)
    numbers["pictures_per_second"] = len(rows) / max(seconds, 1e-9)
    by_path = {row.path: sample for row, sample in zip(rows, samples, strict=True)}
    rows.sort(key=lambda row: -row.miss)
    shown = [_shown(model, by_path[row.path], device, max_pixels) for row in rows[:SHOWN]] if with_pictures else []
    return Evaluation(numbers, rows, curves, shown)


def _measured(
    model: Model, rows: list[Row], maps: list[Floats], masks: list[NDArray[np.bool_]]
) -> tuple[dict[str, Any], dict[str, list[tuple[float, float]]]]:
    """Return the numbers and ROC curves of judged pictures, all of them and by kind of defect.

    maps, masks: heat and defect (h, w) of those pictures that have a mask.
    """
    scores, bad = np.array([row.score for row in rows]), np.array([row.bad for row in rows])
    curves = {"all": _curve(scores, bad)}
    kinds = {}
    for kind in sorted({row.kind for row in rows} - {sets.GOOD}):
        own = np.array([row.kind in (kind, sets.GOOD) for row in rows])
        curves[kind] = _curve(scores[own], bad[own])
        hit = [row.found for row in rows if row.kind == kind]
        kinds[kind] = {"pictures": len(hit), "found": sum(hit), "auroc": metrics.auroc(scores[own], bad[own])}
    best = metrics.best_threshold(scores, bad)
    numbers: dict[str, Any] = {
        "image_auroc": metrics.auroc(scores, bad),
        "image_ap": metrics.average_precision(scores, bad),
        "image_f1": metrics.f1(scores, bad, model.threshold.score),
        "image_f1_best": metrics.f1(scores, bad, best),
        "threshold": model.threshold.score, "threshold_best": best, "threshold_source": model.threshold.source,
        "good": int((~bad).sum()), "bad": int(bad.sum()),
        "false_alarms": sum(row.found for row in rows if not row.bad),
        "missed": sum(not row.found for row in rows if row.bad),
        "pixel_auroc": None, "pixel_aupro": None, "masks": sum(bool(mask.any()) for mask in masks),
        "kinds": kinds, "method": model.name, "side": model.side,
    }  # fmt: skip
    if numbers["masks"]:
        numbers["pixel_auroc"] = metrics.auroc(*(np.concatenate([each.ravel() for each in part]) for part in (maps, masks)))
        numbers["pixel_aupro"] = metrics.aupro(maps, masks)
    return numbers, curves


def labelled_scores(
    model: Model, folder: str | Path, extensions: Collection[str], device: str = "auto", max_pixels: int | None = MAX_PIXELS
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the scores of the test pictures of a set, and which are bad. Raises PictureError as ``evaluate`` does."""
    samples = sets.testing(folder, extensions)
    if len({sample.bad for sample in samples}) < 2:
        raise PictureError(f"{folder} needs both good and bad pictures in its folder test")
    scores = [model.judge(sample.path, device=device, max_pixels=max_pixels).score for sample in samples]
    return np.array(scores), np.array([sample.bad for sample in samples])


def _comparable(heat: Floats, mask: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
    """Return heat and mask at the size of the picture, MEASURED pixels at most; half of a pixel makes it bad."""
    height, width = mask.shape
    factor = MEASURED / max(height, width)
    if factor < 1:
        height, width = max(1, round(height * factor)), max(1, round(width * factor))
        share = Image.fromarray(mask.astype(np.float32)).resize((width, height), Image.Resampling.BOX)
        mask = np.asarray(share) >= 0.5
    return resized(heat, height, width), mask


def _curve(scores: NDArray[np.floating[Any]], bad: NDArray[np.bool_]) -> list[tuple[float, float]]:
    curve = metrics.roc(scores, bad)
    chosen = np.unique(np.rint(np.linspace(0, len(curve.false) - 1, CURVE)).astype(int))
    return [(float(curve.false[at]), float(curve.true[at])) for at in chosen]


def _shown(model: Model, sample: sets.Sample, device: str, max_pixels: int | None) -> tuple[str, str, str]:
    """Return the addresses of a picture, its heat over it, and its mask, "" where there is none."""
    pixels = opened(sample.path, device=device, max_pixels=max_pixels)
    verdict: Verdict = model.judge(pixels, device=device)
    mask = sample.pixels(*pixels.shape[:2])
    white = "" if mask is None or not mask.any() else _uri(np.where(mask, 255, 0).astype(np.uint8), 100)
    return _uri(pixels, 80), _uri(np.asarray(overlaid(pixels, verdict, model.threshold)), 80), white


def _uri(pixels: Pixels, quality: int) -> str:
    image = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return pages.picture_uri(image, quality)


def render(found: Evaluation, made: dict[str, str]) -> str:
    """Return the page of an evaluation: one file. ``made`` says how it was made, by words such as "Command"."""
    data = {
        "numbers": found.numbers, "rows": [{**asdict(row), "miss": row.miss} for row in found.rows], "curves": found.curves,
        "pictures": found.pictures, "made": made,
    }  # fmt: skip
    return pages.report("aecodec.anomaly", "anomaly", "aecodec anomaly", data)
