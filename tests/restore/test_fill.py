"""Holes closed without a network."""

from __future__ import annotations

import numpy as np
import pytest

from aecodec.restore.damage import Hole, RandomPixels, Scratches
from aecodec.restore.fill import smooth


@pytest.mark.parametrize("size", [(2, 2), (2, 9), (37, 41)])
def test_known_pixels_stay_and_a_flat_picture_stays_flat(size):
    """The smoothest surface over one colour is that colour, up to the very edges."""
    array = np.full((*size, 3), (10, 120, 250), np.uint8)
    missing = np.ones(size, bool)
    missing[-1], missing[:, -1] = False, False
    damaged = np.where(missing[..., None], np.uint8(77), array)
    filled = smooth(damaged, missing)
    assert np.array_equal(filled[~missing], array[~missing])
    assert np.abs(filled.astype(int) - array).max() <= 1


@pytest.mark.parametrize("mask", [Scratches(3), RandomPixels(0.4), Hole(16, 16)], ids=str)
def test_a_slope_goes_on_through_the_hole(mask):
    """A sky is a slope; a hole filled by the nearest colours would leave stains in it."""
    array = np.add.outer(2 * np.arange(64), np.arange(96))[..., None].repeat(3, -1).astype(np.uint8)
    missing = mask(64, 96, np.random.default_rng(5))
    missing[[0, -1]], missing[:, [0, -1]] = False, False  # a slope does not go on beyond its end
    filled = smooth(np.where(missing[..., None], np.uint8(0), array), missing)
    assert np.array_equal(filled[~missing], array[~missing])
    assert np.abs(filled.astype(int) - array).max() <= 3
