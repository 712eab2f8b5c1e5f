"""A picture without loss in the code of ``entropy/context.py``, in bands that are coded in threads.

    SIGNATURE (1) | flags (1) | width, height (varint) | for each band: length (varint), stream

A band has as many rows as BAND pixels hold. docs/format.md, section 3.4, describes it in words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from aecodec.container.bitstream import Reader, varint
from aecodec.entropy import context
from aecodec.errors import BitstreamError
from aecodec.threads import thread_count

SIGNATURE = 0x43  # another first byte than that of a lossless WebP
SIDE = 4096  # pixels, the longest side of a picture
BAND = 2**21
HAS_ALPHA, HAS_MASK, IS_NEAR = 1, 2, 4
PATIENCE, SPARE = 6, 2**20  # decisions
_SHIFTS = (16, 8, 0, 24)  # red, green, blue, alpha

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Bits = npt.NDArray[np.float32]
Given = TypeVar("Given")
Result = TypeVar("Result")
Sample = TypeVar("Sample", bound=np.generic)


@dataclass(frozen=True)
class Banded:
    """A picture that is still coded.

    has_alpha: whether its pixels have an alpha of their own; has_mask: whether only some are there; is_near: whether these
    may differ a little from those that the encoder was given; streams: those of its bands.
    """

    height: int
    width: int
    has_alpha: bool
    has_mask: bool
    is_near: bool
    streams: Sequence[bytes]

    @classmethod
    def read(cls, data: bytes) -> Banded:
        """Take a picture apart. Raises BitstreamError where it breaks a rule of docs/format.md."""
        reader = Reader(data)
        height, width, flags = _take_head(reader)
        streams = [reader.take(reader.varint()) for _ in _bands(height, width)]
        if reader.position != len(data):
            raise BitstreamError("the file is damaged (length of the exact pixels)")
        return cls(height, width, bool(flags & HAS_ALPHA), bool(flags & HAS_MASK), bool(flags & IS_NEAR), streams)

    def decode(self) -> Pixels:
        """Return the pixels (H, W, 4); of a picture with a mask all 0 where there are none, and an alpha of 255 or 254.

        Raises BitstreamError where a stream is damaged.
        """

        def band(rows: slice, stream: bytes) -> Pixels:
            packed, mask = context.decode(
                stream, rows.stop - rows.start, self.width, has_mask=self.has_mask, has_alpha=self.has_alpha
            )
            pixels = _unpacked(packed, 4)
            if mask is not None:
                pixels[..., 3] = 254 if self.is_near else 255
                pixels[~mask] = 0
            return pixels

        return self._of_bands(band)

    def mask(self) -> Mask:
        """Return which pixels (H, W) are there, without decoding them. Raises as ``decode`` does."""
        if not self.has_mask:
            return np.ones((self.height, self.width), bool)
        return self._of_bands(lambda rows, stream: context.decode_mask(stream, rows.stop - rows.start, self.width))

    def _of_bands(self, decode: Callable[[slice, bytes], npt.NDArray[Sample]]) -> npt.NDArray[Sample]:
        parts = list(zip(_bands(self.height, self.width), self.streams, strict=True))
        try:
            return np.concatenate(_in_threads(lambda part: decode(*part), parts))
        except context.ContextError:
            raise BitstreamError("the file is damaged (exact pixels)") from None


def size(data: bytes) -> tuple[int, int]:
    """Return height and width, which stand in the first six bytes. Raises BitstreamError where these are damaged."""
    return _take_head(Reader(data))[:2]


def encode(pixels: Pixels, mask: Mask | None = None, *, is_near: bool = False, is_patient: bool = True) -> bytes | None:
    """Return the bytes of a picture (H, W, 3), or (H, W, 4) with alpha, of 1..SIDE pixels each way.

    mask: (H, W), which pixels are there, None for all; is_near as in ``Banded``. None where a band takes more than PATIENCE
    decisions for each of its pixels, and SPARE more, unless ``is_patient``: photographs take twenty, and time for each.
    """
    height, width, channels = pixels.shape
    packed = _packed(pixels)

    def band(rows: slice) -> bytes | None:
        inside = None if mask is None else mask[rows]
        most = context.MOST if is_patient else _most(packed[rows], inside) + (0 if inside is None else inside.size)
        return context.encode(packed[rows], inside, has_alpha=channels == 4, most=most)

    streams = _in_threads(band, _bands(height, width))
    flags = HAS_ALPHA * (channels == 4) | HAS_MASK * (mask is not None) | IS_NEAR * is_near
    parts = [bytes([SIGNATURE, flags]), varint(width), varint(height)]
    for stream in streams:
        if stream is None:
            return None
        parts += [varint(len(stream)), stream]
    return b"".join(parts)


def measure(pixels: Pixels, mask: Mask) -> Bits | None:
    """Return the bits of each pixel (H, W) of a picture (H, W, 3), as ``context.measure`` does; None if it takes long."""
    packed = _packed(pixels)

    def band(rows: slice) -> Bits | None:
        return context.measure(packed[rows], mask[rows], most=_most(packed[rows], mask[rows]))

    bands = [bits for bits in _in_threads(band, _bands(*mask.shape)) if bits is not None]
    return np.concatenate(bands) if len(bands) == len(_bands(*mask.shape)) else None


def optimise(pixels: Pixels, given: Pixels, weights: Bits, mask: Mask) -> tuple[Pixels, Bits] | None:
    """Return a picture (H, W, 3) that costs less, and the bits of each pixel, as ``context.optimise`` does.

    Only pixels of the mask (H, W) are coded and change. None if it takes long.
    """
    packed, right = _packed(pixels), _packed(given)

    def band(rows: slice) -> tuple[npt.NDArray[np.uint32], Bits] | None:
        most = _most(packed[rows], mask[rows])
        return context.optimise(packed[rows], right[rows], weights[rows], mask[rows], most=most)

    bands = [found for found in _in_threads(band, _bands(*mask.shape)) if found is not None]
    if len(bands) < len(_bands(*mask.shape)):
        return None
    return _unpacked(np.concatenate([each for each, _ in bands]), 3), np.concatenate([bits for _, bits in bands])


def _packed(pixels: Pixels) -> npt.NDArray[np.uint32]:
    """Return pixels (H, W, 3) or (H, W, 4) as 0xAARRGGBB, 0 where nobody sees a colour."""
    *shape, channels = pixels.shape
    packed = np.full(shape, 255 << 24 if channels == 3 else 0, np.uint32)
    for channel in range(channels):
        packed |= pixels[..., channel].astype(np.uint32) << np.uint32(_SHIFTS[channel])
    packed[packed < 1 << 24] = 0
    return packed


def _unpacked(packed: npt.NDArray[np.uint32], channels: int) -> Pixels:
    pixels: Pixels = np.stack([packed >> shift & 255 for shift in _SHIFTS[:channels]], -1).astype(np.uint8)
    return pixels


def _most(pixels: npt.NDArray[np.uint32], mask: Mask | None) -> int:
    """Return how many decisions are tried for a band."""
    return PATIENCE * (pixels.size if mask is None else int(mask.sum())) + SPARE


def _take_head(reader: Reader) -> tuple[int, int, int]:
    """Return height, width and flags."""
    signature, flags = reader.take(2)
    width, height = reader.varint(), reader.varint()
    if signature != SIGNATURE or flags > (HAS_ALPHA | HAS_MASK | IS_NEAR) or not (0 < width <= SIDE and 0 < height <= SIDE):
        raise BitstreamError("the file is damaged (exact pixels)")
    return height, width, flags


def _bands(height: int, width: int) -> list[slice]:
    """Return the rows of each band."""
    rows = BAND // width
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]


def _in_threads(call: Callable[[Given], Result], values: Iterable[Given]) -> list[Result]:
    """Return the results of a call with each value, in their order."""
    values = list(values)
    if len(values) < 2 or thread_count() < 2:
        return list(map(call, values))
    with ThreadPoolExecutor(min(thread_count(), len(values))) as pool:
        return list(pool.map(call, values))
