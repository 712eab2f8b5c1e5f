"""Compute the integer layers in plain int64, by shifts and sums: slow, and right wherever integers are.

The tests compare ``entropy/integer.py`` with this, and ``certificate.exact`` falls back to it, with a warning, on a machine
whose float32 matrix product fails the known-answer test.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aecodec.entropy.integer import ACTIVATION_MAX, IntegerLayer, interpolate


def _requantise(
    layer: IntegerLayer, sums: NDArray[np.int64], rows: slice | NDArray[np.intp] = slice(None)
) -> NDArray[np.float32]:
    """Return (sum + 2**(shift - 1)) >> shift, an arithmetic shift; a negative shift multiplies."""
    shift = layer.shift[rows]
    right, left = np.maximum(shift, 0), np.maximum(-shift, 0)
    sums = ((sums << left) + ((1 << right) >> 1)) >> right
    if layer.relu:
        sums = np.clip(sums, 0, ACTIVATION_MAX)
    return sums.astype(np.float32)


def apply(layer: IntegerLayer, x: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Compute ``integer.apply``: (h, w, I) to (h, w, O)."""
    h, w, _ = x.shape
    kernel = layer.weight.shape[-1]
    pad = kernel // 2
    padded = np.pad(x.astype(np.int64), ((pad, pad), (pad, pad), (0, 0)))
    sums = np.broadcast_to(interpolate(layer.bias, rate), (h, w, layer.weight.shape[0])).copy()
    weight = layer.weight.astype(np.int64)
    for i in range(kernel):
        for j in range(kernel):
            view = padded[i : i + h, j : j + w]
            sums += view * weight[:, 0, i, j] if layer.depthwise else view @ weight[:, :, i, j].T
    return _requantise(layer, sums)


def apply_rows(layer: IntegerLayer, x: NDArray[np.float32], rate: int, rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """Compute ``integer.apply_rows``: (n, I) to (n, len(rows))."""
    sums = x.astype(np.int64) @ layer.weight[rows, :, 0, 0].T.astype(np.int64) + interpolate(layer.bias, rate)[rows]
    return _requantise(layer, sums, rows)
