"""What a run calls an error must be what reports call one."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aecodec import metrics
from aecodec.training import cvvdp, settings, ssimulacra2
from aecodec.training.distortion import MS_SSIM_UNIT, TERMS, Mix

SAMPLE = Path(__file__).parents[2] / "samples" / "astronaut.png"


@pytest.fixture(scope="module")
def package():
    """ColorVideoVDP's own implementation, for the display that the term has."""
    try:
        pytest.importorskip("pycvvdp")
    except RuntimeError:  # torchvision is for another torch; its import needs these, the one class that is used does not
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    return pytest.importorskip("pycvvdp").cvvdp("standard_fhd", quiet=True, device=torch.device("cpu"))


@pytest.fixture
def two():
    """A textured picture and a noisy, darker copy, (192, 256, 3) uint8."""
    rng = np.random.default_rng(2)
    coarse = rng.normal(128, 40, (24, 32, 3)).repeat(8, 0).repeat(8, 1)
    a = np.clip(coarse + rng.normal(0, 10, coarse.shape), 0, 255)
    b = np.clip(0.9 * a + rng.normal(0, 6, coarse.shape), 0, 255)
    return a.round().astype(np.uint8), b.round().astype(np.uint8)


def tensors(two, dtype=torch.float32) -> list[torch.Tensor]:
    """Batches of one of an original and a distorted picture, in 0..1."""
    return [torch.from_numpy(array).permute(2, 0, 1)[None].to(dtype) / 255 for array in two]


def jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    """The picture after JPEG."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def test_mse_is_the_metric(two):
    value = TERMS["mse"].measure(*tensors(two))
    assert value.item() == pytest.approx(metrics.mse(*two), rel=1e-5)


def test_ms_ssim_is_the_metric(two):
    """Otherwise weights are tuned for something that no report measures."""
    value = TERMS["ms-ssim"].measure(*tensors(two))
    assert 1 - value.item() / MS_SSIM_UNIT == pytest.approx(metrics.ms_ssim(*two), abs=2e-6)


@pytest.mark.slow
@pytest.mark.parametrize("quality", [5, 30, 90])
def test_ssimulacra2_is_the_metric(quality):
    """Otherwise the default weights are tuned for something that no report measures."""
    crop = np.asarray(Image.open(SAMPLE).convert("RGB"))[:256, :320]  # all six scales
    coded = jpeg(crop, quality)
    x, y = tensors((coded, crop), torch.float64)
    score = ssimulacra2.score(ssimulacra2.weighted_sum(x, y).item())
    assert score == pytest.approx(metrics.ssimulacra2(crop, coded), abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("quality", [5, 30, 90])
@pytest.mark.parametrize(("h", "w"), [(256, 256), (192, 320), (101, 130), (50, 33)])
def test_cvvdp_is_the_metric(package, quality, h, w):
    """Otherwise a run is trained for something that no report measures; filters end in another way at odd sides."""
    crop = np.asarray(Image.open(SAMPLE).convert("RGB"))[:h, :w]
    coded = jpeg(crop, quality)
    value = cvvdp.jod(cvvdp.pooled_difference(*tensors((coded, crop))).item())
    assert value == pytest.approx(package.predict(coded, crop, dim_order="HWC")[0].item(), abs=2e-4)


def test_cvvdp_pools_every_picture_of_a_batch_alone(two):
    """A norm over a whole batch would let one crop hide the others."""
    y, x = tensors(two)
    values = cvvdp.pooled_difference(torch.cat([x, x / 4]), torch.cat([y, y / 4]))
    alone = [cvvdp.pooled_difference(x, y).item(), cvvdp.pooled_difference(x / 4, y / 4).item()]
    assert values.tolist() == pytest.approx(alone, rel=1e-4)


@pytest.mark.parametrize("measure", [ssimulacra2.weighted_sum, cvvdp.pooled_difference])
def test_a_gradient_is_that_of_the_values(two, measure):
    """A wrong sign in one of a hundred terms would train against the metric, and no score would say why."""
    y, x = tensors(two, torch.float64)
    x = x[..., :64, :64].clone().requires_grad_(True)
    y = y[..., :64, :64]
    measure(x, y).sum().backward()
    generator = torch.Generator().manual_seed(4)
    step = 1e-6
    for _ in range(5):
        direction = torch.randn(x.shape, dtype=x.dtype, generator=generator)
        with torch.no_grad():
            ends = [measure(x + sign * step * direction, y).item() for sign in (1, -1)]
        slope = (x.grad * direction).sum().item()
        assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-3)


def test_a_mix_is_the_weighted_sum_of_its_terms(two):
    """A weight that is left out changes what a whole run is trained for."""
    y, x = tensors(two)
    parts = {name: TERMS[name].measure(x, y).item() for name in ("mse", "ssimulacra2")}
    mix = Mix({"mse": 0.25, "ssimulacra2": 0.75})
    assert mix(x, y).item() == pytest.approx(0.25 * parts["mse"] + 0.75 * parts["ssimulacra2"], rel=1e-5)


def test_settings_know_the_terms():
    """Settings are checked without torch, from a list of their own."""
    assert tuple(TERMS) == settings.DISTORTION_TERMS


@pytest.mark.parametrize("name", TERMS)
def test_equal_pictures_have_no_distortion_and_a_finite_gradient(two, name):
    """One crop of flat colour must not turn a run's weights into NaN."""
    for x in (tensors(two)[0], torch.full((1, 3, 192, 192), 0.5), torch.zeros((1, 3, 192, 192))):
        y = x.clone().requires_grad_(True)
        value = TERMS[name].measure(y, x)
        value.sum().backward()
        assert abs(value.item()) < 1e-3
        assert y.grad.isfinite().all()


@pytest.mark.parametrize("name", TERMS)
def test_a_picture_turned_negative_has_a_finite_gradient(two, name):
    """Every term of MS-SSIM is negative there, and a power of one that is cut off at 0 has none."""
    x = tensors(two)[0]
    y = (1 - x).requires_grad_(True)
    TERMS[name].measure(y, x).sum().backward()
    assert y.grad.isfinite().all()


@pytest.mark.parametrize("name", TERMS)
def test_a_picture_beyond_black_and_white_has_a_finite_gradient(two, name):
    """The decoder's output is not clamped, and roots of negative light have no gradient."""
    x = tensors(two)[0]
    y = (2 * x - 0.5).requires_grad_(True)
    TERMS[name].measure(y, x).sum().backward()
    assert y.grad.isfinite().all()
