"""What a run calls an error must be what reports call one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aecodec.eval import metrics
from aecodec.training.distortion import DISTORTIONS, MS_SSIM_PEAK


@pytest.fixture
def two():
    """A textured picture and a noisy, darker copy, (192, 240, 3) uint8."""
    rng = np.random.default_rng(2)
    coarse = rng.normal(128, 40, (24, 30, 3)).repeat(8, 0).repeat(8, 1)
    a = np.clip(coarse + rng.normal(0, 10, coarse.shape), 0, 255)
    b = np.clip(0.9 * a + rng.normal(0, 6, coarse.shape), 0, 255)
    return a.round().astype(np.uint8), b.round().astype(np.uint8)


def tensors(two) -> list[torch.Tensor]:
    return [torch.from_numpy(array).permute(2, 0, 1)[None].float() / 255 for array in two]


def test_mse_is_the_metric(two):
    value = DISTORTIONS["mse"].measure(*tensors(two))
    assert value.item() == pytest.approx(metrics.mse(*two), rel=1e-5)


def test_ms_ssim_is_the_metric(two):
    """Else photo-ssim is tuned for something that no report measures."""
    value = DISTORTIONS["ms-ssim"].measure(*tensors(two))
    assert 1 - value.item() / MS_SSIM_PEAK == pytest.approx(metrics.ms_ssim(*two), abs=2e-6)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_equal_pictures_have_no_distortion_and_a_finite_gradient(two, name):
    """One crop of flat colour must not turn a run's weights into NaN."""
    for x in (tensors(two)[0], torch.full((1, 3, 192, 192), 0.5)):
        y = x.clone().requires_grad_(True)
        value = DISTORTIONS[name].measure(y, x)
        value.sum().backward()
        assert abs(value.item()) < 1e-3
        assert y.grad.isfinite().all()


def test_a_picture_turned_negative_has_a_finite_gradient(two):
    """Every term of MS-SSIM is negative there, and a power of one that is cut off at 0 has none."""
    x = tensors(two)[0]
    y = (1 - x).requires_grad_(True)
    DISTORTIONS["ms-ssim"].measure(y, x).sum().backward()
    assert y.grad.isfinite().all()
