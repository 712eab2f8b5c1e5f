from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from aecodec import metrics
from aecodec.metrics import (
    METRICS,
    cvvdp,
    jod_logarithm,
    ms_ssim,
    mse,
    open_metrics,
    psnr,
    psnr_y,
    similarity_decibels,
    ssim,
    ssimulacra2,
)

SAMPLE = Path(__file__).parents[1] / "samples" / "astronaut.png"


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
    a, b = noise(2), noise(3)
    assert psnr(a, b) == pytest.approx(peak_signal_noise_ratio(a, b, data_range=255))


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


@pytest.fixture(scope="module")
def pair(photo):
    """A picture of odd sides and a blurred one: 179 x 165 takes MS-SSIM through odd sides at several scales."""
    picture = photo(179, 165)
    return np.asarray(picture), np.asarray(picture.filter(ImageFilter.GaussianBlur(1.2)))


def test_ssim_agrees_with_scikit_image(pair):
    """SSIM has a dozen variants; with another window or border, no number could be compared with a paper's."""
    theirs = structural_similarity(
        *pair, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert 0.3 < ssim(*pair) < 0.99
    assert ssim(*pair) == pytest.approx(theirs, abs=1e-9)


def test_ms_ssim_agrees_with_pytorch_msssim(pair):
    """Papers on learned codecs use that package, so another treatment of odd sides would shift our curves."""
    import pytorch_msssim
    import torch

    tensors = (torch.from_numpy(array.astype(np.float64)).permute(2, 0, 1)[None] for array in pair)
    assert 0.3 < ms_ssim(*pair) < 0.99
    assert ms_ssim(*pair) == pytest.approx(pytorch_msssim.ms_ssim(*tensors, data_range=255).item(), abs=2e-6)


@pytest.mark.parametrize(("quality", "score"), [(14, 10), (20, 30), (35, 50), (70, 70)])
def test_ssimulacra2_is_on_its_authors_scale(quality, score):
    """Scores of another scale or version would be read as quality that is not there.

    The author's rule of thumb for libjpeg-turbo 4:2:0 (github.com/cloudinary/ssimulacra2, README.md); pictures differ.
    """
    from aecodec.eval.codecs import decode_with_pillow, jpeg

    with Image.open(SAMPLE) as sample:
        picture = sample.convert("RGB").crop((120, 0, 376, 256))
    decoded = decode_with_pillow(jpeg(picture, quality))
    assert ssimulacra2(np.asarray(picture), np.asarray(decoded)) == pytest.approx(score, abs=20)


@pytest.mark.parametrize(("metric", "best"), [(ssim, 1), (ms_ssim, 1), (ssimulacra2, 100), (cvvdp, 10)])
def test_equal_pictures_have_the_best_score(pair, metric, best):
    """A lossless codec would look lossy."""
    assert metric(pair[0], pair[0]) == pytest.approx(best)


@pytest.mark.parametrize(("metric", "side"), [(ssim, 11), (ms_ssim, 161), (ssimulacra2, 8), (cvvdp, 13)])
def test_the_smallest_picture(photo, metric, side):
    """Below it the packages answer with an assertion, a warning or a meaningless number."""
    a, b = (np.asarray(photo(side, side, seed=seed)) for seed in (0, 1))
    assert math.isfinite(metric(a, b))
    with pytest.raises(ValueError, match=f"at least {side} pixels, not {side - 1} x {side}"):
        metric(a[:, :-1], b[:, :-1])


def test_similarity_in_decibels():
    """Near 1 the plain value hides that one codec has half the error of another: that is 3 dB."""
    assert similarity_decibels(0.9) == pytest.approx(10)
    assert similarity_decibels(0.95) - similarity_decibels(0.9) == pytest.approx(3.01, abs=0.01)
    assert similarity_decibels(1.0) == math.inf


def test_jod_as_a_logarithm():
    """Near 10 the plain value hides that one codec's difference is half of another's: that is ln 2 everywhere."""
    assert jod_logarithm(9) == 0
    assert jod_logarithm(9.9) - jod_logarithm(9.8) == pytest.approx(math.log(2))
    assert jod_logarithm(9) - jod_logarithm(8) == pytest.approx(math.log(2))
    assert jod_logarithm(10.0) == math.inf


def test_curves_are_of_what_the_title_says():
    """An axis in dB or of a logarithm over plain values, or the reverse, would be a wrong BD-rate."""
    for metric in METRICS.values():
        assert metric.title.endswith(", dB") == (metric.curve == "similarity" or metric.name.startswith("psnr"))
        assert ("ln(10" in metric.title) == (metric.curve == "jod")
    assert METRICS["ssim"].on_curve(0.9) == METRICS["ms_ssim"].on_curve(0.9) == pytest.approx(10)
    assert METRICS["cvvdp"].on_curve(9.9) == pytest.approx(math.log(10))
    assert METRICS["ssimulacra2"].on_curve(70) == METRICS["psnr_rgb"].on_curve(70) == 70


def test_metrics_of_eyes_come_first():
    """The headline, the first plot and the table's first columns are by the first ones."""
    assert list(METRICS)[:4] == ["ssimulacra2", "cvvdp", "ms_ssim", "psnr_rgb"]
    assert open_metrics() == (list(METRICS), {})
    assert open_metrics(["psnr_rgb", "ssimulacra2"]) == (["psnr_rgb", "ssimulacra2"], {})


def test_a_metric_that_is_not_installed_has_a_reason(monkeypatch):
    """Without the extra, every measurement would fail, or CVVDP be missing without a word."""
    metrics._cvvdp_metric.cache_clear()
    monkeypatch.setitem(sys.modules, "pycvvdp", None)
    found, absent = open_metrics()
    assert found == [name for name in METRICS if name != "cvvdp"]
    assert absent == {"cvvdp": "needs pip install 'aecodec[cvvdp]' (No module named 'pycvvdp')"}


def test_cvvdp_loads_once(pair):
    """It loads tables for a second, which a thousand measurements would pay a thousand times."""
    metrics._cvvdp_metric.cache_clear()
    assert cvvdp(*pair) == cvvdp(*pair) < 10
    assert metrics._cvvdp_metric.cache_info().misses == 1


def test_cvvdp_is_silent_about_dark_pictures(caplog):
    """A line on standard error, for pictures at night, that speaks of photometric units."""
    dark = np.zeros((32, 32, 3), np.uint8)
    assert cvvdp(dark, dark) == 10
    assert not caplog.records


@pytest.mark.parametrize("metric", [mse, psnr, psnr_y, ssim, ms_ssim, ssimulacra2, cvvdp])
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
