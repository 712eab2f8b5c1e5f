"""``_trellis.c``; see ``_trellis_python.py``, which does the same."""

import numpy as np
from numpy.typing import NDArray

def search(
    residuals: NDArray[np.float32],
    levels: NDArray[np.uint8],
    bits: NDArray[np.float32],
    level_count: int,
    step: float,
    distortion: float,
    symbols: NDArray[np.int32],
    quantisers: NDArray[np.uint8],
    /,
) -> None: ...
