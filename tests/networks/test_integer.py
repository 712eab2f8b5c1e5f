"""Integer layers in training: they must compute what is coded, in whatever precision the rest runs."""

from __future__ import annotations

import copy

import pytest
import torch

from aecodec.entropy.integer import ACTIVATION_FRAC, ACTIVATION_MAX


@pytest.fixture
def given(tiny):
    """A model, hyper-latents of two pictures, and their qualities."""
    torch.manual_seed(5)
    model = copy.deepcopy(tiny[0])
    model.quantise(True)
    return model, torch.randint(-9, 10, (2, model.arch.hyper_latents, 3, 4)).float(), torch.tensor([0.5, 7.2])


def test_autocast_changes_no_integer_in_evaluation(given):
    """Scores would be those of another entropy model than the one that codes."""
    model, z, position = given
    context = torch.randint(-127, 128, (2, model.arch.latents, 12, 16)).float() / 16

    @torch.no_grad()
    def outputs():
        features = model.hyper_synthesis(z, position)
        return [features.float(), *model.context[2](features, context, position)]

    exact = outputs()
    with torch.autocast("cpu", torch.bfloat16):
        assert all(map(torch.equal, outputs(), exact))


def test_autocast_keeps_activations_on_their_grid_in_training(given):
    """In bfloat16 a half more than 128 is no number: odd activations moved up, the largest out of its 8 bits."""
    model, _, position = given
    layer = model.context[0].mix.train()
    x = torch.rand(2, model.arch.hyper_width, 8, 8) * 60
    with torch.autocast("cpu", torch.bfloat16):
        raw = torch.nn.functional.conv2d(x, layer.quantised_weight())
        out = layer(x, position).float() * 2**ACTIVATION_FRAC
    bias = torch.stack([torch.lerp(*layer.bias[low : low + 2], part) for low, part in ((0, 0.5), (7, 0.2))])
    wanted = ((raw.float() + bias[:, :, None, None]) * 2**ACTIVATION_FRAC + 0.5).floor().clamp(0, ACTIVATION_MAX)
    assert (out - wanted).abs().max() <= 1e-3
    assert (wanted[wanted < ACTIVATION_MAX] > 128).any()
    assert (wanted == ACTIVATION_MAX).any()
