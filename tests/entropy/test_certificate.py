"""The certificate and the known answer: what ``aecodec weights verify`` promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aecodec import weights
from aecodec.entropy import integer
from aecodec.entropy.certificate import certify, exact, known_answer
from aecodec.errors import WeightsError


@pytest.fixture(scope="module")
def model():
    return weights.load().entropy_model


def test_installed_weights_are_certified_and_give_their_known_answer(model):
    """Shipped weights without proof of exactness make files that may not open elsewhere."""
    assert max(certify(model).values()) < 2**24
    assert known_answer(model) == weights.load().card["known_answer"]


def test_an_unsafe_layer_is_refused(model):
    """Somebody who trains a model with too large sums must learn it when it is exported, not from a lost picture."""
    name, layer = next(iter(model.layers.items()))
    room = 2**24 - replace(layer, bias=np.zeros_like(layer.bias)).bound().max()

    def with_bias(value):
        return replace(model, layers={**model.layers, name: replace(layer, bias=np.full_like(layer.bias, value))})

    assert certify(with_bias(1 - room))[name] == 2**24 - 1
    with pytest.raises(WeightsError, match=name):
        certify(with_bias(-room))


def test_means_beyond_int32_are_refused(model):
    """A mean that wraps around is another one on a machine whose integers are wider."""
    with pytest.raises(WeightsError, match="means"):
        certify(replace(model, mean_gain=np.full_like(model.mean_gain, 2**31 - 1)))
    name = "context.0.out"
    layer = model.layers[name]
    coarse = replace(layer, exponent=np.full_like(layer.exponent, -8))  # sums are shifted to the left
    with pytest.raises(WeightsError, match=f"{name} can give means"):
        certify(replace(model, layers={**model.layers, name: coarse}))


def truncate(self, sums, bias, rows=slice(None)):
    """``IntegerLayer.requantise`` without its half."""
    sums = np.floor((sums + bias) * np.exp2(-self.shift[rows]).astype(np.float32))
    return sums.clip(0, 255) if self.relu else sums


def test_known_answer_notices_a_wrong_rounding(model, monkeypatch):
    """The self-test of a machine is worth nothing if arithmetic that is off by half a unit passes it."""
    right = known_answer(model)
    monkeypatch.setattr(integer.IntegerLayer, "requantise", truncate)
    assert known_answer(model) != right


@pytest.mark.slow
def test_a_machine_with_wrong_floats_falls_back_to_integers(model, monkeypatch):
    """It is slow there and says so, but it reads what all others wrote."""
    right = known_answer(model)
    assert exact(model, right) is model
    monkeypatch.setattr(integer.IntegerLayer, "requantise", truncate)
    with pytest.warns(UserWarning, match="not exact on this machine"):
        slow = exact(model, right)
    assert known_answer(slow) == right


def test_weights_that_no_arithmetic_explains_are_refused(model):
    """Integers that are not those of the card would decode every file to noise, without a word."""
    with pytest.raises(WeightsError, match="known-answer"):
        exact(model, "0123456789abcdef")


@pytest.mark.parametrize("step", range(4))
def test_known_answer_depends_on_every_context_step(model, step):
    """A step that the self-test does not reach could be wrong unnoticed."""
    name = f"context.{step}.out"
    layer = model.layers[name]
    changed = replace(layer, bias=layer.bias + (1 << layer.shift.clip(0)).astype(np.int32))
    assert known_answer(replace(model, layers={**model.layers, name: changed})) != known_answer(model)
