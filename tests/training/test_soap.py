"""The optimiser: it must be Adam in another basis, and worth the trouble."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from aecodec.training import soap
from aecodec.training.soap import Soap


def train(optimiser_of, steps: int = 150, outputs: int = 8) -> float:
    """Final loss of a convolution that must undo an ill-conditioned mixture of 8 input channels, some of them twice."""
    generator = torch.Generator().manual_seed(1)
    mixture = torch.randn(8, 8, generator=generator) * torch.logspace(0, -2, 8)
    layer = nn.Conv2d(8, outputs, 3, padding=1)
    with torch.no_grad():
        layer.weight.copy_(0.01 * torch.randn(layer.weight.shape, generator=generator))
        layer.bias.zero_()
    optimiser = optimiser_of(layer.parameters())
    for _ in range(steps):
        x = torch.randn(4, 8, 16, 16, generator=generator)
        loss = F.mse_loss(layer(F.conv2d(x, mixture[:, :, None, None])), x[:, torch.arange(outputs) % 8])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return loss.item()


def test_it_learns_what_adam_learns_slowly():
    """Correlated inputs of very different sizes are what it is for; a wrong basis or sign would not learn at all."""
    assert train(lambda p: Soap(p, lr=3e-2)) < 0.8 * train(lambda p: torch.optim.Adam(p, lr=3e-2))


def test_a_side_that_is_too_large_keeps_its_basis(monkeypatch):
    """The other side is turned all the same, which is what helps here."""
    monkeypatch.setattr(soap, "LARGEST_SIDE", 8)
    kept = []

    def one_sided(parameters):
        kept.append(Soap(parameters, lr=3e-2))
        return kept[0]

    assert train(one_sided, outputs=12) < 0.8 * train(lambda p: torch.optim.Adam(p, lr=3e-2), outputs=12)
    (kernel,) = [state for state in kept[0].state.values() if "in" in state]
    assert "out" not in kernel
    assert kernel["in"].shape == (8, 8)


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


def _steps(parameter, gradient_of, **options):
    """The parameter after six steps with random gradients."""
    optimiser = Soap([{"params": [parameter], **options}], lr=0.01, refresh=2)
    for seed in range(6):
        parameter.grad = gradient_of(torch.Generator().manual_seed(seed))
        optimiser.step()
    return parameter.detach()


def test_a_unit_is_another_scale_for_a_parameter():
    """Linear paths have weights of 0.005, others of 0.2; in one unit either the first explode or the others stand."""
    unit = torch.tensor([1 / 64, 1 / 8, 1.0, 8.0]).view(1, 4, 1, 1)  # powers of two, whose products round alike
    start = torch.randn(5, 4, 1, 1, generator=torch.Generator().manual_seed(9))
    plain = _steps(nn.Parameter(start.clone()), lambda g: torch.randn(5, 4, 1, 1, generator=g))
    scaled = _steps(nn.Parameter(start * unit), lambda g: torch.randn(5, 4, 1, 1, generator=g) / unit, unit=unit)
    assert torch.allclose(scaled, plain * unit, rtol=2e-2, atol=0)  # bfloat16


def test_a_patch_is_one_side_of_a_matrix():
    """What is correlated in a linear transform are the samples of a block; its three channels alone would tell nothing."""

    def gradient(g):
        return torch.randn(5, 3, 8, 8, generator=g)

    as_patch = _steps(nn.Parameter(torch.zeros(5, 3, 8, 8).contiguous(memory_format=torch.channels_last)), gradient)
    as_matrix = _steps(nn.Parameter(torch.zeros(5, 192, 1, 1)), lambda g: gradient(g).view(5, 192, 1, 1))
    assert torch.allclose(as_patch.flatten(), as_matrix.flatten(), atol=1e-6)


def test_convolutions_of_one_shape_are_trained_alike_together_and_apart(monkeypatch):
    """On a GPU they are stacked; that must change the launches and nothing else."""
    trained = []
    for stacks in (False, True):
        monkeypatch.setattr(Soap, "_stacks", staticmethod(lambda p, stacks=stacks: stacks))
        parameters = [nn.Parameter(torch.zeros(6, 5, 3, 3).contiguous(memory_format=torch.channels_last)) for _ in range(3)]
        parameters += [nn.Parameter(torch.zeros(6)), nn.Parameter(torch.zeros(7, 5, 1, 1))]
        optimiser = Soap(parameters, lr=0.01, refresh=3)
        generator = torch.Generator().manual_seed(1)
        for _ in range(8):
            for p in parameters:
                p.grad = torch.randn(p.shape, generator=generator)
            optimiser.step()
        trained.append(parameters)
        assert sum("in" in state for state in optimiser.state.values()) == (2 if stacks else 4)
    for one, other in zip(*trained, strict=True):
        assert one.abs().max() > 0.02
        assert torch.allclose(one, other, atol=1e-4)
