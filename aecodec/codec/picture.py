"""Any picture to one that can be coded, to an array, and back."""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image

from aecodec.codec.config import PADDING
from aecodec.errors import PictureError


def plain(image: Image.Image) -> Image.Image:
    """The picture as "L" or "RGB"; a warning says what that loses."""
    if image.has_transparency_data:
        warnings.warn("transparency is dropped", stacklevel=3)
    if image.mode in ("L", "RGB"):
        return image
    if image.mode == "F":
        raise PictureError("floating-point samples have no fixed range; convert them to 8 or 16 bits first")
    if image.mode.startswith("I"):
        warnings.warn("16-bit samples are rounded to 8 bits", stacklevel=3)
        samples = np.asarray(image, np.float64)
        return Image.fromarray(np.rint(samples / 257).clip(0, 255).astype(np.uint8), "L")
    if image.mode not in ("1", "P", "YCbCr") and not image.has_transparency_data:
        warnings.warn(f"colours are converted from {image.mode} to sRGB", stacklevel=3)
        return _managed(image)
    return image.convert("L" if image.mode in ("1", "LA", "La") else "RGB")


def _managed(image: Image.Image) -> Image.Image:
    """A CMYK or Lab picture in sRGB, through its ICC profile where it has one."""
    if profile := image.info.get("icc_profile"):
        from PIL import ImageCms

        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            pass  # a broken profile; the plain conversion is what is left
    return image.convert("RGB")


def to_array(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8 of an "L" or "RGB" picture; gray is repeated in the three channels."""
    array = np.asarray(image, np.uint8)
    return np.repeat(array[..., None], 3, -1) if array.ndim == 2 else array


def from_array(array: np.ndarray, mode: str) -> Image.Image:
    """Inverse of ``to_array``; the gray value is the rounded mean of the channels."""
    if mode == "L":
        array = np.rint(array.mean(-1)).astype(np.uint8)
    return Image.fromarray(array, mode)


def padded_size(height: int, width: int) -> tuple[int, int]:
    """Height and width rounded up to what the networks take."""
    return -height % PADDING + height, -width % PADDING + width


def pad(array: np.ndarray) -> np.ndarray:
    """(H, W, C) replicated at the bottom and right edges to a size that the networks take."""
    height, width = padded_size(*array.shape[:2])
    return np.pad(array, ((0, height - array.shape[0]), (0, width - array.shape[1]), (0, 0)), "edge")
