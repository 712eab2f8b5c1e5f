"""The edge filter as it is trained must be the one that decodes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aecodec.images import edge_filter as coded
from aecodec.networks.edge_filter import EdgeFilter, _Exchange
from aecodec.quality import INDICES_PER_INTERVAL, MAX_INDEX


@pytest.fixture
def filter_and_features():
    torch.manual_seed(0)
    module = EdgeFilter(5)
    with torch.no_grad():
        module.table.normal_(0, 0.6)
        module.strength.weight.normal_(0, 0.3)
    return module.eval(), torch.randn(2, 5, 3, 4)


def test_training_sees_what_decoding_shows(filter_and_features):
    """Otherwise the table is fitted to another filter than files are shown with."""
    module, features = filter_and_features
    picture = torch.rand(2, 3, 24, 32)
    picture = (picture * 40 + 100) / 255  # differences of all sizes up to the last knot
    picture = torch.round(picture * 255 * coded.LEVEL) / (255 * coded.LEVEL)
    rates = [300, MAX_INDEX]
    with torch.no_grad():
        shown = module(picture, features, torch.tensor([rate / INDICES_PER_INTERVAL for rate in rates]))
        strengths = module.strengths(features)
    for i, rate in enumerate(rates):
        units = torch.round(picture[i] * 255 * coded.LEVEL).permute(1, 2, 0).short().numpy()
        strength = torch.round(strengths[i, 0] * coded.STRENGTH).byte().numpy()
        decoded = coded.apply(units, strength, coded.tables(module.table.detach().numpy(), rate))
        error = decoded - 255 * shown[i].permute(1, 2, 0).numpy()
        assert np.abs(error).max() < 1.0  # half a level of rounding, and the steps of 1/8 and 1/16
        assert abs(error.mean()) < 0.05


def test_a_new_filter_changes_nothing():
    """Training goes on from weights that have none."""
    picture = torch.rand(1, 3, 16, 16)
    assert torch.equal(EdgeFilter(4)(picture, torch.randn(1, 4, 2, 2), torch.tensor([2.5])), picture)


def test_gradients_are_those_of_the_values():
    """A sign that is wrong in the hand-written backward pass trains the filter the wrong way round."""
    generator = torch.Generator().manual_seed(1)
    table = torch.randn(2, len(coded.KNOTS), generator=generator)
    difference = 60 * torch.randn(2, 6, 7, generator=generator)
    inputs = [difference.clone().requires_grad_(True), table.clone().requires_grad_(True)]
    weight = torch.randn(2, 6, 7, generator=generator)
    (_Exchange.apply(*inputs) * weight).sum().backward()
    step = 1e-2
    for i, value in enumerate((difference, table)):
        direction = torch.randn(value.shape, generator=generator)
        ends = []
        for sign in (1, -1):
            moved = [difference, table]
            moved[i] = value + sign * step * direction
            ends.append((_Exchange.apply(*moved) * weight).sum().item())
        slope = (inputs[i].grad * direction).sum().item()
        assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=0.02, abs=0.02)
