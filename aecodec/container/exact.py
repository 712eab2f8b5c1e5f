"""Pixels without loss: some of a picture, the body of chunk 'X', or all of it, the body of chunk 'L'.

    X: for each part: length (varint) | if it is not 0: top, left (varint), picture
    L: for each part: length (varint), picture

A part is a square of PART pixels. Its picture is the bare stream of a lossless WebP (RFC 9649, section 3), which Pillow
reads and writes. In an 'X' the picture stands anywhere in its part, and its pixels with an alpha over 0 are exact.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aecodec.container.bitstream import EXACT, LOSSLESS, Reader, Stream, varint
from aecodec.container.tiles import Box, Grid, whole
from aecodec.errors import BitstreamError, MissingPackageError
from aecodec.quality import MAX_INDEX

PART = 4096  # pixels, the side of a part; below WebP's limit of 16383, and few enough to hold in memory
# method and effort of libwebp: for a whole picture of at most SMALL pixels, for any other file, for an estimate; and its
# default, which makes some drawings smaller than its best does
BEST, FINAL, FAST, DEFAULT = (6, 100), (5, 100), (3, 75), (4, 75)
SMALL = 2**21
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

        Raises BitstreamError where a picture is damaged, MissingPackageError where Pillow has no WebP.
        """
        result = np.zeros((*area.shape, 4), np.uint8)
        for box, stream in self.streams.items():
            if common := box & area:
                result[common.relative(area).slices] = _read_webp(stream)[common.relative(box).slices]
        return result

    def shares(self) -> tuple[float, float]:
        """Return the shares of the picture's pixels that are as given, and in fewer colours. Raises as ``decode`` does."""
        counts = np.zeros(256, int)
        for stream in self.streams.values():
            counts += np.bincount(_read_webp(stream)[..., 3].ravel(), minlength=256)
        as_given, near = counts[AS_GIVEN], counts[1:AS_GIVEN].sum()
        return float(as_given / (self.height * self.width)), float(near / (self.height * self.width))


def encode_some(array: Pixels, mask: Mask, effort: tuple[int, int] = FINAL, as_given: bool = True) -> bytes:
    """Return the body of a chunk 'X'.

    array: (H, W, 3); mask: (H, W), which pixels are exact, at least one; effort: method (0..6) and effort (0..100) of
    libwebp; as_given: False where ``array`` is not quite the given picture. Raises MissingPackageError where Pillow has no
    WebP.
    """
    opaque = np.uint8(AS_GIVEN if as_given else AS_GIVEN - 1)
    body = []
    for part in Grid(whole(*mask.shape), PART):
        inside = mask[part.slices]
        rows, columns = (inside.any(axis).nonzero()[0] for axis in (1, 0))
        if rows.size:
            top, left = int(rows[0]), int(columns[0])
            box = Box(top, left, int(rows[-1]) + 1, int(columns[-1]) + 1)
            alpha = np.where(inside[box.slices], opaque, np.uint8(0))
            stream = _write_webp(np.dstack([array[part.slices][box.slices], alpha]), effort)
            body += [varint(len(stream)), varint(top), varint(left), stream]
        else:
            body.append(varint(0))
    return b"".join(body)


def encode_whole(array: Pixels, effort: tuple[int, int] | None = None) -> bytes:
    """Return the body of a chunk 'L' of a picture (H, W, 3) or (H, W, 4); ``effort`` as in ``encode_some``, None to choose.

    Raises as ``encode_some`` does.
    """
    efforts = [effort] if effort else [DEFAULT, BEST if array.shape[0] * array.shape[1] <= SMALL else FINAL]
    parts = [array[part.slices] for part in Grid(whole(*array.shape[:2]), PART)]
    streams = [min((_write_webp(pixels, each) for each in efforts), key=len) for pixels in parts]
    return b"".join(varint(len(stream)) + stream for stream in streams)


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


def check_installed() -> None:
    """Raise MissingPackageError where this Pillow was built without WebP."""
    if not is_installed():
        raise MissingPackageError("a picture with exact pixels", "a Pillow with WebP", "Pillow")


def is_installed() -> bool:
    """Return whether Pillow reads and writes WebP."""
    from PIL import features

    return bool(features.check("webp"))


def _write_webp(pixels: Pixels, effort: tuple[int, int]) -> bytes:
    """Return the bare lossless stream of pixels (h, w, 3) or (h, w, 4)."""
    from PIL import Image

    check_installed()
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

    check_installed()
    chunk = b"WEBPVP8L" + struct.pack("<I", len(stream)) + stream + bytes(len(stream) % 2)
    try:
        with Image.open(io.BytesIO(b"RIFF" + struct.pack("<I", len(chunk)) + chunk), formats=("WEBP",)) as image:
            return np.asarray(image.convert("RGBA"))
    except (OSError, ValueError, SyntaxError):
        raise BitstreamError("the file is damaged (exact pixels)") from None


def _size(stream: bytes) -> tuple[int, int]:
    """Return height and width in a stream's head. Raises BitstreamError where it is no lossless stream."""
    if len(stream) < 5 or stream[0] != _SIGNATURE:
        raise BitstreamError("the file is damaged (exact pixels)")
    (fields,) = struct.unpack_from("<I", stream, 1)
    if fields >> 29:  # the version
        raise BitstreamError("the file is damaged (exact pixels)")
    return (fields >> 14 & 0x3FFF) + 1, (fields & 0x3FFF) + 1
