"""The kernels for CUDA devices in Triton's interpreter: they must compute what the plain functions do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aecodec.entropy import tables, trellis
from aecodec.entropy.gaussian import LEVELS, LEVELS_PER_NAT
from aecodec.networks import integer, model
from aecodec.networks.quantiser import DependentQuantiser

pytest.importorskip("triton")  # interpreted: tests/conftest.py says so


@pytest.fixture
def search(monkeypatch):
    """The search with pieces small enough to interpret."""
    from aecodec.networks import trellis_triton

    for name, value in {"PIECE": 64, "STARTS": 1, "_LANES": 2, "_BLOCK": 128}.items():
        monkeypatch.setattr(trellis_triton, name, value)
    return trellis_triton.search


def latents(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Residuals, some of them large, and their levels, two fifths of them 0."""
    rng = np.random.default_rng(seed)
    level = np.where(rng.random(n) < 0.4, 0, rng.integers(0, LEVELS, n)).astype(np.uint8)
    return (rng.standard_normal(n) * rng.choice([1, 8], n)).astype(np.float32), level


@pytest.mark.slow
def test_it_finds_the_symbols_of_the_coder(search):
    """Piece by piece, with what is not coded left out, as ``trellis.search`` does; the last piece is not whole."""
    residual, level = latents(150)
    bits = tables.costs(tables.frequencies(np.zeros((tables.QUANTISERS, LEVELS, tables.COUNTED + 1))))
    step, weight = trellis.STEP_SIZE, 6.0
    symbols, quantisers = search(*map(torch.from_numpy, (residual, level, bits)), step, weight * step**2)
    assert not symbols[level == 0].any()
    for piece in np.split(np.arange(150), [64, 128]):
        coded = piece[level[piece] > 0]
        expected = trellis.search(residual[coded], level[coded], bits, weight)
        assert np.array_equal(symbols[coded], expected[0])
        assert np.array_equal(quantisers[coded], expected[1])


@pytest.mark.slow
def test_pieces_cost_what_a_whole_sequence_does(search, monkeypatch):
    """Training on symbols that are dearer, or cheaper, than those of the coder would miss its aim."""
    from aecodec.networks import trellis_triton

    residual, level = latents(1024, 5)
    bits = tables.costs(tables.frequencies(np.zeros((tables.QUANTISERS, LEVELS, tables.COUNTED + 1))))
    step, weight, coded = trellis.STEP_SIZE, 6.0, level > 0

    def cost(symbols, quantisers) -> float:
        error = residual[coded] - step * trellis.multiples(symbols, quantisers)
        spent = bits[quantisers, level[coded], np.minimum(np.abs(symbols), tables.COUNTED)]
        return float(spent.sum() + weight * np.square(error).sum())

    whole = cost(*trellis.search(residual[coded], level[coded], bits, weight))
    off = {}
    for starts in (1, 4):
        monkeypatch.setattr(trellis_triton, "STARTS", starts)
        found = search(*map(torch.from_numpy, (residual, level, bits)), step, weight * step**2)
        off[starts] = cost(*(part.numpy()[coded] for part in found)) / whole - 1
    assert trellis_triton.STARTS == 4
    assert abs(off[4]) < 0.5 * off[1]


def test_the_quantiser_does_the_same_on_a_device(search, monkeypatch):
    """Values, bits, gradients and counts of one piece."""
    host, device = DependentQuantiser(), DependentQuantiser()
    monkeypatch.setattr(device, "_on_host", device._on_device)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)  # one trellis
    residual, level = (torch.from_numpy(part[:64]) for part in latents(64))
    found = []
    for quantiser in (host, device):
        r = residual.clone().requires_grad_()
        value, bits = quantiser(r, level / LEVELS_PER_NAT)
        value.sum().backward()
        found.append((value.detach(), bits, r.grad, quantiser.counts))
    assert found[0][3].sum() == (level > 0).sum()
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("kernel", [1, 3])
def test_weights_lie_on_the_same_grids(kernel):
    from aecodec.networks import integer_triton

    weight = torch.randn(6, 20, kernel, kernel, generator=torch.Generator().manual_seed(1))
    weight[2] = 0
    weight[3] *= 1e-4
    weight = weight.contiguous(memory_format=torch.channels_last)
    plain = integer._OnGrid.apply(weight, integer.ACTIVATION_MAX)
    total = integer.SUM_LIMIT / integer.ACTIVATION_MAX - weight[0].numel()
    fused = integer_triton.on_grid(weight, integer.WEIGHT_MAX, total, integer.MAX_EXPONENT)
    assert torch.equal(plain, fused)
    assert not torch.equal(plain, weight)


@pytest.mark.parametrize("quantise", [True, False])
def test_activations_and_companded_latents_are_the_same(quantise):
    from aecodec.networks import integer_triton

    generator = torch.Generator().manual_seed(2)
    x = torch.randn(2, 5, 7, 3, generator=generator) * torch.tensor([0.1, 3, 1e5])
    grad = torch.randn(x.shape, generator=generator).to(memory_format=torch.channels_last)
    top, steps = integer.ACTIVATION_MAX * 2.0**-integer.ACTIVATION_FRAC, 2.0**integer.ACTIVATION_FRAC
    factor, limit = integer._COMPAND_UNIT, integer._COMPAND_TOP
    for plain, fused, slope in (
        (lambda y: integer._Activation.apply(y, quantise, torch.float32),
         integer_triton.activation(x, top, steps, quantise, torch.float32),
         integer_triton.activation_slope(x, grad, top)),
        (lambda y: integer.compand(y, quantise),
         integer_triton.compand(x, factor, limit, 2.0**integer.COMPAND_FRAC, quantise),
         integer_triton.compand_slope(x, grad, factor, limit)),
    ):  # fmt: skip
        y = x.clone().requires_grad_()
        expected = plain(y)
        expected.backward(grad)
        assert torch.allclose(expected, fused, rtol=1e-6, atol=1e-6)
        assert torch.allclose(y.grad, slope, rtol=1e-5, atol=1e-6)


def test_bits_and_their_gradients_are_the_same(monkeypatch):
    """The interpreter has no erfc of its own; torch's stands in."""
    import triton.language as tl
    from triton.runtime.interpreter import TensorHandle

    from aecodec.networks import gaussian_triton

    def erfc(x):
        data = torch.erfc(torch.from_numpy(x.handle.data)).numpy()
        return tl.core.tensor(TensorHandle(data, x.handle.dtype), x.type)

    monkeypatch.setattr(gaussian_triton, "libdevice", type("libdevice", (), {"erfc": staticmethod(erfc)}))
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(500, generator=generator) * torch.logspace(-2, 2, 500)
    log_scale = torch.rand(500, generator=generator) * 9 - 1.5
    grad = torch.randn(500, generator=generator)
    a, b = x.clone().requires_grad_(), log_scale.clone().requires_grad_()
    expected = model.gaussian_bits(a, b)
    expected.backward(grad)
    assert torch.allclose(expected, gaussian_triton.bits(x, log_scale, model.UNIT, model.PROBABILITY_FLOOR), atol=1e-4)
    slopes = gaussian_triton.slopes(x, log_scale, grad, model.UNIT, model.PROBABILITY_FLOOR)
    for one, other in zip((a.grad, b.grad), slopes, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-5)
