"""Write a PNG (ISO/IEC 15948) without numpy and Pillow, which take longer than decoding a small picture.

Its metadata is what ``writing.save`` has Pillow write.
"""

from __future__ import annotations

import zlib

from aecodec.container.exif import PREFIX, dots_per_inch
from aecodec.container.plain import EXIF, ICC, RESOLUTION, RESOURCES, SIGNAL, XMP

TYPE_CHECKING = False  # that of typing, which would be imported
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_COLOUR_TYPES = (0, 4, 2, 6)  # of one to four channels
HDR = {16: "PQ", 18: "HLG"}  # transfers by ITU-T H.273 that no ICC profile can say; for others, icc.py makes one
_LEVEL = 1  # of zlib; with the best filter of each row as few bytes as Pillow's at 2, in half the time
_INCH = 0.0254  # metres


def write(
    width: int, height: int, channels: int, depth: int, rows: Iterable[bytes], metadata: Mapping[bytes, bytes]
) -> bytes:
    """Return a PNG.  Where ``depth``, the bits of a sample in the file that it was made of, is more than 8, it has 16.

    rows: filtered, each behind its filter's number; metadata: bodies by type, as ``plain`` reads them.
    """
    sample = bytes([8 if depth == 8 else 16, _COLOUR_TYPES[channels - 1], 0, 0, 0])
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + sample
    bits = [(b"sBIT", bytes([depth]) * channels)] if 8 < depth < 16 else []
    packer = zlib.compressobj(_LEVEL)
    packed = b"".join([*map(packer.compress, rows), packer.flush()])
    chunks = [(b"IHDR", header), *bits, *_metadata_chunks(metadata), (b"IDAT", packed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big") for kind, body in chunks
    )


def _metadata_chunks(metadata: Mapping[bytes, bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield types and bodies in the order of Pillow."""
    exif = metadata.get(EXIF, b"")
    if profile := metadata.get(ICC):
        yield b"iCCP", b"ICC Profile\0\0" + zlib.compress(profile)
    if signal := metadata.get(SIGNAL):
        yield b"cICP", signal
    if packet := metadata.get(XMP):
        yield b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet.decode("utf-8", "replace").encode()
    if resources := metadata.get(RESOURCES):  # as ImageMagick and ExifTool know it
        text = f"\niptc\n{len(resources):8}\n{resources.hex()}\n"
        yield b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(text.encode())
    if dpi := dots_per_inch(exif, metadata.get(RESOLUTION, b"")):
        yield b"pHYs", b"".join(int(value / _INCH + 0.5).to_bytes(4, "big") for value in dpi) + b"\1"
    if exif:
        yield b"eXIf", exif.removeprefix(PREFIX)
