"""Turn latents into bytes and back: quantisation, the four context steps and the entropy coder, all in integers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aecodec.entropy import rans, trellis
from aecodec.entropy.architecture import HYPER_STRIDE
from aecodec.entropy.entropy_model import EntropyModel
from aecodec.entropy.gaussian import LEVELS
from aecodec.entropy.integer import COMPAND_MAX, MEAN_FRAC, compand
from aecodec.entropy.partition import CONTEXT_STEPS, group_of
from aecodec.entropy.rans import Scalar
from aecodec.entropy.trellis import STEP
from aecodec.errors import BitstreamError

DISTORTION = 7.0  # bits per squared unit of a latent that its error counts for; found on held-out pictures
RESIDUAL_MAX = 2.0**15  # larger ones are clamped; int32 arithmetic on latents stays far from overflow
MULTIPLE_MAX = 2**16  # of the step, in a valid file


@dataclass(frozen=True)
class CodedLatents:
    """The result of coding one picture's latents.

    latents: (h, w, M) int32 in units of 2**-MEAN_FRAC, exactly as a decoder rebuilds them; payload: the entropy-coded
    bytes; symbols: (n,) int32, the values that it codes; rows: (n,) uint8, the coder's table of each; coded: which latents
    of each step have a symbol, as ``_gather`` gives them.
    """

    latents: NDArray[np.int32]
    payload: bytes
    symbols: NDArray[np.int32]
    rows: NDArray[np.uint8]
    coded: Sequence[NDArray[np.bool_]] = ()


def _phases(x: NDArray[Scalar]) -> list[NDArray[Scalar]]:
    return [x[phase // 2 :: 2, phase % 2 :: 2] for phase in range(4)]


def _gather(x: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Return the latents of (h, w, M) that a step decodes, as (4, h/2, w/2, M/4) stacked by phase."""
    size = x.shape[-1] // CONTEXT_STEPS
    return np.stack(
        [part[..., group_of(step, p) * size : (group_of(step, p) + 1) * size] for p, part in enumerate(_phases(x))]
    )


def _scatter(x: NDArray[Scalar], step: int, values: NDArray[Scalar]) -> None:
    """Write a step's values, shaped as ``_gather`` gives them, into x (h, w, M)."""
    size = x.shape[-1] // CONTEXT_STEPS
    for phase, part in enumerate(_phases(x)):
        group = group_of(step, phase)
        part[..., group * size : (group + 1) * size] = values[phase]


def encode(
    model: EntropyModel, y: NDArray[np.float32], z: NDArray[np.float32], rate: int, distortion: float = DISTORTION
) -> CodedLatents:
    """Quantise and code latents.

    y: (h, w, M) float32 latents at their gain, h and w multiples of 4; z: (h/4, w/4, Nz) float32 hyper-latents; distortion:
    bits that a squared unit of error is worth, see ``trellis.search``.
    """
    rounded = np.clip(np.rint(z), -COMPAND_MAX, COMPAND_MAX).astype(np.int32)
    features = model.features(rounded, rate)
    latents = np.zeros(y.shape, np.int32)
    context = np.zeros(y.shape, np.float32)
    all_symbols = [rounded.ravel()]
    height, width, _ = rounded.shape
    all_rows = [model.hyper_levels((height, width), rate).ravel()]
    all_coded = []
    for step in range(CONTEXT_STEPS):
        mean, level = model.predict(step, features, context, rate)
        residual = _gather(y, step) - mean * np.float32(2.0**-MEAN_FRAC)
        coded = level > 0
        levels = level[coded]
        residuals = np.clip(residual[coded], -RESIDUAL_MAX, RESIDUAL_MAX)
        symbols, quantisers = trellis.search(residuals, levels, model.costs, distortion)
        value = mean
        value[coded] += STEP * trellis.multiples(symbols, quantisers)
        _scatter(latents, step, value)
        _scatter(context, step, compand(value))
        all_symbols.append(symbols)
        all_rows.append(levels + LEVELS * (1 + quantisers))
        all_coded.append(coded)
    symbols, rows = np.concatenate(all_symbols), np.concatenate(all_rows)
    return CodedLatents(latents, rans.encode(symbols, rows, model.tables), symbols, rows, all_coded)


def decode(model: EntropyModel, payload: bytes, shape: tuple[int, int], rate: int) -> NDArray[np.int32]:
    """Return the integer latents (h, w, M) that ``encode`` coded; ``shape`` is (h, w).

    Raises BitstreamError for a damaged payload.
    """
    return _decode(model, payload, shape, rate, lambda values, levels, coded: None)


def trace(model: EntropyModel, payload: bytes, shape: tuple[int, int], rate: int) -> CodedLatents:
    """Return all that ``encode`` returned when it wrote a payload: ``decode``, with every symbol and its table."""
    symbols: list[NDArray[np.int32]] = []
    rows: list[NDArray[np.uint8]] = []
    steps: list[NDArray[np.bool_]] = []

    def keep(values: NDArray[np.int32], levels: NDArray[np.uint8], coded: NDArray[np.bool_] | None) -> None:
        if coded is not None:
            values, quantisers = trellis.symbols_of(values)
            levels = levels + LEVELS * (1 + quantisers)
            steps.append(coded)
        symbols.append(values)
        rows.append(levels)

    latents = _decode(model, payload, shape, rate, keep)
    return CodedLatents(latents, payload, np.concatenate(symbols), np.concatenate(rows), steps)


def guess(model: EntropyModel, coded: CodedLatents, rate: int, steps: int) -> NDArray[np.int32]:
    """Return the latents (h, w, M) int32 as a decoder knows them after so many context steps, 0..CONTEXT_STEPS.

    Those of later steps are at the means that it predicts for them.
    """
    size = coded.latents.shape[0] // HYPER_STRIDE, coded.latents.shape[1] // HYPER_STRIDE, model.hyper_scale.shape[1]
    start = size[0] * size[1] * size[2]
    z = coded.symbols[:start].reshape(size)

    def known(step: int, levels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.int32]:
        if step >= steps:
            return np.zeros(len(levels), np.int32)
        first = start + sum(int(part.sum()) for part in coded.coded[:step])
        part = slice(first, first + len(levels))
        return trellis.multiples(coded.symbols[part], quantiser_of(coded.rows[part]))

    return _rebuild(model, z, rate, known)


def _decode(
    model: EntropyModel,
    payload: bytes,
    shape: tuple[int, int],
    rate: int,
    keep: Callable[[NDArray[np.int32], NDArray[np.uint8], NDArray[np.bool_] | None], None],
) -> NDArray[np.int32]:
    """``decode``; ``keep`` gets what is read: values, levels, and of latents which of the step's were coded.

    The values are hyper-latents first, and then each step's multiples of the quantiser step.
    """
    h, w = shape
    try:
        decoder = rans.Decoder(payload, model.tables)
        hyper_levels = model.hyper_levels((h // HYPER_STRIDE, w // HYPER_STRIDE), rate)
        z = decoder.decode(hyper_levels.ravel())
        if np.abs(z).max() > COMPAND_MAX:
            raise BitstreamError("the file is damaged (hyper-latents out of range)")
        keep(z, hyper_levels.ravel(), None)

        def read(step: int, levels: NDArray[np.uint8], coded: NDArray[np.bool_]) -> NDArray[np.int32]:
            multiples = decoder.decode(levels, LEVELS)
            if np.abs(multiples).max(initial=0) > MULTIPLE_MAX:
                raise BitstreamError("the file is damaged (latents out of range)")
            keep(multiples, levels, coded)
            return multiples

        latents = _rebuild(model, z.reshape(hyper_levels.shape), rate, read)
        decoder.finish()
    except rans.RansError as error:
        raise BitstreamError(f"the file is damaged ({error})") from None
    return latents


def _rebuild(
    model: EntropyModel,
    z: NDArray[np.int32],
    rate: int,
    multiples_of: Callable[[int, NDArray[np.uint8], NDArray[np.bool_]], NDArray[np.int32]],
) -> NDArray[np.int32]:
    """Return the latents (h, w, M) that follow from hyper-latents (h/4, w/4, Nz) and the multiples of each step.

    ``multiples_of`` returns those of a step, (n,), by its number, the levels (n,) and which of its latents are coded.
    """
    features = model.features(z, rate)
    latents = np.zeros((*features.shape[:2], model.mean_gain.shape[1]), np.int32)
    context = np.zeros(latents.shape, np.float32)
    for step in range(CONTEXT_STEPS):
        mean, level = model.predict(step, features, context, rate)
        coded = level > 0
        value = mean
        value[coded] += STEP * multiples_of(step, level[coded], coded)
        _scatter(latents, step, value)
        _scatter(context, step, compand(value))
    return latents


def quantiser_of(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the quantiser, 0 or 1, of the coder's tables of latents."""
    return rows // np.uint8(LEVELS) - np.uint8(1)


def place(coded: CodedLatents, values: NDArray[Scalar]) -> tuple[NDArray[Scalar], NDArray[Scalar]]:
    """Return what belongs to each symbol, (n,), at the place of the hyper-latent (h/4, w/4, Nz) or latent (h, w, M).

    It is 0 at latents that have no symbol.
    """
    h, w, _ = coded.latents.shape
    start = len(values) - sum(int(part.sum()) for part in coded.coded)
    hyper = values[:start].reshape(h // HYPER_STRIDE, w // HYPER_STRIDE, -1)
    placed = np.zeros(coded.latents.shape, values.dtype)
    for step, part in enumerate(coded.coded):
        own = np.zeros(part.shape, values.dtype)
        own[part] = values[start : start + int(part.sum())]
        start += int(part.sum())
        _scatter(placed, step, own)
    return hyper, placed


def position_bits(model: EntropyModel, coded: CodedLatents) -> NDArray[np.float32]:
    """Return ``symbol_bits`` by position (h, w), float32; those of hyper-latents are spread over their positions."""
    h, w = coded.latents.shape[:2]
    bits = symbol_bits(model, coded)
    start = len(bits) - sum(int(part.sum()) for part in coded.coded)
    hyper = bits[:start].reshape(h // HYPER_STRIDE, w // HYPER_STRIDE, -1).sum(-1) / HYPER_STRIDE**2
    result = np.repeat(np.repeat(hyper, HYPER_STRIDE, 0), HYPER_STRIDE, 1).astype(np.float32)
    for part in coded.coded:
        values = np.zeros(part.shape, np.float32)
        values[part] = bits[start : start + int(part.sum())]
        start += int(part.sum())
        for place, sums in zip(_phases(result), values.sum(-1), strict=True):
            np.add(place, sums, out=place)
    return result


def symbol_bits(model: EntropyModel, coded: CodedLatents) -> NDArray[np.float64]:
    """Return the bits of each symbol by the model's probabilities, digits after an escape included, (n,) float64."""
    tables = model.tables
    radius = tables.radius[coded.rows]
    beyond = np.abs(coded.symbols) - radius - 1
    index = np.where(beyond < 0, coded.symbols + radius, 2 * radius + 1) + tables.start[coded.rows]
    bits: NDArray[np.float64] = -np.log2((tables.cdf[index + 1] - tables.cdf[index]) / 65536)
    escaped = beyond >= 0
    rest = 2 * beyond[escaped] + (coded.symbols[escaped] < 0)
    bits[escaped] += 4 * (np.floor(np.log2(np.maximum(rest, 1)) / 3) + 1)  # digits in base 8, of 4 bits each
    return bits
