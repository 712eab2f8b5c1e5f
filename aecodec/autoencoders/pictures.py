"""Take pictures as callers have them, and turn them into values in 0..1 of one shape, and back.

Pictures are paths, Pillow images or uint8 arrays of any size, in any mixture, or one array (n, H, W) or (n, H, W, C). A
table (n, d) of numbers is taken as it is.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from aecodec.codec import decoder
from aecodec.container.bitstream import MAGIC
from aecodec.defaults import MAX_PIXELS
from aecodec.errors import FramesError, PictureError
from aecodec.images import reading, samples

Floats = NDArray[np.float32]
DEFAULT_SIZE = 64  # pixels a side of pictures that are not one array


@dataclass(frozen=True)
class Form:
    """What values look like to a caller: their shape, (H, W, C) or (d,), and the levels that stand for 0 and 1.

    ``flat``: pictures come without an axis of channels, (n, H, W).
    """

    shape: tuple[int, ...]
    low: float
    high: float
    flat: bool = False

    @property
    def inner(self) -> tuple[int, ...]:
        """Return the shape inside, (C, H, W) or (d,)."""
        return (self.shape[2], *self.shape[:2]) if len(self.shape) == 3 else self.shape

    def inward(self, values: NDArray[Any]) -> Floats:
        """Return (n, C, H, W) or (n, d) float32, 0..1 for levels in low..high, of a caller's values (n, *shape)."""
        scaled = ((values - np.float64(self.low)) / (self.high - self.low)).astype(np.float32)
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)) if scaled.ndim == 4 else scaled

    def outward(self, values: Floats) -> Floats:
        """Invert ``inward``; pictures are clipped to the levels that there are."""
        if values.ndim == 4:
            values = values.transpose(0, 2, 3, 1).clip(0, 1)
            values = values[..., 0] if self.flat else values
        scaled: Floats = (values * (self.high - self.low) + self.low).astype(np.float32)
        return scaled


def form_of(values: NDArray[Any], flat: bool = False) -> Form:
    """Return the form of values (n, H, W, C) or (n, d): bytes are 0..255, others as far apart as they are."""
    if values.dtype == np.uint8:
        return Form(values.shape[1:], 0.0, 255.0, flat)
    low, high = float(values.min()), float(values.max())
    return Form(values.shape[1:], low, high if high > low else low + 1, flat)


def is_pictures(source: Any) -> bool:
    """Return whether a caller's data are pictures: an array of three axes or more, or a list of them."""
    if isinstance(source, np.ndarray) and source.dtype.kind not in "OUS":
        return source.ndim > 2
    if isinstance(source, (str, bytes)) or not hasattr(source, "__getitem__") or not hasattr(source, "__len__"):
        return False
    try:
        first = source[0] if len(source) else None
    except (KeyError, TypeError):  # a data frame's columns have names
        return False
    return isinstance(first, (str, os.PathLike, Image.Image)) or (isinstance(first, np.ndarray) and first.ndim > 1)


def gather(source: Any, size: int | None, channels: int | None, max_pixels: int | None) -> NDArray[Any]:
    """Return pictures as one array (n, H, W, C).

    size: the side of the squares that pictures are cut and scaled to; None leaves an array as it is and makes DEFAULT_SIZE
    of others. channels: 1, 3, or None for what they have; a gray set is 1. Raises PictureError with the row of a picture
    that cannot be read.
    """
    if isinstance(source, np.ndarray) and source.ndim > 2:
        array = source[..., None] if source.ndim == 3 else source
        if array.ndim != 4 or not array.size:
            raise PictureError(f"pictures in an array must be (n, H, W) or (n, H, W, C), not {source.shape}")
        if array.dtype != np.uint8:
            array = array.astype(np.float32)
        if size is None or array.shape[1:3] == (size, size):
            return array
        if array.dtype != np.uint8:
            raise PictureError(f"pictures that are scaled must be uint8, not {source.dtype}")
        source = list(source)
    return _stack([_read(row, each, size or DEFAULT_SIZE, max_pixels) for row, each in enumerate(source)], channels)


def _stack(found: Sequence[Image.Image], channels: int | None) -> NDArray[np.uint8]:
    if not found:
        raise PictureError("there are no pictures")
    gray = channels == 1 or (channels is None and all(image.mode == "L" for image in found))
    arrays = [np.asarray(image.convert("L" if gray else "RGB")) for image in found]
    return np.stack(arrays)[..., None] if gray else np.stack(arrays)


def load(
    paths: Sequence[str], size: int, complain: Callable[[str, Exception], None], max_pixels: int | None = MAX_PIXELS
) -> tuple[NDArray[np.uint8], list[str]]:
    """Return pictures from files as one array (n, size, size, 1 or 3), and the paths of those that could be read.

    A file that cannot be read is reported through ``complain`` and left out. Raises PictureError where none is left.
    """

    def work(path: str) -> Image.Image | PictureError:
        try:
            return _read(0, path, size, max_pixels)
        except PictureError as error:
            return error

    found, kept = [], []
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        for path, image in zip(paths, workers.map(work, paths), strict=True):
            if isinstance(image, PictureError):
                complain(path, image.__cause__ if isinstance(image.__cause__, Exception) else image)
                continue
            found.append(image)
            kept.append(path)
    return _stack(found, None), kept


def _read(row: int, source: reading.Source, size: int, max_pixels: int | None) -> Image.Image:
    """Return a picture upright, as "L" or "RGB", its middle scaled to size x size. Raises PictureError, with the row."""
    try:
        return squared(_open(source, max_pixels), size, max_pixels)
    except (ValueError, LookupError, OSError, TypeError, SyntaxError) as error:
        name = f" ({source})" if isinstance(source, (str, os.PathLike)) else ""
        raise PictureError(f"picture {row}{name}: {error}") from error


def _open(source: reading.Source, max_pixels: int | None) -> Image.Image:
    """Return a caller's picture as a Pillow image."""
    if isinstance(source, np.ndarray) and source.ndim == 3 and source.shape[2] == 1:
        source = source[..., 0]
    if not isinstance(source, (str, os.PathLike)):
        return reading.as_picture(source, max_pixels)
    with open(source, "rb") as file:
        return opened(file.read(), max_pixels)


def opened(data: bytes, max_pixels: int | None) -> Image.Image:
    """Return the picture in a file's bytes as a Pillow image; an .aec file is decoded."""
    if data.startswith(MAGIC[:4]):
        return decoder.decode_samples(data, max_pixels=max_pixels).image()
    return reading.open_picture(data, max_pixels)


def squared(image: Image.Image, size: int, max_pixels: int | None) -> Image.Image:
    """Return the middle of a picture, upright, scaled to size x size, "L" where it is gray and else "RGB"."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nothing is written, so nothing is lost
        if image.format == "JPEG":
            image.draft(None, (2 * size, 2 * size))
        try:
            reading.load(image, None, max_pixels)
        except FramesError:
            reading.load(image, 0, max_pixels)
        colour, _ = samples.split(ImageOps.exif_transpose(image))
    return ImageOps.fit(colour, (size, size), Image.Resampling.LANCZOS)
