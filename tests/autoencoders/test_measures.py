"""The measures of the comparison, against closed forms and other implementations."""

from __future__ import annotations

import numpy as np
import pytest

from aecodec.autoencoders.measures import checkerboard, frechet, mmd_test, probe, sharpness


def test_the_frechet_distance_is_that_of_the_formula():
    """The root of a matrix by scipy is another way to the same number."""
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(0)
    a = rng.normal(size=(300, 5)) @ rng.normal(size=(5, 5)) + 1
    b = rng.normal(size=(200, 5)) @ rng.normal(size=(5, 5))
    x, y = np.cov(a.T), np.cov(b.T)
    wanted = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(x + y - 2 * sqrtm(x @ y).real)
    assert frechet(a, b) == pytest.approx(wanted)
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet(a[:4], b[:3]) > 0  # fewer than numbers


def test_the_two_sample_test_finds_what_differs_and_nothing_else():
    """A test that always passes, or never."""
    rng = np.random.default_rng(0)
    chances = [mmd_test(rng.normal(size=(60, 3)), rng.normal(size=(60, 3)), 100, seed)[1] for seed in range(20)]
    assert sum(chance < 0.05 for chance in chances) <= 4
    discrepancy, chance = mmd_test(rng.normal(size=(60, 3)), rng.normal(0.8, 1, size=(60, 3)))
    assert discrepancy > 0.02
    assert chance < 0.01


def test_blur_takes_sharpness_away():
    """A kind that blurs would look as good as one that does not."""
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 256, (3, 16, 16, 1)).astype(float)
    blurred = (sharp + np.roll(sharp, 1, 1) + np.roll(sharp, 1, 2) + np.roll(sharp, (1, 1), (1, 2))) / 4
    assert sharpness(blurred) < 0.5 * sharpness(sharp)
    assert sharpness(np.full((1, 8, 8, 3), 7.0)) == 0


def test_a_probe_reads_what_codes_say_and_nothing_else():
    """An accuracy above chance on noise would be a leak of the labels."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], 60)
    codes = rng.normal(size=(180, 4)).astype(np.float32)
    assert probe(codes, labels) < 0.5
    codes[:, 2] += 4 * (labels == "b")
    codes[:, 1] += 4 * (labels == "c")
    assert probe(codes, labels) > 0.9


def test_a_checkerboard_is_found():
    """The pattern of period 2, along rows, columns or both."""
    y, x = np.mgrid[:16, :16]
    smooth = np.sin(x / 5)[None, :, :, None]
    assert checkerboard(smooth) < 0.01
    for pattern in (x % 2, y % 2, (x + y) % 2):
        assert checkerboard(smooth + 3 * pattern[None, :, :, None]) > 0.5
