"""Build graphs of OpenVINO layer by layer, from the tensors of weights.

Graphs are NCHW inside and NHWC outside, as pictures are. This is the only module that imports OpenVINO's operators.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# OpenVINO's import starts openvino_telemetry, which reports usage over the network from a thread that forks.  A codec
# reports nothing; besides, that fork has hung OpenBLAS and the dynamic loader for good.  Absent, it is replaced by a stub.
_telemetry = sys.modules.get("openvino_telemetry")
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # None keeps it from being imported
try:
    import openvino
    from openvino import Node, opset13 as ops
finally:
    if _telemetry is None:
        del sys.modules["openvino_telemetry"]
    else:
        sys.modules["openvino_telemetry"] = _telemetry

__all__ = [
    "Node", "as_float", "convolution", "leaky", "openvino", "ops", "options", "precision", "reshape", "residual_blocks",
    "scalar", "source_of", "to_nchw", "to_nhwc", "transposed_convolution", "vector",
]  # fmt: skip

Tensors = Mapping[str, NDArray[Any]]


def source_of(module: str) -> int:
    """Return a checksum of the code that builds graphs, in a module's file and in this one: other code builds others."""
    return zlib.crc32(Path(__file__).read_bytes(), zlib.crc32(Path(module).read_bytes()))


def precision(core: openvino.Core, bfloat16: bool | None) -> str:
    """Return the precision of networks; None stands for bfloat16 where the CPU computes with it."""
    if bfloat16 is None:
        bfloat16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "bf16" if bfloat16 else "f32"


def options(threads: int | None) -> dict[str, str | int]:
    """Return what a graph is compiled with; None threads is OpenVINO's own choice."""
    chosen: dict[str, str | int] = {"PERFORMANCE_HINT": "LATENCY"}
    return {**chosen, "INFERENCE_NUM_THREADS": threads} if threads else chosen


def _unchanged(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    return weight


def convolution(
    tensors: Tensors,
    name: str,
    x: Node,
    order: Callable[[NDArray[np.float32]], NDArray[np.float32]] = _unchanged,
    *,
    stride: int = 1,
    pad: int | None = None,
) -> Node:
    """Return a layer with the weights (O, I, k, k) and perhaps the bias of this name; ``order`` rearranges the weights."""
    weight = order(tensors[f"{name}.weight"].astype(np.float32))
    pad = weight.shape[-1] // 2 if pad is None else pad
    y = ops.convolution(x, ops.constant(np.ascontiguousarray(weight)), [stride] * 2, [pad] * 2, [pad] * 2, [1, 1])
    return _biased(tensors, name, y)


def transposed_convolution(tensors: Tensors, name: str, x: Node) -> Node:
    """Return a layer that upsamples by the side of its kernels, which do not overlap; weights (I, O, k, k)."""
    weight = tensors[f"{name}.weight"].astype(np.float32)
    stride = weight.shape[-1]
    y = ops.convolution_backprop_data(
        x, ops.constant(np.ascontiguousarray(weight)), [stride] * 2, pads_begin=[0, 0], pads_end=[0, 0], dilations=[1, 1]
    )
    return _biased(tensors, name, y)


def _biased(tensors: Tensors, name: str, y: Node) -> Node:
    if f"{name}.bias" not in tensors:
        return y
    bias = tensors[f"{name}.bias"].astype(np.float32)
    return ops.add(y, ops.constant(np.ascontiguousarray(bias[None, :, None, None])))


def residual_blocks(tensors: Tensors, name: str, count: int, x: Node) -> Node:
    """Return so many of ``networks.transforms.ResidualBlock``."""
    for i in range(count):
        inner = leaky(convolution(tensors, f"{name}.{i}.conv1", x))
        x = ops.add(x, convolution(tensors, f"{name}.{i}.conv2", inner))
    return x


def scalar(value: float) -> Node:
    """Return a constant."""
    return ops.constant(np.float32(value))


def vector(channels: int) -> Node:
    """Return an input of a number for each channel."""
    return ops.parameter([1, channels, 1, 1], np.float32)


def leaky(x: Node) -> Node:
    """Return the leaky rectifier of slope 0.1."""
    return ops.prelu(x, scalar(0.1))


def reshape(x: Node, shape: list[int]) -> Node:
    """Reshape; 0 keeps a dimension, and -1 takes what is left."""
    return ops.reshape(x, ops.constant(shape), True)


def as_float(x: Node) -> Node:
    """Convert to float32."""
    return ops.convert(x, "f32")


def to_nchw(x: Node) -> Node:
    """Put channels first."""
    return ops.transpose(x, ops.constant(np.array([0, 3, 1, 2])))


def to_nhwc(x: Node) -> Node:
    """Put channels last."""
    return ops.transpose(x, ops.constant(np.array([0, 2, 3, 1])))
