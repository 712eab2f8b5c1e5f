"""Show what single channels stand for: what an impulse decodes to, and where the picture has the channel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aecodec.entropy.architecture import LATENT_STRIDE
from aecodec.entropy.integer import MEAN_FRAC
from aecodec.inspect import scales
from aecodec.inspect.opened import Opened

SIDE = 8  # positions of the latents that an impulse lies in
SHOWN = 4 * LATENT_STRIDE  # pixels each way that are shown of its decode


def response(file: Opened, channel: int) -> NDArray[np.float32]:
    """Return the latents of one channel over the whole latent area, (h, w) float32, in units of latents."""
    whole = file.tiles.assemble(file.latent_area, lambda index: file.latents[index][..., channel, None])
    return whole[..., 0] * np.float32(2.0**-MEAN_FRAC)


def size_for(file: Opened, channel: int, levels: float) -> float:
    """Return how large a latent must be, in units of latents, to add so many levels at most, by the linear path."""
    return levels / max(float(np.abs(scales.basis(file.learned, file.header.rate)[:, channel]).max()), 1e-6)


def impulse(file: Opened, channel: int, size: float) -> NDArray[np.int16]:
    """Return what a latent of this size, in units of latents, adds to the decode of zeros: (SHOWN, SHOWN, 3) int16 levels.

    The picture is linear in it only for the linear path; the networks answer to larger impulses in another way.
    """
    latents = np.zeros((SIDE, SIDE, file.learned.arch.latents), np.int32)
    nothing = file.synthesise_window(latents)
    latents[SIDE // 2, SIDE // 2, channel] = round(size * 2**MEAN_FRAC)
    first = SIDE // 2 * LATENT_STRIDE + (LATENT_STRIDE - SHOWN) // 2
    part = slice(first, first + SHOWN)
    return np.subtract(file.synthesise_window(latents)[part, part], nothing[part, part], dtype=np.int16)
