"""Close holes without a network: the start of ``inpaint``, and the whole of its method "classical"."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec.images import samples

SWEEPS = 200  # at most
CHANGE = 0.05  # levels; a sweep that changes no sample by more is the last
OVERRELAXATION = 1.7


def smooth(array: NDArray[np.uint8], missing: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return uint8 (H, W, 3) with the ``missing`` pixels, (H, W) True, replaced by the smoothest surface over the rest.

    Every missing sample is the mean of its four neighbours, of those inside the picture: Laplace's equation, solved by
    successive overrelaxation (Young 1954) in two colours, starting from ``samples.fill``. At least one pixel must be known.
    """
    alpha = Image.fromarray(np.where(missing, np.uint8(0), np.uint8(255)))
    start = np.asarray(samples.fill(Image.fromarray(array), alpha))
    height, width = missing.shape
    rows, columns = np.nonzero(missing)
    values = start.reshape(-1, 3).astype(np.float32)
    halves = []
    for parity in range(2):
        half = (rows + columns) % 2 == parity
        row, column = rows[half], columns[half]
        neighbours = [  # a pixel at an edge is its own neighbour there, which leaves the mean of the others
            (np.maximum(row - 1, 0), column),
            (np.minimum(row + 1, height - 1), column),
            (row, np.maximum(column - 1, 0)),
            (row, np.minimum(column + 1, width - 1)),
        ]
        halves.append([y * width + x for y, x in [(row, column), *neighbours]])
    for _ in range(SWEEPS):
        largest = 0.0
        for at, *neighbours in halves:
            mean = sum(values.take(index, 0) for index in neighbours) / 4  # take is twice as fast as brackets
            old = values.take(at, 0)
            change = mean - old
            values[at] = old + OVERRELAXATION * change
            largest = max(largest, float(np.abs(change).max(initial=0)))
        if largest < CHANGE:
            break
    filled = array.copy()
    filled[missing] = np.rint(values.reshape(height, width, 3)[missing]).clip(0, 255)
    return filled
