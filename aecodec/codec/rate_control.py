"""Search for the quality that meets a size, a bit rate or a PSNR."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

from aecodec.errors import TargetError
from aecodec.quality import MAX_INDEX

Result = TypeVar("Result")
TOLERANCE = 0.01  # a search for a size ends this near to its target, of which it is a share, on the allowed side
PSNR_TOLERANCE = 0.03  # the same of a search for a PSNR, in dB


def largest_below(
    encode: Callable[[int], Result], size: Callable[[Result], float], target: float, what: str
) -> Result:
    """The encoding with the largest size <= target, or one within TOLERANCE under it.

    ``encode`` maps a rate index to a result, ``size`` measures it; sizes grow with the index, small dents do no harm.
    Raises TargetError where even the lowest quality is above.
    """
    low, best = 0, encode(0)
    if size(best) > target:
        raise TargetError(f"{what} cannot be reached: the lowest quality takes {size(best):.6g}")
    top = encode(MAX_INDEX)
    if size(top) <= target:
        return top
    high, log_high = MAX_INDEX, math.log(size(top))
    goal = math.log(target * (1 - TOLERANCE / 2))
    while high - low > 1 and size(best) < target * (1 - TOLERANCE):
        log_low = math.log(size(best))
        share = (goal - log_low) / (log_high - log_low)
        # interpolation alone can creep towards one end; keep a tenth of the interval on either side
        middle = low + round((high - low) * min(max(share, 0.1), 0.9))
        middle = min(max(middle, low + 1), high - 1)
        result = encode(middle)
        if size(result) <= target:
            low, best = middle, result
        else:
            high, log_high = middle, math.log(size(result))
    return best


def smallest_above(
    encode: Callable[[int], Result], measure: Callable[[Result], float], target: float, what: str
) -> Result:
    """The encoding with the smallest measure >= target, or one within PSNR_TOLERANCE above it.

    Raises TargetError where even the highest quality is below.
    """
    best = encode(MAX_INDEX)
    if measure(best) < target:
        raise TargetError(f"{what} cannot be reached: the highest quality gives {measure(best):.6g}")
    bottom = encode(0)
    if measure(bottom) >= target:
        return bottom
    low, low_value, high = 0, measure(bottom), MAX_INDEX
    goal = target + PSNR_TOLERANCE / 2
    while high - low > 1 and measure(best) > target + PSNR_TOLERANCE:
        share = (goal - low_value) / (measure(best) - low_value)
        middle = min(max(low + round((high - low) * min(max(share, 0.1), 0.9)), low + 1), high - 1)
        result = encode(middle)
        if measure(result) >= target:
            high, best = middle, result
        else:
            low, low_value = middle, measure(result)
    return best
