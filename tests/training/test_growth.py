"""More latents for a trained model: what it did it still does, and it does more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from aecodec.entropy.architecture import Architecture
from aecodec.errors import AecodecError
from aecodec.networks.model import Model
from aecodec.networks.transforms import KLT_STEP, set_klt
from aecodec.quality import KNOTS
from aecodec.training.data import Pictures, to_tensor
from aecodec.training.growth import (
    fit_scales,
    with_more_blocks,
    with_more_latents,
)
from aecodec.training.klt import block_covariance, further_components, principal_components
from aecodec.training.run import Run
from aecodec.training.settings import make

OLD = Architecture(
    latents=32,
    width_8=16,
    width_16=16,
    blocks_8=1,
    blocks_16=1,
    decoder_width_8=16,
    decoder_width_16=16,
    decoder_blocks_8=1,
    decoder_blocks_16=1,
    hyper_width=16,
    hyper_latents=8,
    context_width=16,
)
NEW = replace(OLD, latents=96)


@pytest.fixture(scope="module")
def pictures(photo):
    """Photographs with noise in them, which 32 components do not hold."""
    return Pictures([np.asarray(photo(128, 128, seed=i)) for i in range(8)], [""] * 8)


@pytest.fixture(scope="module")
def covariance(pictures):
    return block_covariance(pictures, np.random.default_rng(0))


@pytest.fixture
def old(covariance):
    """A model whose networks do something to the latents, as trained ones do."""
    torch.manual_seed(2)
    model = Model(OLD).eval()
    basis, variance = (torch.from_numpy(a).float() for a in principal_components(covariance))
    set_klt(model.analysis, model.synthesis, basis, variance)
    model.set_scales(variance[:32].clamp_min(1).sqrt() / (255 * KLT_STEP))
    return model


@pytest.fixture
def grown(old, covariance):
    model = Model(NEW).eval()
    model.load_state_dict(with_more_latents(old.state_dict(), OLD, NEW, covariance))
    return model


@pytest.fixture(scope="module")
def x(pictures):
    return to_tensor(np.stack(pictures.arrays[:4]), torch.device("cpu"))


@pytest.mark.slow
@torch.no_grad()
def test_what_a_model_did_it_still_does(old, grown, x):
    """With the new latents silent every file would be as long as before, and every picture the same."""
    for step in grown.context:
        step.out.bias.view(KNOTS, 2, 4, 24)[:, 1, :, 8:] = -50
    for knot in (0.0, 5.5, 8.0):
        position = torch.full((4,), knot)
        before, after = old(x, position), grown(x, position)
        assert torch.allclose(before.latent_bits, after.latent_bits, rtol=1e-6)
        assert torch.allclose(before.hyper_bits, after.hyper_bits, rtol=1e-6)
        assert torch.allclose(before.picture, after.picture, atol=1e-5)


@pytest.mark.slow
@torch.no_grad()
def test_what_the_old_latents_left_out_is_coded(old, grown, x, covariance):
    """This is what they are for, and it needs no training: without it the top quality has a ceiling."""
    errors = []
    for model in (old, grown):
        for layer in (model.analysis.head, model.synthesis.head[0]):  # without them the linear path alone
            layer.weight.zero_(), layer.bias.zero_()
        if model is grown:
            fit_scales(grown, 64, x)
        errors.append((255 * (model(x, torch.full((4,), 8.0)).picture - x)).square().mean().item())
    held = principal_components(covariance)[1][32:96].sum() / 768
    assert errors[0] - errors[1] > held / 2


@pytest.mark.slow
@torch.no_grad()
def test_scales_are_those_of_the_residuals(grown, x):
    """Or a run would spend its first thousand steps on finding that out, and spoil the old latents' scales on the way."""
    started = [step.out.bias.clone() for step in grown.context]
    fit_scales(grown, 64, x)
    fitted = [step.out.bias.clone() for step in grown.context]
    assert all((a - b).abs().max() > 0.4 for a, b in zip(started, fitted, strict=True))
    old_biases = [bias.view(KNOTS, 2, 4, 24)[:, 1, :, :8] for bias in fitted]
    fit_scales(grown, 64, x)
    for step, bias, old_bias in zip(grown.context, fitted, old_biases, strict=True):
        assert torch.equal(step.out.bias.view(KNOTS, 2, 4, 24)[:, 1, :, :8], old_bias)
        assert torch.allclose(step.out.bias, bias, atol=0.2)  # what is decoded before has changed a little


def test_new_components_are_orthogonal_to_the_old(covariance, grown):
    """The linear path adds up what it is given; parts that overlap would be counted twice."""
    basis = grown.analysis.klt.weight.flatten(1) * KLT_STEP
    assert torch.allclose(basis @ basis.T, torch.eye(96), atol=1e-4)
    assert torch.allclose(grown.synthesis.klt.weight[:, :, 0, 0], basis.T * KLT_STEP, atol=1e-6)
    _, variance = further_components(covariance, principal_components(covariance)[0][:32], 64)
    assert np.allclose(variance, principal_components(covariance)[1][32:96], rtol=1e-6)


@pytest.mark.parametrize("change", [{"latents": 16}, {"latents": 64, "width_8": 8}, {"width_8": 8}])
def test_nothing_else_can_change(old, covariance, change):
    """Weights that half fit would train on as nonsense."""
    with pytest.raises(AecodecError, match="more latents"):
        with_more_latents(old.state_dict(), OLD, replace(OLD, **change), covariance)


@pytest.mark.slow
def test_a_run_starts_from_weights_of_fewer_latents(tmp_path, photo):
    """The way a user takes: `latents` in the configuration, `init` the weights that there are."""
    (tmp_path / "pictures").mkdir()
    for i in range(6):
        photo(96, 96, seed=i).save(tmp_path / "pictures" / f"{i}.png")
    common = {"data": str(tmp_path / "pictures"), "crop": 64, "batch": 2, "device": "cpu", "warm_up": 0, "steps": 1}
    first = Run(make({**common, "architecture": OLD.to_dict()}), tmp_path / "first", print)
    (tmp_path / "first").mkdir()
    first.save()
    run = Run(make({**common, "init": str(tmp_path / "first"), "architecture": NEW.to_dict()}), tmp_path, print)
    assert run.model.arch == NEW
    assert run.model.training
    assert sum(1 for _ in run.progress()) == 0
    assert run.step == 1
    assert all(parameter.isfinite().all() for parameter in run.average.parameters())


def test_a_deeper_model_starts_as_the_shallow_one(tiny):
    """A start from anything else costs more than a thousand steps make good."""
    whole, _ = tiny
    bigger = Model(Architecture(**{**whole.arch.to_dict(), "blocks_8": 3, "blocks_16": 2})).eval()
    bigger.load_state_dict(with_more_blocks(whole.state_dict(), bigger))
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    position = torch.tensor([5.5])
    with torch.no_grad():
        assert torch.allclose(bigger.analysis(x, position), whole.analysis(x, position), atol=1e-5)
    with pytest.raises(AecodecError, match="another width"):
        with_more_blocks(whole.state_dict(), Model(Architecture(**{**whole.arch.to_dict(), "width_8": 12})))
    with pytest.raises(AecodecError, match="as many blocks"):
        with_more_blocks(whole.state_dict(), Model(Architecture(**{**whole.arch.to_dict(), "blocks_8": 0})))
