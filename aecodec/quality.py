"""Define the quality scale: one number from 0 to 100, on a grid fine enough to hit a size.

A model is trained at ``KNOTS`` qualities and interpolated between them, so a quality is stored as an integer
*rate index* in 0..2048: eight intervals of 256 steps. Everything the decoder derives from it (biases, prior
scales, gains of the means) is interpolated in integers and is therefore the same on every machine.

lambda is the Lagrangian of ``bits per pixel + lambda * MSE`` with the MSE on the 0..255 scale.
"""

from __future__ import annotations

import math

INTERVALS = 8
KNOTS = INTERVALS + 1
INDICES_PER_INTERVAL = 256  # rate indices per interval; a power of two keeps interpolation a shift
MAX_INDEX = INTERVALS * INDICES_PER_INTERVAL
LAMBDA_MIN = 0.0018
LAMBDA_MAX = 0.5


def index_of_quality(quality: float) -> int:
    """Return the rate index nearest to a quality in 0..100.

    Raises ValueError outside that range.
    """
    if not 0 <= quality <= 100:  # also refuses NaN
        raise ValueError(f"quality must lie in 0..100, not {quality}")
    return round(quality * MAX_INDEX / 100)


def quality_of_index(index: int) -> float:
    """Return the shortest decimal in 0..100 that has this rate index."""
    exact = index * 100 / MAX_INDEX
    return next(round(exact, digits) for digits in range(4) if round(round(exact, digits) * MAX_INDEX / 100) == index)


def lambda_of_quality(quality: float) -> float:
    """Return the rate-distortion multiplier, which is log-linear in quality."""
    return LAMBDA_MIN * math.exp(math.log(LAMBDA_MAX / LAMBDA_MIN) * quality / 100)
