"""Run the search of ``_trellis.c`` in numpy, for machines without the extension: same symbols, much slower."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STATES = 256
HALF = STATES // 2
ODD_STATE = 104
ODD_SYMBOL = 120
RENORMALISE = 32
UNREACHED = 1e6
_FIRST = np.array([[0, 2], [3, 1]], np.float32)  # [quantiser][parity]: the smallest point, zero in quantiser 1 left out


def search(
    residuals: NDArray[np.float32],
    levels: NDArray[np.uint8],
    bits: NDArray[np.float32],
    level_count: int,
    step: float,
    distortion: float,
    symbols: NDArray[np.int32],
    quantisers: NDArray[np.uint8],
) -> None:
    """Fill symbols (n,) int32 and quantisers (n,) uint8.

    The arguments are those of ``trellis.search``, with the distortion in bits per squared step.
    """
    if levels.size and (levels.max() >= level_count or not np.abs(residuals).max() < 1e8):
        raise TypeError("arrays have the wrong item size or do not fit each other")
    magnitudes, costs = _branches(residuals, levels, bits, np.float32(step), np.float32(distortion))
    half = np.arange(HALF)
    lower = 2 * half, 2 * (half ^ ODD_SYMBOL)
    upper = 2 * (half ^ ODD_STATE) + 1, 2 * (half ^ ODD_STATE ^ ODD_SYMBOL) + 1
    sources = [np.concatenate([lower[parity], upper[parity]]) for parity in (0, 1)]
    now = np.full(STATES, UNREACHED, np.float32)
    now[0] = 0
    odd_is_better = np.empty((levels.size, STATES), bool)
    for i, of_quantisers in enumerate(costs):
        cost = np.repeat(of_quantisers, HALF, 0)  # (states, parities)
        even, odd = now[sources[0]] + cost[:, 0], now[sources[1]] + cost[:, 1]
        np.less(odd, even, out=odd_is_better[i])
        now = np.minimum(even, odd)
        if i % RENORMALISE == RENORMALISE - 1:
            now -= now[0]
    state = int(now.argmin())
    for i in range(levels.size - 1, -1, -1):
        parity, quantiser = int(odd_is_better[i, state]), state // HALF
        state = int(sources[parity][state])
        symbols[i] = magnitudes[i, quantiser, parity]
        quantisers[i] = quantiser
    np.negative(symbols, out=symbols, where=residuals < 0)


def _branches(
    residuals: NDArray[np.float32],
    levels: NDArray[np.uint8],
    bits: NDArray[np.float32],
    step: np.float32,
    distortion: np.float32,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the best magnitudes int32 and their costs float32, (n, 2, 2) by quantiser and parity."""
    top = bits.shape[2] - 1
    size = (np.abs(residuals) / step)[:, None, None]
    point = 4 * np.maximum(np.rint((size - _FIRST) * np.float32(0.25)), 0) + _FIRST
    quantiser = np.array([[0], [1]])
    magnitude = (point.astype(np.int32) + quantiser) // 2
    error = point - size
    cost = bits[quantiser, levels[:, None, None], np.minimum(magnitude, top)] + distortion * (error * error)
    zero = bits[quantiser, levels[:, None, None], 0] + distortion * (size * size)
    better = zero[:, :, 0] <= cost[:, :, 0]
    magnitude[:, :, 0][better] = 0
    cost[:, :, 0][better] = zero[:, :, 0][better]
    return magnitude, cost
