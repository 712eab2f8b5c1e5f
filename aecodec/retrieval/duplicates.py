"""Group pictures whose vectors are so similar that they are copies of each other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

BLOCK = 1024  # rows that are compared with all others at a time: memory is BLOCK * n similarities


def pairs(vectors: NDArray[np.floating], threshold: float) -> Iterator[tuple[int, int, float]]:  # type: ignore[type-arg]
    """Yield (first, second, similarity) of all pairs of n unit vectors (n, length) at or above a threshold."""
    for start in range(0, len(vectors), BLOCK):
        rows = vectors[start : start + BLOCK].astype(np.float32)
        for other in range(start, len(vectors), BLOCK):
            similarity = rows @ vectors[other : other + BLOCK].astype(np.float32).T
            if other == start:
                similarity = np.triu(similarity, 1)
                similarity[np.tril_indices(len(similarity))] = -np.inf
            for i, j in np.argwhere(similarity >= threshold):
                yield start + int(i), other + int(j), float(similarity[i, j])


def groups(vectors: NDArray[np.floating], threshold: float) -> list[list[tuple[int, float]]]:  # type: ignore[type-arg]
    """Return groups of two or more rows that pairs at the threshold connect, largest first.

    Each row comes with its similarity to the nearest other row of its group; rows of a group are in ascending order.
    """
    parent = list(range(len(vectors)))
    nearest: dict[int, float] = {}

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for first, second, similarity in pairs(vectors, threshold):
        for row in (first, second):
            nearest[row] = max(nearest.get(row, -1.0), similarity)
        low, high = sorted((root(first), root(second)))
        parent[high] = low
    found: dict[int, list[tuple[int, float]]] = {}
    for row in sorted(nearest):
        found.setdefault(root(row), []).append((row, nearest[row]))
    return sorted(found.values(), key=lambda group: (-len(group), group))
