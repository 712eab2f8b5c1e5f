"""Run the restoring network over a picture of any size, in blocks without seams."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aecodec.container.tiles import Box, Grid, whole
from aecodec.images import samples
from aecodec.runtime import open_restorer
from aecodec.weights.restorer import Restorer

BLOCK = 1024  # pixels, the largest side of a block without its halo
HALO = 96  # pixels around a block that the network sees: those beyond change one sample in 1500 at most, by a level


def restored(seen: NDArray[np.uint8], restorer: Restorer, device: str = "auto") -> NDArray[np.uint8]:
    """Return the colour (H, W, 3) that the network makes of a picture with its planes (H, W, 6)."""
    height, width = seen.shape[:2]
    network, stride = open_restorer(restorer, device), restorer.arch.stride
    result = np.empty((height, width, 3), np.uint8)
    area = whole(-(-height // stride), -(-width // stride))  # in strides, as blocks and windows are
    for block in Grid(area, BLOCK // stride):
        window = block.grown(HALO // stride, area)
        pixels = network.restore(np.ascontiguousarray(samples.window(seen, window.scaled(stride))))
        inside = block.scaled(stride) & Box(0, 0, height, width)
        result[inside.slices] = pixels[inside.relative(window.scaled(stride)).slices]
    return result
