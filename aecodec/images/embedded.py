"""What a picture's file says beside its pixels and Pillow does not hand on: found and put where metadata.read looks for it.

A warning says what of it is not kept.
"""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Mapping
from itertools import islice
from typing import Any

from PIL import Image

from aecodec.container import metadata
from aecodec.container.exif import PREFIX
from aecodec.images import icc, jpeg, png, tiff, xmp

_PSD_RESOLUTION, _PSD_PROFILE, _PSD_EXIF, _PSD_XMP = 1005, 1039, 1058, 1060  # numbers of image resources


def complete(image: Image.Image, file: bytes | None) -> None:
    """Add to the ``info`` of an opened picture what its file says; ``file`` is None where it is closed already."""
    lost = []
    if image.format in ("JPEG", "MPO"):
        lost += _jpeg(image, file)
    elif image.format == "PNG":
        lost += _png(image, file)
    elif image.format == "TIFF":
        if file is not None:
            lost += _tiff(image, file, image.tell())
        elif isinstance(block := getattr(image, "tag_v2", {}).get(tiff.RESOURCES), bytes):
            image.info["image_resources"] = block
    elif image.format in ("HEIF", "AVIF") and file is not None:
        lost += _heif(image, file)
    elif image.format == "PSD":
        lost += _psd(image, file)
    elif image.format == "BMP" and file is not None:
        lost += _bmp(image, file)
    elif image.format == "GIF" and file is not None:
        _gif(image, file)
    elif image.format == "ICO" and len(sizes := image.info.get("sizes", ())) > 1:
        lost.append(f"{len(sizes) - 1} more size{_s(len(sizes) - 1)} of the icon")
    if lost:
        warnings.warn(f"not kept: {', '.join(lost)}", stacklevel=4)


def info_of(chunks: Mapping[bytes, bytes], is_gray: bool) -> dict[str, Any]:
    """Return the metadata in a file's chunks under Pillow's names, with a profile made of what they say of colours."""
    info = metadata.from_chunks(chunks)
    if "cicp" in info and "icc_profile" not in info:
        primaries, transfer, _, is_full = info["cicp"]
        profile, _ = icc.of_cicp(primaries, transfer, is_gray)
        if profile and is_full:
            info["icc_profile"] = profile
    return info


def _s(count: int) -> str:
    return "s" if count != 1 else ""


def _jpeg(image: Image.Image, file: bytes | None) -> list[str]:
    """Keep Photoshop's resources and extended XMP; return what else there is."""
    segments = getattr(image, "applist", [])
    bodies = [body for name, body in segments if name.startswith("APP")]
    lost = []
    if resources := jpeg.resources_of(bodies):
        image.info["image_resources"] = resources
    packet = image.info.get("xmp")
    if isinstance(packet, bytes) and b"HasExtendedXMP" in packet:
        extended = jpeg.extended_xmp(packet, bodies)
        merged = xmp.merge(packet, extended) if extended else None
        if merged is None:
            lost.append("extended XMP, which is damaged")
        image.info["xmp"] = xmp.without_note(packet) if merged is None else merged
    lost += jpeg.unknown(segments)
    if file is not None:
        lost += _behind(file, jpeg.end_of(file), bodies, image.format == "MPO")
    elif image.format != "MPO" and any(b"hdrgm:Version" in body for body in bodies):
        lost.append("an HDR gain map")
    return lost


def _behind(file: bytes, end: int, bodies: list[bytes], is_mpo: bool) -> list[str]:
    """Return what lies behind the end of a JPEG; of an MPO the caller has said it."""
    rest = file[end:]
    if any(mark in rest for mark in (b"MotionPhoto_Data", b"ftypmp4", b"ftypisom", b"ftypqt")):
        return [f"a motion video of {len(rest)} bytes"]
    if is_mpo or not rest.strip(b"\0\xff\r\n "):
        return []
    if any(b"hdrgm:Version" in body or b"HDRGainMap" in body for body in bodies):
        return ["an HDR gain map"]
    if rest.startswith(b"\xff\xd8") or any(body.startswith(b"MPF\0") for body in bodies):
        return ["another picture behind the first (a preview or a gain map)"]
    return [f"{len(rest)} bytes behind the end of the picture"]


def _png(image: Image.Image, file: bytes | None) -> list[str]:
    """Turn what says the colours into a profile, ImageMagick's IPTC and XMP into ours; return what cannot be kept."""
    info = image.info
    for name in ("iptc", "8bim"):
        if block := _hexadecimal(info.get(f"Raw profile type {name}")):
            info["image_resources"] = block if block.startswith(b"8BIM") else jpeg.resources_with(block)
    if (packet := _hexadecimal(info.get("Raw profile type xmp"))) and not info.get("XML:com.adobe.xmp"):
        info.setdefault("xmp", packet)
    across, down = info.get("aspect", (1, 1))
    lost = [] if across == down else [f"pixels of {across} to {down}"]
    is_gray = image.mode in ("1", "L", "LA", "I", "I;16")
    info.pop("cicp", None)
    signal = next((chunk.body for chunk in png.chunks(file) if chunk.kind == b"cICP"), b"") if file is not None else b""
    if len(signal) == 4:
        _keep_cicp(image, signal[0], signal[1], signal[3])
    elif not {"icc_profile", "srgb"} & info.keys() and (
        profile := icc.of_chromaticities(info.get("chromaticity", ()), info.get("gamma"), is_gray)
    ):
        info["icc_profile"] = profile
    return lost


def _keep_cicp(image: Image.Image, primaries: int, transfer: int, is_full: int = 1) -> None:
    """Keep what CICP says of colours, if that is neither sRGB nor nothing.

    The samples are RGB, whatever matrix their file has, and of full range if that file's reader has made them so.
    """
    if primaries not in (1, 2) or transfer not in (2, 13) or not is_full:
        image.info["cicp"] = (primaries, transfer, 0, int(bool(is_full)))


def _hexadecimal(text: object) -> bytes:
    """Return the bytes of a raw profile of ImageMagick: a name and a length in lines of their own, then hexadecimal."""
    if not isinstance(text, str):
        return b""
    try:
        return bytes.fromhex("".join(text.strip("\n").split("\n")[2:]))
    except ValueError:
        return b""


def complete_tiff(image: Image.Image, file: bytes, index: int) -> None:
    """Add to the ``info`` of a picture what the page of a TIFF file says that it was made of."""
    if lost := _tiff(image, file, index):
        warnings.warn(f"not kept: {', '.join(lost)}", stacklevel=4)


def _tiff(image: Image.Image, file: bytes, index: int) -> list[str]:
    """Make EXIF of the tags, and image resources; return what else there is."""
    pages = tiff.Tiff(file)
    page = next(islice(pages.pages(), index, None), {})
    if exif := tiff.exif_of(pages, index):
        image.info["exif"] = exif
        image._exif = None  # the one that Pillow made of tags; it loads ours when it is asked
    opaque = {tag: page[tag].value for tag in (tiff.RESOURCES, tiff.IPTC, tiff.XMP) if tag in page}
    if tiff.RESOURCES in opaque:
        image.info["image_resources"] = opaque[tiff.RESOURCES]
    elif tiff.IPTC in opaque:
        image.info["image_resources"] = jpeg.resources_with(opaque[tiff.IPTC])
    if tiff.ICC in page:
        image.info.setdefault("icc_profile", page[tiff.ICC].value)
    if tiff.XMP in opaque:
        image.info.setdefault("xmp", opaque[tiff.XMP])
    lost = ["the layers of Photoshop"] if tiff.LAYERS in page and len(page[tiff.LAYERS].value) > 64 else []
    if below := len(list(pages.children(page))):
        lost.append(f"{below} more picture{_s(below)} below the page")
    return lost + tiff.spare_channels(pages, page)


def _psd(image: Image.Image, file: bytes | None) -> list[str]:
    """Keep the image resources, of which some are EXIF, XMP and the resolution; return the layers."""
    kept = []
    for kind, name, body in getattr(image, "resources", []):
        if kind == _PSD_EXIF and body.startswith((b"II*\0", b"MM\0*")):
            image.info["exif"] = PREFIX + body
        elif kind == _PSD_XMP:
            image.info["xmp"] = body
        elif kind != _PSD_PROFILE:
            kept.append(jpeg.resource(kind, body, name if isinstance(name, bytes) else b""))
        if kind == _PSD_RESOLUTION and len(body) >= 16:
            across, down = (struct.unpack_from(">I", body, place)[0] / 65536 for place in (0, 8))
            image.info.setdefault("dpi", (across, down))
    if kept:
        image.info["image_resources"] = b"".join(kept)
    lost = ["the layers of Photoshop"] if getattr(image, "layers", None) else []
    spare = 0 if file is None else int.from_bytes(file[12:14], "big") - len(image.getbands())
    return lost + ([f"{spare} more channel{_s(spare)}"] if spare > 0 else [])


def _bmp(image: Image.Image, file: bytes) -> list[str]:
    """Keep the profile in a file of version 5; return one that lies in another file."""
    if len(file) < 14 + 124 or struct.unpack_from("<I", file, 14)[0] < 124:
        return []
    kind = file[14 + 56 : 14 + 60]
    start, size = struct.unpack_from("<II", file, 14 + 112)
    if kind == b"DEBM" and 128 <= size <= len(file) - 14 - start:
        image.info.setdefault("icc_profile", file[14 + start : 14 + start + size])
    return ["a link to an ICC profile"] if kind == b"KNIL" else []


def _gif(image: Image.Image, file: bytes) -> None:
    """Keep XMP and the profile, which are application extensions of the file."""
    start = file.find(b"\x21\xff\x0bXMP DataXMP")
    end = file.find(b"\x01\xff\xfe\xfd", start)
    if 0 <= start < end:
        image.info.setdefault("xmp", file[start + 14 : end])
    position = file.find(b"\x21\xff\x0bICCRGBG1012")
    if position >= 0:
        position += 14
        parts = []
        while position < len(file) and (size := file[position]):
            parts.append(file[position + 1 : position + 1 + size])
            position += 1 + size
        image.info.setdefault("icc_profile", b"".join(parts))


def _heif(image: Image.Image, file: bytes) -> list[str]:
    """Keep what CICP says of colours, where no profile does; return the pictures beside the picture."""
    lost = []
    if image.info.get("depth_images"):
        lost.append("a depth map")
    if auxiliary := image.info.get("aux"):
        names = [re.sub(r".*[:/]", "", str(name)) for name in auxiliary]
        lost.append(f"auxiliary picture{_s(len(names))} ({', '.join(names)})")
    head = file[: 2**20]
    if b"mpvd" in file[-(2**26) :]:
        lost.append("a motion video")
    if b"tmap" in head:
        lost.append("an HDR gain map")
    place = head.find(b"colrnclx")
    if place >= 0 and "icc_profile" not in image.info and place + 12 <= len(head):
        primaries, transfer = struct.unpack_from(">HH", head, place + 8)
        _keep_cicp(image, primaries & 255, transfer & 255)
    return lost
