"""Lay vectors out on a plane, and find clusters among them."""

from __future__ import annotations

import importlib.util
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aecodec.errors import MissingPackageError

Layout = Literal["pca", "tsne", "umap"]
LAYOUTS = ("tsne", "umap", "pca")
FEW = 10  # points, below which only the principal components say something
COMPONENTS = 50  # that t-SNE starts from, as van der Maaten and Hinton (2008) did
NEIGHBOURS = 15  # of a point that UMAP looks at, its own default
CLUSTER = 5  # pictures that make a cluster, at least; and one in SPARSE of them
SPARSE = 200
SEED = 0

Floats = NDArray[np.float32]


def check_installed(layout: str) -> None:
    """Raise MissingPackageError where the package that a layout needs is missing."""
    module, package, extra = {"umap": ("umap", "umap-learn", "umap-learn")}.get(
        layout, ("sklearn", "scikit-learn", "'aecodec[features]'")
    )
    if layout != "pca" and importlib.util.find_spec(module) is None:
        raise MissingPackageError(f"the layout {layout}", package, extra)


def components(vectors: Floats, count: int) -> Floats:
    """Return the first principal components (n, count) of vectors (n, length), with zeros where there are fewer."""
    centred = vectors - vectors.mean(0)
    covariance = centred.T @ centred
    _, axes = np.linalg.eigh(covariance.astype(np.float64))
    found = centred @ axes[:, ::-1][:, :count].astype(np.float32)
    signs = np.where(np.abs(found.min(0)) > found.max(0), -1, 1)  # the same on every machine
    result: Floats = (found * signs).astype(np.float32)
    return result


def place(vectors: Floats, layout: str = "tsne") -> Floats:
    """Return points (n, 2) in 0..1 of vectors (n, length); of few pictures the layout is always "pca".

    Raises MissingPackageError where the package of the layout is missing.
    """
    if len(vectors) < 2:
        return np.full((len(vectors), 2), 0.5, np.float32)
    if len(vectors) < FEW or layout == "pca":
        points = components(vectors, 2)
    elif layout == "tsne":
        check_installed(layout)
        from sklearn.manifold import TSNE

        perplexity = min(30.0, (len(vectors) - 1) / 3)
        start = components(vectors, COMPONENTS)
        points = TSNE(perplexity=perplexity, init="pca", random_state=SEED).fit_transform(start)
    else:
        check_installed(layout)
        import umap

        neighbours = min(NEIGHBOURS, len(vectors) - 1)
        reducer = umap.UMAP(n_neighbors=neighbours, metric="cosine", random_state=SEED, n_jobs=1)  # a seed needs one job
        points = reducer.fit_transform(vectors)
    low, high = points.min(0), points.max(0)
    scale = max(float((high - low).max()), 1e-9)
    result: Floats = ((points - (low + high) / 2) / scale + 0.5).clip(0, 1).astype(np.float32)
    return result


def clusters(points: Floats) -> NDArray[np.int32]:
    """Return the number of each point's cluster, -1 for none, by HDBSCAN (Campello et al. 2013) on the plane.

    Without scikit-learn there are none. The largest cluster is number 0.
    """
    labels = np.full(len(points), -1, np.int32)
    smallest = max(CLUSTER, len(points) // SPARSE)
    if len(points) <= 2 * smallest or importlib.util.find_spec("sklearn") is None:
        return labels
    from sklearn.cluster import HDBSCAN

    found = HDBSCAN(min_cluster_size=smallest, copy=True).fit_predict(points)
    names, counts = np.unique(found[found >= 0], return_counts=True)
    for number, name in enumerate(names[np.argsort(-counts, kind="stable")]):
        labels[found == name] = number
    return labels
