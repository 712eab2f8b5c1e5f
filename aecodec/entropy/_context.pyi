"""``_context.c``; see ``_context_python.py``, which does the same, without ``measure``."""

import numpy as np
from numpy.typing import NDArray

def encode(
    pixels: NDArray[np.uint32],
    mask: NDArray[np.bool_] | None,
    width: int,
    height: int,
    has_alpha: bool,
    most: int,
    /,
) -> bytes | None: ...
def decode(
    data: bytes,
    pixels: NDArray[np.uint32],
    mask: NDArray[np.bool_] | None,
    width: int,
    height: int,
    has_alpha: bool,
    mask_alone: bool,
    /,
) -> None: ...
def measure(
    pixels: NDArray[np.uint32],
    mask: NDArray[np.bool_] | None,
    given: NDArray[np.uint32] | None,
    weights: NDArray[np.float32] | None,
    bits: NDArray[np.float32],
    width: int,
    height: int,
    most: int,
    /,
) -> bool: ...
