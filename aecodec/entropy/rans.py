"""Turn signed integers, each with a table of probabilities, into bytes and back: the entropy coder.

An interleaved range asymmetric numeral system (rANS; Duda 2013, "Asymmetric numeral systems"; Giesen 2014, "Interleaved
entropy coders"). What follows defines the stream; all its integers are little-endian.

**Tables.** Each symbol comes with a *level*, the number of its table. Table l has a radius R and codes the values
-R..R and, last, an escape, 2R + 2 symbols in this order. Its cdf has 2R + 3 strictly increasing entries from 0 to
65536; symbol s has the *start* cdf[s] and the *frequency* cdf[s + 1] - cdf[s], in 1/65536.

**Operations.** A value v with |v| <= R is one operation, symbol v + R of its table. Any other value is the operation
of the escape followed by e = 2 (|v| - R - 1) + (v < 0) in base 8, least significant digit first. Each digit is one
operation of frequency 4096 and start 4096 * nibble; the nibble is the digit, plus 8 if another digit follows. There
are at most seven digits, so |v| <= R + 2**20.  (The last digit of several may be 0, though this encoder writes none.)

**States.** There are two, of 64 bits, always in [L, L * 2**32) with L = 2**31. They take turns: operation i, counted
over everything coded and digits too, uses state i % 2. Both draw on one sequence of 32-bit words.

**Stream.** State 0 (8 bytes), state 1 (8 bytes), then the words. If nothing is coded the stream is empty; an empty
stream stands for both states at L and no words.

**Decoding** an operation from its state x: slot = x mod 65536 selects the symbol (or nibble) with start <= slot < start
+ frequency; then x = frequency * (x div 65536) + slot - start; then, if x < L, x = x * 2**32 + the next word. After
the last operation both states are L and no word is left. Anything else is an error.

**Encoding** undoes that: it begins with both states at L and goes through the operations from the last to the first.
If x >= 2**47 * frequency it emits x mod 2**32 as a word and divides x by 2**32, rounding down; then
x = 65536 * (x div frequency) + x mod frequency + start. The words are stored in the reverse of this order.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from aecodec.entropy import _rans_python
from aecodec.entropy._rans_python import LOWER, PRECISION, State


class _Coder(Protocol):
    """The loops that ``_rans.c`` and ``_rans_python.py`` both have."""

    def encode(
        self,
        symbols: NDArray[np.int32],
        levels: NDArray[np.uint8],
        radius: NDArray[np.int32],
        cdf: NDArray[np.uint32],
        start: NDArray[np.int32],
        /,
    ) -> bytes: ...

    def decode(
        self,
        data: bytes,
        levels: NDArray[np.uint8],
        symbols: NDArray[np.int32],
        state: State,
        radius: NDArray[np.int32],
        cdf: NDArray[np.uint32],
        start: NDArray[np.int32],
        lookup: NDArray[np.uint16],
        stride: int,
        /,
    ) -> State: ...


_coder: _Coder = _rans_python
IMPLEMENTATION = "python"
if not os.environ.get("AECODEC_PURE_PYTHON"):
    with contextlib.suppress(ImportError):
        from aecodec.entropy import _rans

        _coder, IMPLEMENTATION = _rans, "c"

__all__ = ["IMPLEMENTATION", "Decoder", "RansError", "Tables", "encode"]

MAX_TABLES = 256  # a level is a byte
_HEADER = struct.Struct("<2Q")
Scalar = TypeVar("Scalar", bound=np.generic)


class RansError(ValueError):
    """The stream is damaged, or was written with other levels or tables."""


@dataclass(frozen=True, eq=False)
class Tables:
    """One cdf for each of L levels; build it with ``from_cdfs``, which checks them.

    ``radius`` (L,) int32; ``cdf`` uint32, one after another; ``start`` (L,) int32, where each begins in ``cdf``;
    ``lookup`` (L, 256) uint16, the symbol whose interval holds the slot 256 * column, where a search can begin.
    """

    radius: NDArray[np.int32]
    cdf: NDArray[np.uint32]
    start: NDArray[np.int32]
    lookup: NDArray[np.uint16]

    @classmethod
    def from_cdfs(cls, cdfs: Sequence[NDArray[np.integer[Any]]]) -> Tables:
        """Make tables of 1..256 integer arrays (2R + 3,), each strictly increasing from 0 to 65536.

        Raises ValueError for any other arrays.
        """
        if not 1 <= len(cdfs) <= MAX_TABLES:
            raise ValueError(f"need 1 to {MAX_TABLES} tables, not {len(cdfs)}")
        checked = [_checked_cdf(level, np.asarray(cdf)) for level, cdf in enumerate(cdfs)]
        sizes = np.array([cdf.size for cdf in checked])
        slots = np.arange(0, 1 << PRECISION, 1 << (PRECISION - 8))
        tables = cls(
            radius=((sizes - 3) // 2).astype(np.int32),
            cdf=np.concatenate(checked).astype(np.uint32),
            start=(np.cumsum(sizes) - sizes).astype(np.int32),
            lookup=np.stack([np.searchsorted(cdf, slots, "right") - 1 for cdf in checked]).astype(np.uint16),
        )
        for array in (tables.radius, tables.cdf, tables.start, tables.lookup):
            array.setflags(write=False)
        return tables


def encode(symbols: NDArray[np.int32], levels: NDArray[np.uint8], tables: Tables) -> bytes:
    """Encode symbols (n,) int32 with levels (n,) uint8 to a stream; b"" if there are none.

    Raises ValueError for a value beyond its table's radius + 2**20, a level without a table or unequal lengths, and
    TypeError for arrays of another kind.
    """
    symbols = _flat("symbols", symbols, np.int32)
    levels = _checked_levels(levels, tables)
    if symbols.size != levels.size:
        raise ValueError(f"{symbols.size} symbols with {levels.size} levels")
    if not symbols.size:
        return b""
    return _coder.encode(symbols, levels, tables.radius, tables.cdf, tables.start)


class Decoder:
    """Read a stream of ``encode`` in as many pieces as the caller likes.

    ``decode`` continues where its last call ended. A call that raises leaves the decoder unchanged.
    """

    def __init__(self, data: bytes, tables: Tables) -> None:
        """Raise RansError if the stream cannot begin like this."""
        states = (LOWER, LOWER)
        if data:
            if len(data) < _HEADER.size or len(data) % 4:
                raise RansError("stream is truncated")
            states = _HEADER.unpack_from(data)
            if not all(LOWER <= x < LOWER << 32 for x in states):
                raise RansError("stream begins with a state out of range")
        self._data = data
        self._tables = tables
        self._state = (*states, _HEADER.size if data else 0)

    def decode(self, levels: NDArray[np.uint8], stride: int = 0) -> NDArray[np.int32]:
        """Return the next n symbols, (n,) int32, for their levels (n,) uint8.

        With a ``stride`` they are dependent (``trellis.py``), starting in state 0: a symbol has the table level + stride in
        quantiser 0 and level + 2 * stride in quantiser 1, and the multiples that symbols stand for are returned. Raises
        RansError if the stream is damaged, ValueError for a level without a table and TypeError for other arrays than
        uint8.
        """
        tables = self._tables
        levels = _checked_levels(levels, tables, stride)
        symbols = np.empty(levels.size, np.int32)
        try:
            self._state = _coder.decode(
                self._data, levels, symbols, self._state, tables.radius, tables.cdf, tables.start, tables.lookup, stride
            )
        except ValueError as error:
            raise RansError(str(error)) from None
        return symbols

    def finish(self) -> None:
        """Raise RansError unless the stream ends here.

        Most damage shows here, but a byte that turns one symbol into another of the same frequency does not.
        """
        if self._state != (LOWER, LOWER, len(self._data)):
            raise RansError("stream does not end with its symbols")


def _flat(name: str, array: NDArray[Scalar], dtype: type[Scalar]) -> NDArray[Scalar]:
    """Return the array as C can read it. Nothing is cast: a level of 256 must not become 0."""
    array = np.asarray(array)
    if array.dtype != dtype or array.ndim != 1:
        raise TypeError(f"{name} must be (n,) {np.dtype(dtype)}, not {array.shape} {array.dtype}")
    return np.require(array, requirements=["C", "A"])


def _checked_levels(levels: NDArray[np.uint8], tables: Tables, stride: int = 0) -> NDArray[np.uint8]:
    levels = _flat("levels", levels, np.uint8)
    if levels.size and int(levels.max()) + 2 * stride >= tables.radius.size:
        raise ValueError(f"no table for level {levels.max()}")
    return levels


def _checked_cdf(level: int, cdf: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    if cdf.ndim != 1 or cdf.size < 3 or cdf.size % 2 == 0 or not np.issubdtype(cdf.dtype, np.integer):
        raise ValueError(f"cdf of level {level} must be (2R + 3,) integers, not {cdf.shape} {cdf.dtype}")
    signed = cdf.astype(np.int64)  # differences of unsigned integers would wrap
    if signed[0] != 0 or signed[-1] != 1 << PRECISION or np.any(np.diff(signed) < 1):
        raise ValueError(f"cdf of level {level} does not increase from 0 to {1 << PRECISION}")
    return signed
