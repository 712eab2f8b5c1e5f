"""Read the metadata of a file that has nothing unusual, without what ``bitstream.py`` imports: a quick start needs it.

Checksums are left to libaec, which decodes the file.
"""

from __future__ import annotations

import zlib

ICC, EXIF, RESOURCES, RESOLUTION, XMP, SIGNAL = b"c", b"e", b"i", b"r", b"x", b"s"  # as in bitstream.py
_METADATA = (ICC, EXIF, RESOURCES, RESOLUTION, XMP)
_DECODED = (b"A", b"X", b"h")  # chunks that libaec decodes or checks: alpha, exact pixels, a hash
_PACKED = b"m"
_PICTURE = (b"P", b"L")  # a payload, or the whole picture without loss
_SIZE_AT, _BEHIND_SIZE, _CHECKSUM = 9, 10, 4  # bytes up to width and height, from there to the first chunk, behind a chunk
_MAX_PACKED = 2**26


def metadata_of(data: bytes) -> dict[bytes, bytes] | None:
    """Return the bodies of a file's metadata by type, None where it holds anything else than libaec decodes, or is damaged.

    The bodies of chunks that libaec decodes are among them.

    Raises IndexError where a number is cut off, zlib.error for damage.
    """
    _, position = _varint(data, _SIZE_AT)
    _, position = _varint(data, position)
    found = _chunks(data, position + _BEHIND_SIZE, (*_DECODED, *_METADATA, SIGNAL, _PACKED), _PICTURE, _CHECKSUM)
    if found is None or _PACKED not in found:
        return found
    packed = found.pop(_PACKED)
    size, position = _varint(packed, 0)
    inflate = zlib.decompressobj()
    body = inflate.decompress(packed[position:], min(size, _MAX_PACKED) + 1)
    if len(body) != size or not inflate.eof or inflate.unused_data:
        return None
    more = _chunks(body, 0, _METADATA, (), 0)
    return None if more is None or more.keys() & found.keys() else found | more


def _chunks(
    data: bytes, position: int, kinds: tuple[bytes, ...], ends: tuple[bytes, ...], behind: int
) -> dict[bytes, bytes] | None:
    """Return bodies by type up to one in ``ends``, or the end; None where one has another type, comes twice or is cut."""
    found: dict[bytes, bytes] = {}
    while position < len(data) and (kind := data[position : position + 1]) not in ends:
        size, position = _varint(data, position + 1)
        if kind not in kinds or kind in found or position + size + behind > len(data):
            return None
        found[kind] = data[position : position + size]
        position += size + behind
    return found


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Return a number and the position behind it."""
    value = shift = 0
    while data[position] & 0x80:
        value |= (data[position] & 0x7F) << shift
        position, shift = position + 1, shift + 7
    return value | data[position] << shift, position + 1
