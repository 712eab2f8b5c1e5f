"""Make the three planes that a restoring network sees besides colour: what is known of the damage, uint8, 0 for nothing.

0   the standard deviation of Gaussian noise, in quarters of a level, where it is known
1   how much sharpness is missing: UNSHARP, or the factor that the picture was enlarged by
2   255 where the pixel is missing
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_SIGMA = 60  # levels
MAX_FACTOR = 6
UNSHARP = 255  # of a picture whose blur is to be taken away, however strong it is
_STEPS = 4  # per level
_PER_FACTOR = 40  # of plane 1


def of_sigma(sigma: float | None) -> int:
    """Return plane 0 of noise with a standard deviation of ``sigma`` levels, at most MAX_SIGMA; None: not known."""
    return 0 if sigma is None else max(1, round(min(sigma, MAX_SIGMA) * _STEPS))


def of_factor(factor: float) -> int:
    """Return plane 1 of a picture that was enlarged by a factor of 1 to MAX_FACTOR."""
    return round(_PER_FACTOR * min(factor, MAX_FACTOR))


def of_mask(missing: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return plane 2, in the shape of a mask that is True where a pixel is missing."""
    import numpy as np  # here, because the command line asks for MAX_SIGMA

    return np.where(missing, np.uint8(255), np.uint8(0))


def beside(
    picture: NDArray[np.uint8], noise: int = 0, sharpness: int = 0, missing: NDArray[np.uint8] | int = 0
) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3) with its planes, (H, W, 6)."""
    import numpy as np

    planes = [np.broadcast_to(np.asarray(plane, np.uint8), picture.shape[:2]) for plane in (noise, sharpness, missing)]
    return np.dstack([picture, *planes])
