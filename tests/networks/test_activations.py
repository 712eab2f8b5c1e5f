"""The fixed point of a decoder, from the weights alone."""

from __future__ import annotations

import numpy as np
import torch

from aecodec import weights
from aecodec.networks.activations import fraction_bits
from aecodec.runtime.integer_synthesis import FractionBits, IntegerSynthesis
from aecodec.runtime.torch_runtime import TorchTransforms


def test_new_weights_decode_as_they_were_trained(tiny):
    """Who trains weights of another kind must not find that files show something else than training saw."""
    opened = weights.load(str(tiny[1]))
    floats, exact = TorchTransforms(opened, "cpu", bfloat16=False), IntegerSynthesis.of(opened)
    values = np.random.default_rng(2).laplace(0, 30, (6, 9, opened.arch.latents)).astype(np.int32)
    for rate in (0, 900, 2048):
        difference = np.abs(floats.synthesise(values, rate).astype(int) - exact.synthesise(values, rate))
        assert difference.max() <= 1


def test_larger_activations_get_fewer_fractional_bits(tiny):
    """An activation that does not fit is cut off, and shows as a patch in the picture."""
    model, _ = tiny
    before = fraction_bits(model)
    stem = model.synthesis.stem.weight
    with torch.no_grad():
        stem.mul_(16)
        after = fraction_bits(model)
        stem.div_(16)
    assert after[0] == before[0]
    assert after[1] <= before[1] - 3


def test_installed_weights_are_near_their_default():
    """They have no tensor of their own: the format's constants must leave room for them."""
    for name in weights.names():
        opened = weights.load(name)
        found = FractionBits(*fraction_bits(weights_model(opened)).tolist())
        default = FractionBits()
        assert found.stem >= default.stem - 2
        assert found.stream_16 >= default.stream_16 - 2
        assert found.middle_16 >= default.middle_16 - 2
        assert found.stream_8 >= default.stream_8 - 2
        assert found.middle_8 >= default.middle_8 - 2


def weights_model(opened):
    from aecodec.networks.export import load_float_model

    return load_float_model(opened)
