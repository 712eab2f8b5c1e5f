"""The coding tables: part of the format, and the only place where bits can be lost to rounding."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aecodec.entropy import gaussian
from aecodec.entropy.gaussian import LEVELS, cdf_of_level, scale_of_level
from aecodec.errors import AecodecError


def test_tables_are_checked_against_this_machine(monkeypatch):
    """A machine whose erf differs must say so; it would decode every file to garbage."""
    monkeypatch.setattr(gaussian, "cdfs", gaussian.cdfs.__wrapped__)
    gaussian.cdfs()
    true_erf = math.erf
    monkeypatch.setattr(math, "erf", lambda x: true_erf(x * (1 + 1e-4)))
    with pytest.raises(AecodecError, match=r"math\.erf"):
        gaussian.cdfs()


def test_no_entry_is_near_a_rounding_tie():
    """The checksum is the same everywhere only if the last digits of a libm cannot move an entry."""
    for level in range(LEVELS):
        sigma = scale_of_level(level)
        radius = len(cdf_of_level(level)) // 2 - 1
        edges = [0.5 * math.erf((v - 0.5) / (sigma * math.sqrt(2))) for v in range(-radius, radius + 2)]
        scaled = (np.array(edges) - edges[0]) * (65536 - 2 * radius - 2)
        assert np.abs(scaled % 1 - 0.5).min() > 1e-8


@pytest.mark.parametrize("level", range(LEVELS))
def test_cdf_is_symmetric_and_leaves_nothing_impossible(level):
    """A symbol of frequency 0 could not be coded at all; a skewed table wastes bits on one sign."""
    cdf = cdf_of_level(level)
    frequency = np.diff(cdf)
    assert cdf[0] == 0
    assert cdf[-1] == 65536
    assert frequency.min() >= 1
    symbols = frequency[:-1]  # the last is the escape
    assert np.abs(symbols - symbols[::-1]).max() <= 1
    assert np.all(np.diff(symbols[len(symbols) // 2 :]) <= 1)
    assert len(symbols) // 2 >= gaussian.TAIL * scale_of_level(level) * 0.99


@pytest.mark.parametrize("level", range(1, LEVELS))
def test_code_length_is_the_entropy(level):
    """Whatever the tables cost over the Gaussian they stand for, every file pays."""
    sigma = scale_of_level(level)
    reach = math.ceil(12 * sigma) + 2
    phi = [0.5 * math.erfc(-(v - 0.5) / (sigma * math.sqrt(2))) for v in range(-reach, reach + 2)]
    p = np.maximum(np.diff(phi), 0)
    entropy = -(p[p > 0] * np.log2(p[p > 0])).sum()
    frequency = np.diff(cdf_of_level(level))
    radius = len(frequency) // 2 - 1
    value = np.abs(np.arange(-reach, reach + 1))
    beyond = np.maximum(value - radius - 1, 0)
    digits = np.ceil(np.log2(np.maximum(2 * beyond + 2, 2)) / 3)  # of 3 bits, each coded in 4
    inside = frequency[np.clip(np.arange(-reach, reach + 1) + radius, 0, 2 * radius)]
    bits = np.where(value <= radius, 16 - np.log2(inside), 16 - np.log2(frequency[-1]) + 4 * digits)
    assert p.sum() == pytest.approx(1, abs=1e-9)
    assert entropy - 1e-6 < (p * bits).sum() < entropy + max(0.005 * entropy, 0.002)
