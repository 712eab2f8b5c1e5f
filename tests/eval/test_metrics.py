from __future__ import annotations

import math

import numpy as np
import pytest

from aecodec.eval.metrics import mse, psnr, psnr_y


def flat(red: int, green: int, blue: int) -> np.ndarray:
    return np.full((4, 5, 3), (red, green, blue), np.uint8)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (16, 24, 3), np.uint8)


def test_mse_of_known_differences():
    """Every PSNR that a user compares with a paper's would be off."""
    assert mse(flat(10, 20, 30), flat(11, 22, 33)) == pytest.approx((1 + 4 + 9) / 3)


def test_mse_does_not_wrap():
    """Black against white would pass for nearly equal, as it does in uint8 arithmetic."""
    assert mse(flat(0, 0, 0), flat(255, 255, 255)) == 255**2
    assert mse(flat(255, 255, 255), flat(0, 0, 0)) == 255**2


def test_psnr_of_known_differences():
    """The dB scale itself: an error of one step everywhere is 48.13 dB, the worst error 0 dB."""
    assert psnr(flat(7, 7, 7), flat(8, 8, 8)) == pytest.approx(48.1308, abs=1e-4)
    assert psnr(flat(0, 0, 0), flat(255, 255, 255)) == 0


def test_psnr_averages_errors_before_the_logarithm():
    """The mean of three channels' PSNR reads higher than PSNR-RGB and would flatter every codec."""
    a, b = noise(1), noise(1)
    b[..., 0] ^= 1
    assert psnr(a, b) == pytest.approx(48.1308 + 10 * math.log10(3), abs=1e-4)


def test_psnr_agrees_with_scikit_image():
    """Numbers could not be compared with those that others compute with the common package."""
    metrics = pytest.importorskip("skimage.metrics")
    a, b = noise(2), noise(3)
    assert psnr(a, b) == pytest.approx(metrics.peak_signal_noise_ratio(a, b, data_range=255))


def test_equal_pictures_are_infinite():
    """A lossless result would divide by zero or show as some hundreds of dB."""
    assert psnr(noise(4), noise(4)) == math.inf
    assert psnr_y(noise(4), noise(4)) == math.inf


def test_luma_weights_of_bt601():
    """With BT.709's weights, luma PSNR would not be that of the JPEG and learned-codec literature."""
    for channel, weight in enumerate((0.299, 0.587, 0.114)):
        b = flat(50, 50, 50)
        b[..., channel] += 10
        assert psnr_y(flat(50, 50, 50), b) == pytest.approx(20 * math.log10(255 / (10 * weight)))


def test_colours_of_equal_luma_are_infinite():
    """Rounding in the weights would make a picture without luma error read 300 dB here and 310 dB elsewhere."""
    assert psnr_y(flat(1, 0, 157), flat(0, 31, 0)) == math.inf  # 0.299 + 0.114 * 157 = 0.587 * 31


@pytest.mark.parametrize("metric", [mse, psnr, psnr_y])
@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 5, 3)),
        np.zeros((4, 5), np.uint8),
        np.zeros((4, 5, 4), np.uint8),
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((5, 4, 3), np.uint8),
        np.zeros((1, 5, 3), np.uint8),
    ],
    ids=["float", "grey", "alpha", "empty", "turned", "broadcast"],
)
def test_other_arrays_are_refused(metric, wrong):
    """A picture in 0..1, with alpha or of another size would be given a number that means nothing."""
    with pytest.raises(ValueError, match=r"uint8|differ in size"):
        metric(flat(1, 2, 3), wrong)
