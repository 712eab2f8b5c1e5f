"""Read the first bytes of a JPEG XL file, because its Pillow plugin decodes everything when it opens a file.

ISO/IEC 18181-1, annex D (SizeHeader, ImageMetadata) and 18181-2 (boxes).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}


@dataclass(frozen=True)
class Header:
    """The size before any turning, the bits of a sample, and whether there are frames to play."""

    width: int
    height: int
    bits: int = 8
    animated: bool = False


class _Bits:
    """A reader of numbers, least significant bit first. Zeros follow the end."""

    def __init__(self, data: bytes) -> None:
        self.value = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        value = self.value & ((1 << count) - 1)
        self.value >>= count
        return value

    def choose(self, *choices: tuple[int, int]) -> int:
        """Read a U32 of the standard: one of four (offset, bits)."""
        offset, count = choices[self.take(2)]
        return offset + self.take(count)

    def size(self) -> tuple[int, int]:
        """Read a SizeHeader: width, height."""
        small = self.take(1)

        def side() -> int:
            return 8 * (self.take(5) + 1) if small else self.choose((1, 9), (1, 13), (1, 18), (1, 30))

        height = side()
        ratio = self.take(3)
        across, down = _RATIOS.get(ratio, (1, 1))
        return (height * across // down if ratio else side()), height


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield types and bodies of a container's boxes; none for a bare codestream."""
    position = 0 if data.startswith(b"\0\0\0\x0cJXL ") else len(data)
    while position + 8 <= len(data):
        size, kind, head = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[position + 8 : position + 16], "big"), 16
        end = position + size if size >= head else len(data)  # 0: to the end
        yield kind, data[position + head : end]
        position = end


def read_header(data: bytes) -> Header:
    """Return the header of a JPEG XL file. For damaged data it is arbitrary; the decoder will refuse the file."""
    stream = data
    for kind, body in boxes(data):
        if kind in (b"jxlc", b"jxlp"):
            stream = body[4:] if kind == b"jxlp" else body
            break
    bits = _Bits(stream[2:64])
    width, height = bits.size()
    if bits.take(1):  # all the rest is as usual: 8 bits, no frames
        return Header(width, height)
    animated = False
    if bits.take(1):
        bits.take(3)  # orientation
        if bits.take(1):
            bits.size()  # intrinsic
        if bits.take(1):  # a preview, which nobody writes
            return Header(width, height)
        if animated := bool(bits.take(1)):
            bits.choose((100, 0), (1000, 0), (1, 10), (1, 30))
            bits.choose((1, 0), (1001, 0), (1, 8), (1, 10))
            bits.choose((0, 0), (0, 3), (0, 16), (0, 32))
            bits.take(1)
    is_float = bits.take(1)
    depth = bits.choose((32, 0), (16, 0), (24, 0), (1, 6)) if is_float else bits.choose((8, 0), (10, 0), (12, 0), (1, 6))
    return Header(width, height, depth, animated)
