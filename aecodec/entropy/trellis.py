"""Quantise with two quantisers that take turns, as the previous symbols say, and search for the best symbols.

(Marcellin and Fischer, "Trellis coded quantization of memoryless and Gauss-Markov sources", IEEE Trans. Commun. 1990; in
the form of Schwarz et al., "Hybrid video coding with trellis-coded quantization", DCC 2019, with more states.)

**Quantisers.** A symbol k stands for a multiple m of a step: m = 2 k in quantiser 0 (0, +-2, +-4, ..) and
m = 2 k - sgn(k) in quantiser 1 (0, +-1, +-3, ..). Together they have every multiple, but each symbol costs as in a
quantiser of twice the step: at equal rate the error is up to 1.3 dB smaller than that of scalar quantisation.

**States.** A state s in 0..255, 0 at first, chooses the quantiser of the next symbol k by its lowest bit. Then

    s = (s >> 1) ^ (232 if s & 1) ^ (120 if k & 1)

These numbers make a convolutional code; they were found by search among those that keep blocks of eight states together,
and are within 0.01 dB of Ungerboeck's best code of 256 states. A decoder takes one step of this rule a symbol, however
many states there are; a writer's search (Viterbi's algorithm) grows with them.
"""

from __future__ import annotations

import contextlib
import functools
import os
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aecodec.entropy import _trellis_python
from aecodec.entropy._rans_python import ODD_STATE, ODD_SYMBOL
from aecodec.entropy.integer import MEAN_FRAC


class _Searcher(Protocol):
    """The search that ``_trellis.c`` and ``_trellis_python.py`` both have."""

    def search(
        self,
        residuals: NDArray[np.float32],
        levels: NDArray[np.uint8],
        bits: NDArray[np.float32],
        level_count: int,
        step: float,
        distortion: float,
        symbols: NDArray[np.int32],
        quantisers: NDArray[np.uint8],
        /,
    ) -> None: ...


_searcher: _Searcher = _trellis_python
IMPLEMENTATION = "python"
if not os.environ.get("AECODEC_PURE_PYTHON"):
    with contextlib.suppress(ImportError):
        from aecodec.entropy import _trellis

        _searcher, IMPLEMENTATION = _trellis, "c"

STEP = 14  # of the multiples, in units of 2**-MEAN_FRAC
STEP_SIZE = STEP * 2.0**-MEAN_FRAC


def search(
    residual: NDArray[np.float32], level: NDArray[np.uint8], bits: NDArray[np.float32], distortion: float
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Return the symbols of least bits + distortion * error**2 over a whole sequence that starts in state 0.

    residual: (n,) float32 in units of the latents, below 1e8; level: (n,) uint8; bits: (2, levels, K + 1) float32, the
    costs of the magnitudes 0..K in either quantiser (larger ones cost as much as K). Returns (n,) int32 symbols and the
    quantiser of each, (n,) uint8. Among the points of one quantiser and parity it considers the nearest and zero.
    """
    symbols, quantisers = np.empty(residual.size, np.int32), np.empty(residual.size, np.uint8)
    residual = np.ascontiguousarray(residual, np.float32)
    _searcher.search(
        residual, np.ascontiguousarray(level), np.ascontiguousarray(bits, np.float32), bits.shape[1],
        STEP_SIZE, distortion * STEP_SIZE**2, symbols, quantisers,
    )  # fmt: skip
    return symbols, quantisers


def multiples(symbols: NDArray[np.int32], quantisers: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return the multiples of the step, int32, that symbols stand for."""
    found: NDArray[np.int32] = 2 * symbols - quantisers * np.sign(symbols)
    return found


def symbols_of(multiples: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Return the symbols (n,) int32 and quantisers (n,) uint8 of multiples (n,): what ``multiples`` has turned into them.

    The sequence starts in state 0. A multiple has one symbol, whatever its quantiser, and the parities of the symbols
    give the states, eight of them at a time.
    """
    symbols: NDArray[np.int32] = (multiples + np.sign(multiples) * (multiples & 1)) // 2
    after, seen = _eight_steps()
    packed, state, found = np.packbits((symbols & 1).astype(np.uint8), bitorder="little"), 0, []
    for byte in packed.tolist():
        found.append(seen[state << 8 | byte])
        state = after[state << 8 | byte]
    quantisers = np.unpackbits(np.array(found, np.uint8), count=len(multiples), bitorder="little")
    return symbols, quantisers


@functools.cache
def _eight_steps() -> tuple[bytes, bytes]:
    """Return for each state and eight parities, at 256 * state + parities, the next state and the eight quantisers."""
    state, byte = np.divmod(np.arange(65536), 256)
    seen = np.zeros(65536, np.int64)
    for bit in range(8):
        seen |= (state & 1) << bit
        state = (state >> 1) ^ ODD_STATE * (state & 1) ^ ODD_SYMBOL * (byte >> bit & 1)
    return state.astype(np.uint8).tobytes(), seen.astype(np.uint8).tobytes()
