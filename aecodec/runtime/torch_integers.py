"""The synthesis in integers on a CUDA device: the samples of ``integer_synthesis.py``, computed by torch.

A GPU multiplies matrices of floats, not of integers of this size. So inputs are split into pieces of six bits, -32 .. 31.
The magnitudes of an output's int8 weights add up to 2**19 at most, so sums of products of pieces stay within 2**24. Float32
is exact there, in any order. Convolutions are products of matrices, since a library's own may transform their data first,
and then round.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aecodec.entropy.architecture import LATENT_STRIDE
from aecodec.entropy.integer import MEAN_FRAC
from aecodec.errors import DeviceError
from aecodec.images import edge_filter
from aecodec.runtime.integer_synthesis import (
    LEVEL_FRAC,
    LINEAR_FRAC,
    LINEAR_MAX,
    MIDDLE,
    STREAM_GUARD,
    STREAM_MAX,
    WIDE_MAX,
    Convolution,
    Factors,
    Floats,
    IntegerSynthesis,
    activation_factors,
    factors,
    gains,
)
from aecodec.weights.store import Weights

PIECE = 6  # bits of an input that are multiplied at once


class TorchIntegers:
    """Run ``runtime.Synthesis`` in torch's integer arithmetic.  Any thread may call.

    Raises WeightsError where the weights are no integers, DeviceError where the device is missing.
    """

    is_exact = True

    def __init__(self, weights: Weights, device: str) -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise DeviceError("no CUDA device is available to torch")
        torch.backends.cuda.matmul.allow_tf32 = False  # it rounds to 10 bits
        self.device = device
        self._page = IntegerSynthesis.of(weights)
        self._layers: dict[int, _Layer] = {}
        page = self._page
        pairs = [layer for pair in (*page.blocks_16, *page.blocks_8) for layer in pair]
        for layer in (page.stem, *pairs, page.up_8, page.head, *([page.strength] if page.strength else [])):
            self._layers[id(layer)] = _Layer(layer, device)
        self._linear = self._to_device(page.linear.T.astype(np.float64))
        self._lapping = self._to_device(page.lapping.T.astype(np.float64))

    @torch.inference_mode()
    def synthesise(self, latents: NDArray[np.int32], rate: int, depth: int = 8) -> NDArray[Any]:
        """Return the samples (16 h, 16 w, 3) of latents (h, w, M) in units of 2**-MEAN_FRAC at a rate index.

        They are uint8, or uint16 where ``depth`` is more than 8 bits.
        """
        tensors = self._page.tensors
        values = self._to_device(latents.astype(np.int64))
        gain = gains(tensors["inverse_gain.log"], rate)
        correction, strength = self._network(values, gain, rate)
        picture = self._linear_path(values, gain) + correction + MIDDLE
        if depth > 8:
            fine = _to_numpy(picture.clamp(0, 2 * MIDDLE).to(torch.int16))
            if strength is None:
                return edge_filter.apply_deep(fine, None, None, depth)
            amounts = edge_filter.tables(tensors[edge_filter.TABLE], rate)
            return edge_filter.apply_deep(fine, _to_numpy(strength.to(torch.uint8)), amounts, depth)
        if strength is None:
            return _to_numpy(((picture + (1 << LEVEL_FRAC >> 1)) >> LEVEL_FRAC).clamp(0, 255).to(torch.uint8))
        shift = LEVEL_FRAC - (edge_filter.LEVEL.bit_length() - 1)
        eighths = ((picture + (1 << shift >> 1)) >> shift).clamp(0, 255 * edge_filter.LEVEL)
        amounts = edge_filter.tables(tensors[edge_filter.TABLE], rate)
        return edge_filter.apply(_to_numpy(eighths.to(torch.int16)), _to_numpy(strength.to(torch.uint8)), amounts)

    def _network(self, latents: Tensor, gain: Floats, rate: int) -> tuple[Tensor, Tensor | None]:
        page, bits = self._page, self._page.bits
        spread = page.tensors["synthesis.spread"].reshape(-1).astype(np.float64)
        x = self._scaled(latents, factors(gain * 2.0 ** (bits.stem - MEAN_FRAC) / spread))
        sums = self._sums(page.stem, _clamp(x, page.stem.limit))
        scale = page.stem.scale * gains(page.tensors["synthesis.gain_16.log"], rate)
        stream = _clamp(self._scaled(sums, factors(scale * 2.0 ** (bits.stream_16 + STREAM_GUARD - bits.stem))), STREAM_MAX)
        for pair in page.blocks_16:
            stream = self._residual(stream, pair, bits.stream_16, bits.middle_16)
        sums = self._sums(page.up_8, _read(stream, page.up_8.limit))
        scale = page.up_8.scale * np.repeat(gains(page.tensors["synthesis.gain_8.log"], rate), 4)
        scale = scale * 2.0 ** (bits.stream_8 + STREAM_GUARD - bits.stream_16)
        stream = _shuffle(_clamp(self._leaky(sums, scale), STREAM_MAX), 2)
        for pair in page.blocks_8:
            stream = self._residual(stream, pair, bits.stream_8, bits.middle_8)
        strength = None
        if page.strength:
            unit = factors(page.strength.scale * edge_filter.STRENGTH * 2.0**-bits.stream_8)
            sums = self._sums(page.strength, _read(stream, page.strength.limit))
            strength = self._scaled(sums, unit)[..., 0].clamp(0, edge_filter.STRENGTH_MAX * edge_filter.STRENGTH)
        sums = self._sums(page.head, _read(stream, page.head.limit))
        correction = self._scaled(sums, factors(page.head.scale * 255 * 2.0 ** (LEVEL_FRAC - bits.stream_8)))
        return _shuffle(_clamp(correction, WIDE_MAX), 8), strength

    def _residual(self, stream: Tensor, pair: tuple[Convolution, Convolution], outer: int, inner: int) -> Tensor:
        first, second = pair
        sums = self._sums(first, _read(stream, first.limit))
        middle = _clamp(self._leaky(sums, first.scale * 2.0 ** (inner - outer)), second.limit)
        unit = factors(second.scale * 2.0 ** (outer + STREAM_GUARD - inner))
        return _clamp(stream + self._scaled(self._sums(second, middle), unit), STREAM_MAX)

    def _linear_path(self, latents: Tensor, gain: Floats) -> Tensor:
        page = self._page
        y = _clamp(self._scaled(latents, factors(gain * 2.0 ** (LINEAR_FRAC - MEAN_FRAC))), LINEAR_MAX)
        sums = (y.double() @ self._linear).long()  # below 2**41, which float64 holds
        shift = page.linear_frac + LINEAR_FRAC - LEVEL_FRAC
        x = _shuffle(_clamp((sums + (1 << shift >> 1)) >> shift, WIDE_MAX), LATENT_STRIDE)
        half, rounding = LATENT_STRIDE // 2, 1 << page.lapping_frac >> 1
        for _ in range(2):  # along rows, then along columns
            inner = x[:, half : x.shape[1] - half]
            windows = inner.reshape(len(x), -1, LATENT_STRIDE, 3).permute(0, 1, 3, 2).double()
            lapped = _clamp(((windows @ self._lapping).long() + rounding) >> page.lapping_frac, WIDE_MAX)
            x = torch.cat([x[:, :half], lapped.permute(0, 1, 3, 2).reshape(inner.shape), x[:, -half:]], 1)
            x = x.permute(1, 0, 2)
        return x

    def _sums(self, layer: Convolution, x: Tensor) -> Tensor:
        return self._layers[id(layer)].sums(x)

    def _scaled(self, sums: Tensor, by: Factors) -> Tensor:
        """Return what ``Factors.apply`` does."""
        mantissa, shift = self._to_device(by.mantissa), self._to_device(by.shift)
        return (sums * mantissa + ((torch.ones_like(shift) << shift) >> 1)) >> shift

    def _leaky(self, sums: Tensor, scale: Floats) -> Tensor:
        above, below = activation_factors(scale)
        return torch.where(sums > 0, self._scaled(sums, above), self._scaled(sums, below))

    def _to_device(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


class _Layer:
    """A convolution on a device."""

    def __init__(self, layer: Convolution, device: str) -> None:
        self._bias = torch.from_numpy(layer.bias).to(device)
        self._taps = torch.from_numpy(layer.weight).to(device).float().permute(2, 3, 1, 0).contiguous()  # (k, k, I, O)

    def sums(self, x: Tensor) -> Tensor:
        """Return the sums (h, w, O) int64 of inputs (h, w, I) int64."""
        h, w, _ = x.shape
        kernel = len(self._taps)
        pad = kernel // 2
        total, rest, at = self._bias, torch.nn.functional.pad(x, (0, 0, pad, pad, pad, pad)), 0
        for _ in range(_pieces(x)):
            high = (rest + (1 << PIECE >> 1)) >> PIECE
            piece, rest = (rest - (high << PIECE)).float(), high
            sums = piece.new_zeros(h, w, self._taps.shape[-1])
            for i in range(kernel):
                for j in range(kernel):
                    sums += piece[i : i + h, j : j + w] @ self._taps[i, j]
            total = total + (sums.long() << at)
            at += PIECE
        return total


def _pieces(x: Tensor) -> int:
    """Return how many pieces hold inputs: each has -32 .. 31."""
    largest, pieces, limit = int(x.abs().max()), 1, (1 << PIECE >> 1) - 1
    while largest > limit:
        pieces, limit = pieces + 1, (limit << PIECE) + (1 << PIECE >> 1) - 1
    return pieces


def _clamp(x: Tensor, limit: int) -> Tensor:
    return x.clamp(-limit, limit)


def _read(stream: Tensor, limit: int) -> Tensor:
    return _clamp((stream + (1 << STREAM_GUARD >> 1)) >> STREAM_GUARD, limit)


def _shuffle(x: Tensor, factor: int) -> Tensor:
    """Shuffle pixels as ``entropy.integer.shuffle`` does."""
    h, w, c = x.shape
    c //= factor**2
    return x.reshape(h, w, c, factor, factor).permute(0, 3, 1, 4, 2).reshape(factor * h, factor * w, c)


def _to_numpy(x: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = x.contiguous().cpu().numpy()
    return array
