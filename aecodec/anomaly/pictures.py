"""Open pictures, and bring them to the size that methods look at."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec.codec import decoder
from aecodec.codec.encoder import Original
from aecodec.container.bitstream import MAGIC
from aecodec.defaults import MAX_PIXELS
from aecodec.errors import FramesError
from aecodec.images import reading, samples

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Source = reading.Source | bytes
UNIT = 8  # sides that methods look at are multiples of this


def opened(source: Source, *, device: str = "auto", max_pixels: int | None = MAX_PIXELS) -> Pixels:
    """Return any picture, an .aec file among them, as it is shown: (H, W, 3) uint8. Of an animation it is the first frame.

    Raises what ``aecodec.encode`` and ``aecodec.decode`` raise.
    """
    if isinstance(source, (str, os.PathLike)):
        source = Path(source).read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nothing is written, so nothing is lost
        if isinstance(source, bytes):
            if source.startswith(MAGIC[:4]):
                source = decoder.decode_samples(source, device=device, max_pixels=max_pixels).image()
            else:
                source = reading.open_picture(source, max_pixels)
        try:
            original = Original.open(source, strip=True, max_pixels=max_pixels)
        except FramesError:
            original = Original.open(source, strip=True, max_pixels=max_pixels, frame=0)
        return samples.to_array(original.in_8_bits().image)


def scaled(pixels: Pixels, side: int) -> Floats:
    """Return a picture (H, W, 3) as (h, w, 3) float32 in 0..1, its longer side ``side``, both multiples of UNIT."""
    height, width = pixels.shape[:2]
    factor = side / max(height, width)
    size = [max(UNIT, UNIT * round(length * factor / UNIT)) for length in (width, height)]
    kind = Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC
    found: Floats = np.asarray(Image.fromarray(pixels).resize((size[0], size[1]), kind), np.float32) / 255
    return found


def resized(values: Floats, height: int, width: int) -> Floats:
    """Return a map (h, w) as (height, width), by linear interpolation."""
    found: Floats = np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR), np.float32)
    return found


def blurred(values: Floats, sigma: float) -> Floats:
    """Return an array (h, w) or (h, w, c) smoothed by a Gaussian of ``sigma`` positions; edges are repeated."""
    reach = max(1, int(3 * sigma + 0.5))
    taps = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / sigma)).astype(np.float32)
    taps /= taps.sum()
    for axis in (0, 1):
        padded = np.pad(values, [(reach, reach) if each == axis else (0, 0) for each in range(values.ndim)], "edge")
        length = values.shape[axis]
        parts = (tap * padded.take(range(at, at + length), axis) for at, tap in enumerate(taps))
        values = sum(parts, np.zeros_like(values))
    return values
