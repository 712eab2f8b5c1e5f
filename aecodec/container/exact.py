"""Pixels without loss: some of a picture, the body of chunk 'X', or all of it, the body of chunk 'L'.

    X: for each part: length (varint) | if it is not 0: top, left (varint), picture
    L: for each part: length (varint), picture

A part is a square of PART pixels. Its picture is in the code of ``banded.py``, which is best for screens and drawings. One
that takes long in that code, such as a photograph, is the bare stream of a lossless WebP (RFC 9649, section 3), which
Pillow reads and writes. In an 'X' the picture stands anywhere in its part, and its pixels with an alpha over 0 are exact.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aecodec.container import banded
from aecodec.container.banded import Banded
from aecodec.container.bitstream import EXACT, LOSSLESS, Reader, Stream, varint
from aecodec.container.tiles import Box, Grid, whole
from aecodec.entropy import context
from aecodec.errors import BitstreamError, MissingPackageError
from aecodec.quality import MAX_INDEX

PART = 4096  # pixels, the side of a part; below WebP's limit of 16383, and few enough to hold in memory
# method and effort of libwebp: for a whole picture of at most SMALL pixels, for any other file, for an estimate; and its
# default, which makes some drawings smaller than its best does
BEST, FINAL, FAST, DEFAULT = (6, 100), (5, 100), (3, 75), (4, 75)
SMALL = 2**21
TINY = 2**16  # pixels; contexts have not learnt everything by then, and WebP is smaller for some icons
AS_GIVEN = 255  # alpha of pixels that are as they were given to the encoder; others have a lower one
_SIGNATURE = 0x2F  # a lossless WebP stream's first byte

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Exact:
    """Exact pixels of a picture, still coded: the boxes of pictures, which do not overlap, and their bytes."""

    height: int
    width: int
    streams: dict[Box, bytes]

    def decode(self, area: Box) -> Pixels:
        """Return the pixels of an area, (h, w, 4) uint8, all 0 where there are none.

        Raises BitstreamError where a picture is damaged, MissingPackageError where one is a WebP and Pillow has none.
        """
        result = np.zeros((*area.shape, 4), np.uint8)
        for box, stream in self.streams.items():
            if common := box & area:
                result[common.relative(area).slices] = _read(stream)[common.relative(box).slices]
        return result

    def shares(self) -> tuple[float, float]:
        """Return the shares of the picture's pixels that are as given, and in fewer colours. Raises as ``decode`` does."""
        as_given = near = 0
        for stream in self.streams.values():
            picture = Banded.read(stream) if stream[0] == banded.SIGNATURE else None
            if picture is not None and picture.has_mask:  # which is known sooner than pixels
                count = int(picture.mask().sum())
                as_given, near = (as_given, near + count) if picture.is_near else (as_given + count, near)
            else:
                counts = np.bincount(_read(stream)[..., 3].ravel(), minlength=256)
                as_given, near = as_given + int(counts[AS_GIVEN]), near + int(counts[1:AS_GIVEN].sum())
        return as_given / (self.height * self.width), near / (self.height * self.width)


def encode_some(array: Pixels, mask: Mask, *, as_given: bool = True, is_estimate: bool = False) -> bytes:
    """Return the body of a chunk 'X'.

    array: (H, W, 3); mask: (H, W), which pixels are exact, at least one; as_given: False where ``array`` is not quite the
    given picture; is_estimate: True where only the length counts, about. Raises MissingPackageError where a part needs
    WebP and Pillow has none.
    """
    body = []
    for part in Grid(whole(*mask.shape), PART):
        inside = mask[part.slices]
        rows, columns = (inside.any(axis).nonzero()[0] for axis in (1, 0))
        if rows.size:
            top, left = int(rows[0]), int(columns[0])
            box = Box(top, left, int(rows[-1]) + 1, int(columns[-1]) + 1)
            pixels, shown = array[part.slices][box.slices], inside[box.slices]
            stream = _write_banded(pixels, shown, not as_given)
            if stream is None:
                alpha = np.where(shown, np.uint8(AS_GIVEN if as_given else AS_GIVEN - 1), np.uint8(0))
                stream = _write_webp(np.dstack([pixels, alpha]), FAST if is_estimate else FINAL)
            body += [varint(len(stream)), varint(top), varint(left), stream]
        else:
            body.append(varint(0))
    return b"".join(body)


def encode_whole(array: Pixels, *, is_photograph: bool = False, is_estimate: bool = False) -> bytes:
    """Return the body of a chunk 'L' of a picture (H, W, 3) or (H, W, 4).

    is_photograph: whether to take WebP at once; other arguments and errors are those of ``encode_some``.
    """
    efforts = [FAST] if is_estimate else [DEFAULT, BEST if array.shape[0] * array.shape[1] <= SMALL else FINAL]
    body = []
    for part in Grid(whole(*array.shape[:2]), PART):
        stream = None if is_photograph else _write_banded(array[part.slices])
        if stream is None:
            stream = min((_write_webp(array[part.slices], each) for each in efforts), key=len)
        elif part.shape[0] * part.shape[1] <= TINY and not is_estimate and is_installed():
            stream = min(stream, *(_write_webp(array[part.slices], each) for each in efforts), key=len)
        body += [varint(len(stream)), stream]
    return b"".join(body)


def read_some(body: bytes, height: int, width: int) -> Exact:
    """Return what the body of a chunk 'X' holds, of a picture of this size. No picture is decoded.

    Raises BitstreamError where it breaks a rule of docs/format.md.
    """
    reader, streams = Reader(body), {}
    for part in Grid(whole(height, width), PART):
        if length := reader.varint():
            top, left = part.top + reader.varint(), part.left + reader.varint()
            stream = reader.take(length)
            rows, columns = _size(stream)
            box = Box(top, left, top + rows, left + columns)
            if box & part != box:
                raise BitstreamError("the file is damaged (exact pixels outside their part)")
            streams[box] = stream
    if not streams or reader.position != len(body):
        raise BitstreamError("the file is damaged (length of the exact pixels)")
    return Exact(height, width, streams)


def read_whole(body: bytes, height: int, width: int) -> Exact:
    """Return what the body of a chunk 'L' holds. Raises as ``read_some`` does."""
    reader, streams = Reader(body), {}
    for part in Grid(whole(height, width), PART):
        streams[part] = reader.take(reader.varint())
        if _size(streams[part]) != part.shape:
            raise BitstreamError("the file is damaged (exact pixels of another size)")
    if reader.position != len(body):
        raise BitstreamError("the file is damaged (length of the exact pixels)")
    return Exact(height, width, streams)


def shares(stream: Stream) -> tuple[float, float]:
    """Return the shares of a file's pixels that are without loss, and in fewer colours. Raises as ``read_some`` does."""
    head = stream.header
    if LOSSLESS in stream.chunks:
        return (1.0, 0.0) if head.rate == MAX_INDEX else (0.0, 1.0)
    if EXACT not in stream.chunks:
        return 0.0, 0.0
    return read_some(stream.chunks[EXACT], head.height, head.width).shares()


def is_installed() -> bool:
    """Return whether Pillow reads and writes WebP, without which some pictures cannot be without loss."""
    from PIL import features

    return bool(features.check("webp"))


def _check_webp() -> None:
    if not is_installed():
        raise MissingPackageError("a picture with exact pixels", "a Pillow with WebP", "Pillow")


def _write_banded(pixels: Pixels, mask: Mask | None = None, is_near: bool = False) -> bytes | None:
    """Return the stream of pixels (h, w, 3) or (h, w, 4); None where it takes too long, which it does without C."""
    if context.IMPLEMENTATION != "c":
        return None
    return banded.encode(pixels, mask, is_near=is_near, is_patient=False)


def _read(stream: bytes) -> Pixels:
    """Return the pixels (h, w, 4) of a picture. Raises BitstreamError where it is damaged."""
    return Banded.read(stream).decode() if stream[0] == banded.SIGNATURE else _read_webp(stream)


def _write_webp(pixels: Pixels, effort: tuple[int, int]) -> bytes:
    """Return the bare lossless stream of pixels (h, w, 3) or (h, w, 4)."""
    from PIL import Image

    _check_webp()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=True, method=effort[0], quality=effort[1])
    data = buffer.getvalue()
    position = 12
    while data[position : position + 4] != b"VP8L":  # libwebp may write other chunks before it
        position += 8 + (struct.unpack_from("<I", data, position + 4)[0] + 1) // 2 * 2
    (length,) = struct.unpack_from("<I", data, position + 4)
    return data[position + 8 : position + 8 + length]


def _read_webp(stream: bytes) -> Pixels:
    """Return the pixels (h, w, 4) of a bare stream. Raises BitstreamError where it is damaged."""
    from PIL import Image

    _check_webp()
    chunk = b"WEBPVP8L" + struct.pack("<I", len(stream)) + stream + bytes(len(stream) % 2)
    try:
        with Image.open(io.BytesIO(b"RIFF" + struct.pack("<I", len(chunk)) + chunk), formats=("WEBP",)) as image:
            return np.asarray(image.convert("RGBA"))
    except (OSError, ValueError, SyntaxError):
        raise BitstreamError("the file is damaged (exact pixels)") from None


def _size(stream: bytes) -> tuple[int, int]:
    """Return height and width in a stream's head. Raises BitstreamError where it is no lossless stream."""
    if stream[:1] == bytes([banded.SIGNATURE]):
        return banded.size(stream)
    if len(stream) < 5 or stream[0] != _SIGNATURE:
        raise BitstreamError("the file is damaged (exact pixels)")
    (fields,) = struct.unpack_from("<I", stream, 1)
    if fields >> 29:  # the version
        raise BitstreamError("the file is damaged (exact pixels)")
    return (fields >> 14 & 0x3FFF) + 1, (fields & 0x3FFF) + 1
