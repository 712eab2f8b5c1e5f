"""Compute the transforms in OpenVINO: on a CPU it needs no torch, and starts in a fraction of torch's time.

The graphs are built from the tensors of a weights file, layer by layer as ``networks/transforms.py`` and
``networks/hyperprior.py`` compute; the tests compare the two.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec.entropy.architecture import LATENT_STRIDE
from aecodec.entropy.integer import COMPAND_FRAC, COMPAND_MAX, COMPAND_STEPS, MEAN_FRAC
from aecodec.images import edge_filter
from aecodec.runtime.graph_cache import compiled
from aecodec.runtime.graphs import (
    Node,
    as_float,
    convolution,
    leaky,
    openvino,
    ops,
    options,
    precision,
    reshape,
    residual_blocks,
    scalar,
    source_of,
    to_nchw,
    to_nhwc,
    vector,
)
from aecodec.weights.store import Weights, at_rate

_SOURCE = source_of(__file__)
PATCH = 8  # pixels each way


# The channels of a patch in a picture's own order (row, column, channel), each by its place in torch's order (channel, row,
# column).
_PATCH_ORDER = np.arange(3 * PATCH**2).reshape(3, PATCH, PATCH).transpose(1, 2, 0).ravel()


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
        self._id = weights.id
        self._tensors = weights.tensors
        self._arch = weights.arch
        self._filters_edges = weights.filters_edges
        self._core = openvino.Core()
        self._network_precision = precision(self._core, bfloat16)
        self._options = options(threads)
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
            hint = self._network_precision if name.endswith("network") else "f32"
            chosen = {**self._options, "INFERENCE_PRECISION_HINT": hint}
            self._compiled[name] = compiled(self._core, build, chosen, (self._id, name, _SOURCE))
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
        picture = ops.parameter([1, -1, -1, 3 * PATCH**2], kind)
        gain_8, gain_16 = vector(arch.width_8), vector(arch.width_16)
        x = leaky(convolution(self._tensors, "analysis.stem", _centred(picture), lambda weight: weight[:, _PATCH_ORDER]))
        x = residual_blocks(self._tensors, "analysis.blocks_8", arch.blocks_8, ops.multiply(x, gain_8))
        x = convolution(self._tensors, "analysis.down_16", x, stride=2)
        x = residual_blocks(self._tensors, "analysis.blocks_16", arch.blocks_16, ops.multiply(x, gain_16))
        correction = as_float(convolution(self._tensors, "analysis.head", x))
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
        lapped = self._lap("analysis.lap", _centred(picture))
        return openvino.Model([ops.space_to_depth(lapped, "depth_first", PATCH)], [picture])

    def _analysis_linear(self) -> openvino.Model:
        patches = ops.parameter([1, 3 * PATCH**2, -1, -1], np.float32)
        latents = self._arch.latents
        correction = ops.parameter([1, latents, -1, -1], np.float32)
        gain = vector(latents)

        def by_patches(weight: NDArray[np.float32]) -> NDArray[np.float32]:
            """Return a convolution of 16x16 pixels (M, 3, 16, 16) as one of 2x2 patches (M, 192, 2, 2)."""
            parts = weight.reshape(-1, 3, 2, PATCH, 2, PATCH).transpose(0, 1, 3, 5, 2, 4)
            return parts.reshape(-1, 3 * PATCH**2, 2, 2)

        y = convolution(self._tensors, "analysis.klt", patches, by_patches, stride=2, pad=0)
        y = ops.add(y, correction)
        return openvino.Model([to_nhwc(ops.multiply(y, gain))], [patches, correction, gain])

    def _hyper_analysis(self) -> openvino.Model:
        y = ops.parameter([1, -1, -1, self._arch.latents], np.float32)
        bias = vector(self._arch.hyper_width)
        z = to_nchw(y)
        sign = ops.sign(z)
        z = ops.log(ops.add(ops.abs(z), scalar(1)))
        z = ops.multiply(z, scalar(COMPAND_STEPS * 2.0**-COMPAND_FRAC / math.log(2)))
        z = ops.multiply(sign, ops.minimum(z, scalar(COMPAND_MAX * 2.0**-COMPAND_FRAC)))
        z = leaky(ops.add(convolution(self._tensors, "hyper_analysis.conv1", z), bias))
        z = leaky(convolution(self._tensors, "hyper_analysis.conv2", z, stride=2))
        z = convolution(self._tensors, "hyper_analysis.conv3", z, stride=2)
        return openvino.Model([to_nhwc(z)], [y, bias])

    def _synthesis_network(self) -> openvino.Model:
        arch = self._arch
        latents, inverse, y = self._latents()
        gain_16, gain_8 = vector(arch.decoder_width_16), vector(arch.decoder_width_8)
        spread = ops.constant(self._tensors["synthesis.spread"].astype(np.float32))
        x = convolution(self._tensors, "synthesis.stem", ops.divide(y, spread))
        x = residual_blocks(self._tensors, "synthesis.blocks_16", arch.decoder_blocks_16, ops.multiply(x, gain_16))
        x = leaky(ops.depth_to_space(convolution(self._tensors, "synthesis.up_8.0", x), "depth_first", 2))
        x = residual_blocks(self._tensors, "synthesis.blocks_8", arch.decoder_blocks_8, ops.multiply(x, gain_8))
        outputs = [as_float(convolution(self._tensors, "synthesis.head.0", x))]
        if self._filters_edges:
            unit, name = edge_filter.STRENGTH, "synthesis.edges.strength"
            strength = ops.multiply(as_float(convolution(self._tensors, name, x)), scalar(unit))
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
            "synthesis.lap",
            ops.depth_to_space(convolution(self._tensors, "synthesis.klt", y), "depth_first", LATENT_STRIDE),
        )
        x = ops.add(linear, ops.depth_to_space(correction, "depth_first", PATCH))
        top, kind = 255 * units, "u8" if units == 1 else "i16"
        x = ops.multiply(ops.add(x, scalar(0.5)), scalar(top))
        x = ops.clamp(ops.round(x, "half_to_even"), 0, top)
        return openvino.Model([ops.convert(to_nhwc(x), kind)], [latents, inverse, correction])

    def _latents(self) -> tuple[Node, Node, Node]:
        """Return the two inputs of the synthesis, and the latents at gain 1 that they make."""
        latents, inverse = ops.parameter([1, -1, -1, self._arch.latents], np.int32), vector(self._arch.latents)
        y = ops.multiply(ops.convert(to_nchw(latents), "f32"), scalar(2.0**-MEAN_FRAC))
        return latents, inverse, ops.multiply(y, inverse)

    def _lap(self, name: str, x: Node) -> Node:
        """Multiply windows of 16 pixels astride the borders of blocks by their matrix, along rows and columns."""
        matrix = ops.constant(np.ascontiguousarray(self._tensors[f"{name}.weight"][:, :, 0, 0].T.astype(np.float32)))
        half = LATENT_STRIDE // 2
        for _ in range(2):
            first, windows, last = ops.variadic_split(x, 3, [half, -1, half]).outputs()
            windows = ops.matmul(reshape(windows, [0, 0, 0, -1, LATENT_STRIDE]), matrix, False, False)
            x = ops.transpose(ops.concat([first, reshape(windows, [0, 0, 0, -1]), last], 3), ops.constant([0, 1, 3, 2]))
        return x


def _to_patches(picture: NDArray[Any]) -> NDArray[Any]:
    """Reshape (H, W, C) to (H / 8, W / 8, 64 C)."""
    h, w, channels = picture.shape
    parts = picture.reshape(h // PATCH, PATCH, w // PATCH, channels * PATCH).transpose(0, 2, 1, 3)
    return parts.reshape(h // PATCH, w // PATCH, -1)


def _centred(picture: Node) -> Node:
    """Convert colour in levels to floats in -0.5..0.5."""
    pixels = ops.multiply(as_float(to_nchw(picture)), scalar(1 / 255))
    return ops.subtract(pixels, scalar(0.5))
