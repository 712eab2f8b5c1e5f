"""Search by binary codes first: it must find what a search of all vectors finds."""

from __future__ import annotations

import numpy as np
import pytest

from aecodec.retrieval import hamming


def unit(rng, count: int, length: int = 256) -> np.ndarray:
    vectors = rng.normal(size=(count, length)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("numpy_counts", [True, False])
def test_bits_are_counted_with_and_without_numpys_own_function(monkeypatch, numpy_counts):
    """NumPy 1.26 has none: its users would get other neighbours."""
    if numpy_counts and not hasattr(np, "bitwise_count"):
        pytest.skip("numpy below 2")
    if not numpy_counts:
        monkeypatch.delattr(np, "bitwise_count", raising=False)
    words = np.random.default_rng(0).integers(0, 2**64, (50, 4), np.uint64)
    words[0] = [0, 1, 2**63, 2**64 - 1]
    assert hamming.count_bits(words).tolist() == [[int(word).bit_count() for word in row] for row in words.tolist()]


def test_more_bits_differ_the_wider_the_angle():
    """Codes that ignored half of a vector would lose its neighbours before the exact pass."""
    rng = np.random.default_rng(1)
    a, b = unit(rng, 2)
    shares = np.linspace(0, 1, 9)
    vectors = np.stack([(1 - share) * a + share * b for share in shares])
    apart = hamming.distances(hamming.encode(vectors), hamming.encode(a[None])[0])
    angles = np.arccos(np.clip(vectors @ a / np.linalg.norm(vectors, axis=1), -1, 1))
    assert apart[0] == 0
    assert np.abs(apart / 256 - angles / np.pi).max() < 0.08


def test_the_nearest_are_those_of_a_search_of_all():
    """The answer of the fast search would not be the most similar pictures."""
    rng = np.random.default_rng(2)
    centres = unit(rng, 300)
    vectors = centres.repeat(20, 0) + 0.04 * rng.normal(size=(6000, 256)).astype(np.float32)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    codes = hamming.encode(vectors.astype(np.float32))
    for query in vectors[::601].astype(np.float32):
        rows, similarity = hamming.search(vectors, codes, query, 10)
        exact = vectors.astype(np.float32) @ query
        assert set(rows.tolist()) == set(np.argsort(-exact)[:10].tolist())
        assert (np.diff(similarity) <= 0).all()
        assert np.allclose(similarity, exact[rows], atol=1e-5)


def test_an_index_smaller_than_the_answer_gives_all_it_has():
    """The first query of a new user is on three pictures."""
    vectors = unit(np.random.default_rng(3), 3).astype(np.float16)
    rows, _ = hamming.search(vectors, hamming.encode(vectors.astype(np.float32)), vectors[1].astype(np.float32), 10)
    assert rows[0] == 1
    assert sorted(rows.tolist()) == [0, 1, 2]
    none = np.zeros((0, 256), np.float16)
    assert len(hamming.search(none, hamming.encode(none.astype(np.float32)), np.zeros(256, np.float32), 10)[0]) == 0
