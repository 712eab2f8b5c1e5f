"""Dependent quantisation in training: the coder's own decisions, and the gradient that is made up for them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aecodec.entropy import tables, trellis
from aecodec.entropy.gaussian import LEVELS_PER_NAT
from aecodec.entropy.latents import DISTORTION
from aecodec.networks.quantiser import DependentQuantiser


@pytest.fixture
def given():
    """Residuals and log scales (4, 2, 4, 6, 6); where the scale is at its lowest nothing is coded."""
    torch.manual_seed(3)
    log_scale = (torch.randint(0, 40, (4, 2, 4, 6, 6)) / LEVELS_PER_NAT).float()
    return torch.randn(log_scale.shape) * log_scale.exp() * 0.1, log_scale


def test_the_coder_would_choose_the_same(given, monkeypatch):
    """A model that is trained for another quantiser than the coder's is trained for nothing."""
    residual, log_scale = given
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)  # there is a trellis for each
    quantiser = DependentQuantiser()
    quantiser.counting = False  # or the tables would be others afterwards
    value, bits = quantiser(residual, log_scale)
    levels = (log_scale * LEVELS_PER_NAT).round().numpy().astype(np.uint8)
    coded = levels > 0
    costs = tables.costs(quantiser.frequencies())
    symbols, quantisers = trellis.search(residual.numpy()[coded], levels[coded], costs, DISTORTION)
    assert np.array_equal(value.numpy()[coded], trellis.multiples(symbols, quantisers) * np.float32(trellis.STEP_SIZE))
    top = costs.shape[2] - 1
    assert np.allclose(bits.numpy()[coded], costs[quantisers, levels[coded], np.abs(symbols).clip(max=top)])
    assert not value.numpy()[~coded].any()
    assert not bits.numpy()[~coded].any()


def test_the_gradient_passes_where_something_is_coded(given):
    """Latents that are always 0 must not be pulled at by a decoder that never sees them."""
    residual, log_scale = given
    residual.requires_grad_(True)
    value, _ = DependentQuantiser()(residual, log_scale)
    value.sum().backward()
    assert torch.equal(residual.grad, (log_scale > 0).float())


def test_only_training_is_counted(given):
    """Coding tables that had counted the validation pictures would flatter them."""
    quantiser = DependentQuantiser()
    with torch.no_grad():
        quantiser(*given)
    quantiser.counting = False
    quantiser(*given)
    assert not quantiser.counts.any()
    quantiser.counting = True
    quantiser(*given)
    assert quantiser.counts.sum() == (given[1] > 0).sum()
