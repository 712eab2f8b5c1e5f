"""The transforms in OpenVINO: a CPU needs no torch, and starts in a fraction of its time.

The graphs are built from the tensors of a weights file, layer by layer as ``networks/transforms.py`` and
``networks/hyperprior.py`` compute; the tests hold one against the other.
"""

from __future__ import annotations

import math
import sys

import numpy as np

# OpenVINO's import starts openvino_telemetry, which reports usage over the network from a thread that forks.  A codec
# reports nothing; besides, that fork has hung OpenBLAS and the dynamic loader for good.  Absent, it is replaced by a stub.
_telemetry = sys.modules.get("openvino_telemetry")
sys.modules["openvino_telemetry"] = None
try:
    import openvino
    from openvino import opset13 as ops
finally:
    if _telemetry is None:
        del sys.modules["openvino_telemetry"]
    else:
        sys.modules["openvino_telemetry"] = _telemetry

from aecodec.codec.config import LATENT_STRIDE  # noqa: E402
from aecodec.codec.integer import COMPAND_FRAC, COMPAND_MAX, COMPAND_STEPS, MEAN_FRAC
from aecodec.codec.quality import INTERVALS, STEPS
from aecodec.weights import Weights

Node = openvino.Node


class OpenVinoTransforms:
    """See ``runtime.Transforms``.  Float32 throughout, whatever the CPU offers."""

    def __init__(self, weights: Weights, threads: int | None = None) -> None:
        self.device = "cpu"
        self._tensors = weights.tensors
        self._arch = weights.arch
        options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if threads:
            options["INFERENCE_NUM_THREADS"] = threads
        self._options = options
        self._compiled: dict[str, openvino.CompiledModel] = {}

    def analyse(self, picture: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
        names = ("analysis.gain_8", "analysis.gain_16", "gain")
        bias = self._lerp("hyper_analysis.bias", rate)
        y, z = self._run("analysis", picture[None], *(self._gain(name, rate) for name in names), bias)
        return y[0], z[0]

    def synthesise(self, latents: np.ndarray, rate: int) -> np.ndarray:
        names = ("inverse_gain", "synthesis.gain_16", "synthesis.gain_8")
        (x,) = self._run("synthesis", latents[None], *(self._gain(name, rate) for name in names))
        return x[0]

    def _run(self, name: str, *inputs: np.ndarray) -> list[np.ndarray]:
        if name not in self._compiled:
            build = {"analysis": self._analysis, "synthesis": self._synthesis}[name]
            self._compiled[name] = openvino.Core().compile_model(build(), "CPU", self._options)
        return list(self._compiled[name](inputs).values())

    def _lerp(self, name: str, rate: int) -> np.ndarray:
        """A quality table (KNOTS, C) at a rate index, as (1, C, 1, 1)."""
        low = min(rate // STEPS, INTERVALS - 1)
        part = np.float32((rate - low * STEPS) / STEPS)
        table = self._tensors[name].astype(np.float32)
        return (table[low] + (table[low + 1] - table[low]) * part)[None, :, None, None]

    def _gain(self, name: str, rate: int) -> np.ndarray:
        return np.exp(self._lerp(f"{name}.log", rate))

    # graphs: NHWC outside, as pictures and latents are; NCHW inside

    def _analysis(self) -> openvino.Model:
        arch = self._arch
        picture = ops.parameter([1, -1, -1, 3], np.uint8)
        gain_8, gain_16, gain = (_vector(c) for c in (arch.width_8, arch.width_16, arch.latents))
        bias = _vector(arch.hyper_width)
        pixels = ops.convert(_to_nchw(picture), "f32")
        centred = ops.subtract(ops.multiply(pixels, _scalar(1 / 255)), _scalar(0.5))
        x = _leaky(self._conv("analysis.stem", ops.space_to_depth(centred, "depth_first", 8)))
        x = self._blocks("analysis.blocks_8", arch.blocks_8, ops.multiply(x, gain_8))
        x = self._conv("analysis.down_16", x, stride=2)
        x = self._blocks("analysis.blocks_16", arch.blocks_16, ops.multiply(x, gain_16))
        y = ops.add(self._conv("analysis.klt", centred, stride=LATENT_STRIDE, pad=0), self._conv("analysis.head", x))
        y = ops.multiply(y, gain)

        z = ops.log(ops.add(ops.abs(y), _scalar(1)))
        z = ops.multiply(z, _scalar(COMPAND_STEPS * 2.0**-COMPAND_FRAC / math.log(2)))
        z = ops.multiply(ops.sign(y), ops.minimum(z, _scalar(COMPAND_MAX * 2.0**-COMPAND_FRAC)))
        z = _leaky(ops.add(self._conv("hyper_analysis.conv1", z), bias))
        z = _leaky(self._conv("hyper_analysis.conv2", z, stride=2))
        z = self._conv("hyper_analysis.conv3", z, stride=2)
        return openvino.Model([_to_nhwc(y), _to_nhwc(z)], [picture, gain_8, gain_16, gain, bias])

    def _synthesis(self) -> openvino.Model:
        arch = self._arch
        latents = ops.parameter([1, -1, -1, arch.latents], np.int32)
        inverse, gain_16, gain_8 = (_vector(c) for c in (arch.latents, arch.decoder_width_16, arch.decoder_width_8))
        y = ops.multiply(ops.convert(_to_nchw(latents), "f32"), _scalar(2.0**-MEAN_FRAC))
        y = ops.multiply(y, inverse)
        linear = ops.depth_to_space(self._conv("synthesis.klt", y), "depth_first", LATENT_STRIDE)
        spread = ops.constant(self._tensors["synthesis.spread"].astype(np.float32))
        x = self._conv("synthesis.stem", ops.divide(y, spread))
        x = self._blocks("synthesis.blocks_16", arch.decoder_blocks_16, ops.multiply(x, gain_16))
        x = _leaky(ops.depth_to_space(self._conv("synthesis.up_8.0", x), "depth_first", 2))
        x = self._blocks("synthesis.blocks_8", arch.decoder_blocks_8, ops.multiply(x, gain_8))
        x = ops.depth_to_space(self._conv("synthesis.head.0", x), "depth_first", 8)
        x = ops.add(ops.add(linear, x), _scalar(0.5))
        x = ops.clamp(ops.round(ops.multiply(x, _scalar(255)), "half_to_even"), 0, 255)
        return openvino.Model([ops.convert(_to_nhwc(x), "u8")], [latents, inverse, gain_16, gain_8])

    def _conv(self, name: str, x: Node, stride: int = 1, pad: int | None = None) -> Node:
        weight = self._tensors[f"{name}.weight"].astype(np.float32)
        pad = weight.shape[-1] // 2 if pad is None else pad
        y = ops.convolution(x, ops.constant(weight), [stride] * 2, [pad] * 2, [pad] * 2, [1, 1])
        if f"{name}.bias" not in self._tensors:
            return y
        return ops.add(y, ops.constant(self._tensors[f"{name}.bias"].astype(np.float32)[None, :, None, None]))

    def _blocks(self, name: str, count: int, x: Node) -> Node:
        for i in range(count):
            x = ops.add(x, self._conv(f"{name}.{i}.conv2", _leaky(self._conv(f"{name}.{i}.conv1", x))))
        return x


def _scalar(value: float) -> Node:
    return ops.constant(np.float32(value))


def _vector(channels: int) -> Node:
    return ops.parameter([1, channels, 1, 1], np.float32)


def _leaky(x: Node) -> Node:
    return ops.prelu(x, _scalar(0.1))


def _to_nchw(x: Node) -> Node:
    return ops.transpose(x, ops.constant(np.array([0, 3, 1, 2])))


def _to_nhwc(x: Node) -> Node:
    return ops.transpose(x, ops.constant(np.array([0, 2, 3, 1])))
