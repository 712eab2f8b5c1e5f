"""Latents to bytes and back: quantisation, the four context steps and the entropy coder, in the decoder's integers."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from aecodec.codec import rans
from aecodec.codec.config import HYPER_STRIDE
from aecodec.codec.entropy_model import EntropyModel
from aecodec.codec.gaussian import LEVELS, cdf_of_level, scale_of_level, tables
from aecodec.codec.integer import COMPAND_MAX, MEAN_FRAC, compand
from aecodec.codec.partition import STEPS, group_of
from aecodec.errors import BitstreamError

SYMBOL_MAX = 2**15  # larger residuals are clamped; int32 arithmetic on latents stays far from overflow


@dataclass(frozen=True)
class CodedLatents:
    """What coding one picture's latents gives.

    latents: (h, w, M) int32 in units of 2**-MEAN_FRAC, exactly what a decoder rebuilds; payload: the entropy-coded
    bytes; symbols and levels: what they code, (n,) int32 and uint8.
    """

    latents: np.ndarray
    payload: bytes
    symbols: np.ndarray
    levels: np.ndarray

    @property
    def estimate(self) -> float:
        """Bits that the model's probabilities say the payload should take."""
        return estimate_bits(self.symbols, self.levels)


def _phases(x: np.ndarray) -> list[np.ndarray]:
    return [x[phase // 2 :: 2, phase % 2 :: 2] for phase in range(4)]


def _gather(x: np.ndarray, step: int) -> np.ndarray:
    """The latents (h, w, M) that a step decodes, as (4, h/2, w/2, M/4) stacked by phase."""
    size = x.shape[-1] // STEPS
    return np.stack(
        [part[..., group_of(step, p) * size : (group_of(step, p) + 1) * size] for p, part in enumerate(_phases(x))]
    )


def _scatter(x: np.ndarray, step: int, values: np.ndarray) -> None:
    """Writes a step's values, shaped as ``_gather`` gives them, into x (h, w, M)."""
    size = x.shape[-1] // STEPS
    for phase, part in enumerate(_phases(x)):
        group = group_of(step, phase)
        part[..., group * size : (group + 1) * size] = values[phase]


def quantise(residual: np.ndarray, level: np.ndarray, distortion: float) -> np.ndarray:
    """Rate-distortion optimised rounding of residuals to int32 symbols; any shape, ``level`` of the same.

    Each residual goes to its nearest integer or to the next one towards zero, whichever has the smaller
    bits + distortion * error**2.  ``distortion`` is in bits per squared quantiser step; infinite means plain rounding.
    (Sullivan and Wiegand, "Rate-distortion optimization for video compression", 1998.)
    """
    nearest = np.rint(residual)
    if math.isfinite(distortion):
        size = np.abs(nearest)
        table = _bits()
        index = np.minimum(size, table.shape[1] - 1).astype(np.intp)
        saved = table[level, index] - table[level, np.maximum(index - 1, 0)]
        error = np.abs(residual) - size  # against the nearest, signed outward
        added = distortion * (2 * error + 1)  # (error + 1)**2 - error**2
        nearest -= np.sign(nearest) * (saved > added)
    symbol = np.clip(nearest, -SYMBOL_MAX, SYMBOL_MAX).astype(np.int32)
    symbol[level == 0] = 0
    return symbol


@functools.cache
def _bits() -> np.ndarray:
    """(LEVELS, 33) float32 bits of a magnitude, from the coder's own tables; larger ones cost as the last step does."""
    result = np.empty((LEVELS, 33), np.float32)
    for level in range(LEVELS):
        cdf = cdf_of_level(level)
        radius = (len(cdf) - 3) // 2
        cost = -np.log2(np.diff(cdf)[radius:] / 65536)  # 0..radius, then the escape
        result[level] = np.interp(np.arange(33), np.arange(len(cost)), cost)
    return result


def encode(
    model: EntropyModel, y: np.ndarray, z: np.ndarray, rate: int, distortion: float = math.inf
) -> CodedLatents:
    """Quantises and codes latents.

    y: (h, w, M) float32 latents at their gain, h and w multiples of 4; z: (h/4, w/4, Nz) float32 hyper-latents;
    ``distortion`` as in ``quantise``.
    """
    z = np.clip(np.rint(z), -COMPAND_MAX, COMPAND_MAX).astype(np.int32)
    features = model.features(z, rate)
    latents = np.zeros(y.shape, np.int32)
    context = np.zeros(y.shape, np.float32)
    symbols = [z.ravel()]
    levels = [model.hyper_levels(z.shape[:2], rate).ravel()]
    for step in range(STEPS):
        mean, level = model.predict(step, features, context, rate)
        residual = _gather(y, step) - mean * np.float32(2.0**-MEAN_FRAC)
        symbol = quantise(residual, level, distortion)
        value = (symbol << MEAN_FRAC) + mean
        _scatter(latents, step, value)
        _scatter(context, step, compand(value))
        coded = level > 0
        symbols.append(symbol[coded])
        levels.append(level[coded])
    all_symbols, all_levels = np.concatenate(symbols), np.concatenate(levels)
    payload = rans.encode(all_symbols, all_levels, tables())
    return CodedLatents(latents, payload, all_symbols, all_levels)


def decode(model: EntropyModel, payload: bytes, shape: tuple[int, int], rate: int) -> np.ndarray:
    """The integer latents (h, w, M) of ``encode``, ``shape`` is (h, w).  Raises BitstreamError for a damaged payload."""
    h, w = shape
    shape = (h, w, model.mean_gain.shape[1])
    try:
        decoder = rans.Decoder(payload, tables())
        levels = model.hyper_levels((h // HYPER_STRIDE, w // HYPER_STRIDE), rate)
        z = decoder.decode(levels.ravel()).reshape(levels.shape)
        if np.abs(z).max() > COMPAND_MAX:
            raise BitstreamError("the file is damaged (hyper-latents out of range)")
        features = model.features(z, rate)
        latents = np.zeros(shape, np.int32)
        context = np.zeros(shape, np.float32)
        for step in range(STEPS):
            mean, level = model.predict(step, features, context, rate)
            symbol = np.zeros(level.shape, np.int32)
            coded = level > 0
            symbol[coded] = decoder.decode(level[coded])
            if np.abs(symbol).max() > SYMBOL_MAX:
                raise BitstreamError("the file is damaged (latents out of range)")
            value = (symbol << MEAN_FRAC) + mean
            _scatter(latents, step, value)
            _scatter(context, step, compand(value))
        decoder.finish()
    except rans.RansError as error:
        raise BitstreamError(f"the file is damaged ({error})") from None
    return latents


def estimate_bits(symbols: np.ndarray, levels: np.ndarray) -> float:
    """Bits of symbols under the continuous Gaussians of their levels: what the tables and the coder are held against."""
    # erf is slow in Python, and few pairs of a size and a level occur
    pairs, counts = np.unique(np.abs(symbols).astype(np.int64) * LEVELS + levels, return_counts=True)
    size, sigma = pairs // LEVELS, np.array([scale_of_level(i) for i in range(LEVELS)])[pairs % LEVELS] * math.sqrt(2)
    phi = np.vectorize(math.erf, otypes=[float])
    p = 0.5 * (phi((size + 0.5) / sigma) - phi((size - 0.5) / sigma))
    return float(-(counts * np.log2(np.maximum(p, 2.0**-40))).sum())
