"""``_edge_filter.c``; ``edge_filter.py`` does the same in numpy where it is missing."""

import numpy as np
from numpy.typing import NDArray

def apply(
    picture: NDArray[np.int16],
    strength: NDArray[np.uint8],
    amounts: NDArray[np.int16],
    out: NDArray[np.uint8],
    height: int,
    width: int,
    /,
) -> None: ...
