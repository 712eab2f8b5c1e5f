"""``_rans.c``; see ``_rans_python.py``, which does the same."""

import numpy as np
from numpy.typing import NDArray

from aecodec.entropy._rans_python import State

def encode(
    symbols: NDArray[np.int32],
    levels: NDArray[np.uint8],
    radius: NDArray[np.int32],
    cdf: NDArray[np.uint32],
    start: NDArray[np.int32],
    /,
) -> bytes: ...
def decode(
    data: bytes,
    levels: NDArray[np.uint8],
    symbols: NDArray[np.int32],
    state: State,
    radius: NDArray[np.int32],
    cdf: NDArray[np.uint32],
    start: NDArray[np.int32],
    lookup: NDArray[np.uint16],
    stride: int,
    /,
) -> State: ...
