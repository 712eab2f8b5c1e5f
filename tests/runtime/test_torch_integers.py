"""The synthesis on a GPU, in its arithmetic on a CPU: it must be the one of ``integer_synthesis.py`` to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from aecodec import weights
from aecodec.quality import MAX_INDEX
from aecodec.runtime import integer_synthesis
from aecodec.runtime.integer_synthesis import IntegerSynthesis

torch_integers = pytest.importorskip("aecodec.runtime.torch_integers")


def some_latents(shape, size):
    """Latents of a Laplacian distribution, as a picture's are, and a few that no picture has."""
    rng = np.random.default_rng(3)
    values = rng.laplace(0, size, shape).astype(np.int32)
    values.flat[rng.integers(0, values.size, 3)] = (2**26, -(2**26), 40000)
    return values


@pytest.mark.parametrize("shape", [(1, 1), (5, 3)])
def test_a_gpu_shows_the_pixels_that_a_cpu_shows(tiny, shape):
    """A picture would differ from machine to machine, and a hash of it would prove nothing."""
    model = weights.load(str(tiny[1]))
    on_gpu, page = torch_integers.TorchIntegers(model, "cpu"), IntegerSynthesis.of(model)
    for rate, size in ((0, 30), (700, 300), (MAX_INDEX, 3000)):
        values = some_latents((*shape, model.arch.latents), size)
        for depth in (8, 12):
            assert np.array_equal(on_gpu.synthesise(values, rate, depth), page.synthesise(values, rate, depth))


@pytest.mark.slow
def test_it_does_so_with_the_installed_weights():
    """These have an edge filter, and rows with large sums."""
    for name in weights.names():
        model = weights.load(name)
        values = some_latents((3, 4, model.arch.latents), 200)
        found = torch_integers.TorchIntegers(model, "cpu").synthesise(values, 1000)
        assert np.array_equal(found, IntegerSynthesis.of(model).synthesise(values, 1000))


def test_sums_of_pieces_are_exact_in_float32():
    """Float32 has integers up to 2**24; beyond it a GPU would round where a CPU does not."""
    torch = pytest.importorskip("torch")
    most = integer_synthesis.WEIGHTS_MAX // 127 // 9 + 1
    row = np.full((1, most, 3, 3), 127, np.int8)
    row.flat[integer_synthesis.WEIGHTS_MAX // 127 :] = 0
    layer = integer_synthesis.Convolution(row, np.ones(1), np.zeros(1, np.int64), integer_synthesis.INPUT_MAX)
    for value in (31, -32, 32, integer_synthesis.INPUT_MAX, -integer_synthesis.INPUT_MAX):
        x = np.full((3, 3, most), value, np.int64)
        x[0, 0, 0] += 1 if value < 0 else -1
        found = torch_integers._Layer(layer, "cpu").sums(torch.from_numpy(x)).numpy()
        assert np.array_equal(found, layer.sums(x))
