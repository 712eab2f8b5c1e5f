"""Make the fourth channel of a restoring encoder's input: what is known of the damage, one uint8 a pixel, 0 for nothing.

denoise   the standard deviation of Gaussian noise, in quarters of a level, where it is known
inpaint   255 where the pixel is missing
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_SIGMA = 60  # levels
_STEPS = 4  # per level


def of_sigma(sigma: float | None) -> int:
    """Return the hint of a picture with noise of ``sigma`` levels, at most MAX_SIGMA; None where it is not known."""
    return 0 if sigma is None else max(1, round(min(sigma, MAX_SIGMA) * _STEPS))


def of_mask(missing: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the hint, in the shape of a mask that is True where a pixel is missing."""
    import numpy as np  # here, because the command line asks for MAX_SIGMA

    return np.where(missing, np.uint8(255), np.uint8(0))
