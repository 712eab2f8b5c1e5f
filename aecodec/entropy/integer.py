"""Compute the layers that decide what the entropy decoder sees, in integer arithmetic carried by float32.

The decoder must rebuild exactly the tables that the encoder used, on any machine. So every network between the
hyper-latents and the scale indices computes with integers: 8-bit activations, int8 weights, sums below 2**24. A float32
matrix product of such integers is exact whatever the order of summation, the library, the number of threads or the use
of fused multiply-add, because every partial sum is an integer that float32 holds.

Fixed point: an activation ``a`` stands for ``a * 2**-frac``, a weight ``w`` for ``w * 2**-k`` with one ``k`` per output
channel. Requantisation is a rounding shift, ties upward: ``(sum + 2**(s - 1)) >> s`` with ``s = k + frac_in - frac_out``,
which in float32 is ``floor(sum * 2**-s + 0.5)`` and exact because ``|sum| + 2**(s - 1) < 2**24``.

(Balle, Johnston, Minnen, "Integer networks for data compression with latent-variable models", ICLR 2019.)
"""

from __future__ import annotations

import contextlib
import functools
import os
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from aecodec.quality import MAX_INDEX

Scalar = TypeVar("Scalar", bound=np.generic)


class _Kernels(Protocol):
    """What ``_integer.c`` has."""

    def requantise(
        self,
        sums: NDArray[np.float32],
        bias: NDArray[np.float32],
        scale: NDArray[np.float32],
        half: NDArray[np.float32],
        low: float,
        high: float,
        /,
    ) -> None: ...

    def depthwise(
        self, x: NDArray[np.float32], taps: NDArray[np.float32], out: NDArray[np.float32], size: tuple[int, int], /
    ) -> None: ...


_compiled: _Kernels | None = None
if not os.environ.get("AECODEC_PURE_PYTHON"):
    with contextlib.suppress(ImportError):
        from aecodec.entropy import _integer

        _compiled = _integer

ACTIVATION_FRAC = 6  # hidden activations: unsigned 8 bits, 0 .. 3.98
ACTIVATION_MAX = 255
COMPAND_FRAC = ACTIVATION_FRAC  # they enter one sum with activations
COMPAND_STEPS = 16  # per octave of 1 + |latent|
COMPAND_MAX = 127  # also the largest |z|
WEIGHT_MAX = 127
MAX_EXPONENT = 14
SUM_LIMIT = 2**23  # sum(|w|) * max|a| of an output channel stays below this
BIAS_LIMIT = 2**22
EXACT_LIMIT = 2**24  # float32 holds every integer up to here
RAW_MEAN_FRAC = 8  # means as the context network puts them out, at gain 1
GAIN_FRAC = 12
GAIN_ROWS = 257  # gains are exponential in quality: a finer table, or linear steps between its rows would be far off
MEAN_FRAC = 4  # means at their gain, as they are added to symbols
MEAN_LIMIT = 2**26  # in those units; leaves room for a symbol in int32
SCALE_FRAC = 3  # scale indices are steps of 1/8 in the natural logarithm


def interpolate(table: NDArray[np.integer[Any]], rate: int) -> NDArray[np.int64]:
    """Interpolate a table at a rate index 0..MAX_INDEX in integers, ties upward.

    The rows (n, ...) are evenly spaced over the rate indices; n - 1 divides MAX_INDEX.
    """
    if not 0 <= rate <= MAX_INDEX:
        raise ValueError(f"rate index {rate} outside 0..{MAX_INDEX}")
    steps = MAX_INDEX // (len(table) - 1)
    low = min(rate // steps, len(table) - 2)
    part = rate - low * steps
    below, above = table[low : low + 2].astype(np.int64)
    found: NDArray[np.int64] = (below * (steps - part) + above * part + steps // 2) // steps
    return found


@dataclass(frozen=True)
class IntegerLayer:
    """One convolution as it is stored.

    weight: (O, I / groups, k, k) int8; bias: (KNOTS, O) int32, in units of 2**-(exponent + input_frac); exponent: (O,)
    int8; out_frac: (O,) fractional bits of the output; relu: whether the output is clamped to 0..255.
    """

    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    exponent: NDArray[np.int8]
    out_frac: NDArray[np.int64]
    relu: bool
    input_max: int = ACTIVATION_MAX
    input_frac: int = ACTIVATION_FRAC

    @property
    def shift(self) -> NDArray[np.int64]:
        """Return the right shift of the requantisation, (O,); negative shifts are exact multiplications."""
        return self.exponent.astype(np.int64) + self.input_frac - self.out_frac

    @functools.cached_property
    def matrix(self) -> NDArray[np.float32]:
        """Return the weights in float32 as the sums use them: (k * k * I, O), or (k * k, O) where depthwise."""
        if self.depthwise:
            return np.ascontiguousarray(self.weight.reshape(self.weight.shape[0], -1).T, np.float32)
        return self.weight.transpose(2, 3, 1, 0).reshape(-1, self.weight.shape[0]).astype(np.float32)

    @property
    def depthwise(self) -> bool:
        return self.weight.shape[1] == 1

    def bound(self) -> NDArray[np.int64]:
        """Return the largest magnitude that any sum of this layer can reach, (O,), rounding term included."""
        weights: NDArray[np.int64] = np.abs(self.weight.astype(np.int64)).sum((1, 2, 3))
        bias: NDArray[np.int64] = np.abs(self.bias.astype(np.int64)).max(0)
        return weights * self.input_max + bias + (1 << np.maximum(self.shift - 1, 0))

    @functools.cached_property
    def rounding(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the factor and the offset of the rounding shift, (O,) float32 each.

        Above 2**23 float32 has no halves to add.
        """
        half = np.where(self.shift > 0, np.float32(0.5), np.float32(0))
        return np.exp2(-self.shift).astype(np.float32), half

    def requantise(
        self, sums: NDArray[np.float32], bias: NDArray[np.float32], rows: slice | NDArray[np.intp] = slice(None)
    ) -> NDArray[np.float32]:
        """Apply bias, rounding shift and ReLU to exact sums (..., O), in place, and return them.

        ``rows`` are the output channels that the sums belong to.
        """
        scale, half = (part[rows] for part in self.rounding)
        low, high = (0, ACTIVATION_MAX) if self.relu else (-np.inf, np.inf)
        if _compiled:
            _compiled.requantise(sums, bias, scale, half, low, high)
            return sums
        sums += bias
        sums *= scale
        sums += half
        np.floor(sums, out=sums)
        return np.clip(sums, low, high, out=sums)


def _neighbourhood(x: NDArray[np.float32], kernel: int) -> list[NDArray[np.float32]]:
    """Return kernel**2 views (h, w, C) of x (h, w, C) in row-major kernel order, zero-padded."""
    pad = kernel // 2
    h, w, _ = x.shape
    padded = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    return [padded[i : i + h, j : j + w] for i in range(kernel) for j in range(kernel)]


def apply(layer: IntegerLayer, x: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Convolve integers x (h, w, I), held in float32, to float32 integers (h, w, O) of the same size."""
    kernel = layer.weight.shape[-1]
    h, w, _ = x.shape
    if layer.depthwise and _compiled and kernel == 3:
        sums = np.empty(x.shape, np.float32)
        _compiled.depthwise(np.ascontiguousarray(x), layer.matrix, sums, (h, w))
    elif layer.depthwise:
        views = _neighbourhood(x, kernel)
        sums = views[0] * layer.matrix[0]
        for view, tap in zip(views[1:], layer.matrix[1:], strict=True):
            sums += view * tap
    else:
        columns = x if kernel == 1 else np.concatenate(_neighbourhood(x, kernel), -1)
        sums = (columns.reshape(h * w, -1) @ layer.matrix).reshape(h, w, -1)
    return layer.requantise(sums, _bias(layer, rate))


def apply_rows(layer: IntegerLayer, x: NDArray[np.float32], rate: int, rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """Apply a 1x1 layer at positions x (n, I), for the output channels ``rows`` only; returns (n, len(rows))."""
    return layer.requantise(x @ layer.matrix[:, rows], _bias(layer, rate)[rows], rows)


def _bias(layer: IntegerLayer, rate: int) -> NDArray[np.float32]:
    return interpolate(layer.bias, rate).astype(np.float32)


def shuffle(x: NDArray[Scalar], factor: int) -> NDArray[Scalar]:
    """Shuffle pixels: (h, w, C * factor**2) to (h * factor, w * factor, C), channels ordered as torch orders them."""
    h, w, c = x.shape
    c //= factor**2
    return x.reshape(h, w, c, factor, factor).transpose(0, 3, 1, 4, 2).reshape(h * factor, w * factor, c)


def _compand_table() -> NDArray[np.float32]:
    # round(COMPAND_STEPS * log2(1 + |v|)); no entry is within 1e-6 of a tie, so every libm gives this table
    limit = int(2 ** ((COMPAND_MAX + 1) / COMPAND_STEPS) * 2**MEAN_FRAC)
    v = np.arange(limit + 1) / 2**MEAN_FRAC
    exact = np.log2(1 + v) * COMPAND_STEPS
    table: NDArray[np.float32] = np.minimum(np.floor(exact + 0.5), COMPAND_MAX).astype(np.float32)
    return table


_COMPAND = _compand_table()


def compand(y: NDArray[np.int32]) -> NDArray[np.float32]:
    """Map latents in units of 2**-MEAN_FRAC to the signed 8-bit logarithm that the context networks read, in float32."""
    return np.copysign(_COMPAND[np.minimum(np.abs(y), len(_COMPAND) - 1)], y.astype(np.float32))
