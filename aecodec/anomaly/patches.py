"""Describe each place of a picture by the patches around it at four scales.

    picture -- 1/2 -- 1/4 -- 1/8           halved by means of 2 x 2
       |        |      |      |
      9x9      9x9    9x9    9x9           patches around each place of a grid of STRIDE pixels: 9 to 72 pixels wide
       |        |      |      |
    32 principal components of each, of the good pictures, in units of their deviations

A defect is small in one scale and plain in another; nothing here was trained on other pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
STRIDE = 4  # pixels between places
SCALES = 4  # 1, 1/2, 1/4 and 1/8
SIDE = 9  # pixels of a patch
COMPONENTS = 32  # of a patch
FLOOR = 1e-3  # of the mean variance of a patch, and of its square in levels 0..1: what is smaller is noise
SAMPLES = 20_000  # patches of each scale from which components are found


@dataclass(frozen=True, eq=False)
class Patches:
    """A descriptor: for each scale the mean patch (d,) and the components (d, COMPONENTS); d = SIDE**2 * channels."""

    means: tuple[Floats, ...]
    components: tuple[Floats, ...]

    @classmethod
    def fit(cls, pictures: Sequence[Floats], rng: np.random.Generator) -> Patches:
        """Find the components of good pictures (h, w, channels), in 0..1."""
        share = -(-SAMPLES // len(pictures))
        drawn: list[list[Floats]] = [[] for _ in range(SCALES)]
        for picture in pictures:
            for own, found in zip(drawn, _windows(picture), strict=True):
                rows, columns = (rng.integers(0, length, share) for length in found.shape[:2])
                own.append(found[rows, columns].reshape(share, -1))
        fitted = [_principal(np.concatenate(own)) for own in drawn]
        return cls(tuple(mean for mean, _ in fitted), tuple(matrix for _, matrix in fitted))

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Floats]) -> Patches:
        """Return the descriptor of its tensors."""
        means, components = (
            tuple(tensors[f"patches.{scale}.{part}"] for scale in range(SCALES)) for part in ("mean", "components")
        )
        return cls(means, components)

    def tensors(self) -> dict[str, Floats]:
        """Return the tensors that hold the descriptor."""
        means = {f"patches.{scale}.mean": each for scale, each in enumerate(self.means)}
        return means | {f"patches.{scale}.components": each for scale, each in enumerate(self.components)}

    def describe(self, picture: Floats) -> Floats:
        """Return the descriptors (h / STRIDE, w / STRIDE, d) of a picture (h, w, channels), sides multiples of 8."""
        rows, columns = picture.shape[0] // STRIDE, picture.shape[1] // STRIDE
        parts = []
        for windows, mean, matrix in zip(_windows(picture), self.means, self.components, strict=True):
            found = windows.reshape(*windows.shape[:2], -1) @ matrix - mean @ matrix
            factor = -(-rows // found.shape[0])
            parts.append(found.repeat(factor, 0).repeat(factor, 1)[:rows, :columns])
        return np.concatenate(parts, -1)

    def describe_at(self, picture: Floats, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Floats:
        """Return the descriptors (n, d) of some places, by their rows and columns (n,) in what ``describe`` returns."""
        parts = []
        for windows, mean, matrix in zip(_windows(picture), self.means, self.components, strict=True):
            factor = -(-(picture.shape[0] // STRIDE) // windows.shape[0])
            parts.append(windows[rows // factor, columns // factor].reshape(len(rows), -1) @ matrix - mean @ matrix)
        return np.concatenate(parts, -1)


def _principal(patches: Floats) -> tuple[Floats, Floats]:
    """Return the mean (d,) of patches (n, d), and what projects to their whitened principal components, (d, k)."""
    mean = patches.mean(0)
    variance, directions = np.linalg.eigh(np.cov((patches - mean).T))
    variance, directions = variance[::-1][:COMPONENTS], directions[:, ::-1][:, :COMPONENTS]
    floor = FLOOR * max(float(variance.mean()), FLOOR)
    return mean.astype(np.float32), (directions / np.sqrt(np.maximum(variance, 0) + floor)).astype(np.float32)


def _windows(picture: Floats) -> list[Floats]:
    """Return for each scale the windows (rows, columns, channels, SIDE, SIDE) around the places."""
    found, stride = [], STRIDE
    for scale in range(SCALES):
        if scale:
            picture = _halved(picture)
        reach = SIDE // 2
        padded = np.pad(picture, ((reach, reach), (reach, reach), (0, 0)), "edge")
        windows: Floats = np.lib.stride_tricks.sliding_window_view(padded, (SIDE, SIDE), (0, 1))  # type: ignore[call-overload]
        found.append(windows[stride // 2 :: stride, stride // 2 :: stride])
        stride = max(1, stride // 2)
    return found


def _halved(picture: Floats) -> Floats:
    height, width, channels = picture.shape
    found: Floats = picture.reshape(height // 2, 2, width // 2, 2, channels).mean((1, 3))
    return found
