"""Damage is what restoration is trained and judged on: it must be what it says, and the same from the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from aecodec.restore import damage
from aecodec.restore.damage import (
    Blur,
    Camera,
    Chain,
    Downscale,
    Gaussian,
    Hole,
    Jpeg,
    PoissonGaussian,
    RandomPixels,
    SaltPepper,
    Scratches,
    Text,
    Union,
    draw_blur,
    draw_downscale,
    draw_jpeg,
    draw_mask,
    draw_noise,
)  # fmt: skip

NOISES = (
    Chain(), Gaussian(25), PoissonGaussian(100, 5), SaltPepper(0.1), Jpeg(20), Chain((Gaussian(10), Jpeg(40))),
    Camera(100, 2, 90), Blur("gaussian", 1.6), Blur("disc", 3), Blur("motion", 9, 30), Downscale(3, "area", Gaussian(3)),
)  # fmt: skip
STILL = (Chain, Jpeg, Blur)  # that draw nothing
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
    assert np.array_equal(first, other) == (isinstance(noise, STILL) and noise != Chain((Gaussian(10), Jpeg(40))))
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
    assert set(kinds) == {Gaussian, PoissonGaussian, Camera, SaltPepper}
    strongest = [max(n.sigma for n in drawn if isinstance(n, Gaussian)) for drawn in noises.values()]
    assert strongest[0] <= 0.2 * damage.HEAVIEST_SIGMA < 0.9 * damage.HEAVIEST_SIGMA < strongest[1] <= damage.HEAVIEST_SIGMA
    jpegs = [draw_jpeg(np.random.default_rng(i)) for i in range(300)]
    assert 0.1 < sum(isinstance(jpeg, Chain) for jpeg in jpegs) / 300 < 0.2  # clean pictures must stay clean
    qualities = [jpeg.quality for jpeg in jpegs if isinstance(jpeg, Jpeg)]
    assert 10 <= min(qualities) < 15
    assert 55 < max(qualities) <= 60

    masks = [draw_mask(np.random.default_rng(i), 128, 128) for i in range(200)]
    assert {type(mask) for mask in masks} == {Scratches, Text, RandomPixels, Union}
    sides = [part.height for mask in masks if isinstance(mask, Union) for part in mask.parts if isinstance(part, Hole)]
    assert min(sides) >= 8
    assert 56 < max(sides) <= damage.MAX_HOLE


def test_blur_spreads_a_point_as_it_says():
    """Methods that are given the true kernel would be given a wrong one, and the table would flatter ours."""
    point = np.zeros((41, 41, 3), np.uint8)
    point[20, 20] = 255
    rng = np.random.default_rng(0)
    for blur in (Blur("gaussian", 1.6), Blur("disc", 4), Blur("motion", 9, 0), Blur("motion", 9, 60)):
        kernel, reach = blur.kernel, len(blur.kernel) // 2
        assert kernel.sum() == pytest.approx(1)
        seen = blur(point, rng)[20 - reach : 21 + reach, 20 - reach : 21 + reach, 0]
        assert np.abs(seen - 255 * kernel).max() <= 0.5 + 1e-6
    x = np.arange(-7, 8)
    assert (Blur("gaussian", 1.6).kernel * x**2).sum() == pytest.approx(1.6**2, rel=0.01)
    assert np.count_nonzero(Blur("motion", 9, 0).kernel > 0.05) == 9
    assert Blur("disc", 4).kernel.max() == pytest.approx(1 / (np.pi * 16), rel=0.05)
    assert np.array_equal(Blur("disc", 4)(GRAY, rng), GRAY)


def test_a_small_picture_has_the_size_that_its_factor_says(photo):
    """Three times as large must be asked of pictures that were three times as small."""
    picture, rng = np.array(photo(96, 60)), np.random.default_rng(0)
    for method in damage.FILTERS:
        shrinkage = Downscale(3, method)
        assert shrinkage.small(picture, rng).shape == (20, 32, 3)
        assert shrinkage(picture, rng).shape == picture.shape
    assert not np.array_equal(Downscale(3, "nearest")(picture, rng), Downscale(3, "area")(picture, rng))


def test_a_cameras_noise_is_coloured_and_leaves_the_picture_sharp(photo):
    """Noise that is independent from pixel to pixel is what no camera writes, and what no user has."""
    rng = np.random.default_rng(0)
    error = Camera(200, 1, 98)(GRAY, rng) - 120.0
    neighbours = np.corrcoef(error[:, 1:, 0].ravel(), error[:, :-1, 0].ravel())[0, 1]
    assert neighbours > 0.2
    assert abs((Gaussian(10)(GRAY, rng) - 120.0)[:, :, 0].mean()) < 1
    picture = np.array(photo(96, 64))
    assert np.abs(Camera(1e9, 0, 100)(picture, rng).astype(int) - picture).mean() < 2


def test_blurs_and_sizes_of_training_cover_what_the_commands_promise():
    """A kind that is never drawn is never learnt."""
    blurs = [draw_blur(np.random.default_rng(i)).parts[0] for i in range(200)]
    assert {blur.kind for blur in blurs} == set(damage.BLURS)
    for kind, (low, high) in damage.BLURS.items():
        sizes = [blur.size for blur in blurs if blur.kind == kind]
        assert low <= min(sizes) < low + 0.2 * (high - low)
        assert high - 0.2 * (high - low) < max(sizes) <= high
    factors = [draw_downscale(np.random.default_rng(i)).factor for i in range(200)]
    assert {2, 3, 4} <= set(factors)
    assert len(set(factors)) > 40
