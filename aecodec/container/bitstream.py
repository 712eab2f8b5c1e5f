"""Read, write and check a file's header and chunks, from one description. docs/format.md describes them in words.

    magic (7) | version (1) | layout (1) | width, height (varint) | weights id (4) | rate index (2) | CRC-32 (4) | chunks

A chunk is type (1), length (varint), body, CRC-32 of type and body (4). A reader skips lowercase types that it does not
know and refuses the file for any other. The payloads, one a tile, are the last chunks, and the file ends with them, so that
nothing can be cut off unnoticed. A picture without loss has one chunk in their place. Integers are little-endian, varints
base 128, least significant first.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from aecodec.container.tiles import TILE_CODES, tile_count
from aecodec.defaults import MAX_PIXELS
from aecodec.errors import BitstreamError, LimitError, TruncatedError
from aecodec.quality import MAX_INDEX, quality_of_index

MAGIC = b"\x8faec\r\n\n"  # a byte outside ASCII, and line ends that any text-mode transfer would change
VERSION = 2  # of what is written; version 1 had no depth but 8 bits, and else the same fields
MAX_SIDE = 2**22  # 64 times this, what a line of one pixel pads to, is just MAX_PIXELS
MODES = ("L", "RGB")  # layout bits 0-1
DEPTHS = (8, 10, 12, 16)  # bits of a sample: layout bits 2-3; bits 4-7 are the tiles (``tiles.TILE_CODES``)

NO_WEIGHTS = "00000000"  # their id in a file that needs none
PAYLOAD = b"P"
ALPHA = b"A"  # lossless, see alpha.py
EXACT = b"X"  # some pixels without loss, beside the payloads; see exact.py
LOSSLESS = b"L"  # the whole picture without loss, in place of the payloads; see exact.py
ICC = b"c"
EXIF = b"e"
XMP = b"x"
RESOURCES = b"i"  # Photoshop's image resources, with IPTC
RESOLUTION = b"r"  # in dots per inch, where EXIF does not say it
SIGNAL = b"s"  # what the samples mean as colours, by CICP (ITU-T H.273): primaries, transfer, matrix, range
HASH = b"h"  # of the decoded samples, see digest.py
PACKED = b"m"  # a zlib stream with several of these
METADATA = (ICC, EXIF, XMP, RESOURCES, RESOLUTION)
HASH_BYTES = 8
MAX_PACKED = 2**26  # bytes of metadata that such a stream may hold
EXPANSION = 1032  # bytes that one byte of a zlib stream can become at most (zlib's "technical details")
_CHECKSUM = 4  # bytes


Source = bytes | bytearray | memoryview | str | os.PathLike[str]  # the bytes of a file, or its path


def bytes_of(source: Source) -> bytes:
    """Return the bytes of a file. Raises OSError where there is none at a path, TypeError for anything else."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            return file.read()
    raise TypeError(f"a file must be its bytes or a path, not {type(source).__name__}")


@dataclass(frozen=True)
class Header:
    """What a reader knows before it decodes anything.

    mode: "L" or "RGB" (alpha is a chunk of its own); weights: the 32-bit weights id as 8 hexadecimal digits; rate: the rate
    index; tile: the side of the tiles in pixels, 0 for one tile; depth: bits of a sample, one of DEPTHS; version: of the
    format.
    """

    width: int
    height: int
    mode: str
    weights: str
    rate: int
    tile: int = 0
    depth: int = 8
    version: int = VERSION

    @property
    def quality(self) -> float:
        return quality_of_index(self.rate)

    @property
    def tiles(self) -> int:
        """Return the number of tiles, which is that of payloads."""
        return tile_count(self.height, self.width, self.tile)


@dataclass(frozen=True)
class Stream:
    """A parsed file: its header, the entropy-coded payload of each tile in raster order, and the other chunks by type.

    There are no payloads where the chunk LOSSLESS stands in their place.
    """

    header: Header
    payloads: Sequence[bytes]
    chunks: dict[bytes, bytes] = field(default_factory=dict)


def varint(value: int) -> bytes:
    """Return the shortest varint of a number."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Reader:
    """A cursor over bytes that raises an error instead of running over the end."""

    def __init__(self, data: bytes) -> None:
        self.data = memoryview(data)
        self.position = 0

    def _end(self) -> BitstreamError:
        """Return what is raised at the end."""
        return BitstreamError("the file is truncated")

    def take(self, size: int) -> bytes:
        if size > len(self.data) - self.position:
            raise self._end()
        self.position += size
        return bytes(self.data[self.position - size : self.position])

    def varint(self) -> int:
        value = 0
        for shift in range(0, 35, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte == 0 and shift:
                    raise BitstreamError("the file is damaged (a number is not in its shortest form)")
                return value
        raise BitstreamError("the file is damaged (a number is too long)")


class _FileReader(Reader):
    """A reader of a whole file, not of a chunk in it."""

    has_header = False

    def _end(self) -> BitstreamError:
        return TruncatedError("the file is truncated", self.has_header)


def write(stream: Stream) -> bytes:
    """Return the bytes of a file."""
    head = stream.header
    layout = MODES.index(head.mode) | DEPTHS.index(head.depth) << 2 | _tile_code(head.tile) << 4
    fixed = MAGIC + bytes([head.version, layout]) + varint(head.width) + varint(head.height)
    fixed += bytes.fromhex(head.weights) + struct.pack("<H", head.rate)
    parts = [fixed, struct.pack("<I", zlib.crc32(fixed))]
    before = sorted(pack(stream.chunks).items(), key=lambda chunk: (chunk[0] == LOSSLESS, chunk[0]))
    for kind, body in [*before, *((PAYLOAD, body) for body in stream.payloads)]:
        parts += [kind, varint(len(body)), body, struct.pack("<I", zlib.crc32(kind + body))]
    return b"".join(parts)


def pack(chunks: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return chunks with the metadata of all in one that is compressed, or as they are where that is not smaller."""
    plain = {kind: body for kind, body in chunks.items() if kind in METADATA}
    parts = [kind + varint(len(body)) + body for kind, body in sorted(plain.items())]
    data = b"".join(parts)
    if not data or len(data) > MAX_PACKED:
        return dict(chunks)
    body = varint(len(data)) + zlib.compress(data, 9)
    size = 1 + len(varint(len(body))) + len(body) + _CHECKSUM
    if size >= sum(len(part) + _CHECKSUM for part in parts):
        return dict(chunks)
    return {kind: value for kind, value in chunks.items() if kind not in METADATA} | {PACKED: body}


def unpack(body: bytes) -> dict[bytes, bytes]:
    """Return the chunks in a PACKED one; no more is inflated than it declares. Raises BitstreamError for anything else."""
    reader = Reader(body)
    size = reader.varint()
    if size > MAX_PACKED:
        raise BitstreamError("the file is damaged (metadata of another size)")
    reader = Reader(inflate(body[reader.position :], size, "metadata"))
    chunks: dict[bytes, bytes] = {}
    while reader.position < size:
        kind = reader.take(1)
        if not kind.islower() or kind in (PACKED, SIGNAL, HASH) or kind in chunks:
            raise BitstreamError(f"the file is damaged (a chunk {kind!r} among its metadata)")
        chunks[kind] = reader.take(reader.varint())
    return chunks


def inflate(stream: bytes, size: int, what: str) -> bytes:
    """Return the ``size`` bytes that a zlib stream holds, and take no memory for what it cannot hold.

    Raises BitstreamError, which names ``what``, where it is damaged or holds another number of bytes.
    """
    if size > len(stream) * EXPANSION:
        raise BitstreamError(f"the file is damaged ({what} of another size)")
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(stream, size + 1)
    except zlib.error:
        raise BitstreamError(f"the file is damaged ({what})") from None
    if len(data) != size or not inflater.eof or inflater.unused_data:
        raise BitstreamError(f"the file is damaged ({what} of another size)")
    return data


def _unpacked(chunks: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the chunks of a file with those that are packed in one of them."""
    if PACKED not in chunks:
        return chunks
    packed = unpack(chunks.pop(PACKED))
    if twice := packed.keys() & chunks.keys():
        raise BitstreamError(f"the file is damaged (two chunks of type {min(twice)!r})")
    return chunks | packed


def _tile_code(side: int) -> int:
    return next(code for code in TILE_CODES if _tile_side(code) == side) if side else 0


def _tile_side(code: int) -> int:
    return 128 << code if code else 0


def read_header(data: bytes, max_pixels: int | None = MAX_PIXELS) -> Header:
    """Return the header at the start of ``data``.

    Raises BitstreamError where there is none, LimitError where width * height > max_pixels (None: no limit).
    """
    return _read_header(_FileReader(data), max_pixels)


def _read_header(reader: _FileReader, max_pixels: int | None) -> Header:
    magic = bytes(reader.data[: len(MAGIC)])
    if len(reader.data) == 0:
        raise BitstreamError("the file is empty")
    if magic != MAGIC:
        if magic[:4] == MAGIC[:4]:
            raise BitstreamError("the file is truncated, or damaged by a transfer in text mode")
        raise BitstreamError("this is no aecodec file")
    reader.take(len(MAGIC))
    version, layout = reader.take(2)
    if not 1 <= version <= VERSION:
        raise BitstreamError(f"the file has format version {version}; this aecodec reads versions 1 to {VERSION}")
    width, height = reader.varint(), reader.varint()
    weights = reader.take(4).hex()
    (rate,) = struct.unpack("<H", reader.take(2))
    fixed = bytes(reader.data[: reader.position])
    if struct.unpack("<I", reader.take(4))[0] != zlib.crc32(fixed):
        raise BitstreamError("the file's header is damaged (checksum)")
    reader.has_header = True
    mode, depth, tile_code = layout & 3, layout >> 2 & 3, layout >> 4
    if mode >= len(MODES) or (depth and version == 1) or tile_code not in (0, *TILE_CODES):
        raise BitstreamError(f"the file uses layout {layout}, which this aecodec does not know")
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and rate <= MAX_INDEX):
        raise BitstreamError("the file's header holds impossible values")
    if max_pixels is not None and width * height > max_pixels:
        raise LimitError(f"{width} x {height} is over the limit of {max_pixels} pixels", max_pixels)
    return Header(width, height, MODES[mode], weights, rate, _tile_side(tile_code), DEPTHS[depth], version)


def read_head(data: bytes, max_pixels: int | None = MAX_PIXELS) -> tuple[Header, dict[bytes, bytes]]:
    """Return the header and the chunks before the payload, with verified checksums; the payload may be missing.

    Raises as ``read`` does.
    """
    reader = _FileReader(data)
    return _read_header(reader, max_pixels), _unpacked(dict(_chunks(reader, (PAYLOAD, LOSSLESS))))


def read_beginning(data: bytes, max_pixels: int | None = MAX_PIXELS) -> tuple[Header, dict[bytes, bytes], bool]:
    """Return the header of a file that may end early, the chunks that are whole, and whether its payloads have begun.

    Raises as ``read`` does, TruncatedError only within the header.
    """
    reader = _FileReader(data)
    header = _read_header(reader, max_pixels)
    chunks: dict[bytes, bytes] = {}
    has_begun = True
    try:
        for kind, body in _chunks(reader, (PAYLOAD, LOSSLESS)):
            chunks[kind] = body  # noqa: PERF403  those in front of an error are wanted
    except TruncatedError:
        has_begun = False
    return header, _unpacked(chunks), has_begun


def _chunks(reader: Reader, ends: tuple[bytes, ...] = ()) -> Iterator[tuple[bytes, bytes]]:
    """Yield types and bodies up to and including the payload, or up to the first chunk of a type in ``ends``."""
    seen = set()
    while True:
        kind = reader.take(1)
        if kind in ends:
            return
        body = reader.take(reader.varint())
        if struct.unpack("<I", reader.take(4))[0] != zlib.crc32(kind + body):
            raise BitstreamError("the file is damaged (checksum)")
        if not kind.islower() and kind not in (PAYLOAD, ALPHA, EXACT, LOSSLESS):
            raise BitstreamError(f"the file needs a feature that this aecodec does not know (chunk {kind!r})")
        if kind in seen:
            raise BitstreamError(f"the file is damaged (two chunks of type {kind!r})")
        if kind != PAYLOAD:
            seen.add(kind)
        yield kind, body


def sizes(data: bytes) -> dict[bytes, int]:
    """Return the bytes of a whole file by the type of chunk, with type, length and checksum of each; b"" is the header.

    They add up to the length of the file. Raises BitstreamError as ``read`` does.
    """
    reader = _FileReader(data)
    _read_header(reader, None)
    found = {b"": reader.position}
    chunks = _chunks(reader)
    while (start := reader.position) < len(data):
        kind, _ = next(chunks)
        found[kind] = found.get(kind, 0) + reader.position - start
    return found


def read(data: bytes, max_pixels: int | None = MAX_PIXELS) -> Stream:
    """Return header and chunks, all checksums verified.

    Raises BitstreamError and LimitError as ``read_header`` does, TruncatedError where the file ends early.
    """
    reader = _FileReader(data)
    header = _read_header(reader, max_pixels)
    chunks: dict[bytes, bytes] = {}
    payloads: list[bytes] = []
    for kind, body in _chunks(reader):
        if kind == PAYLOAD:
            payloads.append(body)
            if len(payloads) == header.tiles:
                break
        elif payloads:
            raise BitstreamError(f"the file is damaged (a chunk of type {kind!r} among its tiles)")
        else:
            chunks[kind] = body
            if kind == LOSSLESS:
                break
    if {EXACT, LOSSLESS} <= chunks.keys():
        raise BitstreamError("the file is damaged (exact pixels of a picture that is exact)")
    if header.depth > 8 and {EXACT, LOSSLESS} & chunks.keys():
        raise BitstreamError(f"the file is damaged (exact pixels of 8 bits in a picture of {header.depth})")
    if len(chunks.get(HASH, bytes(HASH_BYTES))) != HASH_BYTES or len(chunks.get(SIGNAL, bytes(4))) != 4:
        raise BitstreamError("the file is damaged (length of a hash or of colours)")
    if reader.position != len(data):
        raise BitstreamError(f"{len(data) - reader.position} bytes follow the end of the file")
    return Stream(header, payloads, _unpacked(chunks))
