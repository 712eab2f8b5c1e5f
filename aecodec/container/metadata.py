"""Move a picture's ICC profile, EXIF and XMP from Pillow into a file's chunks, and back.

Pillow is imported by the functions that need it, so that ``aecodec info`` does not load it.
"""

from __future__ import annotations

import struct
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

from aecodec.container.bitstream import ALPHA, EXIF, ICC, XMP, Header

if TYPE_CHECKING:
    from PIL.Image import Exif, Image

# TIFF tags that Pillow counts as EXIF but that say how a TIFF file is laid out, or hold XMP or ICC
_TIFF_LAYOUT = (
    *range(254, 260), 262, 266, 273, *range(277, 280), 284, 317, 320, *range(322, 326), 338, 339, 347, 700, 34675,
)  # fmt: skip
_ORIENTATION = 0x0112
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
_SCREEN_DPI = (0, 1, 72, 96)  # what files say that mean nothing by it
_NAMES = {ICC: "icc_profile", EXIF: "exif", XMP: "xmp"}
_PLAIN_GAMMA = 0.45455  # what a PNG without colour management says, and what every viewer assumes


def read(image: Image, strip: bool) -> dict[bytes, bytes]:
    """Return the chunks that keep a picture's ICC profile and, without ``strip``, its EXIF and XMP.

    Warns of other metadata in the picture, for which there is no chunk.
    """
    chunks = {}
    profile = image.info.get("icc_profile")
    if profile and image.mode not in ("CMYK", "LAB"):  # those are converted to sRGB, and their profile is spent
        chunks[ICC] = bytes(profile)
    if not strip:
        if exif := _exif(image):
            chunks[EXIF] = exif
        if xmp := image.info.get("xmp") or image.info.get("XML:com.adobe.xmp"):
            chunks[XMP] = xmp if isinstance(xmp, bytes) else str(xmp).encode()
        if lost := _without_a_chunk(image):
            warnings.warn(f"not kept: {', '.join(lost)}", stacklevel=3)
    return chunks


def from_chunks(chunks: dict[bytes, bytes]) -> dict[str, bytes]:
    """Return the metadata in a file's chunks under Pillow's names, for ``Image.info``."""
    return {name: chunks[kind] for kind, name in _NAMES.items() if kind in chunks}


def shown(header: Header, chunks: dict[bytes, bytes]) -> Header:
    """Return the header as a viewer shows the picture: turned as its EXIF says, and with alpha in its mode."""
    width, height = shown_size((header.width, header.height), chunks.get(EXIF, b""))
    return replace(header, width=width, height=height, mode=header.mode + "A" if ALPHA in chunks else header.mode)


def shown_size(size: tuple[int, int], exif: bytes) -> tuple[int, int]:
    """Return width and height of a picture of this size after it is turned as its EXIF says."""
    return size[::-1] if orientation(exif) > 4 else size


def orientation(exif: bytes) -> int:
    """Return the EXIF orientation, 1..8; above 4 width and height are exchanged.

    It is 1 where there is none or EXIF is damaged. CIPA DC-008 (EXIF 2.3), 4.6.2 and 4.6.4: the tag is in the first
    directory of a TIFF structure.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order = "<" if tiff.startswith(b"II") else ">"
    try:
        (start,) = struct.unpack_from(f"{order}4xI", tiff)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for entry in range(count):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, start + 2 + 12 * entry)
            if tag == _ORIENTATION:
                return value if kind == 3 and 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def upright(image: Image) -> Image:
    """Return the picture turned as its EXIF says, without the orientation in its EXIF."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001  as in _exif
        return image


def is_empty(image: Image) -> bool:
    """Return whether a picture's EXIF has no tags. Damaged EXIF counts as not empty."""
    try:
        return not image.getexif()
    except Exception:  # noqa: BLE001  as in _exif
        return False


def _exif(image: Image) -> bytes:
    """Return EXIF as bytes, b"" where there is none, without the tags that only describe the original file."""
    from PIL.Image import Exif

    try:
        exif = Exif()
        exif.load(image.getexif().tobytes())
        for tag in _TIFF_LAYOUT:
            exif.pop(tag, None)
        _keep_resolution(image, exif)
        return exif.tobytes() if exif else b""
    except Exception:  # noqa: BLE001  Pillow's parser raises whatever it meets in damaged EXIF
        warnings.warn("EXIF is damaged and dropped", stacklevel=4)
        return b""


def _keep_resolution(image: Image, exif: Exif) -> None:
    """Write the dots per inch that PNG, JPEG and TIFF hold outside EXIF into EXIF, since a scan is printed by them."""
    dpi = image.info.get("dpi")
    if dpi and _X_RESOLUTION not in exif and any(round(value) not in _SCREEN_DPI for value in dpi):
        exif[_X_RESOLUTION], exif[_Y_RESOLUTION] = (round(float(value), 2) for value in dpi)
        exif[_RESOLUTION_UNIT] = 2  # inches


def _without_a_chunk(image: Image) -> list[str]:
    """Return the names of metadata other than ICC, EXIF and XMP in a picture that a user may miss."""
    lost = []
    dull = ("XML:com.adobe.xmp", "Software", "date:create", "date:modify", "date:timestamp")
    if "comment" in image.info or set(getattr(image, "text", ())) - set(dull):
        lost.append("comments")
    gamma = image.info.get("gamma", _PLAIN_GAMMA)
    if abs(gamma - _PLAIN_GAMMA) > 0.01 and not {"icc_profile", "srgb"} & image.info.keys():
        lost.append(f"a gamma of {gamma:g}")
    return lost
