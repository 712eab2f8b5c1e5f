"""See a picture as the codec does: its latents, and the bits that they take."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec.anomaly.pictures import Pixels, blurred
from aecodec.defaults import DEFAULT_QUALITY
from aecodec.entropy import latents
from aecodec.entropy.architecture import LATENT_STRIDE
from aecodec.quality import index_of_quality
from aecodec.retrieval.vectors import padded
from aecodec.runtime import Transforms, open_transforms
from aecodec.weights.cards import locate
from aecodec.weights.store import Weights, inverse_gain, load

Floats = NDArray[np.float32]
ENLARGED = 2  # times, so that a place is 8 pixels and not 16


@dataclass(frozen=True)
class Codec:
    """The codec with the weights of an id, None for the default ones. Raises WeightsError where they are not installed."""

    identity: str | None = None
    device: str = "auto"

    @functools.cached_property
    def weights(self) -> Weights:
        return load() if self.identity is None else load(locate(self.identity))

    @functools.cached_property
    def _transforms(self) -> Transforms:
        return open_transforms(self.weights, self.device)

    def latents(self, picture: Pixels) -> Floats:
        """Return latents at gain 1 (h, w, M) of a picture (H, W, 3) enlarged, each the mean of its 3 x 3 neighbours."""
        image = Image.fromarray(picture)
        large = image.resize((ENLARGED * image.width, ENLARGED * image.height), Image.Resampling.BICUBIC)
        rate = index_of_quality(DEFAULT_QUALITY)
        found = self._transforms.analyse(padded(large), rate) * inverse_gain(self.weights, rate)
        rows, columns = (-(-side // LATENT_STRIDE) for side in (large.height, large.width))
        return blurred(found[:rows, :columns], 0.8)

    def bits(self, picture: Pixels) -> Floats:
        """Return the bits that each position of the latents of a picture takes in a file, (h, w)."""
        rate, model = index_of_quality(DEFAULT_QUALITY), self.weights.entropy_model
        y = self._transforms.analyse(padded(Image.fromarray(picture)), rate)
        coded = latents.encode(model, y, self._transforms.hyper_analyse(y, rate), rate)
        rows, columns = (-(-side // LATENT_STRIDE) for side in picture.shape[:2])
        found: Floats = latents.position_bits(model, coded)[:rows, :columns]
        return found
