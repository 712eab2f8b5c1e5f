"""Pictures to arrays and back."""

from __future__ import annotations

import numpy as np
from PIL import Image

from aecodec.codec.config import PADDING


def to_array(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8 of an "L" or "RGB" picture; gray is repeated in the three channels."""
    array = np.asarray(image, np.uint8)
    return np.repeat(array[..., None], 3, -1) if array.ndim == 2 else array


def from_array(array: np.ndarray, mode: str) -> Image.Image:
    """Inverse of ``to_array``; the gray value is the rounded mean of the channels."""
    if mode == "L":
        array = np.rint(array.mean(-1)).astype(np.uint8)
    return Image.fromarray(array, mode)


def padded_size(height: int, width: int) -> tuple[int, int]:
    """Height and width rounded up to what the networks take."""
    return -height % PADDING + height, -width % PADDING + width


def pad(array: np.ndarray) -> np.ndarray:
    """(H, W, C) replicated at the bottom and right edges to a size that the networks take."""
    height, width = padded_size(*array.shape[:2])
    return np.pad(array, ((0, height - array.shape[0]), (0, width - array.shape[1]), (0, 0)), "edge")
