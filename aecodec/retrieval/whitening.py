"""Turn pooled statistics into vectors of LENGTH numbers, in which distances say how alike pictures are.

``scripts/fit_features.py`` fits the matrices to one set of weights; they are stored beside this module. First the means of
all channels in a cell become those of the few combinations that vary most, by principal components. Then follows a linear
discriminant: of the directions in which pictures differ, those in which copies of one picture (at other qualities, sizes,
colours, or cropped) differ least, each scaled so that copies differ by the same amount everywhere (within-class covariance
normalisation, Hatch et al. 2006).
"""

from __future__ import annotations

import functools
import hashlib
import io
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec.retrieval.pooling import GRID

LENGTH = 256
COMBINATIONS = 6  # of channels, that stand for the means of a cell: light, colour and slopes; more made copies differ
SHRINKAGE = 0.1
FILE = "whitening.npz"

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Whitening:
    """Fitted matrices for statistics as ``pooling.statistics`` returns them, of M channels.

    ``weights`` is the hash of the weights to whose latents they are fitted. combine: (M, COMBINATIONS) float16; mean: (n,)
    of what is combined; matrix: (n, LENGTH) int8, with scale (LENGTH,).
    """

    weights: str
    combine: NDArray[np.float16]
    mean: Floats
    matrix: NDArray[np.int8]
    scale: Floats

    @functools.cached_property
    def id(self) -> str:
        """Return 8 hexadecimal digits that identify the matrices: vectors of different ones do not compare."""
        parts = (array.tobytes() for array in (self.combine, self.mean, self.matrix, self.scale))
        return hashlib.sha256(self.weights.encode() + b"".join(parts)).hexdigest()[:8]

    @functools.cached_property
    def _floats(self) -> Floats:
        return self.matrix.astype(np.float32) * self.scale

    def apply(self, statistics: Floats) -> Floats:
        """Return vectors (..., LENGTH) of unit length from statistics (..., n)."""
        vectors: Floats = (combined(statistics, self.combine) - self.mean) @ self._floats
        vectors /= np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32(1e-12))
        return vectors

    def to_bytes(self) -> bytes:
        """Return the file that ``read`` reads."""
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer, weights=np.array(self.weights), combine=self.combine, mean=self.mean, matrix=self.matrix,
            scale=self.scale,
        )  # fmt: skip
        return buffer.getvalue()


def read(data: bytes) -> Whitening:
    """Return the whitening in a file."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return Whitening(str(file["weights"]), file["combine"], file["mean"], file["matrix"], file["scale"])


@functools.lru_cache(maxsize=1)
def installed() -> Whitening:
    """Return the whitening that the package comes with."""
    return read((resources.files("aecodec.retrieval") / FILE).read_bytes())


def combined(statistics: NDArray[Any], combine: NDArray[np.float16]) -> Floats:
    """Return statistics with the means of M channels in each cell combined to fewer, (..., GRID**2 * COMBINATIONS + M)."""
    channels, count = combine.shape
    cells = GRID**2
    means = statistics[..., : cells * channels].reshape(*statistics.shape[:-1], cells, channels).astype(np.float32)
    few = (means @ combine.astype(np.float32)).reshape(*statistics.shape[:-1], cells * count)
    return np.concatenate([few, statistics[..., cells * channels :].astype(np.float32)], -1)


def fit(statistics: NDArray[Any], channels: int, weights: str) -> Whitening:
    """Fit a whitening to the statistics (pictures, copies, n) of copies of many pictures, the picture itself first.

    The covariance of copies is shrunk towards a diagonal one (Ledoit and Wolf 2004). Fewer than LENGTH + 1 pictures give
    vectors with zeros.
    """
    cells = statistics[:, 0, : GRID**2 * channels].reshape(-1, channels).astype(np.float64)
    _, _, axes = np.linalg.svd(cells - cells.mean(0), full_matrices=False)
    combine = axes[:COMBINATIONS].T.astype(np.float16)
    x = combined(statistics, combine).astype(np.float64)
    mean, centres = x.mean((0, 1)), x.mean(1)
    within = (x - centres[:, None]).reshape(-1, x.shape[-1])
    unit = np.sqrt(within.var(0) + 1e-12)  # the statistics have units of their own
    covariance = (within / unit).T @ (within / unit) / len(within)
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.eye(len(covariance))
    values, axes = np.linalg.eigh(covariance)
    whiten = axes / np.sqrt(values)
    _, _, directions = np.linalg.svd((centres - mean) / unit @ whiten, full_matrices=False)
    count = min(LENGTH, len(directions))
    matrix = np.zeros((x.shape[-1], LENGTH))
    matrix[:, :count] = (whiten @ directions[:count].T) / unit[:, None]
    scale = np.maximum(np.abs(matrix).max(0), 1e-30) / 127
    rounded = np.rint(matrix / scale).astype(np.int8)
    return Whitening(weights, combine, mean.astype(np.float32), rounded, scale.astype(np.float32))
