"""A picture's ICC profile, EXIF and XMP: out of Pillow's hands into a file's chunks, and back."""

from __future__ import annotations

import warnings

from PIL import Image

from aecodec.codec.bitstream import EXIF, ICC, XMP

# TIFF tags that Pillow counts as EXIF but that say how a TIFF file is laid out, or hold XMP or ICC
_TIFF_LAYOUT = (
    *range(254, 260), 262, 266, 273, *range(277, 280), 284, 317, 320, *range(322, 326), 338, 339, 347, 700, 34675,
)  # fmt: skip
_NAMES = {ICC: "icc_profile", EXIF: "exif", XMP: "xmp"}


def read(image: Image.Image, strip: bool) -> dict[bytes, bytes]:
    """The chunks that keep a picture's ICC profile and, without ``strip``, its EXIF and XMP."""
    chunks = {}
    profile = image.info.get("icc_profile")
    if profile and image.mode not in ("CMYK", "LAB"):  # those are converted to sRGB, and their profile is spent
        chunks[ICC] = bytes(profile)
    if not strip:
        if exif := _exif(image):
            chunks[EXIF] = exif
        if xmp := image.info.get("xmp"):
            chunks[XMP] = xmp if isinstance(xmp, bytes) else str(xmp).encode()
    return chunks


def from_chunks(chunks: dict[bytes, bytes]) -> dict[str, bytes]:
    """What Pillow calls the metadata in a file's chunks, for ``Image.info``."""
    return {name: chunks[kind] for kind, name in _NAMES.items() if kind in chunks}


def upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF says."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # as in _exif
        return image


def _exif(image: Image.Image) -> bytes:
    """EXIF as bytes, b"" where there is none; what only describes the file that it came from is left out."""
    try:
        exif = Image.Exif()
        exif.load(image.getexif().tobytes())
        for tag in _TIFF_LAYOUT:
            exif.pop(tag, None)
        return exif.tobytes() if exif else b""
    except Exception:  # Pillow's parser raises whatever it meets in damaged EXIF
        warnings.warn("EXIF is damaged and dropped", stacklevel=4)
        return b""
