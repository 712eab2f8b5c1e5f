"""Turn any picture into colour and alpha that can be coded, colour into an array, and back."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from aecodec.container.bitstream import MAX_SIDE
from aecodec.container.tiles import Box
from aecodec.entropy.architecture import PADDING
from aecodec.errors import LimitError, PictureError
from aecodec.images import deep


def split(image: Image.Image, bits: int = 8, gray_bits: int | None = None) -> tuple[Image.Image, Image.Image | None]:
    """Separate colour and alpha as ``separate`` does, and replace colour that nobody sees (``fill``).

    Colour that is gray everywhere comes as "L".
    """
    colour, alpha = separate(image, bits, gray_bits)
    colour = gray_if_equal(colour)
    return (colour if alpha is None else fill(colour, alpha)), alpha


def split_deep(image: Image.Image, bits: int = 8) -> tuple[Image.Image, Image.Image | None, deep.Samples | None, int]:
    """Do what ``split`` does; return also the colour (H, W, 1 or 3) at the depth that a file can have, and this depth.

    That is None, and 8, where 8 bits hold the picture.
    """
    found = deep.detach(image)
    if found is None and image.mode.startswith("I"):
        found = deep.of_values(_levels(image, bits)[..., None], 2**bits - 1)
    colour_and_alpha = found
    if found is not None:
        plane = found.alpha
        if plane is not None and deep.reduced(deep.Deep(plane[..., None], found.depth)) is not None:
            warnings.warn(f"alpha of {found.depth} bits is rounded to 8 bits", stacklevel=3)
        found = deep.reduced(deep.Deep(found.colour, found.depth))
    if found is None:
        return *split(image, 8 if colour_and_alpha is not None else bits, bits), None, 8
    _, alpha = separate(image, 8, bits)
    wide = found.samples
    if wide.shape[2] == 3 and np.array_equal(wide[..., 0], wide[..., 1]) and np.array_equal(wide[..., 0], wide[..., 2]):
        wide = wide[..., :1]
    rounded = deep.to_bytes(wide, found.depth)
    colour = Image.fromarray(rounded[..., 0] if wide.shape[2] == 1 else rounded)
    if alpha is not None and _has_holes(alpha):
        colour = fill(colour, alpha)
        filled = deep.scaled(np.asarray(colour).reshape(wide.shape), 255, 2**found.depth - 1).astype(np.uint16)
        wide = np.where(np.asarray(alpha)[..., None] > 0, wide, filled)
    return colour, alpha, wide, found.depth


def separate(image: Image.Image, bits: int = 8, gray_bits: int | None = None) -> tuple[Image.Image, Image.Image | None]:
    """Return a loaded picture as colour, "L" or "RGB", and alpha, "L" or None; warnings say what that loses.

    ``bits`` is the depth of a sample in the file, ``gray_bits`` that of gray where nothing is to be said about it. Raises
    PictureError where the range of the samples is unknown.
    """
    gray_bits = bits if gray_bits is None else gray_bits
    gray = _levels(image, gray_bits) if image.mode == "F" or image.mode.startswith("I") else None
    if bits > 8:
        warnings.warn(f"{bits}-bit samples are rounded to 8 bits", stacklevel=3)
    key = image.info.get("transparency")
    alpha = None
    if gray is not None:
        colour = Image.fromarray(np.rint(gray * (255 / (2**gray_bits - 1))).clip(0, 255).astype(np.uint8))
        alpha = None if key is None else _opaque(gray[..., None] != key)
    elif image.mode in ("1", "L", "RGB"):
        colour = image.convert("L") if image.mode == "1" else image
        if key is not None:  # of the file's depth, for which Pillow's own conversion makes no allowance
            peak = 1 if image.mode == "1" else 2**gray_bits - 1
            samples = np.asarray(colour).reshape(*image.size[::-1], -1)
            alpha = _opaque(samples != np.rint(np.atleast_1d(key) * 255 / peak))
    elif image.has_transparency_data:
        image = image.convert("LA" if image.mode in ("LA", "La") else "RGBA")
        colour, alpha = image.convert(image.mode[:-1]), image.getchannel("A")
    elif image.mode in ("P", "RGBX", "YCbCr"):
        colour = image.convert("RGB")
    else:
        warnings.warn(f"colours are converted from {image.mode} to sRGB", stacklevel=3)
        colour = _managed(image)
    return colour, alpha


def gray_if_equal(colour: Image.Image) -> Image.Image:
    """Return a picture of equal red, green and blue as gray, which cannot come out tinted, and any other as it is."""
    if colour.mode != "RGB":
        return colour
    red, green, blue = colour.split()
    different = ImageChops.difference(red, green).getbbox() or ImageChops.difference(red, blue).getbbox()
    return colour if different else red


def fill(colour: Image.Image, alpha: Image.Image) -> Image.Image:
    """Return ``colour`` with its invisible part, under an alpha of 0, made up from what is visible around it.

    It is as smooth as it can be: nobody sees it, so it should cost nothing. Pull and push (Gortler et al., The Lumigraph,
    1996): halve the picture, averaging what is visible, until no hole is left; then fill the holes of each size from the
    next smaller, enlarged bilinearly.
    """
    if not _has_holes(alpha):
        return colour
    level = colour.copy()
    level.putalpha(_seen(alpha))
    finer = []
    while _has_holes(level.getchannel("A")) and max(level.size) > 1:
        finer.append(level)
        level = level.reduce(2)
        level.putalpha(_seen(level.getchannel("A")))
    filled = level.convert(colour.mode)
    for level in reversed(finer):
        filled = filled.resize(level.size, Image.Resampling.BILINEAR, (0, 0, level.width / 2, level.height / 2))
        filled.paste(level.convert(colour.mode), mask=level.getchannel("A"))
    return filled


def _has_holes(alpha: Image.Image) -> bool:
    """Whether alpha, "L", is 0 anywhere."""
    lowest, _ = alpha.getextrema()
    return lowest == 0


def _seen(alpha: Image.Image) -> Image.Image:
    return alpha.point([0] + [255] * 255)


def _opaque(mask: NDArray[np.bool_]) -> Image.Image:
    """Return alpha of 255 where any channel of (H, W, C) is set, else 0."""
    return Image.fromarray(np.where(mask.any(-1), np.uint8(255), np.uint8(0)))


def _levels(image: Image.Image, bits: int) -> NDArray[np.integer[Any]]:
    """Return samples (H, W) of up to 16 bits. Raises PictureError for others."""
    samples = np.asarray(image)
    if image.mode == "F" or bits > 16 or samples.min() < 0 or samples.max() > 65535:
        raise PictureError("floating-point and 32-bit samples have no fixed range; convert them to 8 or 16 bits first")
    return samples


def _managed(image: Image.Image) -> Image.Image:
    """Return a CMYK or Lab picture in sRGB, through its ICC profile where it has one."""
    if profile := image.info.get("icc_profile"):
        from PIL import ImageCms

        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            managed = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if managed is not None:  # as it would be of a picture that is changed in place
                return managed
        except (ImageCms.PyCMSError, OSError):
            pass  # a broken profile; the plain conversion is what is left
    return image.convert("RGB")


def to_array(image: Image.Image) -> NDArray[np.uint8]:
    """Return an "L" or "RGB" picture as (H, W, 3) uint8; gray is repeated in the three channels."""
    array = np.asarray(image, np.uint8)
    return np.repeat(array[..., None], 3, -1) if array.ndim == 2 else array


def from_array(array: NDArray[np.uint8], mode: str) -> Image.Image:
    """Invert ``to_array``; the gray value is the rounded mean of the channels."""
    return Image.fromarray(gray_mean(array) if mode == "L" else array)


def gray_mean(array: NDArray[Any]) -> NDArray[Any]:
    """Return the rounded mean (H, W) of three channels (H, W, 3) of integers."""
    mean: NDArray[Any] = ((array.sum(-1, dtype=np.uint32) + 1) // 3).astype(array.dtype)
    return mean


def padded_size(height: int, width: int) -> tuple[int, int]:
    """Return height and width rounded up to what the networks take."""
    return -height % PADDING + height, -width % PADDING + width


def window(array: NDArray[Any], box: Box) -> NDArray[Any]:
    """Return the box of a picture (H, W, C). It may reach over the bottom and right edges, which are replicated."""
    height, width = array.shape[:2]
    part = array[min(box.top, height - 1) : box.bottom, min(box.left, width - 1) : box.right]
    rows, columns = box.shape
    if part.shape[:2] == (rows, columns):
        return part
    return np.pad(part, ((0, rows - part.shape[0]), (0, columns - part.shape[1]), (0, 0)), "edge")


def check_size(width: int, height: int, max_pixels: int | None) -> None:
    """Raise LimitError for too many pixels, or PictureError where the format has no room for a side."""
    if max_pixels is not None and width * height > max_pixels:
        raise LimitError(f"{width} x {height} is over the limit of {max_pixels} pixels", max_pixels)
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise PictureError(f"a picture of {width} x {height} cannot be stored")
