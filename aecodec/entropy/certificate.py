"""Prove that the entropy path is exact: bounds on every sum, and a known answer."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aecodec.entropy import reference
from aecodec.entropy.entropy_model import EntropyModel
from aecodec.entropy.integer import (
    COMPAND_MAX,
    EXACT_LIMIT,
    GAIN_FRAC,
    MEAN_FRAC,
    MEAN_LIMIT,
    RAW_MEAN_FRAC,
    compand,
)
from aecodec.entropy.partition import CONTEXT_STEPS
from aecodec.errors import WeightsError
from aecodec.quality import MAX_INDEX


def certify(model: EntropyModel) -> dict[str, int]:
    """Return the largest reachable sum of each integer layer.

    It is the maximum over output channels of sum|w| * max|a| + |b| + 2**(shift - 1). Raises WeightsError where a sum is not
    below 2**24, the range in which float32 arithmetic on integers is exact, or where a mean could leave the range of int32.
    """
    bounds = {name: int(layer.bound().max()) for name, layer in model.layers.items()}
    for name, bound in bounds.items():
        if bound >= EXACT_LIMIT:
            raise WeightsError(f"layer {name} can reach {bound}, beyond exact float32 integers (2**24)")
    gain = int(np.abs(model.mean_gain).max())
    for name, layer in model.layers.items():
        if not layer.relu:
            raw = layer.bound() << np.maximum(-layer.shift, 0) >> np.maximum(layer.shift, 0)
            mean = int(raw[: len(model.mean_gain[0])].max()) * gain
            if mean >> (RAW_MEAN_FRAC + GAIN_FRAC - MEAN_FRAC) >= MEAN_LIMIT:
                raise WeightsError(f"layer {name} can give means beyond {MEAN_LIMIT}")
    return bounds


def known_answer(model: EntropyModel) -> str:
    """Return a digest of all outputs of the entropy model for a fixed input, 16 hexadecimal digits.

    The input is made by integer arithmetic, so that no library's random generator is part of the test.
    """
    digest = hashlib.sha256()
    latents = len(model.mean_gain[0])
    for rate in (0, MAX_INDEX // 3, MAX_INDEX):
        z = _sequence((2, 3, model.hyper_scale.shape[1]), COMPAND_MAX // 8, rate)
        features = model.features(z, rate)
        digest.update(features.astype("<u1").tobytes())
        for step in range(CONTEXT_STEPS):
            context = compand(_sequence((*features.shape[:2], latents), 300, rate + step))
            mean, level = model.predict(step, features, context, rate)
            digest.update(mean.astype("<i4").tobytes() + level.tobytes())
    return digest.hexdigest()[:16]


def _sequence(shape: tuple[int, ...], limit: int, seed: int) -> NDArray[np.int32]:
    """Return int32 values in -limit..limit that look random and are the same everywhere.

    They are a multiplicative hash of the index.
    """
    index = np.arange(np.prod(shape), dtype=np.uint32) + np.uint32(seed << 20)
    mixed = (index ^ (index >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
    mixed = (mixed ^ (mixed >> np.uint32(12))) * np.uint32(0x297A2D39)
    return ((mixed >> np.uint32(15)) % np.uint32(2 * limit + 1)).astype(np.int32).reshape(shape) - np.int32(limit)


def exact(model: EntropyModel, answer: str | None) -> EntropyModel:
    """Return the model with arithmetic that gives its known answer on this machine.

    That is float32 wherever it is sound. Where float32's matrix product is not, int64 takes over with a warning. Raises
    WeightsError where that fails too: then the integers are not those that the card describes.
    """
    if answer is None or known_answer(model) == answer:
        return model
    model = replace(model, arithmetic=reference)
    if known_answer(model) != answer:
        raise WeightsError("the entropy model fails its known-answer test; its weights or this installation are damaged")
    warnings.warn("float32 matrix products are not exact on this machine; decoding with slow integers", stacklevel=2)
    return model
