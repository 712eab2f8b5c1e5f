"""Compute the Bjontegaard-delta rate: how many bits one codec needs for the quality of another, averaged over qualities.

The package ``bjontegaard`` (of the extra ``eval``) does the arithmetic. This module refuses curves for which the number
would mean nothing, and says which range a number was averaged over.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import ModuleType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aecodec.errors import MissingPackageError

Curve = Sequence[tuple[float, float]]  # points (bits per pixel, dB or another scale on which more is better)
Method = Literal["pchip", "cubic"]

LEAST_POINTS: dict[Method, int] = {"pchip": 2, "cubic": 4}


@dataclass(frozen=True)
class BdRate:
    """Average difference in rate at equal quality, in percent; negative where the test needs fewer bits.

    It is averaged over ``low``..``high``, the qualities that both curves reach. ``overlap`` is the length of
    that range divided by the length of the range that either reaches: near 1, the number speaks for both curves.
    """

    percent: float
    low: float
    high: float
    overlap: float


def bd_rate(anchor: Curve, test: Curve, method: Method = "pchip") -> BdRate:
    """Return the BD-rate of ``test`` against ``anchor``; points may come in any order, curves may differ in number.

    Each curve becomes log(rate) as a function of dB, and the difference of the two is averaged over the common dB.
    ``cubic`` fits one polynomial of degree 3 to each curve, by least squares where it has more than four points (G.
    Bjontegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001). ``pchip`` interpolates
    piecewise and monotonically (F. Fritsch and R. Carlson, SIAM J. Numer. Anal. 17, 1980), passes through every point and
    is the one to trust for wide curves or for many points.

    Raises ValueError for an unknown method, for too few points, for a rate that is not positive, for values that are not
    finite (the PSNR of a lossless picture), for a curve whose dB do not rise with its rate, and for curves without a common
    range; ImportError where the package is missing.
    """
    if method not in LEAST_POINTS:
        raise ValueError(f"method must be one of {', '.join(LEAST_POINTS)}, not {method!r}")
    rate_anchor, db_anchor = _columns(anchor, "anchor", LEAST_POINTS[method])
    rate_test, db_test = _columns(test, "test", LEAST_POINTS[method])
    low, high = max(db_anchor[0], db_test[0]), min(db_anchor[-1], db_test[-1])
    if low >= high:
        raise ValueError(
            f"the curves have no quality in common: the anchor covers {db_anchor[0]:.2f}..{db_anchor[-1]:.2f}, "
            f"the test {db_test[0]:.2f}..{db_test[-1]:.2f}"
        )
    union = max(db_anchor[-1], db_test[-1]) - min(db_anchor[0], db_test[0])
    percent = load_bjontegaard().bd_rate(
        rate_anchor, db_anchor, rate_test, db_test, method, require_matching_points=False, min_overlap=0
    )
    return BdRate(float(percent), float(low), float(high), float((high - low) / union))


def mean_curve(per_picture: Sequence[Curve]) -> list[tuple[float, float]]:
    """Return the average of one curve per picture: at each quality index, the mean bits per pixel and the mean dB.

    CompressAI averages its published curves in this way. Pictures of different size weigh the same, and the mean of dB is
    not the dB of the mean error. Raises ValueError without curves or for curves of different length.
    """
    if len({len(curve) for curve in per_picture}) != 1:
        raise ValueError("the mean needs at least one picture, and as many qualities for each as for the others")
    return [(float(bpp), float(db)) for bpp, db in np.mean(np.array(per_picture, np.float64), axis=0)]


def load_bjontegaard() -> ModuleType:
    """Return the package ``bjontegaard``; raises MissingPackageError where it is not installed.

    It is imported on demand, since it brings scipy and matplotlib and takes more than a second.
    """
    try:
        return importlib.import_module("bjontegaard")
    except ImportError as error:
        raise MissingPackageError("BD-rate", "bjontegaard", "'aecodec[eval]'") from error


def _columns(curve: Curve, name: str, least: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rates and dB of a curve, (N,) each, by rising rate. Raises ValueError as ``bd_rate`` says."""
    if len(curve) < least:
        raise ValueError(f"the {name} has {len(curve)} points and needs at least {least}")
    points = np.unique(np.array(curve, np.float64), axis=0)  # sorted; a picture without loss is one point at many qualities
    if len(points) < least:
        raise ValueError(f"the {name} does not rise: of its {len(curve)} points only {len(points)} differ")
    rate, db = points[:, 0], points[:, 1]
    if not np.isfinite(points).all() or rate[0] <= 0:
        raise ValueError(f"the {name} has a point that is infinite, NaN or of no rate")
    for before, after in pairwise(points):
        if not (before < after).all():
            raise ValueError(
                f"the {name} does not rise from {before[0]:.4f} bpp, {before[1]:.3f} to {after[0]:.4f} bpp, {after[1]:.3f}"
            )
    return rate, db
