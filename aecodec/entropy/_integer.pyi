"""``_integer.c``; ``integer.py`` does the same in numpy where it is missing."""

import numpy as np
from numpy.typing import NDArray

def requantise(
    sums: NDArray[np.float32],
    bias: NDArray[np.float32],
    scale: NDArray[np.float32],
    half: NDArray[np.float32],
    low: float,
    high: float,
    /,
) -> None: ...
def depthwise(
    x: NDArray[np.float32], taps: NDArray[np.float32], out: NDArray[np.float32], size: tuple[int, int], /
) -> None: ...
