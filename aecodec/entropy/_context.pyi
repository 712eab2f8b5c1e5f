"""``_context.c``; see ``_context_python.py``, which does the same."""

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
