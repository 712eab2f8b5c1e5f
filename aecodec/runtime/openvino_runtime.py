"""Compute the transforms in OpenVINO: on a CPU it needs no torch, and starts in a fraction of torch's time.

The graphs are built from the tensors of a weights file, layer by layer as ``networks/transforms.py`` and
``networks/hyperprior.py`` compute; the tests compare the two.
"""

from __future__ import annotations

import math
import sys
import threading
import zlib
from collections.abc import Callable
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

from aecodec.entropy.architecture import LATENT_STRIDE
from aecodec.entropy.integer import COMPAND_FRAC, COMPAND_MAX, COMPAND_STEPS, MEAN_FRAC
from aecodec.images import edge_filter
from aecodec.runtime.graph_cache import compiled
from aecodec.weights.store import Weights, at_rate

_SOURCE = zlib.crc32(Path(__file__).read_bytes())  # graphs that other code built are others
PATCH = 8  # pixels each way


def _patch_order(channels: int) -> NDArray[np.int_]:
    """Return the channels of a patch in a picture's own order (row, column, channel).

    They are given by their place in torch's order (channel, row, column).
    """
    return np.arange(channels * PATCH**2).reshape(channels, PATCH, PATCH).transpose(1, 2, 0).ravel()


class OpenVinoTransforms:
    """Run ``runtime.Transforms`` in OpenVINO.

    Each transform is two graphs. The linear path and the sum are float32, since latents and pictures need more than
    bfloat16's 8 bits. The network, where nearly all the work is, uses bfloat16 on CPUs that compute with it. A call waits
    for that of another thread: each uses all cores, and memory that the graphs share.
    """

    is_exact = False

    def __init__(self, weights: Weights, threads: int | None = None, *, bfloat16: bool | None = None) -> None:
        """Open the weights. ``bfloat16`` None: where the CPU has it."""
        self.device = "cpu"
        self._id = weights.id + weights.encoder_id
        self._tensors = weights.tensors
        self._arch = weights.arch
        self._filters_edges = weights.filters_edges
        self._core = openvino.Core()
        if bfloat16 is None:
            bfloat16 = "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self._network_precision = "bf16" if bfloat16 else "f32"
        self._options: dict[str, str | int] = {"PERFORMANCE_HINT": "LATENCY"}
        if threads:
            self._options["INFERENCE_NUM_THREADS"] = threads
        self._compiled: dict[str, openvino.CompiledModel] = {}
        self._lock = threading.Lock()

    def analyse(self, picture: NDArray[np.uint8] | NDArray[np.float32], rate: int) -> NDArray[np.float32]:
        deep = picture.dtype == np.float32
        network = self._deep_analysis_network if deep else self._analysis_network
        lapping = self._deep_analysis_lapping if deep else self._analysis_lapping
        patches, colour = _to_patches(picture)[None], np.ascontiguousarray(picture[None, ..., :3])
        gains = (self._gain(name, rate) for name in ("analysis.gain_8", "analysis.gain_16"))
        with self._lock:
            correction = self._run(network, patches, *gains, share=True)
            lapped = self._run(lapping, colour, share=True)
            latents: NDArray[np.float32] = self._run(self._analysis_linear, lapped, correction, self._gain("gain", rate))[0]
            return latents

    def hyper_analyse(self, y: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
        with self._lock:
            z: NDArray[np.float32] = self._run(self._hyper_analysis, y[None], self._lerp("hyper_analysis.bias", rate))[0]
            return z

    def prepare_synthesis(self) -> None:
        with self._lock:
            self._compile(self._synthesis_network)
            self._compile(self._synthesis_linear)

    def synthesise(self, latents: NDArray[np.int32], rate: int, depth: int = 8) -> NDArray[Any]:
        linear = self._synthesis_linear if depth == 8 else self._deep_synthesis_linear
        inverse, *gains = (self._gain(name, rate) for name in ("inverse_gain", "synthesis.gain_16", "synthesis.gain_8"))
        with self._lock:
            correction, *strength = self._all(self._synthesis_network, latents[None], inverse, *gains)
            picture: NDArray[Any] = self._run(linear, latents[None], inverse, correction)[0]
            if not self._filters_edges:
                return picture if depth == 8 else edge_filter.apply_deep(picture, None, None, depth)
            blocks = strength[0][0, 0].copy()  # the graph may run again, and this is its memory
        if depth > 8:
            return edge_filter.apply_deep(
                picture, blocks, edge_filter.tables(self._tensors[edge_filter.TABLE], rate), depth
            )
        return edge_filter.apply(picture, blocks, edge_filter.tables(self._tensors[edge_filter.TABLE], rate))

    def _run(self, build: Callable[[], openvino.Model], *inputs: NDArray[Any], share: bool = False) -> NDArray[Any]:
        """Return the output of a graph; with ``share`` it lies in the runtime's memory until the graph runs again."""
        output: NDArray[Any] = self._compile(build)(inputs, share_inputs=True, share_outputs=share)[0]
        return output

    def _all(self, build: Callable[[], openvino.Model], *inputs: NDArray[Any]) -> list[NDArray[Any]]:
        """Return all outputs of a graph, in the runtime's memory until the graph runs again."""
        found = self._compile(build)(inputs, share_inputs=True, share_outputs=True)
        return [found[i] for i in range(len(found))]

    def _compile(self, build: Callable[[], openvino.Model]) -> openvino.CompiledModel:
        name = build.__name__
        if name not in self._compiled:
            precision = self._network_precision if name.endswith("network") else "f32"
            options = {**self._options, "INFERENCE_PRECISION_HINT": precision}
            self._compiled[name] = compiled(self._core, build, options, (self._id, name, _SOURCE))
        return self._compiled[name]

    def _lerp(self, name: str, rate: int) -> NDArray[np.float32]:
        """Return a quality table (KNOTS, C) at a rate index, as (1, C, 1, 1)."""
        return at_rate(self._tensors[name], rate)[None, :, None, None]

    def _gain(self, name: str, rate: int) -> NDArray[np.float32]:
        gain: NDArray[np.float32] = np.exp(self._lerp(f"{name}.log", rate))
        return gain

    # Graphs: NHWC outside, as pictures and latents are, NCHW inside.  The networks read pictures as patches.

    def _analysis_network(self) -> openvino.Model:
        return self._analysis_network_of(np.uint8)

    def _deep_analysis_network(self) -> openvino.Model:
        return self._analysis_network_of(np.float32)

    def _analysis_network_of(self, kind: type[np.generic]) -> openvino.Model:
        arch = self._arch
        order = _patch_order(arch.inputs)
        picture = ops.parameter([1, -1, -1, len(order)], kind)
        gain_8, gain_16 = _vector(arch.width_8), _vector(arch.width_16)
        x = _leaky(self._conv("analysis.stem", _centred(picture, arch.inputs, PATCH**2), lambda weight: weight[:, order]))
        x = self._blocks("analysis.blocks_8", arch.blocks_8, ops.multiply(x, gain_8))
        x = self._conv("analysis.down_16", x, stride=2)
        x = self._blocks("analysis.blocks_16", arch.blocks_16, ops.multiply(x, gain_16))
        correction = _float(self._conv("analysis.head", x))
        if arch.restores:
            gate = ops.multiply(ops.sigmoid(_float(self._conv("analysis.gate", x))), _scalar(2))
            correction = ops.concat([correction, gate], 1)
        return openvino.Model([correction], [picture, gain_8, gain_16])

    def _analysis_lapping(self) -> openvino.Model:
        return self._analysis_lapping_of(np.uint8)

    def _deep_analysis_lapping(self) -> openvino.Model:
        return self._analysis_lapping_of(np.float32)

    def _analysis_lapping_of(self, kind: type[np.generic]) -> openvino.Model:
        """Build the lapping as a graph of its own.

        The layers after it could not be compiled with it (OpenVINO 2026.4: "overflow while multiplying").
        """
        picture = ops.parameter([1, -1, -1, 3], kind)
        lapped = self._lap("analysis.lap", _centred(picture, 3, 1))
        return openvino.Model([ops.space_to_depth(lapped, "depth_first", PATCH)], [picture])

    def _analysis_linear(self) -> openvino.Model:
        patches = ops.parameter([1, 3 * PATCH**2, -1, -1], np.float32)
        latents = self._arch.latents
        correction = ops.parameter([1, 2 * latents if self._arch.restores else latents, -1, -1], np.float32)
        gain = _vector(latents)

        def by_patches(weight: NDArray[np.float32]) -> NDArray[np.float32]:
            """Return a convolution of 16x16 pixels (M, 3, 16, 16) as one of 2x2 patches (M, 192, 2, 2)."""
            parts = weight.reshape(-1, 3, 2, PATCH, 2, PATCH).transpose(0, 1, 3, 5, 2, 4)
            return parts.reshape(-1, 3 * PATCH**2, 2, 2)

        y = self._conv("analysis.klt", patches, by_patches, stride=2, pad=0)
        if self._arch.restores:
            head, gate = ops.split(correction, 1, 2).outputs()
            y = ops.add(ops.multiply(y, gate), head)
        else:
            y = ops.add(y, correction)
        return openvino.Model([_to_nhwc(ops.multiply(y, gain))], [patches, correction, gain])

    def _hyper_analysis(self) -> openvino.Model:
        y = ops.parameter([1, -1, -1, self._arch.latents], np.float32)
        bias = _vector(self._arch.hyper_width)
        z = _to_nchw(y)
        sign = ops.sign(z)
        z = ops.log(ops.add(ops.abs(z), _scalar(1)))
        z = ops.multiply(z, _scalar(COMPAND_STEPS * 2.0**-COMPAND_FRAC / math.log(2)))
        z = ops.multiply(sign, ops.minimum(z, _scalar(COMPAND_MAX * 2.0**-COMPAND_FRAC)))
        z = _leaky(ops.add(self._conv("hyper_analysis.conv1", z), bias))
        z = _leaky(self._conv("hyper_analysis.conv2", z, stride=2))
        z = self._conv("hyper_analysis.conv3", z, stride=2)
        return openvino.Model([_to_nhwc(z)], [y, bias])

    def _synthesis_network(self) -> openvino.Model:
        arch = self._arch
        latents, inverse, y = self._latents()
        gain_16, gain_8 = _vector(arch.decoder_width_16), _vector(arch.decoder_width_8)
        spread = ops.constant(self._tensors["synthesis.spread"].astype(np.float32))
        x = self._conv("synthesis.stem", ops.divide(y, spread))
        x = self._blocks("synthesis.blocks_16", arch.decoder_blocks_16, ops.multiply(x, gain_16))
        x = _leaky(ops.depth_to_space(self._conv("synthesis.up_8.0", x), "depth_first", 2))
        x = self._blocks("synthesis.blocks_8", arch.decoder_blocks_8, ops.multiply(x, gain_8))
        outputs = [_float(self._conv("synthesis.head.0", x))]
        if self._filters_edges:
            unit, name = edge_filter.STRENGTH, "synthesis.edges.strength"
            strength = ops.multiply(_float(self._conv(name, x)), _scalar(unit))
            strength = ops.clamp(ops.round(strength, "half_to_even"), 0, edge_filter.STRENGTH_MAX * unit)
            outputs.append(ops.convert(strength, "u8"))
        return openvino.Model(outputs, [latents, inverse, gain_16, gain_8])

    def _synthesis_linear(self) -> openvino.Model:
        return self._synthesis_linear_of(edge_filter.LEVEL if self._filters_edges else 1)

    def _deep_synthesis_linear(self) -> openvino.Model:
        return self._synthesis_linear_of(edge_filter.FINE)

    def _synthesis_linear_of(self, units: int) -> openvino.Model:
        """Build the linear path and the sum; samples are in so many units a level."""
        latents, inverse, y = self._latents()
        correction = ops.parameter([1, 3 * PATCH**2, -1, -1], np.float32)
        linear = self._lap(
            "synthesis.lap", ops.depth_to_space(self._conv("synthesis.klt", y), "depth_first", LATENT_STRIDE)
        )
        x = ops.add(linear, ops.depth_to_space(correction, "depth_first", PATCH))
        top, kind = 255 * units, "u8" if units == 1 else "i16"
        x = ops.multiply(ops.add(x, _scalar(0.5)), _scalar(top))
        x = ops.clamp(ops.round(x, "half_to_even"), 0, top)
        return openvino.Model([ops.convert(_to_nhwc(x), kind)], [latents, inverse, correction])

    def _latents(self) -> tuple[Node, Node, Node]:
        """Return the two inputs of the synthesis, and the latents at gain 1 that they make."""
        latents, inverse = ops.parameter([1, -1, -1, self._arch.latents], np.int32), _vector(self._arch.latents)
        y = ops.multiply(ops.convert(_to_nchw(latents), "f32"), _scalar(2.0**-MEAN_FRAC))
        return latents, inverse, ops.multiply(y, inverse)

    def _lap(self, name: str, x: Node) -> Node:
        """Multiply windows of 16 pixels astride the borders of blocks by their matrix, along rows and columns."""
        matrix = ops.constant(np.ascontiguousarray(self._tensors[f"{name}.weight"][:, :, 0, 0].T.astype(np.float32)))
        half = LATENT_STRIDE // 2
        for _ in range(2):
            first, windows, last = ops.variadic_split(x, 3, [half, -1, half]).outputs()
            windows = ops.matmul(_reshape(windows, [0, 0, 0, -1, LATENT_STRIDE]), matrix, False, False)
            x = ops.transpose(ops.concat([first, _reshape(windows, [0, 0, 0, -1]), last], 3), ops.constant([0, 1, 3, 2]))
        return x

    def _conv(
        self,
        name: str,
        x: Node,
        order: Callable[[NDArray[np.float32]], NDArray[np.float32]] = lambda weight: weight,
        *,
        stride: int = 1,
        pad: int | None = None,
    ) -> Node:
        """Build a layer; ``order`` rearranges its weights (O, I, k, k)."""
        weight = order(self._tensors[f"{name}.weight"].astype(np.float32))
        pad = weight.shape[-1] // 2 if pad is None else pad
        y = ops.convolution(x, ops.constant(np.ascontiguousarray(weight)), [stride] * 2, [pad] * 2, [pad] * 2, [1, 1])
        if f"{name}.bias" not in self._tensors:
            return y
        bias = self._tensors[f"{name}.bias"].astype(np.float32)
        return ops.add(y, ops.constant(np.ascontiguousarray(bias[None, :, None, None])))

    def _blocks(self, name: str, count: int, x: Node) -> Node:
        for i in range(count):
            x = ops.add(x, self._conv(f"{name}.{i}.conv2", _leaky(self._conv(f"{name}.{i}.conv1", x))))
        return x


def _to_patches(picture: NDArray[Any]) -> NDArray[Any]:
    """Reshape (H, W, C) to (H / 8, W / 8, 64 C)."""
    h, w, channels = picture.shape
    parts = picture.reshape(h // PATCH, PATCH, w // PATCH, channels * PATCH).transpose(0, 2, 1, 3)
    return parts.reshape(h // PATCH, w // PATCH, -1)


def _scalar(value: float) -> Node:
    return ops.constant(np.float32(value))


def _vector(channels: int) -> Node:
    return ops.parameter([1, channels, 1, 1], np.float32)


def _leaky(x: Node) -> Node:
    return ops.prelu(x, _scalar(0.1))


def _reshape(x: Node, shape: list[int]) -> Node:
    """Reshape; 0 keeps a dimension, and -1 takes what is left."""
    return ops.reshape(x, ops.constant(shape), True)


def _centred(picture: Node, channels: int, pixels_each: int) -> Node:
    """Convert pixels in levels, so many at each position, to floats: colour in -0.5..0.5, a hint in 0..1."""
    pixels = ops.convert(_to_nchw(picture), "f32")
    middle = np.tile(np.array([0.5, 0.5, 0.5, 0][:channels], np.float32), pixels_each)[None, :, None, None]
    return ops.subtract(ops.multiply(pixels, _scalar(1 / 255)), ops.constant(middle))


def _float(x: Node) -> Node:
    return ops.convert(x, "f32")


def _to_nchw(x: Node) -> Node:
    return ops.transpose(x, ops.constant(np.array([0, 3, 1, 2])))


def _to_nhwc(x: Node) -> Node:
    return ops.transpose(x, ops.constant(np.array([0, 2, 3, 1])))
