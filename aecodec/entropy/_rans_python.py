"""Run the loops of ``_rans.c`` in Python, for machines without the extension: same bytes, same errors, much slower."""

from __future__ import annotations

import struct
from bisect import bisect_right
from typing import Any

import numpy as np
from numpy.typing import NDArray

PRECISION = 16
SLOT_MASK = (1 << PRECISION) - 1
LOWER = 1 << 31
ESCAPE_DIGITS = 7
ESCAPE_SHIFT = PRECISION - 4  # a digit and its flag are a nibble, all sixteen equally likely
ESCAPE_FREQUENCY = 1 << ESCAPE_SHIFT
ODD_STATE, ODD_SYMBOL = 232, 120  # trellis.py: what the states of dependent symbols do

State = tuple[int, int, int]  # state of the next operation, state of the one after, bytes read


def encode(
    symbols: NDArray[np.int32],
    levels: NDArray[np.uint8],
    radius: NDArray[np.int32],
    cdf: NDArray[np.uint32],
    start: NDArray[np.int32],
) -> bytes:
    """Encode symbols (n,) int32 with levels (n,) uint8. Raises ValueError for a value that no escape can hold."""
    cdfs = _lists(levels, radius, cdf, start)
    operations = []
    for value, level in zip(symbols.tolist(), levels.tolist(), strict=True):
        table = cdfs[level]
        r = len(table) // 2 - 1
        beyond = abs(value) - r - 1
        symbol = value + r if beyond < 0 else 2 * r + 1
        operations.append((table[symbol + 1] - table[symbol], table[symbol]))
        if beyond < 0:
            continue
        if beyond >> (3 * ESCAPE_DIGITS - 1):
            raise ValueError("value is too large for an escape")
        rest = 2 * beyond + (value < 0)
        while True:
            nibble = rest & 7 | (8 if rest > 7 else 0)
            operations.append((ESCAPE_FREQUENCY, nibble << ESCAPE_SHIFT))
            rest >>= 3
            if not rest:
                break
    words = []
    x = y = LOWER
    for frequency, first in reversed(operations):
        x, y = y, x
        if x >= (LOWER >> PRECISION << 32) * frequency:
            words.append(x & 0xFFFFFFFF)
            x >>= 32
        x = (x // frequency << PRECISION) + x % frequency + first
    return struct.pack(f"<2Q{len(words)}I", x, y, *reversed(words))


def decode(
    data: bytes,
    levels: NDArray[np.uint8],
    symbols: NDArray[np.int32],
    state: State,
    radius: NDArray[np.int32],
    cdf: NDArray[np.uint32],
    start: NDArray[np.int32],
    lookup: NDArray[np.uint16],
    stride: int,
) -> State:
    """Fill symbols (n,) int32 and return the state after them. Raises ValueError for a damaged stream.

    Where ``stride`` is not 0 the symbols are dependent: the table is the one of the level plus stride in quantiser 0 and
    plus 2 stride in quantiser 1, and multiples are stored in the place of symbols.
    """
    del lookup  # bisection is faster here
    cdfs = _lists(np.concatenate([np.unique(levels).astype(int) + q * stride for q in (1, 2)]), radius, cdf, start)
    trellis = 0
    x, y, position = state

    def pop(frequency: int, first: int) -> None:
        nonlocal x, y, position
        x = frequency * (x >> PRECISION) + (x & SLOT_MASK) - first
        if x < LOWER:
            word = data[position : position + 4]
            if len(word) < 4:
                raise ValueError("stream is truncated")
            x = x << 32 | int.from_bytes(word, "little")
            position += 4
        x, y = y, x

    def pop_escape(r: int) -> int:
        rest, nibble, shift = 0, 8, 0
        while nibble & 8:
            if shift == 3 * ESCAPE_DIGITS:
                raise ValueError("escape is too long")
            nibble = (x & SLOT_MASK) >> ESCAPE_SHIFT
            pop(ESCAPE_FREQUENCY, nibble << ESCAPE_SHIFT)
            rest |= (nibble & 7) << shift
            shift += 3
        magnitude = r + 1 + (rest >> 1)
        return -magnitude if rest & 1 else magnitude

    for i, level in enumerate(levels.tolist()):
        quantiser = trellis & 1
        table = cdfs[level + stride * (1 + quantiser)]
        r = len(table) // 2 - 1
        symbol = bisect_right(table, x & SLOT_MASK) - 1
        pop(table[symbol + 1] - table[symbol], table[symbol])
        value = symbol - r if symbol <= 2 * r else pop_escape(r)
        symbols[i] = value
        if stride:
            symbols[i] = 2 * value - quantiser * ((value > 0) - (value < 0))
            trellis = (trellis >> 1) ^ (ODD_STATE if quantiser else 0) ^ (ODD_SYMBOL if value & 1 else 0)
    return x, y, position


def _lists(
    levels: NDArray[np.integer[Any]], radius: NDArray[np.int32], cdf: NDArray[np.uint32], start: NDArray[np.int32]
) -> dict[int, list[int]]:
    """Return the cdfs of the levels that occur, as lists: their items are Python integers, which cannot overflow."""
    return {
        level: cdf[start[level] : start[level] + 2 * radius[level] + 3].tolist() for level in np.unique(levels).tolist()
    }
