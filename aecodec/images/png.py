"""Chunks of a PNG as they lie in the file (ISO/IEC 15948), and a file that Pillow takes in place of one that it refuses."""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aecodec.container.bitstream import EXPANSION
from aecodec.errors import LimitError

MAGIC = b"\x89PNG\r\n\x1a\n"
_MAX_METADATA = 2**26  # bytes that a file's compressed metadata may become in all
_PLAIN = 2**19  # bytes of text or profile that Pillow takes in any case; its own limit is 2**20
_LEVEL, _ROWS = 2, 64  # of zlib, as Pillow's files have it here; rows that are filtered at once
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")

_best_filters: Callable[[NDArray[np.uint8], int, int, int, int], bytes] | None = None
if not os.environ.get("AECODEC_PURE_PYTHON"):
    with contextlib.suppress(ImportError):
        from aecodec.images import _png_filter

        _best_filters = _png_filter.rows


@dataclass(frozen=True)
class Chunk:
    """A type, its body, and whether its checksum is right."""

    kind: bytes
    body: bytes
    is_whole: bool


@dataclass
class Cleaned:
    """A file that Pillow takes, what was taken out of it under Pillow's names, and what was dropped."""

    data: bytes
    info: dict[str, bytes | str] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)


def chunks(data: bytes) -> Iterator[Chunk]:
    """Yield the chunks up to the end, or to where the file is cut off."""
    position = len(MAGIC)
    while position + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, position)
        end = position + 12 + size
        if end > len(data):
            return
        kind, body = data[position + 4 : position + 8], data[position + 8 : end - 4]
        yield Chunk(kind, body, zlib.crc32(data[position + 4 : end - 4]) == struct.unpack_from(">I", data, end - 4)[0])
        if kind == b"IEND":
            return
        position = end


def needs_cleaning(data: bytes) -> bool:
    """Return whether Pillow may refuse a file for its metadata: a wrong checksum, or much text."""
    total = 0
    for chunk in chunks(data):
        if chunk.kind[:1].islower() and not chunk.is_whole:
            return True
        if chunk.kind in (*_TEXTS, b"iCCP"):
            total += len(chunk.body) if chunk.kind == b"tEXt" else EXPANSION * len(chunk.body)
    return total > _PLAIN


def clean(data: bytes) -> Cleaned:
    """Return a file without chunks that keep Pillow from reading it.

    These are chunks with a wrong checksum that no picture needs, and texts and profiles, which are read here. Raises
    LimitError where they are larger than any file needs.
    """
    result = Cleaned(b"")
    parts = [MAGIC]
    left = _MAX_METADATA
    comments = False
    for chunk in chunks(data):
        if chunk.kind[:1].islower() and not chunk.is_whole:
            result.dropped.append(f"a damaged chunk {chunk.kind.decode('latin-1')}")
            continue
        if chunk.kind in _TEXTS:
            name, value = _text(chunk, left)
            left -= len(value)
            if name == "XML:com.adobe.xmp":
                result.info["xmp"] = value
            elif name.startswith("Raw profile type "):
                result.info[name] = value.decode("latin-1")
            else:
                comments = comments or name not in ("Software", "date:create", "date:modify", "date:timestamp")
        elif chunk.kind == b"iCCP":
            _, _, rest = chunk.body.partition(b"\0")
            value = _inflate(rest[1:], left)
            left -= len(value)
            if value:
                result.info["icc_profile"] = value
        else:
            parts.append(_written(chunk.kind, chunk.body) if chunk.is_whole else _as_it_is(chunk))
    if comments:
        result.info["comment"] = "left out"
    result.data = b"".join(parts)
    return result


def with_samples(data: bytes, samples: NDArray[np.uint16], depth: int) -> bytes:
    """Return a PNG of Pillow's with other pixels: samples (H, W, C) of 16 bits, as many channels as it has.

    Of fewer bits, ``depth``, they are scaled, and the file says how many there were.
    """
    height, width, channels = samples.shape
    parts = [MAGIC]
    for chunk in chunks(data):
        if chunk.kind == b"IHDR":
            parts.append(_written(b"IHDR", struct.pack(">IIB", width, height, 16) + chunk.body[9:]))
            if depth < 16:
                parts.append(_written(b"sBIT", bytes([depth]) * channels))
        elif chunk.kind == b"IEND":
            parts += [_written(b"IDAT", _compressed(samples)), _written(b"IEND", b"")]
        elif chunk.kind != b"IDAT":
            parts.append(_written(chunk.kind, chunk.body))
    return b"".join(parts)


def _compressed(samples: NDArray[np.uint16]) -> bytes:
    """Return rows of samples, filtered and compressed."""
    height, width, channels = samples.shape
    pixel = 2 * channels  # bytes
    compress = zlib.compressobj(_LEVEL)
    result = []
    for top in range(0, height, _ROWS):
        first = min(top, 1)  # of rows that are written; the one above them is there for their filters
        rows = samples[top - first : top + _ROWS].astype(">u2").view(np.uint8).reshape(-1, pixel * width)
        result.append(compress.compress(_filtered(rows, pixel, first)))
    return b"".join([*result, compress.flush()])


def _filtered(rows: NDArray[np.uint8], pixel: int, first: int) -> bytes:
    """Return rows from the first on, each behind its filter's number.

    Without ``_png_filter.c`` it is Up for all, and not the best of three for each.
    """
    if _best_filters is not None:
        return _best_filters(rows, rows.shape[1], pixel, first, len(rows))
    return np.insert(np.diff(rows, axis=0, prepend=np.uint8(0))[first:], 0, 2, 1).tobytes()


def _written(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _as_it_is(chunk: Chunk) -> bytes:
    """Return a chunk with a wrong checksum, so that Pillow finds that it is wrong."""
    right = _written(chunk.kind, chunk.body)
    return right[:-1] + bytes([right[-1] ^ 1])


def _text(chunk: Chunk, limit: int) -> tuple[str, bytes]:
    """Return the keyword and the text of a chunk; no text where it is damaged."""
    keyword, _, rest = chunk.body.partition(b"\0")
    if chunk.kind == b"zTXt":
        rest = _inflate(rest[1:], limit)
    elif chunk.kind == b"iTXt":
        is_compressed = rest[:1] == b"\1"
        rest = rest[2:].partition(b"\0")[2].partition(b"\0")[2]  # behind the language and the translated keyword
        rest = _inflate(rest, limit) if is_compressed else rest
    return keyword.decode("latin-1"), rest


def _inflate(data: bytes, limit: int) -> bytes:
    """Return what a zlib stream holds, nothing where it is damaged. Raises LimitError for more than ``limit`` bytes."""
    inflate = zlib.decompressobj()
    try:
        value = inflate.decompress(data, limit + 1)
    except zlib.error:
        return b""
    if len(value) > limit:
        raise LimitError(f"the metadata of the PNG is larger than {_MAX_METADATA} bytes")
    return value
