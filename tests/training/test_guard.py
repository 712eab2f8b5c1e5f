"""The divergence guard by itself: what it lets pass, and when it goes back."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from aecodec.errors import AecodecError
from aecodec.training.guard import ENOUGH, KEEP_EVERY, ROLLBACK_COUNT, ROLLBACK_DAMPING, SPIKE, DivergenceGuard


@pytest.fixture
def guard():
    """A guard that has seen as many steps with a norm of 1 as it needs to know what is usual."""
    guard = DivergenceGuard([nn.Linear(2, 2)])
    guard.keep_state()
    guard.record([1.0] * (ENOUGH + 1), 1)
    return guard


def test_a_spike_is_left_out_and_growth_is_not(guard):
    """One bad batch would undo hours; a run that learns quickly must not be slowed."""
    assert guard.accepts(SPIKE - 0.1)
    assert not guard.accepts(SPIKE + 0.1)
    assert not guard.accepts(math.nan)
    assert not guard.record([SPIKE + 1], 2)
    assert guard.skipped == [2]
    assert guard.norms[-1] == SPIKE  # so that a lasting change becomes usual


def test_many_spikes_bring_the_good_state_back(guard):
    """Weights that have run away cost every step after."""
    (model,) = guard.models
    good = model.weight.detach().clone()
    with torch.no_grad():
        model.weight.fill_(math.nan)
    assert guard.record([math.nan] * (ROLLBACK_COUNT + 1), 3)
    assert torch.equal(model.weight, good)
    assert guard.damping == ROLLBACK_DAMPING
    assert guard.skipped == []


def test_weights_amid_spikes_are_not_kept_as_good(guard):
    """A run would go back to what it has to leave."""
    (model,) = guard.models
    good = model.weight.detach().clone()
    with torch.no_grad():
        model.weight.add_(1)
    guard.record([math.nan], KEEP_EVERY)
    assert torch.equal(guard.good[0]["weight"], good)
    guard.record([1.0], 2 * KEEP_EVERY)
    assert torch.equal(guard.good[0]["weight"], good + 1)


def test_a_run_that_never_recovers_ends(guard):
    """A machine would be busy for days with nothing."""

    def diverge() -> None:
        for _ in range(99):
            guard.restore_state()

    with pytest.raises(AecodecError, match="diverges"):
        diverge()
