"""How far a decoded picture is from its original.

Pictures are uint8 arrays (H, W, 3) of RGB; every function raises ValueError for anything else and for two pictures of
different size.
"""

from __future__ import annotations

import math

import numpy as np

PEAK = 255
LUMA_PER_MILLE = (299, 587, 114)  # of R, G, B: Rec. ITU-R BT.601-7, section 2.5.1


def mse(a: np.ndarray, b: np.ndarray) -> float:
    """Mean squared error over all pixels and channels, on the 0..255 scale."""
    return float(np.mean(np.square(_difference(a, b)), dtype=np.float64))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """PSNR-RGB in dB, 10 log10(255^2 / MSE) with one MSE over the three channels; infinite for equal pictures."""
    return _decibels(mse(a, b))


def psnr_y(a: np.ndarray, b: np.ndarray) -> float:
    """PSNR in dB of the BT.601 luma, Y = 0.299 R + 0.587 G + 0.114 B; infinite for equal luma.

    Y is full range (0..255, the one of JFIF, Rec. ITU-T T.871) and unrounded.  The studio-range luma (16..235) of
    MATLAB's ``rgb2ycbcr``, usual in super-resolution papers, gives values that are 1.32 dB higher.
    """
    # Integer weights, so that equal luma is an error of exactly 0 and not of 1e-14.
    error = _difference(a, b) @ np.array(LUMA_PER_MILLE, np.int32) / 1000
    return _decibels(float(np.mean(np.square(error))))


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a - b as int32 (H, W, 3), in which neither the difference nor its square overflows."""
    for picture in (a, b):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
            raise ValueError(f"a picture must be uint8 (H, W, 3), not {picture.dtype} {picture.shape}")
    if a.shape != b.shape:
        raise ValueError(f"the pictures differ in size: {a.shape} and {b.shape}")
    return np.subtract(a, b, dtype=np.int32)


def _decibels(error: float) -> float:
    """PSNR in dB of a mean squared error on the 0..255 scale."""
    return 10 * math.log10(PEAK**2 / error) if error else math.inf
