"""The fixed point of a decoder, from the weights alone."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
import torch

from aecodec import weights
from aecodec.networks.activations import fraction_bits
from aecodec.networks.export import load_float_model
from aecodec.runtime.integer_synthesis import FractionBits, IntegerSynthesis
from aecodec.runtime.torch_runtime import TorchTransforms


@pytest.mark.slow
def test_weights_decode_as_they_were_trained(encoder):
    """Files must not show something else than training saw, with the default or with what an export finds."""
    opened, floats = encoder.weights, TorchTransforms(encoder.weights, "cpu", bfloat16=False)
    found = FractionBits(*fraction_bits(load_float_model(opened)).tolist())
    default = FractionBits()
    assert all(bits >= usual - 2 for bits, usual in zip(astuple(found), astuple(default), strict=True))
    for rate in (0, 2048):
        (values,) = encoder.quantise(rate).latents
        wanted = floats.synthesise(values, rate).astype(int)
        for bits in (found, default):
            assert np.abs(IntegerSynthesis.of(opened, bits).synthesise(values, rate) - wanted).max() <= 1


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


def test_the_tensor_is_in_new_weights(tiny):
    """Without it a decoder would take the constants that suit the installed weights."""
    model, folder = tiny
    stored = weights.load(str(folder)).tensors[weights.store.FRACTION_BITS]
    assert stored.tolist() == fraction_bits(model).tolist()
