"""Codes as bytes: what the comparison calls bits can be decoded."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aecodec.autoencoders import Autoencoder
from aecodec.autoencoders.coding import TOLERANCE, cdf_of, open_coder
from aecodec.autoencoders.kinds import Linear, Variational
from aecodec.entropy.rans import RansError


def coder_of(model, pictures):
    """Return the coder of a model fitted to these pictures."""
    return open_coder(model.model_, torch.from_numpy(model.values(pictures)))


def test_rounded_codes_come_back_and_cost_the_error_that_was_allowed(digits):
    """A number of bits at which the pictures are gone says nothing."""
    model = Autoencoder("tied", 8, epochs=5).fit(digits[:1200])
    coder = coder_of(model, digits[:1200])
    codes = model.transform(digits[1200:])
    data = coder.encode(codes)
    rounded = coder.decode(data, len(codes))
    assert np.abs(rounded - codes).max() <= coder.step.max() * 0.501
    assert np.array_equal(coder.encode(rounded), data)
    errors = [np.square(model.inverse_transform(each) - digits[1200:]).mean() for each in (codes, rounded)]
    assert errors[0] < errors[1] < errors[0] * (1 + 1.5 * TOLERANCE)
    with pytest.raises(RansError):
        coder.decode(data[:-4], len(codes))


def test_bits_are_near_the_entropy_of_the_rounded_codes(digits):
    """A coder that wastes bits would rank kinds by its own faults."""
    model = Autoencoder(Linear(tied=True), 4, epochs=5).fit(digits)
    coder, codes = coder_of(model, digits), model.transform(digits)
    symbols = np.rint((codes - coder.mean) / coder.step).astype(int)
    entropy = 0.0
    for column in symbols.T:
        _, counts = np.unique(column, return_counts=True)
        entropy -= (counts * np.log2(counts / counts.sum())).sum()
    assert entropy < 8 * len(coder.encode(codes)) < 1.03 * entropy + 200


def test_numbers_that_say_nothing_cost_nothing(digits):
    """A variational code of many numbers uses few; the others must not be paid for."""
    model = Autoencoder(Linear(tied=True), 4, epochs=5).fit(digits)
    useless = Autoencoder(Variational(beta=1000.0, anneal=0.0, network="dense"), 16, epochs=5).fit(digits)
    bits = [8 * len(coder_of(each, digits).encode(each.transform(digits))) / len(digits) for each in (model, useless)]
    assert bits[1] < 4 < bits[0]


def test_codes_far_from_those_learned_from_are_coded_too(digits):
    """A strange picture must not end in an error."""
    model = Autoencoder("tied", 4, epochs=5).fit(digits)
    coder = coder_of(model, digits)
    far = np.array([[1e3, -1e3, 0, 1]], np.float32)
    assert np.abs(coder.decode(coder.encode(far), 1) - far).max() <= coder.step.max() * 0.501


def test_tables_are_those_that_the_coder_takes():
    """A share of 0 would be a symbol that cannot be coded."""
    cdf = cdf_of([1e-12, 5.0, 0.0, 3.0])
    assert cdf[0] == 0
    assert cdf[-1] == 65536
    assert (np.diff(cdf) >= 1).all()
    assert np.diff(cdf) / 65536 == pytest.approx([0, 0.625, 0, 0.375], abs=1e-3)
