"""The synthesis in integers: from latents to samples, the same on every machine.

Section 8 of docs/format.md defines every step; this module is that page in numpy, for reading and for tests.  ``libaec``
computes the same and is fast.  Only two kinds of arithmetic occur: integers, all of them below 2**63, and, when tables are
made for a rate index, products and quotients of float64, which IEEE 754 rounds alike everywhere.

Weights are int8, as they are stored.  Inputs of convolutions have 16 bits on photographs and 23 at most, which graphics in
pure colours come to; the stream that residual blocks add to has 31.  Between them a sum is multiplied by a dyadic number
and rounded, ties upward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec.entropy.architecture import LATENT_STRIDE
from aecodec.entropy.integer import MEAN_FRAC, interpolate, shuffle
from aecodec.errors import WeightsError
from aecodec.images import edge_filter
from aecodec.weights.store import FRACTION_BITS, SCALE, Weights, stored_tensors

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

INPUT_MAX = 2**22 - 1  # an input of a convolution, unless its layer's sums need less
SUM_MAX = 2**41 - 1
WEIGHTS_MAX = 2**19  # the sum of magnitudes of the weights of an output
BIAS_MAX = 2**30
STREAM_MAX = 2**30 - 1
STREAM_GUARD = 8  # fractional bits that the residual stream has beyond the inputs read from it
MANTISSA = 21  # bits of a factor: a sum times a factor stays below 2**62
SHIFT_MAX = 62
SLOPE = 6554, 16  # of the leaky activation below 0: 6554 / 2**16
LOG_FRAC = 24  # of logarithms of gains; a float16 is a multiple of 2**-24
LOG_MAX = 16
LOG2_E = 24204406  # / 2**24
POWER = (268435456, 186065213, 64486372, 14892968, 2599579, 332627, 58696)  # / 2**28: a polynomial for 2**x, x in 0..1
POWER_FRAC = 28
LINEAR_FRAC = 10  # of the linear path's inputs, in units of its matrix
LINEAR_MAX = 2**19 - 1
ROW_MAX = 4_000_000  # the sum of magnitudes in a row of the linear path's matrix: two halves of its sums then fit int32
LAPPING_ROW_MAX = 2**16 - 2  # the same of the lapping's matrix
LEVEL_FRAC = 5  # of a picture between the linear path and the edge filter, in levels
MIDDLE = 255 << LEVEL_FRAC >> 1  # half of the range of samples
WIDE_MAX = 32767  # a sample of a picture in those units, and a number in a matrix of the linear path


@dataclass(frozen=True)
class FractionBits:
    """Fractional bits of the inputs of convolutions, in the order of the tensor FRACTION_BITS.

    ``stem`` of its input, ``stream_16`` and ``stream_8`` of what is read from the residual streams, ``middle_16`` and
    ``middle_8`` of what is between the two convolutions of a block.  The default suits the installed weights: with it the
    activations of photographs fit 16 bits, and are a fifth to an eighth of the largest number there.
    """

    stem: int = 8
    stream_16: int = 11
    middle_16: int = 10
    stream_8: int = 14
    middle_8: int = 13


@dataclass(frozen=True)
class Factors:
    """Dyadic numbers ``mantissa / 2**shift``, one per channel, that sums are multiplied by."""

    mantissa: Integers
    shift: Integers

    def apply(self, sums: Integers) -> Integers:
        """Return sums (..., O) times the factors, rounded, ties upward."""
        return (sums * self.mantissa + ((np.int64(1) << self.shift) >> 1)) >> self.shift


def factors(values: Floats) -> Factors:
    """Return numbers, none negative, rounded to MANTISSA bits, ties upward; below 2**-41 they count as 0.

    Raises WeightsError for a number of 2**MANTISSA or more.
    """
    if not np.all((values >= 0) & (values < 2.0**MANTISSA)):
        raise WeightsError("a factor of the synthesis is out of range")
    fraction, exponent = np.frexp(values)
    mantissa = np.floor(fraction * 2.0**MANTISSA + 0.5).astype(np.int64)
    shift = MANTISSA - exponent.astype(np.int64)
    vanishes = (shift > SHIFT_MAX) | (mantissa == 0)
    return Factors(np.where(vanishes, 0, mantissa), np.where(vanishes, 1, shift))


def gains(log: NDArray[np.float16], rate: int) -> Floats:
    """Return the exponentials of a table of logarithms (KNOTS, C) at a rate index, (C,), with 29 bits each.

    Raises WeightsError for logarithms beyond LOG_MAX.
    """
    if not np.all(np.abs(log.astype(np.float64)) <= LOG_MAX):
        raise WeightsError("a gain of the synthesis is out of range")
    natural = np.asarray(interpolate((log.astype(np.float64) * 2**LOG_FRAC).astype(np.int64), rate), np.int64)
    binary = (natural * LOG2_E + (1 << LOG_FRAC >> 1)) >> LOG_FRAC
    part = binary & ((1 << LOG_FRAC) - 1)
    power = np.full_like(part, POWER[-1])
    for coefficient in POWER[-2::-1]:
        power = coefficient + (power * part >> LOG_FRAC)
    return np.asarray(np.ldexp(power.astype(np.float64), (binary >> LOG_FRAC) - POWER_FRAC), np.float64)


@dataclass(frozen=True)
class Convolution:
    """A layer: weight (O, I, k, k) int8 of unit ``scale`` (O,), bias (O,) in units of the sums, and the largest input.

    The unit is the file's, or a larger one where the bias would not fit otherwise: beside it such weights are nothing.
    """

    weight: NDArray[np.int8]
    scale: Floats
    bias: Integers
    limit: int

    @classmethod
    def of(cls, tensors: dict[str, NDArray[Any]], name: str, input_frac: int) -> Convolution:
        """Return the layer of a name.  Raises WeightsError where its tensors are not there or not in range."""
        try:
            weight, scale = tensors[f"{name}.weight"], tensors[f"{name}.weight{SCALE}"].astype(np.float64)
            bias = tensors[f"{name}.bias"].astype(np.float64)
        except KeyError as error:
            raise WeightsError(f"the weights have no {error}, so their pictures are not exact") from None
        if weight.dtype != np.int8 or not np.all((scale > 0) & np.isfinite(scale) & np.isfinite(bias)):
            raise WeightsError(f"the weights of {name} are not integers with a scale")
        unit = np.maximum(scale, np.abs(bias) * (2.0**input_frac / BIAS_MAX))
        whole = np.floor(bias * 2.0**input_frac / unit + 0.5).astype(np.int64)
        rows = weight.astype(np.float64) * scale[:, None, None, None]
        weight = np.floor(rows / unit[:, None, None, None] + 0.5).astype(np.int8)
        sums = np.maximum(np.abs(weight.astype(np.int64)).sum((1, 2, 3)), 1)
        if sums.max() > WEIGHTS_MAX:
            raise WeightsError(f"the weights of {name} are too large")
        limit = int(((SUM_MAX - np.abs(whole)) // sums).min())
        return cls(weight, unit, whole, min(limit, INPUT_MAX))

    def sums(self, x: Integers) -> Integers:
        """Return the sums (h, w, O) of inputs (h, w, I), zero outside, bias included; none is beyond SUM_MAX."""
        h, w, _ = x.shape
        kernel = self.weight.shape[-1]
        pad = kernel // 2
        padded = np.pad(x.astype(np.float64), ((pad, pad), (pad, pad), (0, 0)))
        weight = self.weight.astype(np.float64)  # a product of matrices in float64 is exact for these integers, and fast
        result = np.zeros((h, w, len(weight)))
        for i in range(kernel):
            for j in range(kernel):
                result += padded[i : i + h, j : j + w] @ weight[:, :, i, j].T
        return result.astype(np.int64) + self.bias


def activation_factors(scale: Floats) -> tuple[Factors, Factors]:
    """Return the factors of sums above and below 0, where an activation with SLOPE follows."""
    above = factors(scale)
    numerator, bits = SLOPE
    rounded = np.ldexp(above.mantissa.astype(np.float64), -above.shift)
    return above, factors(rounded * numerator * 2.0**-bits)


def _leaky(sums: Integers, scale: Floats) -> Integers:
    """Return sums times a factor above 0, and SLOPE of it below."""
    above, below = activation_factors(scale)
    return np.where(sums > 0, above.apply(sums), below.apply(sums))


def _clamp(x: Integers, limit: int) -> Integers:
    return np.clip(x, -limit, limit)


@dataclass(frozen=True)
class IntegerSynthesis:
    """The synthesis of one set of weights.  ``blocks_*`` are pairs of layers."""

    tensors: dict[str, NDArray[Any]]
    bits: FractionBits
    stem: Convolution
    blocks_16: list[tuple[Convolution, Convolution]]
    up_8: Convolution
    blocks_8: list[tuple[Convolution, Convolution]]
    head: Convolution
    strength: Convolution | None
    linear: Integers
    linear_frac: int
    lapping: Integers
    lapping_frac: int

    @classmethod
    def of(cls, weights: Weights, bits: FractionBits | None = None) -> IntegerSynthesis:
        """Return the synthesis of weights, with other ``bits`` than theirs if they are given.

        Raises WeightsError where a tensor is missing or out of range.
        """
        tensors = weights.tensors | stored_tensors(weights)
        if bits is None:
            bits = FractionBits(*map(int, tensors[FRACTION_BITS])) if FRACTION_BITS in tensors else FractionBits()
        arch = weights.arch

        def blocks(name: str, count: int, stream: int, middle: int) -> list[tuple[Convolution, Convolution]]:
            pairs = (("conv1", stream), ("conv2", middle))
            names = [[(f"synthesis.{name}.{i}.{conv}", frac) for conv, frac in pairs] for i in range(count)]
            return [(Convolution.of(tensors, *first), Convolution.of(tensors, *second)) for first, second in names]

        linear, linear_frac = _linear_matrix(tensors["synthesis.klt.weight"][:, :, 0, 0].astype(np.float64))
        lapping, lapping_frac = _lapping_matrix(tensors["synthesis.lap.weight"][:, :, 0, 0].astype(np.float64))
        return cls(
            tensors, bits,
            Convolution.of(tensors, "synthesis.stem", bits.stem),
            blocks("blocks_16", arch.decoder_blocks_16, bits.stream_16, bits.middle_16),
            Convolution.of(tensors, "synthesis.up_8.0", bits.stream_16),
            blocks("blocks_8", arch.decoder_blocks_8, bits.stream_8, bits.middle_8),
            Convolution.of(tensors, "synthesis.head.0", bits.stream_8),
            Convolution.of(tensors, "synthesis.edges.strength", bits.stream_8) if weights.filters_edges else None,
            linear, linear_frac, lapping, lapping_frac,
        )  # fmt: skip

    def synthesise(self, latents: NDArray[np.int32], rate: int, depth: int = 8) -> NDArray[Any]:
        """Return the samples (16 h, 16 w, 3) of latents (h, w, M) in units of 2**-MEAN_FRAC at a rate index.

        They are uint8, or uint16 where ``depth`` is more than 8 bits.
        """
        picture, strength = self.picture(latents.astype(np.int64), rate)
        if depth > 8:
            fine = np.clip(picture, 0, 2 * MIDDLE).astype(np.int16)
            if strength is None:
                return edge_filter.apply_deep(fine, None, None, depth)
            amounts = edge_filter.tables(self.tensors[edge_filter.TABLE], rate)
            return edge_filter.apply_deep(fine, strength.astype(np.uint8), amounts, depth)
        if strength is None:
            return np.clip((picture + (1 << LEVEL_FRAC >> 1)) >> LEVEL_FRAC, 0, 255).astype(np.uint8)
        shift = LEVEL_FRAC - (edge_filter.LEVEL.bit_length() - 1)
        eighths = np.clip((picture + (1 << shift >> 1)) >> shift, 0, 255 * edge_filter.LEVEL).astype(np.int16)
        amounts = edge_filter.tables(self.tensors[edge_filter.TABLE], rate)
        return edge_filter.apply(eighths, strength.astype(np.uint8), amounts)

    def scaled(self, latents: NDArray[np.int32], rate: int, scale: int) -> NDArray[np.uint8]:
        """Return the samples (16 h / scale, 16 w / scale, 3) of a picture that is 2, 4, 8 or 16 times smaller each way.

        They are means, two by two, of what the linear path gives on blocks that are ``scale / 2`` times smaller.
        """
        factor, gain = scale // 2, gains(self.tensors["inverse_gain.log"], rate)
        bits = 2 * (factor.bit_length() - 1)
        side = LATENT_STRIDE // factor
        blocks = self.linear.reshape(3, side, factor, side, factor, -1)
        linear, drop = _fit(blocks.sum((2, 4)).reshape(3 * side**2, -1), ROW_MAX)
        lapping, lapping_drop = _fit(self.lapping.reshape(side, factor, side, factor).sum((1, 3)), LAPPING_ROW_MAX)
        x = _lapped_path(
            latents.astype(np.int64), gain, linear, self.linear_frac + bits - drop, lapping,
            self.lapping_frac + bits // 2 - lapping_drop,
        )  # fmt: skip
        sums = x.reshape(len(x) // 2, 2, -1, 2, 3).sum((1, 3)) + 4 * MIDDLE
        samples: NDArray[np.uint8] = np.clip((sums + (2 << LEVEL_FRAC)) >> (LEVEL_FRAC + 2), 0, 255).astype(np.uint8)
        return samples

    def picture(self, latents: Integers, rate: int) -> tuple[Integers, Integers | None]:
        """Return the picture (16 h, 16 w, 3) in 2**-LEVEL_FRAC levels, and the edge filter's strengths (2 h, 2 w)."""
        gain = gains(self.tensors["inverse_gain.log"], rate)
        correction, strength = self._network(latents, gain, rate)
        return self._linear_path(latents, gain) + correction + MIDDLE, strength

    def _network(self, latents: Integers, gain: Floats, rate: int) -> tuple[Integers, Integers | None]:
        """Return the network's part of a picture, and the strengths."""
        bits = self.bits
        spread = self.tensors["synthesis.spread"].reshape(-1).astype(np.float64)
        inputs = factors(gain * 2.0 ** (bits.stem - MEAN_FRAC) / spread)
        sums = self.stem.sums(_clamp(inputs.apply(latents), self.stem.limit))
        stem_scale = self.stem.scale * gains(self.tensors["synthesis.gain_16.log"], rate)
        fine = bits.stream_16 + STREAM_GUARD
        stream = _clamp(factors(stem_scale * 2.0 ** (fine - bits.stem)).apply(sums), STREAM_MAX)
        for pair in self.blocks_16:
            stream = _residual(stream, pair, bits.stream_16, bits.middle_16)
        sums = self.up_8.sums(_read(stream, self.up_8.limit))
        up_scale = self.up_8.scale * np.repeat(gains(self.tensors["synthesis.gain_8.log"], rate), 4)
        fine = bits.stream_8 + STREAM_GUARD
        stream = shuffle(_clamp(_leaky(sums, up_scale * 2.0 ** (fine - bits.stream_16)), STREAM_MAX), 2)
        for pair in self.blocks_8:
            stream = _residual(stream, pair, bits.stream_8, bits.middle_8)
        strength = None
        if self.strength:
            top = edge_filter.STRENGTH_MAX * edge_filter.STRENGTH
            unit = factors(self.strength.scale * edge_filter.STRENGTH * 2.0**-bits.stream_8)
            strength = np.clip(unit.apply(self.strength.sums(_read(stream, self.strength.limit)))[..., 0], 0, top)
        sums = self.head.sums(_read(stream, self.head.limit))
        correction = factors(self.head.scale * 255 * 2.0 ** (LEVEL_FRAC - bits.stream_8)).apply(sums)
        return shuffle(_clamp(correction, WIDE_MAX), 8), strength

    def _linear_path(self, latents: Integers, gain: Floats) -> Integers:
        """Return the linear part of a picture."""
        return _lapped_path(latents, gain, self.linear, self.linear_frac, self.lapping, self.lapping_frac)


def _lapped_path(
    latents: Integers, gain: Floats, linear: Integers, frac: int, lapping: Integers, lapping_frac: int
) -> Integers:
    """Return a linear path's picture (s h, s w, 3): a matrix (3 s**2, M) for blocks, another (s, s) across their borders.

    They are integers with some fractional bits.
    """
    side = len(lapping)
    y = _clamp(factors(gain * 2.0 ** (LINEAR_FRAC - MEAN_FRAC)).apply(latents), LINEAR_MAX)
    sums = (y.astype(np.float64) @ linear.T.astype(np.float64)).astype(np.int64)  # below 2**42
    shift = frac + LINEAR_FRAC - LEVEL_FRAC
    x = shuffle(_clamp((sums + (1 << shift >> 1)) >> shift, WIDE_MAX), side)
    half, matrix = side // 2, lapping.T
    for _ in range(2):  # along rows, then along columns
        inner = x[:, half : x.shape[1] - half]
        windows = inner.reshape(len(x), -1, side, 3).transpose(0, 1, 3, 2)
        windows = _clamp((windows @ matrix + (1 << lapping_frac >> 1)) >> lapping_frac, WIDE_MAX)
        x = np.concatenate([x[:, :half], windows.transpose(0, 1, 3, 2).reshape(inner.shape), x[:, -half:]], 1)
        x = x.transpose(1, 0, 2)
    return x


def _fit(matrix: Integers, row_max: int) -> tuple[Integers, int]:
    """Return a matrix without as many of its lowest bits as makes it fit the linear path, and how many these are."""
    for drop in range(32):
        whole = (matrix + (1 << drop >> 1)) >> drop
        if np.abs(whole).max() <= WIDE_MAX and np.abs(whole).sum(1).max() <= row_max:
            return whole, drop
    raise WeightsError("the linear path of the synthesis is out of range")


def _read(stream: Integers, limit: int) -> Integers:
    """Return a residual stream as the input of a layer."""
    return _clamp((stream + (1 << STREAM_GUARD >> 1)) >> STREAM_GUARD, limit)


def _residual(stream: Integers, pair: tuple[Convolution, Convolution], outer: int, inner: int) -> Integers:
    """Return a stream, of ``outer`` fractional bits where it is read, after a block with ``inner`` between its layers."""
    first, second = pair
    middle = _leaky(first.sums(_read(stream, first.limit)), first.scale * 2.0 ** (inner - outer))
    change = factors(second.scale * 2.0 ** (outer + STREAM_GUARD - inner)).apply(second.sums(_clamp(middle, second.limit)))
    return _clamp(stream + change, STREAM_MAX)


def _linear_matrix(klt: Floats) -> tuple[Integers, int]:
    """Return the linear path's matrix in integers of 255 levels, and their fractional bits."""
    for frac in range(15, -1, -1):
        whole = np.floor(klt * (255 * 2.0**frac) + 0.5)
        if np.abs(whole).max() <= WIDE_MAX and np.abs(whole).sum(1).max() <= ROW_MAX:
            return whole.astype(np.int64), frac
    raise WeightsError("the linear path of the synthesis is out of range")


def _lapping_matrix(lap: Floats) -> tuple[Integers, int]:
    """Return the lapping's matrix in integers, and their fractional bits."""
    for frac in range(14, 0, -1):
        whole = np.floor(lap * 2.0**frac + 0.5)
        if np.abs(whole).max() <= WIDE_MAX and np.abs(whole).sum(1).max() <= LAPPING_ROW_MAX:
            return whole.astype(np.int64), frac
    raise WeightsError("the lapping of the synthesis is out of range")
