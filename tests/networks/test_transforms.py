"""The float networks: shapes, upsamplers, and the transform codec that training starts from."""

from __future__ import annotations

import pytest
import torch

from aecodec.entropy.architecture import Architecture
from aecodec.networks.model import Model
from aecodec.networks.transforms import Lapping, Synthesis, set_klt

SMALL = {
    "latents": 64,
    "width_8": 8,
    "width_16": 8,
    "decoder_width_8": 8,
    "decoder_width_16": 8,
    "hyper_width": 8,
    "hyper_latents": 4,
    "context_width": 8,
}


@pytest.mark.parametrize("upsampler", ["pixelshuffle", "resize-conv", "transposed"])
def test_every_upsampler_gives_a_picture_of_the_right_size(upsampler):
    """A choice in a configuration that fails after hours of training data loading is no choice."""
    synthesis = Synthesis(Architecture(**SMALL, upsampler=upsampler))
    assert synthesis(torch.zeros(2, 64, 3, 5), torch.zeros(2)).shape == (2, 3, 48, 80)


def test_the_klt_path_alone_reconstructs_what_its_components_span():
    """The linear start must be a transform codec, not noise: a transposed basis would lose days of training."""
    model = Model(Architecture(**SMALL))
    basis = torch.linalg.qr(torch.randn(768, 768, generator=torch.Generator().manual_seed(0)))[0].T
    set_klt(model.analysis, model.synthesis, basis, torch.ones(768))
    block = (basis[:64].T @ torch.linspace(-0.02, 0.02, 64)).reshape(3, 16, 16)
    picture = (block.repeat(1, 4, 4) + 0.5)[None]
    latents = model.analysis.klt(picture - 0.5)
    back = torch.nn.functional.pixel_shuffle(model.synthesis.klt(latents), 16) + 0.5
    assert torch.allclose(back, picture, atol=1e-5)


def test_lapping_filters_across_the_borders_of_blocks_and_can_be_undone():
    """What one block loses at its border the next must have; half a block at the picture's edges has no neighbour."""
    rng = torch.Generator().manual_seed(0)
    there, back = Lapping(), Lapping()
    matrix = torch.eye(16) + 0.1 * torch.randn(16, 16, generator=rng)
    picture = torch.randn(2, 3, 32, 48, generator=rng)
    with torch.no_grad():
        assert torch.equal(there(picture), picture)
        there.weight.copy_(matrix[:, :, None, None])
        back.weight.copy_(matrix.inverse()[:, :, None, None])
        lapped = there(picture)
        assert torch.allclose(back(lapped), picture, atol=1e-5)
    assert torch.equal(lapped[:, :, :8, :8], picture[:, :, :8, :8])
    window = picture[:, :, 8:24, 24:40]  # around a corner of four blocks
    assert torch.allclose(lapped[:, :, 8:24, 24:40], matrix @ window @ matrix.T, atol=1e-5)


def test_gains_follow_lambda_at_the_start():
    """The quantiser step must fall with the square root of lambda, or all qualities look alike."""
    model = Model(Architecture(**SMALL))
    step = model.gain(torch.tensor([0.0, 8.0]))[:, 0, 0, 0]
    assert (step[1] / step[0]).item() == pytest.approx((0.5 / 0.0018) ** 0.5, rel=1e-4)
    assert torch.allclose(model.gain(torch.tensor([3.3])) * model.inverse_gain(torch.tensor([3.3])), torch.ones(1))
