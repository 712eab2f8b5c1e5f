"""Take for an anomaly what is far from all good places, in features of places.

    neighbours   the distance to the nearest of a choice of good places, spread out by a greedy search for the farthest
                 (PatchCore: Roth et al., "Towards total recall in industrial anomaly detection", CVPR 2022)
    gaussian     the Mahalanobis distance to the mean of all good places, with a shrunken covariance
                 (Defard et al., "PaDiM", ICPR 2020, has one for each place; Ledoit and Wolf, 2004, for the shrinkage)

Features are the codec's latents, or the descriptors of ``patches.py``. Those of the papers come from networks that were
trained on ImageNet, which these are not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aecodec.anomaly.codec import Codec
from aecodec.anomaly.method import Fitted, Judgement, Options, Tensors, crossed
from aecodec.anomaly.patches import Patches
from aecodec.anomaly.pictures import Pixels

Floats = NDArray[np.float32]
Step = Callable[[], object]
PLACES = 20_000  # good places that are looked at, of all pictures together
CHOSEN = 1500  # of them are kept as neighbours
DIMENSIONS = 64  # principal components in which neighbours are sought
FLOOR = 0.01  # of the mean variance is added to each of them
BLOCK = 1024  # places that are compared at a time


class Features(Protocol):
    """What describes places: (H, W, 3) uint8 to (h, w, d)."""

    def describe(self, picture: Pixels) -> Floats: ...

    def tensors(self) -> Tensors: ...

    def settings(self) -> dict[str, Any]: ...


@dataclass(frozen=True, eq=False)
class CodecFeatures:
    """Latents at gain 1, of the enlarged picture."""

    codec: Codec

    def describe(self, picture: Pixels) -> Floats:
        return self.codec.latents(picture)

    def tensors(self) -> Tensors:
        return {}

    def settings(self) -> dict[str, Any]:
        return {"features": "codec", "weights": self.codec.weights.id}


@dataclass(frozen=True, eq=False)
class PatchFeatures:
    """Patches at four scales."""

    patches: Patches

    def describe(self, picture: Pixels) -> Floats:
        return self.patches.describe(picture.astype(np.float32) / 255)

    def tensors(self) -> Tensors:
        return self.patches.tensors()

    def settings(self) -> dict[str, Any]:
        return {"features": "patches"}


@dataclass(frozen=True, eq=False)
class Distances:
    """Good places, ``centres`` (n, k), where ``mean`` (d,) and ``matrix`` (d, k) lead; of a Gaussian only 0."""

    features: Features
    mean: Floats
    matrix: Floats
    centres: Floats

    def judge(self, picture: Pixels) -> Judgement:
        return self.judge_places(self.features.describe(picture))

    def judge_places(self, described: Floats) -> Judgement:
        """Judge features of places (h, w, d)."""
        places = (described.reshape(-1, described.shape[-1]) - self.mean) @ self.matrix
        heat = np.sqrt(nearest(places, self.centres)).reshape(described.shape[:2])
        return Judgement(float(heat.max()), heat)

    def tensors(self) -> Tensors:
        own = {"mean": self.mean, "matrix": self.matrix, "centres": self.centres}
        return {**own, **self.features.tensors()}

    def settings(self) -> dict[str, Any]:
        return self.features.settings()


def opened(tensors: Tensors, settings: dict[str, Any]) -> Distances:
    """Return the method of its tensors and settings."""
    features: Features
    if settings["features"] == "codec":
        features = CodecFeatures(Codec(settings["weights"]))
    else:
        features = PatchFeatures(Patches.from_tensors(tensors))
    return Distances(features, tensors["mean"], tensors["matrix"], tensors["centres"])


def fit_neighbours(pictures: Sequence[Pixels], options: Options, step: Step = lambda: None) -> Fitted:
    """Fit ``neighbours`` to good pictures."""
    return _fit(pictures, options, step, _choose)


def fit_gaussian(pictures: Sequence[Pixels], options: Options, step: Step = lambda: None) -> Fitted:
    """Fit ``gaussian`` to good pictures."""
    return _fit(pictures, options, step, _whiten)


def steps(count: int, options: Options) -> int:
    """Return the parts of the work of fitting so many pictures."""
    return count


def _fit(
    pictures: Sequence[Pixels],
    options: Options,
    step: Step,
    space_of: Callable[[Floats, np.random.Generator], tuple[Floats, Floats, Floats]],
) -> Fitted:
    """Fit to good pictures; ``space_of`` returns mean, matrix and centres for places (n, d)."""
    rng = np.random.default_rng(options.seed)
    features: Features
    if options.features == "codec":
        features = CodecFeatures(Codec(device=options.device))
    else:
        features = PatchFeatures(Patches.fit([each.astype(np.float32) / 255 for each in pictures], rng))
    described = []
    for picture in pictures:
        described.append(features.describe(picture))
        step()

    def fit_to(some: Sequence[Floats]) -> Distances:
        share = -(-PLACES // len(some))
        drawn = [each.reshape(-1, each.shape[-1]) for each in some]
        places = np.concatenate([each[rng.permutation(len(each))[:share]] for each in drawn]).astype(np.float32)
        return Distances(features, *space_of(places, rng))

    scores, peaks = crossed(lambda some: fit_to(some).judge_places, described, options.seed)
    return Fitted(fit_to(described), scores, peaks)


def _choose(places: Floats, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Return the space of ``neighbours``: whitened principal components, and places that are far from each other."""
    mean = places.mean(0)
    variance, directions = np.linalg.eigh(np.cov((places - mean).T))
    spread = np.sqrt(variance[-DIMENSIONS:] + FLOOR * variance.mean())
    matrix = (directions[:, -DIMENSIONS:] / spread).astype(np.float32)
    return mean, matrix, coreset((places - mean) @ matrix, CHOSEN)


def coreset(places: Floats, count: int) -> Floats:
    """Return so many of the places (n, k): each next one is the farthest from those before (k-centre, greedy)."""
    chosen = [0]
    distance = np.square(places - places[0]).sum(1)
    while len(chosen) < min(count, len(places)):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.square(places - places[chosen[-1]]).sum(1))
    return places[chosen]


def _whiten(places: Floats, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Return the space of ``gaussian``, in which the length of a place is its Mahalanobis distance."""
    mean = places.mean(0)
    variance, directions = np.linalg.eigh(shrunken(places - mean))
    return mean, (directions / np.sqrt(variance)).astype(np.float32), np.zeros((1, len(mean)), np.float32)


def shrunken(centred: Floats) -> NDArray[np.float64]:
    """Return the covariance (d, d) of places (n, d) of mean 0, shrunken by Ledoit and Wolf's share."""
    count, size = centred.shape
    values = centred.astype(np.float64)
    sample = values.T @ values / count
    level = np.trace(sample) / size
    distance = (np.square(sample).sum() - size * level**2) / size
    error = (np.square(np.square(values).sum(1)).sum() / count - np.square(sample).sum()) / size / count
    share = min(error, distance) / distance if distance else 1.0
    result: NDArray[np.float64] = (1 - share) * sample + (share * level + 1e-9) * np.eye(size)
    return result


def nearest(places: Floats, centres: Floats) -> Floats:
    """Return the square of the distance of each place (n, k) to the nearest centre (m, k)."""
    lengths = np.square(centres).sum(1)
    found = np.empty(len(places), np.float32)
    for start in range(0, len(places), BLOCK):
        part = places[start : start + BLOCK]
        found[start : start + BLOCK] = np.square(part).sum(1) + (lengths - 2 * part @ centres.T).min(1)
    return np.maximum(found, 0)
