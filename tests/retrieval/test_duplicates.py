"""Groups of copies."""

from __future__ import annotations

import numpy as np

from aecodec.retrieval import duplicates


def test_groups_are_those_that_pairs_connect_across_blocks(monkeypatch):
    """A copy would stay undetected because it lies far from its original in the index."""
    monkeypatch.setattr(duplicates, "BLOCK", 4)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(30, 64))
    for copy, original in ((3, 29), (17, 29), (8, 9)):
        vectors[copy] = vectors[original] + 0.05 * rng.normal(size=64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = duplicates.groups(vectors.astype(np.float16), 0.9)
    assert [[row for row, _ in group] for group in found] == [[3, 17, 29], [8, 9]]
    similarity = vectors @ vectors.T - 2 * np.eye(30)
    for group in found:
        for row, nearest in group:
            assert abs(nearest - similarity[row].max()) < 2e-3


def test_no_pictures_have_no_copies():
    """An empty folder is no error."""
    assert duplicates.groups(np.zeros((0, 256), np.float16), 0.5) == []
    assert duplicates.groups(np.ones((1, 256), np.float16) / 16, 0.5) == []
