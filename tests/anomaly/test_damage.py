"""Damage that is done to good pictures."""

from __future__ import annotations

import numpy as np
import pytest

from aecodec.anomaly import damage


@pytest.fixture
def pictures(photo):
    return [np.asarray(photo(96, 64, seed=seed), np.float32) / 255 for seed in range(4)]


def test_only_what_the_mask_shows_is_changed(pictures):
    """A classifier would learn that a good place is damaged, or the other way round."""
    rng = np.random.default_rng(0)
    seen = 0
    for _ in range(20):
        before = pictures[0].copy()
        changed, mask = damage.damaged(pictures[0], pictures[1:], rng, 3)
        assert np.array_equal(before, pictures[0])
        assert changed.min() >= 0
        assert changed.max() <= 1
        assert np.abs(changed - before)[~mask].max() <= 3 * damage.LEAST[1]  # three sheer ones may lie over each other
        assert not mask.any() or np.abs(changed - before)[mask].max() > damage.LEAST[0]
        seen += mask.any()
    assert seen > 10


def test_the_same_seed_does_the_same_damage(pictures):
    """A model could not be made again."""
    first, second = (damage.damaged(pictures[0], pictures, np.random.default_rng(7), 4) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])


@pytest.mark.parametrize("shape", [damage.blob, damage.line])
def test_a_shape_lies_inside_the_picture(shape):
    """A defect at the edge would end the fit."""
    rng = np.random.default_rng(1)
    for _ in range(200):
        values, top, left = shape((40, 56), rng)
        assert top >= 0
        assert left >= 0
        assert top + values.shape[0] <= 40
        assert left + values.shape[1] <= 56
        assert values.size
        assert values.min() >= 0
        assert values.max() <= 1


def test_damage_comes_in_all_sizes():
    """A classifier of large blobs would find no scratch."""
    rng = np.random.default_rng(2)
    areas = [damage.blob((256, 256), rng)[0].sum() for _ in range(300)]
    assert np.quantile(areas, 0.1) < 40
    assert np.quantile(areas, 0.9) > 1000
