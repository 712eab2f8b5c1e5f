"""Samples of more than 8 bits: Pillow has no picture of such colours, so they go beside one, as arrays.

A deep picture is (H, W, C) uint16: gray or RGB, the last of two or four channels is alpha. It belongs to one of the depths
that a file can have (``bitstream.DEPTHS``), and its largest value is white.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec.container import metadata
from aecodec.container.bitstream import DEPTHS
from aecodec.container.exif import ORIENTATION

Samples = NDArray[np.uint16]
_ATTRIBUTE = "deep_samples"  # of a Pillow image whose pixels are these, rounded


@dataclass(frozen=True)
class Deep:
    """The samples of a picture, and the bits that they have."""

    samples: Samples
    depth: int

    @property
    def colour(self) -> Samples:
        """Return the samples without alpha, (H, W, 1) or (H, W, 3)."""
        channels = self.samples.shape[2]
        return self.samples[..., : channels - (channels % 2 == 0)]

    @property
    def alpha(self) -> Samples | None:
        """Return the alpha (H, W), if there is one."""
        return None if self.samples.shape[2] % 2 else self.samples[..., -1]


def of_values(values: NDArray[Any], peak: int) -> Deep:
    """Return samples (H, W, C), 0..peak, in the smallest depth that has as many values."""
    depth = next(depth for depth in DEPTHS if peak < 2**depth or depth == DEPTHS[-1])
    return Deep(scaled(values, peak, 2**depth - 1).astype(np.uint16), depth)


def scaled(values: NDArray[Any], peak: int, wanted: int) -> NDArray[np.int64]:
    """Return values 0..peak as the nearest of 0..wanted."""
    wide = values.astype(np.int64)
    return wide if peak == wanted else (wide * (2 * wanted) + peak) // (2 * peak)


def to_bytes(values: NDArray[Any], depth: int) -> NDArray[np.uint8]:
    """Return samples of a depth as the nearest of 8 bits."""
    return scaled(values, 2**depth - 1, 255).astype(np.uint8)


def reduced(deep: Deep) -> Deep | None:
    """Return samples in the smallest depth that loses nothing, None for 8 bits: many files of 16 were made of fewer."""
    peak = 2**deep.depth - 1
    for depth in DEPTHS[: DEPTHS.index(deep.depth)]:
        few = scaled(deep.samples[:1], peak, 2**depth - 1)  # which is soon known of a row
        if not np.array_equal(scaled(few, 2**depth - 1, peak), deep.samples[:1]):
            continue
        fewer = scaled(deep.samples, peak, 2**depth - 1)
        if np.array_equal(scaled(fewer, 2**depth - 1, peak), deep.samples):
            return None if depth == 8 else Deep(fewer.astype(np.uint16), depth)
    return deep


def at_16_bits(deep: Deep) -> Samples:
    """Return samples as those of files that have 16 bits."""
    return scaled(deep.samples, 2**deep.depth - 1, 65535).astype(np.uint16)


def to_image(deep: Deep) -> Image.Image:
    """Return a Pillow image of 8 bits, that carries the samples."""
    rounded = to_bytes(deep.samples, deep.depth)
    image = Image.fromarray(rounded[..., 0] if rounded.shape[2] == 1 else rounded)
    attach(image, deep)
    return image


def attach(image: Image.Image, deep: Deep) -> None:
    """Have an image carry the samples that its pixels were rounded from, to whoever takes them next."""
    vars(image)[_ATTRIBUTE] = deep


def detach(image: Image.Image) -> Deep | None:
    """Return what ``attach`` has given an image; it is taken off, since the image may be changed after this."""
    found: Deep | None = vars(image).pop(_ATTRIBUTE, None)
    return found


def upright(image: Image.Image) -> Image.Image:
    """Do what ``metadata.upright`` does, to the samples that an image carries as well."""
    found = detach(image)
    result = metadata.upright(image)
    if found is not None:
        with contextlib.suppress(Exception):  # as there, of damaged EXIF
            found = Deep(turned(found.samples, int(image.getexif().get(ORIENTATION, 1))), found.depth)
        attach(result, found)
    return result


def turned(samples: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return samples (H, W, C), turned as an EXIF orientation, 1..8, says."""
    if orientation > 4:
        samples = samples.transpose(1, 0, 2)
    rows, columns = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}.get(orientation, (1, 1))
    return samples[::rows, ::columns]
