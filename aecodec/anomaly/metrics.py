"""Measure how well scores tell bad pictures from good ones, and maps of scores bad pixels from good ones.

Scores are floats, higher is worse; labels are bools, True is bad. Ties count half, as in the rank sum test.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
LIMIT = 0.3  # the largest false positive rate of AUPRO
STEPS = 2000  # thresholds of AUPRO


@dataclass(frozen=True, eq=False)
class Curve:
    """A ROC curve: rates (n,) of false and of true positives, both rising from 0 to 1, at falling ``thresholds`` (n,).

    At a threshold every score that is at least as high counts as bad. The first threshold is infinite.
    """

    false: Floats
    true: Floats
    thresholds: Floats


def _counts(scores: Floats, bad: Bools) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Return, at each score that occurs, the highest first, how many bad and good ones reach it, and the score."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    hits = np.cumsum(bad[order], dtype=np.int64)[last]
    return hits, last + 1 - hits, ordered[last]


def roc(scores: Floats, bad: Bools) -> Curve:
    """Return the ROC curve. Raises ValueError where all are good or all are bad."""
    scores, bad = np.ravel(scores), np.ravel(bad)
    if bad.all() or not bad.any():
        raise ValueError("a ROC curve needs both good and bad ones")
    hits, alarms, thresholds = _counts(scores, bad)
    return Curve(
        np.append(0, alarms / alarms[-1]), np.append(0, hits / hits[-1]), np.append(np.inf, thresholds.astype(np.float64))
    )


def auroc(scores: Floats, bad: Bools) -> float:
    """Return the area under the ROC curve: how often a bad one has a higher score than a good one (Mann and Whitney).

    Raises ValueError as ``roc`` does. Memory is that of the scores, which may be those of all pixels of a set.
    """
    scores, bad = np.ravel(scores), np.ravel(bad)
    if bad.all() or not bad.any():
        raise ValueError("an AUROC needs both good and bad ones")
    good, own = np.sort(scores[~bad]), scores[bad]
    below, reached = (np.searchsorted(good, own, side).sum(dtype=np.int64) for side in ("left", "right"))
    return float((int(below) + int(reached)) / (2 * len(good) * len(own)))


def average_precision(scores: Floats, bad: Bools) -> float:
    """Return the mean of the precision over the bad ones, each at its own score as the threshold."""
    hits, alarms, _ = _counts(np.ravel(scores), np.ravel(bad))
    if not hits[-1]:
        raise ValueError("an average precision needs bad ones")
    gained = np.diff(np.append(0, hits))
    return float((gained * hits / (hits + alarms)).sum() / hits[-1])


def f1(scores: Floats, bad: Bools, threshold: float) -> float:
    """Return F1, the harmonic mean of precision and recall; what reaches the threshold counts as bad."""
    found = np.ravel(scores) >= threshold
    both = np.count_nonzero(found & np.ravel(bad))
    total = np.count_nonzero(found) + np.count_nonzero(bad)
    return 2 * both / total if total else 0.0


def best_threshold(scores: Floats, bad: Bools) -> float:
    """Return the threshold of the highest F1, halfway to the next lower score."""
    hits, alarms, thresholds = _counts(np.ravel(scores), np.ravel(bad))
    best = int(np.argmax(2 * hits / (hits + alarms + hits[-1])))
    lower = thresholds[min(best + 1, len(thresholds) - 1)]
    return float((thresholds[best] + lower) / 2)


def aupro(maps: Sequence[Floats], masks: Sequence[Bools], limit: float = LIMIT, steps: int = STEPS) -> float:
    """Return the area under the per-region overlap up to a false positive rate, divided by that rate.

    maps, masks: of each picture (h, w); a region is a part of a mask whose pixels touch, also at corners. At each threshold
    the overlap of a region is the share of its pixels that reach the threshold, and the curve is their mean over all
    regions. (Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 2021, section 4.1.) Thresholds are ``steps``
    quantiles of the good pixels, equally far apart up to ``limit``. Raises ValueError where no pixel is good or bad.
    """
    good = np.concatenate([values[~mask] for values, mask in zip(maps, masks, strict=True)])
    if not good.size or not any(mask.any() for mask in masks):
        raise ValueError("AUPRO needs both good and bad pixels")
    good = np.sort(good)[::-1]
    places = np.unique(np.rint(np.linspace(0, limit * len(good), steps)).astype(np.int64))
    thresholds = np.append(np.nextafter(good[0], np.inf), good[np.minimum(places, len(good) - 1)])  # at first no good one
    overlap = np.zeros(len(thresholds))
    regions = 0
    for values, mask in zip(maps, masks, strict=True):
        for region in components(mask):
            own = np.sort(values[region])
            overlap += 1 - np.searchsorted(own, thresholds, side="left") / len(own)
            regions += 1
    false = np.searchsorted(-good, -thresholds, side="right") / len(good)
    return _area_to(false, overlap / regions, limit)


def _area_to(x: Floats, y: Floats, limit: float) -> float:
    """Return the mean of a curve from 0 to ``limit``; before its first point it rises from (0, 0)."""
    x, y = np.append(0, x), np.append(0, y)
    end = float(np.interp(limit, x, y))
    inside = x < limit
    x, y = np.append(x[inside], limit), np.append(y[inside], end)
    return float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum() / limit)


def components(mask: Bools) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return the rows and columns of each connected part of a mask (h, w); corners connect. The largest comes first."""
    labels = label(mask)
    order = np.argsort(labels, axis=None, kind="stable")
    ends = np.cumsum(np.bincount(labels.ravel()))
    parts = [np.unravel_index(order[start:end], mask.shape) for start, end in itertools.pairwise(ends)]
    return sorted(((rows, columns) for rows, columns in parts), key=lambda part: -len(part[0]))


def label(mask: Bools) -> NDArray[np.int64]:
    """Return for each pixel (h, w) the number of its connected part, from 1, and 0 outside the mask; corners connect.

    Runs of pixels in a row are joined with the runs of the row above by union-find, so that Python loops over runs and not
    over pixels.
    """
    height, width = mask.shape
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    parent = list(range(len(rows)))

    def root(run: int) -> int:
        while parent[run] != run:
            parent[run] = parent[parent[run]]
            run = parent[run]
        return run

    above: deque[int] = deque()
    first = np.searchsorted(rows, np.arange(height + 1))
    for row in range(1, height):
        above = deque(range(first[row - 1], first[row]))
        for run in range(first[row], first[row + 1]):
            while above and ends[above[0]] < starts[run]:
                above.popleft()
            for other in above:
                if starts[other] > ends[run]:
                    break
                parent[root(run)] = root(other)
    roots = np.array([root(run) for run in range(len(rows))], np.int64)
    numbers = np.unique(roots, return_inverse=True)[1].reshape(-1) + 1
    result = np.zeros((height, width), np.int64)
    for row, start, end, number in zip(rows, starts, ends, numbers, strict=True):
        result[row, start:end] = number
    return result
