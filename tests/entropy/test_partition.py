"""Which latents are decoded when."""

from __future__ import annotations

import numpy as np
import torch

from aecodec.entropy.latents import _gather, _scatter
from aecodec.entropy.partition import CONTEXT_STEPS, group_of
from aecodec.networks.context import join_steps, split_steps


def test_every_latent_is_decoded_exactly_once():
    """A latent that is left out stays zero: a hole in every sixteenth pixel block."""
    times = np.zeros((6, 4, 20), np.int32)
    for step in range(CONTEXT_STEPS):
        once = np.zeros_like(times)
        _scatter(once, step, np.ones_like(_gather(once, step)))
        times += once
    assert np.all(times == 1)


def test_gather_reads_where_scatter_writes():
    """Otherwise residuals are taken of one latent and added to another."""
    for step in range(CONTEXT_STEPS):
        x = np.zeros((4, 8, 12), np.int32)
        values = np.arange(x.size // CONTEXT_STEPS).reshape(4, 2, 4, 3)
        _scatter(x, step, values)
        assert np.array_equal(_gather(x, step), values)


def test_training_uses_the_same_order():
    """A model that was trained on another order predicts latents that it was not asked for."""
    x = np.arange(4 * 6 * 8).reshape(4, 6, 8)
    parts = split_steps(torch.from_numpy(x).permute(2, 0, 1)[None])
    for step, part in enumerate(parts):
        assert np.array_equal(part[:, 0].permute(0, 2, 3, 1).numpy(), _gather(x, step))
    assert np.array_equal(join_steps(parts)[0].permute(1, 2, 0).numpy(), x)


def test_every_latent_after_the_first_step_has_context():
    """The savings of four steps over one come from these neighbours; without them files grow unnoticed."""
    for step in range(1, CONTEXT_STEPS):
        for phase in range(4):
            group = group_of(step, phase)
            here = {group_of(before, phase) for before in range(step)}
            around = {p for before in range(step) for p in range(4) if group_of(before, p) == group}
            assert len(here) == step
            assert group not in here
            # the neighbours across the corner come first, those across an edge as soon as there are two
            assert around == {phase ^ 3} if step == 1 else {phase ^ 1, phase ^ 2} <= around
