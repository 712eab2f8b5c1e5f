"""Find near vectors by binary codes first (semantic hashing), then by exact similarity.

A code is the signs of a vector after a fixed rotation. The rotation spreads what a vector says evenly over all bits; the
number of differing bits then estimates the angle between two vectors (Charikar 2002).
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

CANDIDATES = 1000  # that the codes leave for the exact pass, at least; and SHARE of the result that is asked for
SHARE = 20  # candidates for each result
SEED = 2026  # of the rotation: codes in an index depend on it

Floats = NDArray[np.float32]
Codes = NDArray[np.uint64]


@functools.lru_cache(maxsize=4)
def rotation(length: int) -> Floats:
    """Return a random orthogonal matrix (length, length), the same on every machine up to rounding."""
    normal = np.random.Generator(np.random.PCG64(SEED)).standard_normal((length, length))
    q, r = np.linalg.qr(normal)
    result: Floats = (q * np.sign(np.diag(r))).astype(np.float32)
    return result


def encode(vectors: Floats) -> Codes:
    """Return the codes (n, length / 64) of vectors (n, length), length a multiple of 64."""
    bits = np.packbits(vectors.astype(np.float32) @ rotation(vectors.shape[1]) > 0, axis=1)
    return np.ascontiguousarray(bits).view(np.uint64)


def count_bits(words: Codes) -> NDArray[np.uint8]:
    """Return how many bits of each word are set, (...) uint8."""
    if hasattr(np, "bitwise_count"):  # numpy 2
        counts: NDArray[np.uint8] = np.bitwise_count(words)
        return counts
    # the sums of 2, 4 and 8 bits next to each other, and then of all bytes (Warren, Hacker's Delight, 5-1)
    pairs, nibbles, ones = (np.uint64(int(byte * 8, 16)) for byte in ("55", "33", "0f"))
    x = words - ((words >> np.uint64(1)) & pairs)
    x = (x & nibbles) + ((x >> np.uint64(2)) & nibbles)
    x = (x + (x >> np.uint64(4))) & ones
    x *= np.uint64(0x0101010101010101)
    x >>= np.uint64(56)
    result: NDArray[np.uint8] = x.astype(np.uint8)
    return result


def distances(codes: Codes, code: Codes) -> NDArray[np.uint16]:
    """Return how many bits of each of n codes differ from one code."""
    result: NDArray[np.uint16] = count_bits(codes ^ code).sum(1, dtype=np.uint16)
    return result


def search(vectors: NDArray[np.float16], codes: Codes, query: Floats, count: int) -> tuple[NDArray[np.intp], Floats]:
    """Return the rows of the ``count`` nearest vectors, nearest first, and their similarities, the cosines.

    vectors: (n, length) of unit length; codes: theirs; query: (length,) of unit length.
    """
    wanted = max(CANDIDATES, SHARE * count)
    rows = np.arange(len(vectors))
    if len(vectors) > wanted:
        apart = distances(codes, encode(query[None])[0])
        rows = np.argpartition(apart, wanted - 1)[:wanted]
    similarity = vectors[rows].astype(np.float32) @ query
    best = np.argsort(-similarity, kind="stable")[:count]
    return rows[best], similarity[best]
