"""The model as it is trained."""

from __future__ import annotations

import math

import torch

from aecodec.networks.context import join_steps, split_steps
from aecodec.networks.model import BIN, gaussian_bits, training_bits


def test_splitting_into_steps_loses_and_moves_nothing():
    """A latent in the wrong place would be predicted from its own neighbours' future."""
    y = torch.arange(2 * 16 * 4 * 6, dtype=torch.float32).reshape(2, 16, 4, 6)
    assert torch.equal(join_steps(split_steps(y)), y)
    partial = join_steps(split_steps(y)[:2])
    assert ((partial == y) | (partial == 0)).all()
    assert (partial[:, :, 1:] != 0).float().mean() == 0.5


def test_the_derivative_of_the_bits_is_that_of_their_value():
    """It is written by hand, for speed; a wrong sign would train a worse codec without failing."""
    x = torch.tensor([0.0, 0.3, -0.7, 2.0, -5.0, 20.0], dtype=torch.double, requires_grad=True)
    log_scale = torch.tensor([1.0, 0.2, 1.5, 2.0, 3.0, 4.5], dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(gaussian_bits, (x, log_scale))


def test_noise_is_for_the_transforms_alone():
    """Means and scales that learn from noisy latents cost rate, and so do transforms that learn from symbols."""
    given = [torch.linspace(-1, 1, 64), torch.linspace(-0.2, 0.3, 64), torch.linspace(0, 2, 64)]
    gradients = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        y, mean, log_scale = (value.clone().requires_grad_() for value in given)
        training_bits(y, mean, log_scale).sum().backward()
        gradients.append((y.grad, mean.grad, log_scale.grad))
    (noisy, *first), (other, *second) = gradients
    assert not torch.allclose(noisy, other)
    mean, log_scale = (value.clone().requires_grad_() for value in given[1:])
    gaussian_bits((given[0] - mean) / BIN, log_scale - math.log(BIN)).sum().backward()
    for ours, theirs in zip((*first, *second), (mean.grad, log_scale.grad) * 2, strict=True):
        assert torch.allclose(ours, theirs)
