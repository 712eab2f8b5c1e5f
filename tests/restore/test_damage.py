"""Damage is what restoration is trained and judged on: it must be what it says, and the same from the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from aecodec.restore import damage
from aecodec.restore.damage import (
    Chain,
    Gaussian,
    Hole,
    Jpeg,
    PoissonGaussian,
    RandomPixels,
    SaltPepper,
    Scratches,
    Text,
    Union,
    draw_mask,
    draw_noise,
)  # fmt: skip

NOISES = (Chain(), Gaussian(25), PoissonGaussian(100, 5), SaltPepper(0.1), Jpeg(20), Chain((Gaussian(10), Jpeg(40))))
MASKS = (RandomPixels(0.25), Scratches(5), Text(3), Hole(64, 64), Hole(20, 30, True), Union((Scratches(2), Text(1))))
GRAY = np.full((128, 192, 3), 120, np.uint8)


@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_noise_comes_again_from_its_seed_and_leaves_the_picture(photo, noise):
    """A report that cannot be made again, or a clean picture that was damaged in place, proves nothing."""
    picture = np.array(photo(96, 64))
    before = picture.copy()
    first, second, other = (noise(picture, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert (first.shape, first.dtype) == (picture.shape, np.uint8)
    assert np.array_equal(first, second)
    assert np.array_equal(picture, before)
    assert np.array_equal(first, other) == (noise in (Chain(), Jpeg(20)))
    assert noise(picture[..., :1], np.random.default_rng(3)).shape == (64, 96, 1)


@pytest.mark.parametrize("mask", MASKS, ids=str)
@pytest.mark.parametrize("size", [(128, 192), (16, 300), (2, 2)])
def test_masks_come_again_from_their_seed(mask, size):
    """As for noise; and no size of picture is refused."""
    first, second = (mask(*size, np.random.default_rng(3)) for _ in range(2))
    assert (first.shape, first.dtype) == (size, bool)
    assert np.array_equal(first, second)


def test_noise_has_the_strength_that_it_names():
    """Every number in a table of denoisers is for a strength; a wrong one makes the table a lie."""
    rng = np.random.default_rng(0)
    errors = {noise: noise(GRAY, rng) - 120.0 for noise in (Gaussian(25), PoissonGaussian(100, 5), SaltPepper(0.1))}
    for error in list(errors.values())[:2]:
        assert abs(error.mean()) < 1
    assert errors[Gaussian(25)].std() == pytest.approx(25, rel=0.03)
    counted = 120 / 255 * 100  # photons, of which the variance is the mean
    assert errors[PoissonGaussian(100, 5)].std() == pytest.approx((counted * 2.55**2 + 25) ** 0.5, rel=0.03)
    salted = SaltPepper(0.1)(GRAY, rng)
    assert (salted == 0).mean() == pytest.approx(0.05, abs=0.005)
    assert (salted == 255).mean() == pytest.approx(0.05, abs=0.005)


def test_noise_is_clipped_and_not_wrapped():
    """Rounding 260 to 4 would put black pixels into the sky."""
    white = Gaussian(25)(np.full((64, 64, 3), 255, np.uint8), np.random.default_rng(0))
    assert white.min() > 100


def test_masks_have_the_size_that_they_name():
    """Holes "of 64 x 64" must be just that."""
    rng = np.random.default_rng(0)
    assert Hole(64, 64)(128, 192, rng).sum() == 64**2
    assert Hole(64, 64, True)(128, 192, rng).sum() == pytest.approx(np.pi * 32**2, rel=0.02)
    assert RandomPixels(0.25)(128, 192, rng).mean() == pytest.approx(0.25, abs=0.02)
    for mask in (Scratches(4, 3), Text(4)):
        assert 0.002 < mask(128, 192, rng).mean() < 0.2
    assert not Hole(64, 64)(16, 300, rng).all()


def test_the_mixes_of_training_grow_and_hold_everything_they_promise():
    """A kind of damage that is never drawn is never learnt; a curriculum that starts with the heaviest is none."""
    noises = {strength: [draw_noise(np.random.default_rng(i), strength) for i in range(300)] for strength in (0.2, 1.0)}
    kinds = [type(noise) for noise in noises[1.0]]
    assert set(kinds) == {Chain, Gaussian, PoissonGaussian, SaltPepper, Jpeg}
    assert 0.1 < kinds.count(Chain) / 300 < 0.2  # clean pictures must stay clean
    strongest = [max(n.sigma for n in drawn if isinstance(n, Gaussian)) for drawn in noises.values()]
    assert strongest[0] <= 0.2 * damage.HEAVIEST_SIGMA < 0.9 * damage.HEAVIEST_SIGMA < strongest[1] <= damage.HEAVIEST_SIGMA
    qualities = [noise.quality for noise in noises[1.0] if isinstance(noise, Jpeg)]
    assert 10 <= min(qualities) < 15
    assert 55 < max(qualities) <= 60

    masks = [draw_mask(np.random.default_rng(i), 128, 128) for i in range(200)]
    assert {type(mask) for mask in masks} == {Scratches, Text, RandomPixels, Union}
    sides = [part.height for mask in masks if isinstance(mask, Union) for part in mask.parts if isinstance(part, Hole)]
    assert min(sides) >= 8
    assert 56 < max(sides) <= damage.MAX_HOLE
