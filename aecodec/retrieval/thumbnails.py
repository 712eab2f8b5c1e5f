"""Make small pictures: from pixels, or from latents, of which the linear path gives one at 1/8 without the networks."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec.container.tiles import Box
from aecodec.entropy.architecture import LATENT_STRIDE

REDUCTION = 8  # pixels of the picture for one of a small picture from latents, each way
QUALITY = 60  # of WebP

Floats = NDArray[np.float32]


class Small:
    """A picture at 1/8, from its latents part by part."""

    def __init__(self, height: int, width: int) -> None:
        """Begin with a picture of this size in pixels."""
        self._image = Image.new("RGB", (-(-width // REDUCTION), -(-height // REDUCTION)))

    def add(self, box: Box, latents: Floats, klt: NDArray[Any]) -> None:
        """Add the latents (h, w, M), at gain 1, of a box of positions.

        klt: the tensor ``synthesis.klt.weight``, (3 * 16 * 16, M, 1, 1), which makes a block's pixels of its latents.
        Their means over 8x8 pixels are linear in the latents, too. The lapping is left out: what it moves mostly cancels
        in a mean.
        """
        parts = LATENT_STRIDE // REDUCTION
        means = klt.astype(np.float32).reshape(3, parts, REDUCTION, parts, REDUCTION, -1).mean((2, 4))
        values = np.einsum("hwm,cijm->hiwjc", latents, means, optimize=True)
        rows, columns = latents.shape[0] * parts, latents.shape[1] * parts
        pixels = np.rint((values.reshape(rows, columns, 3) + 0.5) * 255).clip(0, 255).astype(np.uint8)
        self._image.paste(Image.fromarray(pixels), (box.left * parts, box.top * parts))

    def image(self) -> Image.Image:
        """Return the picture."""
        return self._image


def webp(image: Image.Image, side: int) -> bytes:
    """Return a picture as a WebP whose longer side is ``side``."""
    factor = side / max(image.size)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    small = image.convert("RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=2)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=QUALITY, method=2)
    return buffer.getvalue()
