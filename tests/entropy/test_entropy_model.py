"""The numpy entropy model against the torch layers that are trained: two programs, one function."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aecodec import weights
from aecodec.entropy import integer
from aecodec.entropy.gaussian import LEVELS
from aecodec.entropy.integer import ACTIVATION_FRAC, COMPAND_MAX, GAIN_FRAC, MEAN_FRAC, compand
from aecodec.entropy.partition import CONTEXT_STEPS
from aecodec.networks.context import split_steps
from aecodec.quality import INDICES_PER_INTERVAL, KNOTS, MAX_INDEX


@pytest.fixture(scope="module")
def models(tiny):
    """(torch, numpy): a model, and what is read back of it from its weights file."""
    model, folder = tiny
    return model, weights.load(str(folder)).entropy_model


@pytest.fixture(scope="module")
def hyper_latents(tiny):
    z = np.random.default_rng(8).integers(-12, 13, (3, 2, tiny[0].arch.hyper_latents), dtype=np.int32)
    z[0, 0, :2] = COMPAND_MAX, -COMPAND_MAX
    return z


def as_torch(x: np.ndarray, frac: int = 0) -> torch.Tensor:
    return torch.from_numpy(x).float().permute(2, 0, 1)[None] * 2.0**-frac


@pytest.mark.slow
@pytest.mark.parametrize("knot", range(KNOTS))
@torch.no_grad()
def test_features_equal_the_trained_layers(models, hyper_latents, knot):
    """Otherwise the codec runs networks that nobody trained, and every file is larger than it should be."""
    model, coded = models
    expected = model.hyper_synthesis(as_torch(hyper_latents), torch.tensor([float(knot)]))[0].permute(1, 2, 0)
    actual = coded.features(hyper_latents, knot * INDICES_PER_INTERVAL)
    assert len(np.unique(actual)) > 50
    assert np.array_equal(actual, expected.numpy() * 2**ACTIVATION_FRAC)


@pytest.mark.parametrize("knot", [0, 3, KNOTS - 1])
@pytest.mark.parametrize("step", range(CONTEXT_STEPS))
@torch.no_grad()
def test_predictions_equal_the_trained_layers(models, hyper_latents, step, knot):
    """Levels must agree exactly and means to a unit, which is what the rounding of the gains may change."""
    model, coded = models
    position = torch.tensor([float(knot)])
    features = coded.features(hyper_latents, knot * INDICES_PER_INTERVAL)
    latents = np.random.default_rng(step).integers(-400, 401, (*features.shape[:2], model.arch.latents), dtype=np.int32)
    context = compand(latents)
    mean, level = coded.predict(step, features, context, knot * INDICES_PER_INTERVAL)

    context_torch = as_torch(context, ACTIVATION_FRAC) if step else None
    raw_mean, log_scale = model.context[step](as_torch(features, ACTIVATION_FRAC), context_torch, position)
    gain = split_steps(model.gain(position).expand(-1, -1, *features.shape[:2]))[step]
    expected_level = (log_scale * 8).clamp(0, LEVELS - 1)[:, 0].permute(0, 2, 3, 1).numpy()
    expected_mean = (raw_mean * gain * 2**MEAN_FRAC)[:, 0].permute(0, 2, 3, 1).numpy()
    assert len(np.unique(level)) > 20
    assert np.array_equal(level, expected_level)
    assert np.ptp(mean) > 20
    assert np.abs(mean - expected_mean).max() <= 1


@pytest.mark.parametrize("knot", range(KNOTS))
def test_hyper_levels_are_the_trained_scales(models, knot):
    """A wrong prior of the hyper-latents costs bits in every file."""
    model, coded = models
    levels = coded.hyper_levels((2, 3), knot * INDICES_PER_INTERVAL)
    trained = (model.hyper_scale[knot] * 8).clamp(1, LEVELS - 1).detach().numpy()
    assert levels.shape == (2, 3, model.arch.hyper_latents)
    assert levels.min() >= 1  # level 0 is never coded
    assert np.abs(levels - trained).max() <= 0.5 + 1 / 32  # stored in sixteenths


def test_means_follow_the_gains_between_the_knots():
    """A latent that is not coded is its mean: with the mean at another gain than the latent, pictures lose a decibel."""
    opened = weights.load()
    logs = opened.tensors["gain.log"].astype(float)
    for rate in range(0, MAX_INDEX + 1, 37):
        low = min(rate // 256, 7)
        gain = np.exp(logs[low] + (logs[low + 1] - logs[low]) * (rate - low * 256) / 256)
        mean_gain = integer.interpolate(opened.entropy_model.mean_gain, rate) / 2**GAIN_FRAC
        assert np.abs(mean_gain - gain).max() < 2**-GAIN_FRAC + 0.05 * gain.max()
        large = gain > 0.1
        assert np.abs(mean_gain / gain - 1)[large].max() < 0.05
