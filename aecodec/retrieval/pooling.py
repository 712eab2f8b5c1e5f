"""Pool the latents of a picture into a fixed number of statistics.

    latents (h, w, M) at gain 1
      |-- means over a grid of GRID x GRID cells ........ what is where: light, colour, slopes
      `-- log of the mean magnitude, whole picture ...... how much texture of which kind

All are over positions inside the picture; the padding is left out. Dividing by the gain makes them comparable between
qualities, and the mean between sizes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aecodec.container.tiles import Box, whole
from aecodec.entropy.architecture import LATENT_STRIDE

GRID = 4  # cells each way
FLOOR = 1e-3  # below this a mean magnitude is nothing: quantisation leaves no less in most channels

Floats = NDArray[np.float32]


class Pool:
    """The statistics of a picture, from its latents part by part: those of a large one need never be there all at once."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        """Begin with a picture of this size in pixels, and latents of so many channels."""
        rows, columns = (max(1, round(side / LATENT_STRIDE)) for side in (height, width))
        self._inside = whole(rows, columns)
        self._rows, self._columns = shares(rows), shares(columns)
        self._means = np.zeros((GRID, GRID, channels), np.float32)
        self._magnitudes = np.zeros(channels, np.float64)

    def add(self, box: Box, latents: Floats) -> None:
        """Add the latents (h, w, M), at gain 1, of a box of positions."""
        common = box & self._inside
        part = latents[common.relative(box).slices]
        rows, columns = common.slices
        self._means += np.einsum("ah,hwc,bw->abc", self._rows[:, rows], part, self._columns[:, columns], optimize=True)
        self._magnitudes += np.abs(part).sum((0, 1))

    def statistics(self) -> Floats:
        """Return the statistics (n,)."""
        texture = np.log(self._magnitudes / np.prod(self._inside.shape) + FLOOR)
        result: Floats = np.concatenate([self._means.ravel(), texture]).astype(np.float32)
        return result


def statistics(latents: Floats, height: int, width: int) -> Floats:
    """Return the statistics (n,) of latents (h, w, M) at gain 1, of a picture of this size in pixels."""
    pool = Pool(height, width, latents.shape[-1])
    pool.add(whole(*latents.shape[:2]), latents)
    return pool.statistics()


def shares(count: int, cells: int = GRID) -> Floats:
    """Return what each of ``count`` positions in a row contributes to each cell of it, (cells, count); rows sum to 1."""
    ends = np.linspace(0, count, cells + 1)
    first = np.arange(count)
    overlap = np.minimum(ends[1:, None], first + 1) - np.maximum(ends[:-1, None], first)
    overlap = np.maximum(overlap, 0)
    result: Floats = (overlap / overlap.sum(1, keepdims=True)).astype(np.float32)
    return result
