"""The statistics that vectors are made of."""

from __future__ import annotations

import numpy as np
import pytest

from aecodec.container.tiles import Grid, whole
from aecodec.retrieval import pooling
from aecodec.runtime.openvino_runtime import OpenVinoTransforms
from aecodec.weights.store import inverse_gain


@pytest.mark.parametrize("count", [1, 3, 4, 7, 64])
def test_every_position_counts_once_in_all_cells(count):
    """Part of a picture would not be looked at, or looked at twice."""
    shares = pooling.shares(count)
    assert np.allclose(shares.sum(1), 1, atol=1e-6)
    assert np.allclose((shares * count / pooling.GRID).sum(0), 1, atol=1e-6)


def test_the_padding_is_not_looked_at():
    """A picture of 65 pixels would be described by the 63 that its last row was repeated to."""
    latents = np.random.default_rng(0).normal(size=(8, 12, 6)).astype(np.float32)
    whole = pooling.statistics(latents, 80, 150)
    latents[5:], latents[:, 9:] = 1e6, 1e6
    assert np.array_equal(pooling.statistics(latents, 80, 150), whole)
    assert whole.shape == (pooling.GRID**2 * 6 + 6,)


def test_a_picture_in_tiles_has_the_statistics_of_one_in_a_piece():
    """A large photograph would be no copy of its small version."""
    latents = np.random.default_rng(0).normal(size=(12, 20, 6)).astype(np.float32)
    pool = pooling.Pool(190, 300, 6)
    for box in Grid(whole(12, 20), 7):
        pool.add(box, latents[box.slices])
    assert np.allclose(pool.statistics(), pooling.statistics(latents, 190, 300), atol=1e-5)


def test_the_gain_is_that_of_the_synthesis(encoder):
    """Vectors of one picture at two qualities would point into different directions."""
    transforms = OpenVinoTransforms(encoder.weights, 1)
    for rate in (0, 300, 2048):
        theirs = transforms._gain("inverse_gain", rate).ravel()
        assert np.allclose(inverse_gain(encoder.weights, rate), theirs, rtol=1e-6)
