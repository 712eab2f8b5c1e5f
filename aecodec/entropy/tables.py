"""Make the coding tables of the latents' symbols: what weights store, and how it is made from counts.

A table belongs to a quantiser (0 or 1, ``trellis.py``) and a level (``gaussian.py``). It holds the frequencies, in 1/65536,
of the magnitudes 0..R (from 1 on: of either sign) and of the escape. They are counted, not derived from a density: the
search for cheap symbols prefers some symbols in a way that no density describes, and counted tables save 2 % of the bits.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from aecodec.entropy.gaussian import LEVELS, cdfs, scale_of_level
from aecodec.entropy.rans import Tables
from aecodec.entropy.trellis import STEP_SIZE

QUANTISERS = 2
COUNTED = 48  # magnitudes from here on are counted together, and shared out as a Gaussian says
PRIOR_WEIGHT = 100.0  # symbols that the Gaussian counts for
TOTAL = 65536


def radius_of_level(level: int) -> int:
    """Return the largest magnitude with a frequency of its own: some four standard deviations."""
    return max(3, math.ceil(2.5 * scale_of_level(level)))


def gaussian_magnitudes(quantiser: int, level: int, count: int) -> NDArray[np.float64]:
    """Return (count + 1,) probabilities of the magnitudes 0..count - 1 and of all others.

    They are those of a Gaussian in cells around points.
    """
    k = np.arange(count)
    edge = np.where(k > 0, 2 * k, 0.5) if quantiser else 2 * k + 1.0
    scale = STEP_SIZE / (scale_of_level(level) * math.sqrt(2))
    beyond = np.array([1.0, *(math.erfc(e * scale) for e in edge)])
    return np.append(beyond[:-1] - beyond[1:], beyond[-1])


def probabilities(counts: NDArray[np.float64], quantiser: int, level: int) -> NDArray[np.float64]:
    """Return (R + 2,) probabilities of magnitudes and escape, from counts (COUNTED + 1,).

    The last count is that of all magnitudes from COUNTED on.
    """
    radius = radius_of_level(level)
    gauss = gaussian_magnitudes(quantiser, level, max(radius + 1, COUNTED))
    own, shared = gauss[:COUNTED], gauss[COUNTED:]
    total = counts.sum() + PRIOR_WEIGHT
    rest = (counts[COUNTED] + PRIOR_WEIGHT * shared.sum()) / total
    p = np.concatenate([(counts[:COUNTED] + PRIOR_WEIGHT * own) / total, rest * shared / max(shared.sum(), 1e-300)])
    return np.append(p[: radius + 1], p[radius + 1 :].sum())


def frequencies(counts: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return the integers that weights hold, from counts (2, LEVELS, COUNTED + 1).

    For quantiser 0, then 1, and for every level they are the frequencies of the magnitudes and of the escape, one after
    another.
    """
    tables = []
    for quantiser in range(QUANTISERS):
        for level in range(LEVELS):
            p = probabilities(counts[quantiser, level], quantiser, level)
            symbols = 2 * len(p) - 2
            share = p[1:] * ((TOTAL - symbols) / p.sum())
            share[:-1] /= 2  # of either sign
            edges = np.floor(np.cumsum(share) + 0.5)
            others = np.diff(edges, prepend=0).astype(np.int32) + 1
            tables.append([TOTAL - 2 * others[:-1].sum() - others[-1], *others])
    found: NDArray[np.int32] = np.concatenate(tables).astype(np.int32)
    return found


def split(frequency: NDArray[np.int32]) -> list[NDArray[np.int32]]:
    """Return the tables in an array of ``frequencies``, [quantiser * LEVELS + level].

    Raises ValueError for an array of another length.
    """
    sizes = [radius_of_level(level) + 2 for level in range(LEVELS)] * QUANTISERS
    if frequency.shape != (sum(sizes),):
        raise ValueError(f"the coding tables must be ({sum(sizes)},) integers, not {frequency.shape}")
    return np.split(frequency, np.cumsum(sizes)[:-1])


def coder_tables(frequency: NDArray[np.int32]) -> Tables:
    """Return the coder's 192 tables: those of hyper-latents, ``gaussian.py``, then those of quantisers 0 and 1.

    Raises ValueError where the frequencies of a table do not add up to 65536.
    """
    signed = [np.concatenate([f[-2:0:-1], f]) for f in split(frequency)]
    return Tables.from_cdfs([*cdfs(), *(np.concatenate([[0], np.cumsum(f, dtype=np.int64)]) for f in signed)])


def costs(frequency: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return the bits of the magnitudes 0..COUNTED as ``trellis.search`` takes them, (2, LEVELS, COUNTED + 1) float32.

    Beyond a table's radius they are those of the escape.
    """
    result = np.empty((QUANTISERS * LEVELS, COUNTED + 1), np.float32)
    for row, f in zip(result, split(frequency), strict=True):
        bits = -np.log2(f / TOTAL)
        row[:] = bits[np.minimum(np.arange(COUNTED + 1), len(f) - 1)]
    return result.reshape(QUANTISERS, LEVELS, -1)


def counts_of(frequency: NDArray[np.int32], weight: float) -> NDArray[np.float64]:
    """Return counts (2, LEVELS, COUNTED + 1) that give tables as if ``weight`` symbols had been counted in each."""
    counts = np.zeros((QUANTISERS * LEVELS, COUNTED + 1))
    for row, f in zip(counts, split(frequency), strict=True):
        p = np.concatenate([f[:1], 2 * f[1:-1], f[-1:]]) * (weight / TOTAL)
        row[: min(len(p), COUNTED)] = p[:COUNTED]
        row[COUNTED] = p[COUNTED:].sum()
    return counts.reshape(QUANTISERS, LEVELS, -1)
