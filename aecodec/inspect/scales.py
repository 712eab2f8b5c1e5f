"""Compare what the entropy model predicted with what the file holds, and say what the quantiser did."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aecodec.entropy import tables, trellis
from aecodec.entropy.architecture import LATENT_STRIDE
from aecodec.entropy.entropy_model import EntropyModel
from aecodec.entropy.gaussian import LEVELS
from aecodec.entropy.trellis import STEP_SIZE
from aecodec.inspect.bits import SCALES, Floats, Tally
from aecodec.weights.store import Weights, at_rate


@dataclass(frozen=True)
class Level:
    """What happened to the latents for which the model predicted one scale.

    ``scale``: the predicted standard deviation, in units of latents; ``count``: how many; ``deviation``: root mean square
    of their distance to the mean, and ``tables``: as the coding tables expect it; ``zeros``: share of the symbol 0,
    ``table_zeros``: as the coding tables expect it, and ``rounded_zeros``: as a Gaussian of the predicted scale has it if
    it is rounded to the nearest point.
    """

    scale: float
    count: int
    deviation: float
    tables: float
    zeros: float
    table_zeros: float
    rounded_zeros: float


def levels(model: EntropyModel, total: Tally) -> list[Level]:
    """Return what happened at each level that some latents have."""
    frequency = tables.split(model.symbol_frequency)
    found = []
    for level in range(LEVELS):
        uses = total.uses[:, level]
        if not uses.sum():
            continue
        squares = zeros = rounded = 0.0
        for quantiser, count in enumerate(uses):
            magnitudes = frequency[quantiser * LEVELS + level] / tables.TOTAL
            k = np.arange(len(magnitudes), dtype=np.int32)  # the last is the escape, which begins there
            multiples = trellis.multiples(k, np.full(len(k), quantiser, np.uint8))
            weight = magnitudes * np.where((k > 0) & (k < len(k) - 1), 2, 1)  # of either sign
            squares += count * float(weight @ np.square(multiples * STEP_SIZE))
            zeros += count * float(magnitudes[0])
            rounded += count * float(tables.gaussian_magnitudes(quantiser, level, 1)[0])
        number = int(uses.sum())
        found.append(
            Level(
                float(SCALES[level]), number, float(np.sqrt(total.squares[:, level].sum() / number)),
                float(np.sqrt(squares / number)), float(total.nothing[:, level].sum() / number), zeros / number,
                rounded / number,
            )
        )  # fmt: skip
    return found


def basis(weights: Weights, rate: int) -> Floats:
    """Return what a unit of each channel adds to a block, by the linear path of the synthesis alone and without lapping.

    (3 * 16 * 16, M) float64 in levels of 0..255.
    """
    vectors = weights.tensors["synthesis.klt.weight"].astype(np.float64).reshape(3 * LATENT_STRIDE**2, -1)
    gain: Floats = np.exp(at_rate(weights.tensors["inverse_gain.log"], rate)).astype(np.float64)
    return vectors * gain * 255


def pixel_steps(weights: Weights, rate: int) -> Floats:
    """Return the quantiser's step of each channel (M,), in levels of 0..255.

    It is the norm of what one step adds to the samples of a block, so it compares with the entry of a JPEG quantisation
    table, whose transform has vectors of norm 1.
    """
    steps: Floats = np.linalg.norm(basis(weights, rate), axis=0) * STEP_SIZE
    return steps


def deviations(total: Tally) -> tuple[Floats, Floats, Floats]:
    """Return root mean squares of each channel (M,) in units of latents: of latents, of residuals, of predicted scales."""
    one, two, three = (np.sqrt(sums / total.positions) for sums in (total.energy, total.residual, total.predicted))
    return one, two, three
