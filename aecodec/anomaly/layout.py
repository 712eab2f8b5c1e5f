"""Describe what is where in a picture by histograms of oriented gradients, and measure what good pictures cannot explain.

    gray, 56 x 56 -- 7 x 7 cells of 8 orientations -- blocks of 2 x 2 cells, normalised (6, 6, 32)
                                                           |
                        what principal components of the good pictures leave of it

(Dalal and Triggs, "Histograms of oriented gradients for human detection", CVPR 2005.)  It sees a wrong or misplaced thing
as a whole, and no small defect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aecodec.anomaly.pictures import resized

Floats = NDArray[np.float32]
CELLS, CELL, BINS = 7, 8, 8
KEPT = 0.7  # of the variance is explained by the components
CLIP = 0.2  # of a block's length: one strong edge is not all


def describe(picture: Floats) -> Floats:
    """Return the blocks (CELLS - 1, CELLS - 1, 4 * BINS) of a picture (h, w, c) in 0..1."""
    gray = resized(np.ascontiguousarray(picture.mean(2), dtype=np.float32), CELLS * CELL, CELLS * CELL)
    dy, dx = np.gradient(gray)
    place = np.mod(np.arctan2(dy, dx), np.pi) * (BINS / np.pi)
    lower, share = np.floor(place).astype(np.int64), np.mod(place, 1)
    bins = np.zeros((*gray.shape, BINS), np.float32)
    strength = np.hypot(dy, dx)
    for offset, weight in ((0, 1 - share), (1, share)):
        np.put_along_axis(bins, np.mod(lower + offset, BINS)[..., None], (strength * weight)[..., None], 2)
    cells = bins.reshape(CELLS, CELL, CELLS, CELL, BINS).mean((1, 3))
    blocks = np.concatenate([cells[y : y + CELLS - 1, x : x + CELLS - 1] for y in (0, 1) for x in (0, 1)], -1)
    for _ in range(2):
        blocks = blocks / np.sqrt(np.square(blocks).sum(-1, keepdims=True) + 1e-6)
        blocks = np.minimum(blocks, CLIP)
    found: Floats = blocks
    return found


@dataclass(frozen=True, eq=False)
class Layout:
    """The mean (d,) of good pictures' descriptions, and the components (k, d) that explain most of their variance."""

    mean: Floats
    components: Floats

    @classmethod
    def fit(cls, described: Sequence[Floats]) -> Layout:
        """Find the components of descriptions of good pictures."""
        flat = np.array([each.ravel() for each in described], np.float32)
        mean = flat.mean(0)
        _, sizes, directions = np.linalg.svd(flat - mean, full_matrices=False)
        explained = np.cumsum(np.square(sizes))
        count = int(np.searchsorted(explained, KEPT * explained[-1])) + 1 if len(sizes) > 1 else 0
        return cls(mean, directions[: min(count, len(flat) - 1)])

    def unexplained(self, described: Floats) -> Floats:
        """Return the squares that the components leave of a description, by cell (CELLS - 1, CELLS - 1)."""
        rest = described.ravel() - self.mean
        rest = rest - (rest @ self.components.T) @ self.components
        found: Floats = np.square(rest).reshape(described.shape).sum(-1)
        return found
