from __future__ import annotations

import math
import subprocess
import sys
from typing import get_args

import bjontegaard
import numpy as np
import pytest

from aecodec.eval.bdrate import BdRate, Method, bd_rate, mean_curve

METHODS = get_args(Method)
ANCHOR = [(0.141, 23.85), (0.298, 27.33), (0.533, 29.89), (0.869, 32.17), (1.344, 34.52), (2.559, 38.86)]
TEST = [(0.102, 25.90), (0.221, 28.71), (0.415, 31.40), (0.660, 33.85), (1.010, 36.31)]


def scaled(curve, factor):
    return [(bpp * factor, db) for bpp, db in curve]


def columns(curve):
    return np.array(curve)[:, 0], np.array(curve)[:, 1]


def cubic_bd_rate(anchor, test):
    """Percent, by normal equations, in natural logarithms and with quadrature: nothing shared with the package."""

    def fit(curve):
        rate, db = columns(curve)
        powers = np.vander((db - 30) / 10, 4)
        weights = np.linalg.solve(powers.T @ powers, powers.T @ np.log(rate))
        return lambda at: np.vander((at - 30) / 10, 4) @ weights

    low = max(anchor[0][1], test[0][1])
    high = min(anchor[-1][1], test[-1][1])
    nodes, weights = np.polynomial.legendre.leggauss(4)  # exact up to degree 7
    at = low + (high - low) * (nodes + 1) / 2
    return 100 * math.expm1(weights @ (fit(test)(at) - fit(anchor)(at)) / 2)


@pytest.mark.parametrize("method", METHODS)
def test_half_the_rate_is_minus_fifty_percent(method):
    """The sign and the scale of the one number that says which codec is better."""
    result = bd_rate(ANCHOR, scaled(ANCHOR, 0.5), method)
    assert result.percent == pytest.approx(-50)
    assert (result.low, result.high, result.overlap) == (23.85, 38.86, 1)


@pytest.mark.parametrize("method", METHODS)
def test_a_codec_against_itself_is_zero(method):
    """A bias here would be part of every comparison."""
    assert bd_rate(ANCHOR, ANCHOR, method).percent == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_a_saving_that_grows_with_quality(method):
    """The average must be over dB and of the logarithm, as papers have it, not over rates or of percents.

    Both curves are straight in log(rate), so every method must give the closed form: ln(test / anchor) falls from 0 at
    30 dB to -1 at 40 dB, and over the common 32..38 dB its mean is -0.5.
    """
    anchor = [(math.exp(0.20 * (db - 40)), db) for db in (28, 31, 34, 38)]
    test = [(math.exp(0.20 * (db - 40) - (db - 30) / 10), db) for db in (32, 35, 37, 40)]
    result = bd_rate(anchor, test, method)
    assert result.percent == pytest.approx(100 * math.expm1(-0.5))
    assert (result.low, result.high, result.overlap) == (32, 38, 0.5)


def test_cubic_is_the_classic_fit():
    """Numbers in papers before about 2020 are cubic; a user could not compare with them."""
    assert bd_rate(ANCHOR, TEST, "cubic").percent == pytest.approx(cubic_bd_rate(ANCHOR, TEST))


@pytest.mark.parametrize("method", METHODS)
def test_it_is_what_the_package_computes(method):
    """Anchor and test, or rate and dB, passed in the wrong place would still give a plausible number."""
    expected = bjontegaard.bd_rate(*columns(ANCHOR), *columns(TEST), method, require_matching_points=False, min_overlap=0)
    assert bd_rate(ANCHOR, TEST, method).percent == pytest.approx(expected)


def test_points_may_come_in_any_order():
    """A results file sorted by falling quality would be refused, or worse, misread."""
    assert bd_rate(ANCHOR[::-1], TEST[2:] + TEST[:2]) == bd_rate(ANCHOR, TEST)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", METHODS)
def test_a_point_may_stand_for_several_qualities(method):
    """A drawing without loss is the same file at many qualities; its folder must still have a number."""
    assert bd_rate(ANCHOR, [*TEST, TEST[-1], TEST[-1]], method) == bd_rate(ANCHOR, TEST, method)


def test_overlap_is_reported_and_not_warned_about():
    """A number that speaks for a tenth of a curve would look like any other."""
    result = bd_rate(ANCHOR, [(0.05, 20.0), (0.1, 23.0), (0.12, 24.0), (0.15, 25.35)])
    assert (result.low, result.high) == (23.85, 25.35)
    assert result.overlap == pytest.approx(1.5 / 18.86)


@pytest.mark.parametrize(
    ("test", "method", "message"),
    [
        ([(0.1, 10.0), (0.2, 12.0)], "pchip", "no quality in common: the anchor covers 23.85..38.86,"),
        ([(0.1, 38.86), (0.2, 40.0)], "pchip", "no quality in common"),
        ([(0.1, 25.0), (0.2, 30.0), (0.3, 29.0)], "pchip", "test does not rise from 0.2000 bpp, 30.000 to"),
        ([(0.1, 25.0), (0.2, 30.0), (0.2, 31.0)], "pchip", "test does not rise"),
        ([(0.1, 25.0), (0.2, 30.0), (0.3, math.inf)], "pchip", "infinite"),
        ([(0.1, 25.0), (0.2, math.nan)], "pchip", "NaN"),
        ([(0.0, 25.0), (0.2, 30.0)], "pchip", "no rate"),
        ([(0.1, 25.0)], "pchip", "1 points and needs at least 2"),
        ([(0.1, 25.0), (0.2, 30.0), (0.3, 32.0)], "cubic", "3 points and needs at least 4"),
        (TEST, "akima", "method must be one of pchip, cubic"),
    ],
)
def test_curves_that_mean_nothing_are_refused(test, method, message):
    """The package answers most of these with NaN, a traceback from scipy or a number."""
    with pytest.raises(ValueError, match=message):
        bd_rate(ANCHOR, test, method)


def test_the_refusal_names_the_anchor():
    """A user would look for the fault in the wrong codec's results."""
    with pytest.raises(ValueError, match="the anchor does not rise"):
        bd_rate([(0.1, 30.0), (0.2, 29.0)], TEST)


def test_missing_package_says_what_to_install(monkeypatch):
    """A plain installation would end in a bare ModuleNotFoundError."""
    monkeypatch.setitem(sys.modules, "bjontegaard", None)
    with pytest.raises(ImportError, match=r"pip install 'aecodec\[eval\]'"):
        bd_rate(ANCHOR, TEST)


def test_import_is_light():
    """Whoever imports the module for ``mean_curve`` would wait for scipy and matplotlib, or need them."""
    code = "import sys, aecodec.eval.bdrate; sys.exit(bool({'scipy', 'matplotlib', 'bjontegaard'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_mean_curve_averages_at_each_quality():
    """Our mean curve could not be laid over CompressAI's published ones."""
    assert mean_curve([[(0.1, 30.0), (0.2, 32.0)], [(0.3, 34.0), (0.6, 40.0)]]) == [(0.2, 32.0), (0.4, 36.0)]


@pytest.mark.parametrize("curves", [[], [[(0.1, 30.0)], [(0.1, 30.0), (0.2, 32.0)]]], ids=["none", "ragged"])
def test_mean_curve_needs_the_same_qualities(curves):
    """A picture that failed at one quality would shift every later quality of the average."""
    with pytest.raises(ValueError, match="as many qualities"):
        mean_curve(curves)


def test_results_are_plain_numbers():
    """Scalars of numpy in a result would break ``json.dumps`` of it."""
    result = bd_rate(ANCHOR, TEST)
    assert isinstance(result, BdRate)
    assert all(type(value) is float for value in vars(result).values())
    assert all(type(value) is float for point in mean_curve([ANCHOR]) for value in point)
