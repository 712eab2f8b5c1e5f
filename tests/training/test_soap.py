"""The optimiser: it must be Adam in another basis, and worth the trouble."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from aecodec.training.soap import Soap


def train(optimiser_of, steps: int = 150) -> float:
    """Final loss of a convolution that must undo an ill-conditioned mixture of its input channels."""
    generator = torch.Generator().manual_seed(1)
    mixture = torch.randn(8, 8, generator=generator) * torch.logspace(0, -2, 8)
    layer = nn.Conv2d(8, 8, 3, padding=1)
    with torch.no_grad():
        layer.weight.copy_(0.01 * torch.randn(layer.weight.shape, generator=generator))
        layer.bias.zero_()
    optimiser = optimiser_of(layer.parameters())
    for _ in range(steps):
        x = torch.randn(4, 8, 16, 16, generator=generator)
        loss = F.mse_loss(layer(F.conv2d(x, mixture[:, :, None, None])), x)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return loss.item()


def test_it_learns_what_adam_learns_slowly():
    """Correlated inputs of very different sizes are what it is for; a wrong basis or sign would not learn at all."""
    assert train(lambda p: Soap(p, lr=3e-2)) < 0.8 * train(lambda p: torch.optim.Adam(p, lr=3e-2))


def test_tables_and_biases_get_adam():
    """Only convolutions have two sides; the rest must train as before."""
    values = {}
    for kind in (Soap, torch.optim.Adam):
        parameter = nn.Parameter(torch.tensor([[1.0, -2.0], [0.5, 3.0]]))
        optimiser = kind([parameter], lr=0.1, betas=(0.9, 0.99))
        for step in range(5):
            optimiser.zero_grad()
            (parameter**2 * (step + 1)).sum().backward()
            optimiser.step()
        values[kind] = parameter.detach()
    assert torch.allclose(values[Soap], values[torch.optim.Adam], atol=1e-5)


def test_a_resumed_run_goes_on_as_if_it_had_not_stopped():
    """A basis that is lost with the checkpoint would throw the moments away."""
    def gradients(parameter, seed):
        parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))

    one = nn.Parameter(torch.zeros(6, 5, 3, 3))
    whole = Soap([one], lr=0.01, refresh=3)
    for seed in range(4):
        gradients(one, seed)
        whole.step()
    two = nn.Parameter(one.detach().clone())
    resumed = Soap([two], lr=0.01, refresh=3)
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    for seed in range(4, 9):
        for parameter, optimiser in ((one, whole), (two, resumed)):
            gradients(parameter, seed)
            optimiser.step()
    assert torch.equal(one, two)


@pytest.mark.parametrize("shape", [(3, 4, 1, 1), (4, 1, 3, 3), (2, 3, 5, 5)])
def test_first_step_has_the_size_of_the_learning_rate(shape):
    """As Adam's; a learning rate would mean something else in each layer otherwise."""
    parameter = nn.Parameter(torch.zeros(shape).contiguous(memory_format=torch.channels_last))
    optimiser = Soap([parameter], lr=0.1)
    parameter.grad = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    optimiser.step()
    assert 0.05 < parameter.detach().square().mean().sqrt() < 0.11
