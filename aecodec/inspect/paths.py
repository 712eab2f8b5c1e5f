"""Walk through the space of latents: from one picture to another, and along the principal directions of many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aecodec.container.tiles import Box
from aecodec.entropy.architecture import LATENT_STRIDE
from aecodec.entropy.integer import MEAN_FRAC
from aecodec.errors import AecodecError
from aecodec.inspect.opened import Latents, Opened, Pixels
from aecodec.weights.store import Weights, at_gain_one, inverse_gain

Floats = NDArray[np.float32]
FLOOR = 0.05  # added to a channel's deviation before the logarithm, in units at gain 1: about nothing


def at_gain_of(values: Floats, weights: Weights, rate: int) -> Latents:
    """Return latents at gain 1 as integers for the synthesis at a rate index, (h, w, M) int32."""
    gain = np.float32(2.0**MEAN_FRAC) / inverse_gain(weights, rate)
    rounded: Latents = np.rint(np.clip(values * gain, -(2.0**24), 2.0**24)).astype(np.int32)
    return rounded


@dataclass(frozen=True, eq=False)
class Pair:
    """The common part of two files: the window of each in pixels, and its latents at gain 1, (h, w, M) float32.

    ``cropped`` says whether the pictures had different sizes or were cut to their middle. ``rate`` is the higher one.
    """

    first: Opened
    windows: tuple[Box, Box]
    latents: tuple[Floats, Floats]
    rate: int
    cropped: bool

    def blends(self, count: int) -> Iterator[Pixels]:
        """Yield what ``count`` blends of the latents decode to, from the first to the second: pictures (h, w, 3) uint8."""
        one, two = self.latents
        rows, columns = self.windows[0].shape
        for share in np.linspace(0, 1, count, dtype=np.float32):
            values = at_gain_of(one + (two - one) * share, self.first.learned, self.rate)
            yield self.first.synthesise_window(values, self.rate)[:rows, :columns]


def pair(first: Opened, second: Opened, side: int) -> Pair:
    """Return the common middle of two files, at most ``side`` pixels each way.

    Raises AecodecError where their weights differ, WeightsError where one has no latents.
    """
    if first.learned.id != second.learned.id:
        raise AecodecError(f"the files need different weights ({first.learned.id} and {second.learned.id})")
    height, width = (min(side, *lengths) for lengths in zip(first.area.shape, second.area.shape, strict=True))
    windows, latents = [], []
    for file in (first, second):
        top = (file.header.height - height) // 2 // LATENT_STRIDE * LATENT_STRIDE
        left = (file.header.width - width) // 2 // LATENT_STRIDE * LATENT_STRIDE
        box = Box(top, left, top + height, left + width)
        windows.append(box)
        latents.append(at_gain_one(file.latents_of(box.scaled(1, LATENT_STRIDE)), file.learned, file.header.rate))
    rate = max(first.header.rate, second.header.rate)
    cropped = any(file.area.shape != (height, width) for file in (first, second))
    return Pair(first, (windows[0], windows[1]), (latents[0], latents[1]), rate, cropped)


def pool(file: Opened) -> Floats:
    """Return what is pooled of a picture's latents at gain 1, (2 M,): the means, then the logarithms of the deviations."""
    channels = file.learned.arch.latents
    sums, squares, count = np.zeros(channels), np.zeros(channels), 0
    for values in file.latents:
        part = at_gain_one(values, file.learned, file.header.rate).reshape(-1, channels).astype(np.float64)
        sums, squares, count = sums + part.sum(0), squares + np.square(part).sum(0), count + len(part)
    mean = sums / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    pooled: Floats = np.concatenate([mean, np.log(deviation + FLOOR)]).astype(np.float32)
    return pooled


@dataclass(frozen=True, eq=False)
class Direction:
    """A principal direction of pooled latents.

    ``kind``: "colour" (means) or "texture" (deviations); ``vector``: (M,), for one standard deviation of the pictures;
    ``share``: of their variance, 0..1.
    """

    kind: str
    vector: Floats
    share: float

    def walk(self, values: Floats, amount: float) -> Floats:
        """Return latents at gain 1 (h, w, M), moved by so many standard deviations.

        A direction of means is added at every position; one of deviations multiplies each channel's distance to its mean.
        """
        if self.kind == "colour":
            return values + np.float32(amount) * self.vector
        mean = values.mean((0, 1))
        walked: Floats = mean + (values - mean) * np.exp(np.float32(amount) * self.vector)
        return walked


def directions(pooled: Sequence[Floats], count: int) -> list[Direction]:
    """Return the first principal directions of means, then those of deviations, from what is pooled of each picture.

    At most ``count`` of each. Raises AecodecError for fewer than 3 pictures.
    """
    if len(pooled) < 3:
        raise AecodecError(f"{len(pooled)} pictures are too few for directions; at least 3 are needed")
    found = []
    for kind, part in zip(("colour", "texture"), np.split(np.stack(pooled).astype(np.float64), 2, 1), strict=True):
        centred = part - part.mean(0)
        _, sizes, vectors = np.linalg.svd(centred, full_matrices=False)
        variance = np.square(sizes)
        for index in range(min(count, len(pooled) - 1)):
            vector = vectors[index] * sizes[index] / np.sqrt(len(pooled) - 1)
            vector *= np.sign(vector[np.abs(vector).argmax()])  # a direction has no sign of its own
            share = float(variance[index] / max(float(variance.sum()), 1e-30))
            found.append(Direction(kind, vector.astype(np.float32), share))
    return found
