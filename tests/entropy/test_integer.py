"""Integer layers in float32: any sum that is not exact makes a file unreadable on another machine."""

from __future__ import annotations

from decimal import Decimal, getcontext
from fractions import Fraction
from math import floor

import numpy as np
import pytest
import torch

from aecodec.entropy import integer, reference as fallback
from aecodec.entropy.integer import (
    ACTIVATION_FRAC,
    ACTIVATION_MAX,
    BIAS_LIMIT,
    COMPAND_FRAC,
    COMPAND_MAX,
    COMPAND_STEPS,
    EXACT_LIMIT,
    MEAN_FRAC,
    SUM_LIMIT,
    WEIGHT_MAX,
    IntegerLayer,
)
from aecodec.networks.integer import compand as torch_compand
from aecodec.quality import INDICES_PER_INTERVAL, KNOTS, MAX_INDEX


@pytest.fixture(autouse=True, params=["compiled", "numpy"])
def implementation(request, monkeypatch):
    """Every test here runs with the compiled kernels and without."""
    if request.param == "numpy":
        monkeypatch.setattr(integer, "_compiled", None)
    elif integer._compiled is None:
        pytest.skip("no compiled kernels; a compiler at install time makes them")


SHIFTS = [-3, -1, 0, 1, 2, 9, 14]


def make_layer(weight: np.ndarray, bias: np.ndarray, shifts: np.ndarray, relu: bool = False) -> IntegerLayer:
    """A layer whose output channels are shifted right by ``shifts``."""
    out_frac = np.full(len(weight), ACTIVATION_FRAC)
    return IntegerLayer(weight.astype(np.int8), bias.astype(np.int32), shifts.astype(np.int8), out_frac, relu)


def reference(layer: IntegerLayer, x: np.ndarray, rate: int) -> np.ndarray:
    """The layer as the format describes it, in 64-bit integers."""
    h, w, _ = x.shape
    kernel = layer.weight.shape[-1]
    pad = kernel // 2
    x = np.pad(x.astype(np.int64), ((pad, pad), (pad, pad), (0, 0)))
    weight = layer.weight.astype(np.int64)
    low, part = divmod(rate, 256)
    sums = np.zeros((h, w, len(weight)), np.int64)
    for i in range(kernel):
        for j in range(kernel):
            view = x[i : i + h, j : j + w]
            depthwise = weight.shape[1] == 1
            sums += view * weight[:, 0, i, j] if depthwise else np.einsum("hwi,oi->hwo", view, weight[:, :, i, j])
    for o, shift in enumerate((layer.exponent + layer.input_frac - layer.out_frac).tolist()):
        bias = [int(b) for b in layer.bias[:, o]]
        bias.append(bias[-1])  # the last knot has no interval after it
        sums[..., o] += floor(Fraction(bias[low] * (256 - part) + bias[low + 1] * part, 256) + Fraction(1, 2))
        sums[..., o] = (sums[..., o] + (1 << (shift - 1))) >> shift if shift > 0 else sums[..., o] << -shift
    return sums.clip(0, 255) if layer.relu else sums


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(
    ("inputs", "outputs", "kernel"), [(40, 24, 1), (12, 24, 3), (1, 24, 3)], ids=["1x1", "3x3", "depthwise"]
)
def test_random_layers_equal_integer_arithmetic(inputs, outputs, kernel, relu):
    """Without this, the C decoder that somebody writes from docs/format.md reads other pictures than ours."""
    random = np.random.default_rng(inputs + kernel)
    layer = make_layer(
        random.integers(-127, 128, (outputs, inputs, kernel, kernel)),
        random.integers(-(2**18), 2**18, (KNOTS, outputs)),
        np.resize([*SHIFTS, 11, 12], outputs),
        relu,
    )
    x = random.integers(0, 256, (7, 5, outputs if inputs == 1 else inputs))
    for rate in (0, 1, 700, MAX_INDEX - 1, MAX_INDEX):
        expected = reference(layer, x, rate)
        assert len(np.unique(expected)) > 20
        assert np.array_equal(integer.apply(layer, x.astype(np.float32), rate), expected)
        assert np.array_equal(fallback.apply(layer, x.astype(np.float32), rate), expected)


@pytest.mark.parametrize(("per_group", "kernel"), [(259, 1), (28, 3), (1, 3)], ids=["1x1", "3x3", "depthwise"])
@pytest.mark.parametrize("sign", [-1, 1])
def test_largest_sums_equal_integer_arithmetic(per_group, kernel, sign):
    """The proof of exactness stands or falls with the largest sums that the certificate lets through."""
    outputs = 4 * len(SHIFTS)
    weight = np.full((outputs, per_group, kernel, kernel), sign * WEIGHT_MAX)
    assert per_group == 1 or SUM_LIMIT * 0.97 < per_group * kernel**2 * WEIGHT_MAX * ACTIVATION_MAX < SUM_LIMIT
    # odd and even sums, and such as lie on either side of a rounding tie
    bias = np.tile(sign * (BIAS_LIMIT - np.arange(outputs)), (KNOTS, 1))
    layer = make_layer(weight, bias, np.repeat(SHIFTS, 4))
    assert layer.bound().max() < EXACT_LIMIT
    x = np.full((3, 3, outputs if per_group == 1 else per_group), ACTIVATION_MAX)
    expected = reference(layer, x, 0)
    assert np.array_equal(integer.apply(layer, x.astype(np.float32), 0), expected)
    assert np.array_equal(fallback.apply(layer, x.astype(np.float32), 0), expected)


def test_bound_is_reached_but_not_passed():
    """A certificate that understates a sum would certify a model that two machines decode differently."""
    random = np.random.default_rng(3)
    weight = random.integers(-127, 128, (6, 20, 1, 1))
    bias = random.integers(-1000, 1000, (KNOTS, 6))
    layer = make_layer(weight, bias, np.full(6, 9))
    taps = weight[:, :, 0, 0]
    largest = [np.where(sign * taps > 0, 255, 0) for sign in (1, -1)]
    reached = [np.abs((taps * x).sum(1) + bias).max(0) + 2**8 for x in largest]
    assert np.all(np.max(reached, 0) <= layer.bound())
    one_signed = make_layer(np.abs(weight), np.abs(bias), np.full(6, 9))
    assert np.array_equal(255 * np.abs(taps).sum(1) + np.abs(bias).max(0) + 2**8, one_signed.bound())


def test_rows_are_rows_of_the_whole_layer():
    """A context step computes a quarter of its last layer; a wrong quarter would be predictions for other latents."""
    random = np.random.default_rng(4)
    layer = make_layer(random.integers(-127, 128, (16, 9, 1, 1)), random.integers(-99, 99, (KNOTS, 16)), np.arange(16))
    x = random.integers(0, 256, (10, 9)).astype(np.float32)
    rows = np.array([3, 14, 0])
    whole = reference(layer, x[:, None], 300)[:, 0]
    assert np.array_equal(integer.apply_rows(layer, x, 300, rows), whole[:, rows])
    assert np.array_equal(fallback.apply_rows(layer, x, 300, rows), whole[:, rows])


def test_shuffle_equals_torch():
    """A model is trained with torch's order of channels; any other order decodes to noise."""
    x = np.arange(2 * 3 * 20).reshape(2, 3, 20)
    expected = torch.pixel_shuffle(torch.from_numpy(x).permute(2, 0, 1), 2).permute(1, 2, 0).numpy()
    assert np.array_equal(integer.shuffle(x, 2), expected)


def test_interpolation_at_knots_ends_and_ties():
    """Biases between the knots belong to the format: rounding them otherwise breaks every file of such a quality."""
    table = np.random.default_rng(5).integers(-(2**22), 2**22, (KNOTS, 7), dtype=np.int32)
    for knot in range(KNOTS):
        assert np.array_equal(integer.interpolate(table, knot * INDICES_PER_INTERVAL), table[knot])
    ties = np.array([[0, 1, -1, -3], [1, 0, 0, 0], *np.zeros((KNOTS - 2, 4))], np.int32)
    assert integer.interpolate(ties, INDICES_PER_INTERVAL // 2).tolist() == [1, 1, 0, -1]
    assert integer.interpolate(ties, INDICES_PER_INTERVAL // 2 - 1).tolist() == [0, 1, -1, -2]
    for rate in (-1, MAX_INDEX + 1):
        with pytest.raises(ValueError, match="outside"):
            integer.interpolate(table, rate)


@pytest.mark.slow
def test_compand_is_the_rounded_logarithm_and_never_near_a_tie():
    """An entry near a tie would depend on the libm that computes it, and with it every latent that follows."""
    getcontext().prec = 30
    latents = np.arange(2**13, dtype=np.int32)
    table = integer.compand(latents)
    assert table[-1] == table[-1000] == COMPAND_MAX
    for latent, actual in zip(latents.tolist(), table.tolist(), strict=True):
        exact = (1 + Decimal(latent) / 2**MEAN_FRAC).ln() / Decimal(2).ln() * COMPAND_STEPS
        if actual < COMPAND_MAX:
            assert abs(exact % 1 - Decimal("0.5")) > 1e-6
            assert actual == floor(exact + Decimal("0.5"))
        else:
            assert exact > COMPAND_MAX - Decimal("0.5")
    assert np.array_equal(integer.compand(-latents), -table)


def test_compand_equals_the_one_in_training():
    """If the context networks saw other values than in training, files would grow and nothing else would tell."""
    latents = np.arange(-5000, 5001, dtype=np.int32)
    trained = torch_compand(torch.from_numpy(latents).float() * 2.0**-MEAN_FRAC)
    assert np.array_equal(integer.compand(latents), trained.numpy() * 2**COMPAND_FRAC)


def test_kernels_refuse_arrays_that_do_not_fit(implementation):
    """C that believes its caller reads what is not its own."""
    kernels = integer._compiled
    if kernels is None:
        return
    four, five = np.zeros(4, np.float32), np.zeros(5, np.float32)
    for sums, bias, scale, half in (
        (five, four, four, four),
        (four, five, four, four),
        (four, four, five, four),
        (four, four, four, five),
        (four, four[:0], four[:0], four[:0]),
    ):
        with pytest.raises(ValueError, match="fit"):
            kernels.requantise(sums, bias, scale, half, 0, 1)
    x, taps = np.zeros(2 * 3 * 4, np.float32), np.zeros(9 * 4, np.float32)
    shorter = x[1:].copy()
    for arrays in ((x, taps, shorter), (shorter, taps, x), (x, taps[1:].copy(), x)):
        with pytest.raises(ValueError, match="fit"):
            kernels.depthwise(*arrays, (2, 3))
    for shape in ((3, 3), (-2, -3), (2**62, 4)):
        with pytest.raises(ValueError, match="fit"):
            kernels.depthwise(x, taps, x, shape)
