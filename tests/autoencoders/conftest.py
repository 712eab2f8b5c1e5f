"""Small pictures of one kind: scikit-learn's digits, 8 x 8."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")


@pytest.fixture(scope="session")
def digits():
    """Pictures of digits (1797, 8, 8) uint8."""
    from sklearn.datasets import load_digits

    return (load_digits().images * 15.9).astype(np.uint8)


@pytest.fixture(scope="session")
def table(digits):
    """The same as rows (1797, 64) float32, 0..1."""
    return digits.reshape(-1, 64).astype(np.float32) / 255
