"""Judge codes and pictures: what ``compare`` puts into its table, and what tests hold kinds to."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def frechet(a: Array, b: Array) -> float:
    """Return the squared Frechet distance of two sets of features (n, d) and (m, d), as Gaussians.

    Dowson and Landau, "The Frechet distance between multivariate normal distributions", 1982; on features of a network,
    Heusel et al. 2017. With few features it is biased upwards, so compare only sets of equal sizes.
    """
    x, y = a.astype(np.float64), b.astype(np.float64)
    mean = np.square(x.mean(0) - y.mean(0)).sum()
    # the trace of the root of the covariances' product is the sum of singular values of both sets' deviations, multiplied
    deviations = (x - x.mean(0)) / math.sqrt(max(1, len(x) - 1)), (y - y.mean(0)) / math.sqrt(max(1, len(y) - 1))
    common = np.linalg.svd(deviations[0] @ deviations[1].T, compute_uv=False).sum()
    return float(mean + np.square(deviations[0]).sum() + np.square(deviations[1]).sum() - 2 * common)


def mmd_test(a: Array, b: Array, permutations: int = 200, seed: int = 0) -> tuple[float, float]:
    """Return the squared maximum mean discrepancy of two sets (n, d) and (m, d), and its p-value.

    Gretton et al., "A kernel two-sample test", 2012: the unbiased estimate with a Gaussian kernel as wide as the median
    distance, and the share of permutations of the sets that reach it. A small p-value means that the sets differ.
    """
    both = np.concatenate([a, b]).astype(np.float64)
    squares = np.square(both).sum(1)
    far = np.maximum(squares[:, None] + squares - 2 * both @ both.T, 0)
    kernel = np.exp(-far / np.median(far[far > 0]))
    np.fill_diagonal(kernel, 0)
    rng = np.random.default_rng(seed)
    found = _discrepancy(kernel, np.arange(len(both)), len(a))
    others = [_discrepancy(kernel, rng.permutation(len(both)), len(a)) for _ in range(permutations)]
    return found, (1 + sum(other >= found for other in others)) / (1 + permutations)


def _discrepancy(kernel: Array, order: NDArray[np.intp], count: int) -> float:
    """Return the estimate for the first ``count`` of an order against the others."""
    signs = np.zeros((len(order), 2))
    signs[order[:count], 0] = signs[order[count:], 1] = 1
    inside = signs.T @ kernel @ signs
    rest = len(order) - count
    return float(
        inside[0, 0] / (count * (count - 1)) + inside[1, 1] / (rest * (rest - 1)) - 2 * inside[0, 1] / (count * rest)
    )


def sharpness(pictures: Array) -> float:
    """Return the mean square of the Laplacian of pictures (n, H, W, C), which blur makes smaller."""
    x = pictures.astype(np.float64)
    middle = x[:, 1:-1, 1:-1]
    around = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]
    return float(np.square(around - 4 * middle).mean())


def probe(codes: Array, labels: NDArray[np.str_], folds: int = 5) -> float:
    """Return the accuracy 0..1 of a linear classifier of codes (n, q), by cross-validation.

    It is a ridge regression on standardised codes, whose strength is chosen within each fold.
    """
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), RidgeClassifierCV(10.0 ** np.arange(-1, 5)))
    return float(cross_val_score(model, codes, labels, cv=StratifiedKFold(folds, shuffle=True, random_state=0)).mean())


def checkerboard(pictures: Array) -> float:
    """Return the share of the variance of pictures (n, H, W, C) at the highest frequency, along rows, columns or both.

    Upsampling by 2 leaves its pattern there (Odena et al., "Deconvolution and checkerboard artifacts", 2016).
    """
    x = pictures.astype(np.float64)
    height, width = (side - side % 2 for side in x.shape[1:3])
    power = np.square(np.abs(np.fft.fft2(x[:, :height, :width], axes=(1, 2)))).mean((0, 3))
    highest = power[height // 2, 0] + power[0, width // 2] + power[height // 2, width // 2]
    return float(highest / (power.sum() - power[0, 0]))
