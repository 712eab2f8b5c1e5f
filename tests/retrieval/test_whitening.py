"""The matrices behind the vectors."""

from __future__ import annotations

import numpy as np

from aecodec.defaults import DEFAULT_WEIGHTS
from aecodec.retrieval import pooling, whitening
from aecodec.weights.cards import folder_of, read_card

CHANNELS = 32


def statistics(pictures: int, copies: int, noise: float, seed: int = 0) -> np.ndarray:
    """Statistics of pictures that differ everywhere, and of copies that differ in one direction by a lot."""
    rng = np.random.default_rng(seed)
    length = pooling.GRID**2 * CHANNELS + CHANNELS
    own = rng.normal(size=(pictures, 1, length))
    nuisance = np.random.default_rng(99).normal(size=length)
    return (
        own + noise * rng.normal(size=(pictures, copies, 1)) * nuisance + 0.01 * rng.normal(size=(pictures, copies, length))
    )


def test_the_installed_matrices_are_of_the_default_weights():
    """Files of the default weights would all be decoded and analysed again: run scripts/fit_features.py."""
    installed = whitening.installed()
    assert installed.weights == read_card(folder_of(DEFAULT_WEIGHTS))["sha256"]
    assert installed.matrix.shape[1] == whitening.LENGTH
    assert len(installed.to_bytes()) < 2**19


def test_what_copies_differ_in_is_ignored():
    """A brighter copy would be no copy."""
    fitted = whitening.fit(statistics(300, 4, noise=3), CHANNELS, "0" * 64)
    others = statistics(100, 2, noise=3, seed=1)
    vectors = fitted.apply(others.astype(np.float32))
    assert np.allclose(np.linalg.norm(vectors, axis=-1), 1, atol=1e-5)
    similarity = vectors[:, 0] @ vectors[:, 1].T
    assert (similarity.argmax(1) == np.arange(100)).mean() > 0.95
    plain = others - others.mean((0, 1))
    plain /= np.linalg.norm(plain, axis=-1, keepdims=True)
    assert ((plain[:, 0] @ plain[:, 1].T).argmax(1) == np.arange(100)).mean() < 0.8  # the test can fail


def test_a_file_brings_the_same_matrices_back():
    """Vectors of today would not compare with those of tomorrow."""
    fitted = whitening.fit(statistics(40, 2, noise=1), CHANNELS, "1" * 64)
    again = whitening.read(fitted.to_bytes())
    assert again.id == fitted.id
    one = statistics(1, 1, noise=1)[0].astype(np.float32)
    assert np.array_equal(again.apply(one), fitted.apply(one))
    other = whitening.fit(statistics(40, 2, noise=1, seed=5), CHANNELS, "1" * 64)
    assert other.id != fitted.id
