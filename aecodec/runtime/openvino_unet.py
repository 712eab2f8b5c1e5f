"""Run a restoring U-Net in OpenVINO, as ``networks/unet.py`` computes it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec.runtime.graph_cache import compiled
from aecodec.runtime.graphs import (
    as_float,
    convolution,
    openvino,
    ops,
    options,
    precision,
    residual_blocks,
    scalar,
    source_of,
    to_nchw,
    to_nhwc,
    transposed_convolution,
)
from aecodec.weights.restorer import INPUTS, SHUFFLE, Restorer

_SOURCE = source_of(__file__)


class OpenVinoUNet:
    """Run ``runtime.RestoringNetwork``. A call waits for that of another thread: each uses all cores."""

    def __init__(self, restorer: Restorer, threads: int | None = None) -> None:
        """Open the weights."""
        core = openvino.Core()
        chosen = {**options(threads), "INFERENCE_PRECISION_HINT": precision(core, None)}
        self._graph = compiled(core, lambda: _graph(restorer), chosen, (restorer.id, "unet", _SOURCE))
        self._lock = threading.Lock()

    def restore(self, seen: NDArray[np.uint8]) -> NDArray[np.uint8]:
        with self._lock:
            restored: NDArray[np.uint8] = self._graph([seen[None]], share_inputs=True)[0][0]
        return restored


def _graph(restorer: Restorer) -> openvino.Model:
    tensors, arch = restorer.tensors, restorer.arch
    last = len(arch.widths) - 1
    seen = ops.parameter([1, -1, -1, INPUTS], np.uint8)
    x = ops.multiply(as_float(to_nchw(seen)), scalar(1 / 255))
    y = convolution(tensors, "stem", ops.space_to_depth(x, "depth_first", SHUFFLE))
    kept = []
    for level in range(last):
        kept.append(residual_blocks(tensors, f"down_blocks.{level}", arch.blocks[level], y))
        y = convolution(tensors, f"down.{level}", kept[-1], stride=2, pad=0)
    y = residual_blocks(tensors, f"down_blocks.{last}", arch.blocks[last], y)
    for level in reversed(range(last)):
        y = ops.add(transposed_convolution(tensors, f"up.{level}", y), kept[level])
        y = residual_blocks(tensors, f"up_blocks.{level}", arch.blocks[level], y)
    change = as_float(ops.depth_to_space(convolution(tensors, "head", y), "depth_first", SHUFFLE))
    colour: Any = ops.slice(x, ops.constant([0]), ops.constant([3]), ops.constant([1]), ops.constant([1]))
    levels = ops.clamp(ops.round(ops.multiply(ops.add(colour, change), scalar(255)), "half_to_even"), 0, 255)
    return openvino.Model([to_nhwc(ops.convert(levels, "u8"))], [seen])
