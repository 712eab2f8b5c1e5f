"""Move a picture's ICC profile, EXIF, XMP, IPTC and resolution from Pillow into a file's chunks, and back.

Pillow is imported by the functions that need it, so that ``aecodec info`` does not load it.
"""

from __future__ import annotations

import contextlib
import struct
import warnings
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from aecodec.container.bitstream import ALPHA, EXIF, ICC, RESOLUTION, RESOURCES, SIGNAL, XMP, Header
from aecodec.container.exif import (
    ORIENTATION,
    PREFIX,
    RESOLUTION_UNIT,
    X_RESOLUTION,
    Y_RESOLUTION,
    dots_per_inch,
    entries,
    find,
    is_meant,
    numbers,
    resolution,
)

if TYPE_CHECKING:
    from PIL.Image import Exif, Image

# TIFF tags that Pillow counts as EXIF but that say how a TIFF file is laid out, or that have chunks of their own.  330 are
# places in the file that it was, 37724 are Photoshop's layers.
_TIFF_LAYOUT = (
    *range(254, 260), 262, 266, 273, *range(277, 280), 284, 317, 320, *range(322, 326), 330, 338, 339, 347, 700, 33723,
    34377, 34675, 37724,
)  # fmt: skip
_EXIF_DIRECTORY, _GPS_DIRECTORY, _INTEROPERABILITY = 0x8769, 0x8825, 0xA005
_THUMBNAIL, _THUMBNAIL_SIZE = 0x0201, 0x0202
_WIDTHS, _HEIGHTS = (0x0100, 0xA002), (0x0101, 0xA003)  # in pixels, in the first directory and in that of EXIF
_NAMES = {ICC: "icc_profile", EXIF: "exif", XMP: "xmp", RESOURCES: "image_resources"}  # in Image.info; the last is ours
_PLAIN_GAMMA = 0.45455  # what a PNG without colour management says, and what every viewer assumes


def read(image: Image, strip: bool) -> dict[bytes, bytes]:
    """Return the chunks that keep a picture's colours (ICC profile, CICP) and, without ``strip``, other metadata.

    That is EXIF, XMP, IPTC and the resolution.

    Warns of other metadata in the picture, for which there is no chunk.
    """
    chunks = {}
    profile = image.info.get("icc_profile")
    signal = image.info.get("cicp")
    if signal and image.mode not in ("CMYK", "LAB") and (body := _signal(signal)):
        chunks[SIGNAL] = body
    if profile and image.mode not in ("CMYK", "LAB"):  # those are converted to sRGB, and their profile is spent
        chunks[ICC] = bytes(profile)
    if not strip:
        if exif := exif_of(image):
            chunks[EXIF] = exif
        if xmp := image.info.get("xmp") or image.info.get("XML:com.adobe.xmp"):
            chunks[XMP] = xmp if isinstance(xmp, bytes) else str(xmp).encode()
        if resources := image.info.get("image_resources"):
            chunks[RESOURCES] = bytes(resources)
        if (dpi := _meant_dpi(image)) and not _agree(dpi, resolution(chunks.get(EXIF, b""))):
            chunks[RESOLUTION] = struct.pack("<II", *(min(round(100 * value), 2**32 - 1) for value in dpi))
        if lost := _without_a_chunk(image):
            warnings.warn(f"not kept: {', '.join(lost)}", stacklevel=3)
    return chunks


def from_chunks(chunks: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Return the metadata in a file's chunks under Pillow's names, for ``Image.info``."""
    info: dict[str, Any] = {name: chunks[kind] for kind, name in _NAMES.items() if kind in chunks}
    if dpi := dots_per_inch(chunks.get(EXIF, b""), chunks.get(RESOLUTION, b"")):
        info["dpi"] = dpi
    if len(signal := chunks.get(SIGNAL, b"")) == 4:
        info["cicp"] = tuple(signal)
    return info


def _signal(values: object) -> bytes:
    """Return four numbers of CICP as a chunk has them, b"" for anything else."""
    try:
        body = bytes(values)  # type: ignore[call-overload]  # of somebody else's info
    except (TypeError, ValueError):
        return b""
    return body if isinstance(values, (tuple, list, bytes)) and len(body) == 4 else b""


def shown(header: Header, chunks: dict[bytes, bytes]) -> Header:
    """Return the header as a viewer shows the picture: turned as its EXIF says, and with alpha in its mode."""
    width, height = shown_size((header.width, header.height), chunks.get(EXIF, b""))
    return replace(header, width=width, height=height, mode=header.mode + "A" if ALPHA in chunks else header.mode)


def shown_size(size: tuple[int, int], exif: bytes) -> tuple[int, int]:
    """Return width and height of a picture of this size after it is turned as its EXIF says."""
    return size[::-1] if orientation(exif) > 4 else size


def orientation(exif: bytes) -> int:
    """Return the EXIF orientation, 1..8, and 1 where there is none; above 4 width and height are exchanged."""
    (value,) = numbers(exif, ORIENTATION, "H") or (1,)
    return value if 1 <= value <= 8 else 1


def with_orientation(exif: bytes, value: int) -> bytes:
    """Return EXIF with another orientation and nothing else changed; where it says none, it is returned as it is."""
    order, position = find(exif, ORIENTATION, 3)
    if not position:
        return exif
    return exif[:position] + struct.pack(f"{order}H", value) + exif[position + 2 :]


def without_thumbnail(exif: bytes) -> bytes:
    """Return EXIF whose second directory, which holds a thumbnail, is unlinked, and whose thumbnail is blank."""
    base = len(PREFIX) if exif.startswith(PREFIX) else 0
    order = "<" if exif.startswith(b"II", base) else ">"
    block = bytearray(exif)
    with contextlib.suppress(struct.error):
        start = base + struct.unpack_from(f"{order}I", block, base + 4)[0]
        link = start + 2 + 12 * struct.unpack_from(f"{order}H", block, start)[0]
        second = base + struct.unpack_from(f"{order}I", block, link)[0]
        if second > base:
            struct.pack_into(f"{order}I", block, link, 0)
            place = size = 0
            for position in entries(block, second, order):
                tag, _, _, value = struct.unpack_from(f"{order}HHII", block, position)
                place, size = (value if tag == _THUMBNAIL else place), (value if tag == _THUMBNAIL_SIZE else size)
            size = min(size, max(len(block) - base - place, 0))
            block[base + place : base + place + size] = bytes(size)
    return bytes(block)


def enlarged(chunks: Mapping[bytes, bytes], size: tuple[int, int], factor: float) -> dict[bytes, bytes]:
    """Return the chunks of a picture that was enlarged by a factor to this width and height.

    It keeps its size on paper, so it has more dots per inch. Where EXIF says a size in pixels, it is the new one.
    """
    result = dict(chunks)
    if len(body := chunks.get(RESOLUTION, b"")) == 8:
        result[RESOLUTION] = struct.pack(
            "<II", *(min(round(value * factor), 2**32 - 1) for value in struct.unpack("<II", body))
        )
    if EXIF in chunks:
        result[EXIF] = _exif_enlarged(chunks[EXIF], size, factor)
    return result


def _exif_enlarged(exif: bytes, size: tuple[int, int], factor: float) -> bytes:
    block = bytearray(exif)
    base = len(PREFIX) if exif.startswith(PREFIX) else 0
    order = "<" if exif.startswith(b"II", base) else ">"
    sides = dict(zip(_WIDTHS, size[:1] * 2, strict=True)) | dict(zip(_HEIGHTS, size[1:] * 2, strict=True))
    with contextlib.suppress(struct.error, ZeroDivisionError):
        directories = [struct.unpack_from(f"{order}I", block, base + 4)[0]]
        for start in directories:  # grows by that of EXIF's own tags
            for position in entries(block, base + start, order):
                tag, kind, _, value = struct.unpack_from(f"{order}HHII", block, position)
                if tag in sides:
                    struct.pack_into(f"{order}HHII", block, position, tag, 4, 1, sides[tag])
                elif tag in (X_RESOLUTION, Y_RESOLUTION) and kind == 5:
                    dots = Fraction(*struct.unpack_from(f"{order}II", block, base + value)) * Fraction(factor)
                    dots = dots.limit_denominator(2**16)
                    struct.pack_into(f"{order}II", block, base + value, dots.numerator, dots.denominator)
                elif tag == _EXIF_DIRECTORY and len(directories) == 1:
                    directories.append(value)
    return bytes(block)


def says_resolution(exif: bytes, dpi: tuple[float, float] | None) -> bool:
    """Return whether EXIF says a resolution, in dots per inch, so that a format needs no other place for it."""
    return dpi is not None and _agree(dpi, resolution(exif))


def upright(image: Image) -> Image:
    """Return the picture turned as its EXIF says, without the orientation in its EXIF."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001  Pillow's parser raises whatever it meets in damaged EXIF
        return image


def is_empty(image: Image) -> bool:
    """Return whether a picture's EXIF has no tags. Damaged EXIF counts as not empty."""
    try:
        return not image.getexif()
    except Exception:  # noqa: BLE001  as in upright
        return False


def exif_of(image: Image) -> bytes:
    """Return a picture's EXIF as a chunk holds it, b"" where there is none.

    The bytes are those of the picture's file, unless the program that holds the picture has changed ``getexif()`` since
    or there are none, as in a TIFF that is loaded already.
    """
    given = image.info.get("exif") or _raw_profile(image)
    if isinstance(given, bytes) and given:
        block = given
        while block.startswith(PREFIX):
            block = block[len(PREFIX) :]
        if not block.startswith((b"II*\0", b"MM\0*")):
            warnings.warn("EXIF is damaged and dropped", stacklevel=4)
            return b""
        if _is_as_given(image):
            return PREFIX + block
    return _rewritten(image)


def _raw_profile(image: Image) -> bytes:
    """Return EXIF as ImageMagick writes it into the text of a PNG."""
    for name in ("exif", "APP1"):
        text = image.info.get(f"Raw profile type {name}")
        text = text.decode("latin-1") if isinstance(text, bytes) else text
        with contextlib.suppress(ValueError):
            block = bytes.fromhex("".join(text.split("\n")[3:])) if isinstance(text, str) else b""
            if block.startswith((PREFIX, b"II*\0", b"MM\0*")):
                return block
    return b""


def _is_as_given(image: Image) -> bool:
    """Return whether ``getexif()`` says what the bytes in ``info`` say. What cannot be parsed has not been changed."""
    from PIL.Image import new

    if getattr(image, "_exif", None) is None:
        return True
    twin = new("L", (1, 1))
    twin.info = {name: value for name, value in image.info.items() if name in ("exif", "xmp", "XML:com.adobe.xmp")}
    if "exif" not in twin.info:
        twin.info["exif"] = _raw_profile(image)
    try:
        mine, fresh = image.getexif(), twin.getexif()
        if dict(mine) != dict(fresh):
            return False
        return all(values == fresh.get_ifd(tag) for tag, values in mine._ifds.items())
    except Exception:  # noqa: BLE001  as in upright
        return True


def _rewritten(image: Image) -> bytes:
    """Return EXIF as Pillow writes it of what it read, without what only describes the file that it came from."""
    from PIL.Image import Exif

    try:
        found = image.getexif()
        exif = Exif()
        exif.endian = found.endian
        for tag, value in found.items():
            if tag not in _TIFF_LAYOUT:
                exif[tag] = _as_written(value)
        for tag in (_EXIF_DIRECTORY, _GPS_DIRECTORY):
            if part := {name: _as_written(value) for name, value in found.get_ifd(tag).items()}:
                if _INTEROPERABILITY in part:
                    part[_INTEROPERABILITY] = found.get_ifd(_INTEROPERABILITY)
                exif[tag] = part
        _keep_resolution(image, exif)
        return exif.tobytes() if exif else b""
    except Exception:  # noqa: BLE001  as in upright
        warnings.warn("EXIF is damaged and dropped", stacklevel=5)
        return b""


def _as_written(value: object) -> object:
    """Return a value of EXIF so that Pillow keeps its text; by itself it writes "?" for all that is not ASCII."""
    if not isinstance(value, str) or value.isascii():
        return value
    with contextlib.suppress(UnicodeError):  # Pillow reads UTF-8 as if it were Latin-1
        data = value.encode("latin-1")
        data.decode()
        return data
    return value.encode()


def _keep_resolution(image: Image, exif: Exif) -> None:
    """Put the dots per inch that PNG, JPEG and TIFF have outside EXIF into it: a scan is printed by them."""
    dpi = _meant_dpi(image)
    if dpi and X_RESOLUTION not in exif:
        exif[X_RESOLUTION], exif[Y_RESOLUTION] = (round(float(value), 2) for value in dpi)
        exif[RESOLUTION_UNIT] = 2  # inches


def _meant_dpi(image: Image) -> tuple[float, float] | None:
    """Return the dots per inch that a picture says outside EXIF, if it means something by them."""
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if is_meant((across, down)) else None


def _agree(dpi: tuple[float, float], other: tuple[float, float] | None) -> bool:
    """Return whether two resolutions are the same but for the rounding of PNG, which counts in dots per metre."""
    return other is not None and all(abs(a - b) <= 0.02 for a, b in zip(dpi, other, strict=False))


def _without_a_chunk(image: Image) -> list[str]:
    """Return the names of what a picture says that no chunk holds, and that a user may miss."""
    lost = []
    dull = (
        "XML:com.adobe.xmp", "Software", "date:create", "date:modify", "date:timestamp", "Raw profile type exif",
        "Raw profile type APP1", "Raw profile type iptc", "Raw profile type 8bim", "Raw profile type xmp",
    )  # fmt: skip
    if "comment" in image.info or set(getattr(image, "text", ())) - set(dull):
        lost.append("comments")
    gamma = image.info.get("gamma", _PLAIN_GAMMA)
    if abs(gamma - _PLAIN_GAMMA) > 0.01 and not {"icc_profile", "srgb"} & image.info.keys():
        lost.append(f"a gamma of {gamma:g}")
    return lost
