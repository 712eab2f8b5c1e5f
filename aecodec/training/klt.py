"""Compute the linear transform that training starts from: principal components of picture blocks (Karhunen-Loeve)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aecodec.entropy.architecture import LATENT_STRIDE
from aecodec.training.data import Pictures

BLOCKS_PER_PICTURE = 60


def block_covariance(pictures: Pictures, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (768, 768) mean products of the samples of blocks, on the 255 scale.

    Blocks of 16 x 16 RGB pixels are flattened as (3, 16, 16) after 127.5 is subtracted.
    """
    size = LATENT_STRIDE
    total, count = np.zeros((3 * size**2, 3 * size**2)), 0
    for array in pictures.arrays:
        if min(array.shape[:2]) < size:
            continue
        tops, lefts = (rng.integers(n - size + 1, size=BLOCKS_PER_PICTURE) for n in array.shape[:2])
        blocks = np.stack(
            [array[y : y + size, x : x + size].transpose(2, 0, 1).ravel() for y, x in zip(tops, lefts, strict=True)]
        )
        blocks = blocks - 127.5
        total += blocks.T @ blocks
        count += len(blocks)
    return total / max(count, 1)


def principal_components(covariance: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (n, n) orthonormal rows, largest variance first, and (n,) variances, from a covariance (n, n)."""
    variance, vectors = np.linalg.eigh(covariance)
    return vectors[:, ::-1].T.copy(), np.maximum(variance[::-1], 0)


def further_components(
    covariance: NDArray[np.float64], basis: NDArray[np.float64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the first ``count`` principal components (count, n) of the rest, and their variances.

    The rest is the part of the covariance outside of orthonormal rows (k, n).
    """
    rest = np.eye(len(covariance)) - basis.T @ basis
    components, variance = principal_components(rest @ covariance @ rest)
    return components[:count], variance[:count]
