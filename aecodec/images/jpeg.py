"""Segments of a JPEG: what Pillow hands on only in part, where the picture ends, and segments put into a new file.

ISO/IEC 10918-1, annex B; Adobe's XMP specification, part 3, 1.1.3 (extended XMP); Photoshop's image resources.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
from collections.abc import Iterable, Iterator

from PIL import Image

PHOTOSHOP = b"Photoshop 3.0\0"
XMP = b"http://ns.adobe.com/xap/1.0/\0"
EXTENDED = b"http://ns.adobe.com/xmp/extension/\0"
END = b"\xff\xd9"
_LARGEST = 65533  # bytes that a segment holds
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_IPTC = 0x0404
# What its own chunk holds, or what describes the file that it was: MPF and JFIF, Adobe's colours, quality of "save for web"
_KNOWN = (b"JFIF\0", b"JFXX\0", b"Exif\0", XMP, EXTENDED, b"ICC_PROFILE\0", b"MPF\0", PHOTOSHOP, b"Adobe", b"Ducky")
_EXTENDED_PART = 65000


def end_of(data: bytes) -> int:
    """Return where the first picture of a file ends; the file's length where it has no end."""
    position = 2
    while match := _MARKER.search(data, position):
        code = data[match.start() + 1]
        if code == END[1]:
            return match.end()
        if match.end() + 2 > len(data):
            break
        position = match.end() + int.from_bytes(data[match.end() : match.end() + 2], "big")
    return len(data)


def completed(data: bytes) -> Image.Image | None:
    """Return the picture of a file that lacks nothing but its end mark, None where pixels are missing, too.

    Two different continuations are decoded: where they make a difference, the file had not said all.
    """
    data = data.removesuffix(END[:1])
    pictures = []
    for more in (b"", b"\x55" * 64):
        try:
            picture = Image.open(io.BytesIO(data + more + END))
            picture.load()
        except (OSError, SyntaxError):
            return None
        pictures.append(picture)
    first, second = (picture.tobytes() for picture in pictures)
    return pictures[0] if first == second else None


def resources_of(segments: Iterable[bytes]) -> bytes:
    """Return Photoshop's image resources out of APP13 segments."""
    return b"".join(segment[len(PHOTOSHOP) :] for segment in segments if segment.startswith(PHOTOSHOP))


def iptc_of(resources: bytes) -> bytes:
    """Return the IPTC record in Photoshop's image resources, b"" where there is none."""
    return b"".join(body for kind, body in _resources(resources) if kind == _IPTC)


def resources_with(iptc: bytes) -> bytes:
    """Return image resources that hold an IPTC record."""
    return resource(_IPTC, iptc)


def resource(kind: int, body: bytes, name: bytes = b"") -> bytes:
    """Return one of Photoshop's image resources."""
    label = bytes([len(name)]) + name
    label += bytes(len(label) & 1)
    return b"8BIM" + struct.pack(">H", kind) + label + struct.pack(">I", len(body)) + body + bytes(len(body) & 1)


def _resources(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while data[position : position + 4] in (b"8BIM", b"PHUT", b"DCSR", b"AgHg", b"MeSa"):
        if position + 7 > len(data):
            return
        kind = int.from_bytes(data[position + 4 : position + 6], "big")
        name = data[position + 6] + 1
        start = position + 6 + name + (name & 1)
        size = int.from_bytes(data[start : start + 4], "big")
        yield kind, data[start + 4 : start + 4 + size]
        position = start + 4 + size + (size & 1)


def extended_xmp(packet: bytes, segments: Iterable[bytes]) -> bytes:
    """Return the extended XMP that belongs to a packet, b"" where there is none or parts of it are missing."""
    match = re.search(rb"HasExtendedXMP\s*(?:=\s*[\"']|>)\s*([0-9A-Fa-f]{32})", packet)
    if match is None:
        return b""
    parts = {}
    size = 0
    for segment in segments:
        if segment.startswith(EXTENDED + match[1]) and len(segment) >= len(EXTENDED) + 40:
            size, start = struct.unpack_from(">II", segment, len(EXTENDED) + 32)
            parts[start] = segment[len(EXTENDED) + 40 :]
    whole = b"".join(parts[start] for start in sorted(parts))
    return whole if len(whole) == size else b""


def unknown(segments: Iterable[tuple[str, bytes]]) -> list[str]:
    """Return names of application segments that nothing here keeps."""
    names = {}
    for name, body in segments:
        if name.startswith("APP") and not body.startswith(_KNOWN):
            label = re.match(rb"[ -~]{0,16}", body)
            text = label[0].decode().strip() if label else ""
            if name == "APP11" and body.startswith(b"JP"):
                text = "content credentials"
            names[f"{name} {text}".strip()] = True
    return list(names)


def with_segments(data: bytes, *, xmp: bytes = b"", extended: bytes = b"", resources: bytes = b"") -> bytes:
    """Return a file with XMP, extended XMP and Photoshop's image resources behind its first segments (JFIF and EXIF)."""
    position = 2
    while data[position : position + 1] == b"\xff" and data[position + 1] in (0xE0, 0xE1):
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    added = [_segment(0xE1, XMP + xmp)] if xmp else []
    identity = identity_of(extended).encode()
    for start in range(0, len(extended), _EXTENDED_PART):
        head = EXTENDED + identity + struct.pack(">II", len(extended), start)
        added.append(_segment(0xE1, head + extended[start : start + _EXTENDED_PART]))
    room = _LARGEST - len(PHOTOSHOP)
    added += [_segment(0xED, PHOTOSHOP + resources[at : at + room]) for at in range(0, len(resources), room)]
    return data[:position] + b"".join(added) + data[position:]


def _segment(code: int, body: bytes) -> bytes:
    return bytes([0xFF, code]) + struct.pack(">H", len(body) + 2) + body


def identity_of(extended: bytes) -> str:
    """Return how a packet names its extended XMP."""
    return hashlib.md5(extended, usedforsecurity=False).hexdigest().upper()
