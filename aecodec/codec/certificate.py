"""Proof, not hope, that the entropy path is exact: bounds on every sum, and a known answer."""

from __future__ import annotations

import hashlib

import numpy as np

from aecodec.codec.entropy_model import EntropyModel
from aecodec.codec.integer import COMPAND_MAX, EXACT_LIMIT, compand
from aecodec.codec.partition import STEPS
from aecodec.codec.quality import MAX_INDEX
from aecodec.errors import WeightsError


def certify(model: EntropyModel) -> dict[str, int]:
    """Largest reachable sum of every integer layer: max over output channels of sum|w| * max|a| + |b| + 2**(shift - 1).

    Raises WeightsError where one is not below 2**24, the range in which float32 arithmetic on integers is exact.
    """
    bounds = {name: int(layer.bound().max()) for name, layer in model.layers.items()}
    for name, bound in bounds.items():
        if bound >= EXACT_LIMIT:
            raise WeightsError(f"layer {name} can reach {bound}, beyond exact float32 integers (2**24)")
    return bounds


def known_answer(model: EntropyModel) -> str:
    """A digest of everything the entropy model says about a fixed input; 16 hexadecimal digits.

    The input is a linear congruential sequence, so that no library's random generator is part of the test.
    """
    digest = hashlib.sha256()
    latents = len(model.mean_gain[0])
    for rate in (0, MAX_INDEX // 3, MAX_INDEX):
        z = _sequence((2, 3, model.hyper_scale.shape[1]), COMPAND_MAX // 8, rate + 1)
        features = model.features(z, rate)
        digest.update(features.astype("<u1").tobytes())
        context = np.zeros((*features.shape[:2], latents), np.float32)
        for step in range(STEPS):
            mean, level = model.predict(step, features, context, rate)
            digest.update(mean.astype("<i4").tobytes() + level.tobytes())
            context = compand(_sequence(context.shape, 300, rate + step + 7))
    return digest.hexdigest()[:16]


def _sequence(shape: tuple[int, ...], limit: int, seed: int) -> np.ndarray:
    """int32 values in -limit..limit, the same on every machine."""
    values, state = [], seed
    for _ in range(int(np.prod(shape))):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append((state >> 16) % (2 * limit + 1) - limit)
    return np.array(values, np.int32).reshape(shape)
