"""The fourth channel of a restoring encoder's input: what is known of the damage, one uint8 a pixel.

    denoise   0 where nothing is known, else the standard deviation of Gaussian noise, in quarters of a level
    inpaint   255 where the pixel is missing, else 0
"""

from __future__ import annotations

import numpy as np

MAX_SIGMA = 60  # levels
_STEPS = 4  # per level
MISSING = 255


def of_sigma(shape: tuple[int, int], sigma: float | None) -> np.ndarray:
    """The hint (H, W) for noise of ``sigma`` levels, at most MAX_SIGMA; None where it is not known."""
    level = 0 if sigma is None else max(1, round(min(sigma, MAX_SIGMA) * _STEPS))
    return np.full(shape, level, np.uint8)


def of_mask(missing: np.ndarray) -> np.ndarray:
    """The hint (H, W) for a mask (H, W), True where a pixel is missing."""
    return np.where(missing, np.uint8(MISSING), np.uint8(0))
