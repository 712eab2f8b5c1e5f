"""Make zero-mean Gaussians on a logarithmic grid of 64 scales, and from them the coding tables of hyper-latents.

Level i has the standard deviation 0.12 * exp(i / 8). Level 0 is never coded: a latent with so small a scale is its mean.
The tables are integers computed from ``math.erf``. No entry lies so near a rounding tie that the last digits of a libm
could matter, and a checksum, tested at load, confirms it on each machine.
"""

from __future__ import annotations

import functools
import math
import zlib

import numpy as np
from numpy.typing import NDArray

from aecodec.errors import AecodecError

LEVELS = 64
SCALE_MIN = 0.12
LEVELS_PER_NAT = 8
TAIL = 4.0  # values beyond this many standard deviations are escaped
MIN_RADIUS = 2
CHECKSUM = 0x819233B3


def scale_of_level(level: int) -> float:
    """Return the standard deviation of a level, in quantiser steps."""
    return SCALE_MIN * math.exp(level / LEVELS_PER_NAT)


def cdf_of_level(level: int) -> NDArray[np.int64]:
    """Return the (2R + 3,) int64 cumulative frequencies of -R..R and the escape; see ``rans.Tables``.

    Every symbol gets one count and its share of the rest, so none is impossible. The escape gets both tails.
    """
    sigma = scale_of_level(level)
    radius = max(MIN_RADIUS, math.ceil(TAIL * sigma))
    edge = [0.5 * math.erf((v - radius - 0.5) / (sigma * math.sqrt(2))) for v in range(2 * radius + 2)]
    symbols = 2 * radius + 2
    inner = [math.floor((e - edge[0]) * (65536 - symbols) + 0.5) + i for i, e in enumerate(edge)]
    return np.array([*inner, 65536])


@functools.cache
def cdfs() -> list[NDArray[np.int64]]:
    """Return one table for each level, for ``rans.Tables``.

    Raises AecodecError where this machine's arithmetic gives other tables.
    """
    result = [cdf_of_level(level) for level in range(LEVELS)]
    if zlib.crc32(np.concatenate(result).astype("<u4").tobytes()) != CHECKSUM:
        raise AecodecError("this machine's math.erf gives other coding tables; please report its libc and CPU")
    return result
