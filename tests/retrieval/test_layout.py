"""Points and clusters on a plane."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from aecodec.errors import MissingPackageError
from aecodec.retrieval import layout


def groups(count: int = 20) -> np.ndarray:
    """Three groups of vectors, one after the other."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 64))
    vectors = centres.repeat(count, 0) + 0.2 * rng.normal(size=(3 * count, 64))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


LAYOUTS = ["pca", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("tsne", "umap"))]
PACKAGES = {"tsne": "sklearn", "umap": "umap"}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_what_is_alike_lies_together(kind):
    """A map that scatters a series of pictures shows nothing."""
    if kind in PACKAGES:
        pytest.importorskip(PACKAGES[kind])
    points = layout.place(groups(), kind)
    assert points.shape == (60, 2)
    assert points.min() >= 0
    assert points.max() <= 1
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1) + 9 * np.eye(60)
    assert (apart.argmin(1) // 20 == np.arange(60) // 20).mean() > 0.9


def test_clusters_are_numbered_from_the_largest():
    """Colours would change with every run."""
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.normal(at, 0.01, (size, 2)) for at, size in ((0.2, 20), (0.5, 50), (0.8, 30))])
    labels = layout.clusters(points.astype(np.float32))
    parts = np.split(labels, [20, 70])
    assert [np.bincount(part[part >= 0]).argmax() for part in parts] == [2, 0, 1]


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_few_pictures_have_a_layout(count):
    """The first folder that a user tries has two pictures."""
    vectors = groups()[:count]
    points = layout.place(vectors, "tsne")
    assert points.shape == (count, 2)
    assert np.isfinite(points).all()
    assert (layout.clusters(points) == -1).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("count", [layout.FEW, layout.NEIGHBOURS + 1])
def test_umap_takes_few_pictures_in_silence(count):
    """Fewer points than UMAP looks at would print warnings of a library into the terminal."""
    pytest.importorskip("umap")
    vectors = groups()[:count]
    points = layout.place(vectors, "umap")
    assert points.min() >= 0
    assert points.max() <= 1
    assert np.array_equal(points, layout.place(vectors, "umap"))  # a map that changes with each run misleads


def test_equal_pictures_have_a_layout():
    """A folder of copies would end in a division by zero."""
    points = layout.place(groups()[:1].repeat(12, 0), "pca")
    assert np.allclose(points, 0.5)


def test_a_missing_package_is_named(monkeypatch):
    """A user would not know what to install."""
    before = "umap" in sys.modules
    monkeypatch.setattr(layout.importlib.util, "find_spec", lambda name: None)
    for kind, package in (("tsne", r"aecodec\[features\]"), ("umap", "umap-learn")):
        with pytest.raises(MissingPackageError, match=package):
            layout.check_installed(kind)
    layout.check_installed("pca")
    assert (layout.clusters(np.zeros((50, 2), np.float32)) == -1).all()
    assert ("umap" in sys.modules) == before
