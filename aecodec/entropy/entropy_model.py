"""Run the entropy model: hyper-latents to features, features and context to means and scale indices.

This is the exact twin, in numpy, of ``networks/hyperprior.py`` and ``networks/context.py``. Every runtime and device codes
with it, so there is one set of numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aecodec.entropy import integer, tables
from aecodec.entropy.architecture import HYPER_STRIDE, Architecture
from aecodec.entropy.gaussian import LEVELS
from aecodec.entropy.integer import (
    ACTIVATION_FRAC,
    COMPAND_MAX,
    GAIN_FRAC,
    MEAN_FRAC,
    RAW_MEAN_FRAC,
    SCALE_FRAC,
    IntegerLayer,
)
from aecodec.entropy.partition import CONTEXT_STEPS, group_of
from aecodec.entropy.rans import Tables

HYPER_SCALE_FRAC = 4  # fractional bits of the stored scale indices of z, so that interpolation is smooth


def layer_names() -> list[str]:
    """Return the names of all integer layers, as their tensors have them in a weights file."""
    steps = [f"context.{k}.{name}" for k in range(CONTEXT_STEPS) for name in ("mix", "gather", "hidden", "out")]
    return ["hyper_synthesis.up_32", "hyper_synthesis.up_16", "hyper_synthesis.out", *steps]


class Arithmetic(Protocol):
    """What computes layers: ``integer.py``, or ``reference.py`` in its place."""

    def apply(self, layer: IntegerLayer, x: NDArray[np.float32], rate: int, /) -> NDArray[np.float32]: ...

    def apply_rows(
        self, layer: IntegerLayer, x: NDArray[np.float32], rate: int, rows: NDArray[np.intp], /
    ) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class EntropyModel:
    """All integers of one set of weights.

    mean_gain: (GAIN_ROWS, M) int32 with GAIN_FRAC fractional bits; hyper_scale: (KNOTS, Nz) int32 scale indices with
    HYPER_SCALE_FRAC fractional bits; symbol_frequency: the coding tables, see ``tables.frequencies``; arithmetic: the
    module that computes its layers.
    """

    layers: dict[str, IntegerLayer]
    mean_gain: NDArray[np.int32]
    hyper_scale: NDArray[np.int32]
    symbol_frequency: NDArray[np.int32]
    arithmetic: Arithmetic = integer

    @functools.cached_property
    def tables(self) -> Tables:
        """Return the coder's tables. Raises ValueError where the frequencies make none."""
        return tables.coder_tables(self.symbol_frequency)

    @functools.cached_property
    def costs(self) -> NDArray[np.float32]:
        """Return the costs of symbols, see ``tables.costs``."""
        return tables.costs(self.symbol_frequency)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]], arch: Architecture) -> EntropyModel:
        """Build a model from the integer tensors of a weights file. Raises KeyError when one is missing."""
        m = arch.latents
        layers = {}
        for name in layer_names():
            weight = tensors[f"{name}.weight"]
            first = name == "hyper_synthesis.up_32"
            raw = name.endswith(".out") and name.startswith("context")
            fracs = [RAW_MEAN_FRAC] * m + [SCALE_FRAC] * m if raw else [ACTIVATION_FRAC] * weight.shape[0]
            layers[name] = IntegerLayer(
                weight=weight,
                bias=tensors[f"{name}.bias"],
                exponent=tensors[f"{name}.exponent"],
                out_frac=np.array(fracs, np.int64),
                relu=not raw,
                input_max=COMPAND_MAX if first else integer.ACTIVATION_MAX,
                input_frac=0 if first else ACTIVATION_FRAC,
            )
        return cls(layers, tensors["mean_gain"], tensors["hyper_scale"], tensors["symbol_frequency"])

    def hyper_levels(self, shape: tuple[int, int], rate: int) -> NDArray[np.uint8]:
        """Return the Gaussian level of every hyper-latent, (hz, wz, Nz) uint8, the same at every position."""
        fine = integer.interpolate(self.hyper_scale, rate)
        index = np.clip((fine + (1 << HYPER_SCALE_FRAC >> 1)) >> HYPER_SCALE_FRAC, 1, LEVELS - 1).astype(np.uint8)
        return np.broadcast_to(index, (*shape, index.shape[0]))

    def features(self, z: NDArray[np.int32], rate: int) -> NDArray[np.float32]:
        """Compute features (4 hz, 4 wz, F), float32 integers in 0..255, from hyper-latents (hz, wz, Nz), |z| <= 127."""
        x = self.arithmetic.apply(self.layers["hyper_synthesis.up_32"], z.astype(np.float32), rate)
        x = integer.shuffle(x, HYPER_STRIDE // 2)
        x = self.arithmetic.apply(self.layers["hyper_synthesis.up_16"], x, rate)
        x = integer.shuffle(x, HYPER_STRIDE // 2)
        return self.arithmetic.apply(self.layers["hyper_synthesis.out"], x, rate)

    def predict(
        self, step: int, features: NDArray[np.float32], context: NDArray[np.float32], rate: int
    ) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Predict means and scale indices of the latents that ``step`` decodes.

        features: (h, w, F); context: (h, w, M) companded latents of the previous steps (ignored in step 0). Returns means
        (4, h/2, w/2, M/4) int32 in units of 2**-MEAN_FRAC and levels of the same shape, uint8, stacked by phase.
        """
        x = features if step == 0 else np.concatenate([features, context], -1)
        for name in ("mix", "gather", "hidden"):
            x = self.arithmetic.apply(self.layers[f"context.{step}.{name}"], x, rate)
        out = self.layers[f"context.{step}.out"]
        gain = integer.interpolate(self.mean_gain, rate)
        m = len(gain)
        shift = RAW_MEAN_FRAC + GAIN_FRAC - MEAN_FRAC
        means, levels = [], []
        for phase in range(4):
            group = np.arange(m // CONTEXT_STEPS) + group_of(step, phase) * (m // CONTEXT_STEPS)
            part = x[phase // 2 :: 2, phase % 2 :: 2]
            raw = self.arithmetic.apply_rows(out, part.reshape(-1, x.shape[-1]), rate, np.concatenate([group, m + group]))
            mean, scale = np.split(raw.reshape(*part.shape[:2], -1), 2, -1)
            means.append((mean.astype(np.int64) * gain[group] + (1 << (shift - 1))) >> shift)
            levels.append(np.clip(scale, 0, LEVELS - 1).astype(np.uint8))
        return np.stack(means).astype(np.int32), np.stack(levels)
