"""What is fuzzed: functions of bytes that may raise AecodecError and nothing else, and must come back soon.

Checksums would keep a fuzzer out of everything behind them, so ``repair`` makes them right again, and the targets
for the inner layers take their parts without a container around them.
"""

from __future__ import annotations

import functools
import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np

import aecodec
from aecodec.codec import _rans_python, bitstream, formats, gaussian, pipeline, rans
from aecodec.codec.bitstream import EXIF, ICC, XMP, Header, Stream
from aecodec.codec.quality import MAX_INDEX
from aecodec.errors import AecodecError
from aecodec.weights import load

ROOT = Path(__file__).parent.parent
MAX_PIXELS = 2**14  # of what is decoded: larger pictures only take longer to do the same


def container(data: bytes) -> None:
    """Header and chunks, as they are and with right checksums: a valid stream or an error."""
    for candidate in (data, repair(data)):
        try:
            stream = bitstream.read(candidate, max_pixels=None)
        except AecodecError:
            continue
        # one picture, one header: what was read is written again byte for byte
        again = bitstream.write(Stream(stream.header, []))
        assert candidate[: len(again)] == again
        assert sum(map(len, [*stream.chunks.values(), *stream.payloads])) <= len(candidate)


def entropy(data: bytes) -> None:
    """Any levels with any stream: the coder in C and its twin in Python agree on the symbols or on the error."""
    count = data[0] if data else 0
    levels = np.frombuffer(data[1 : 1 + count], np.uint8) % gaussian.LEVELS
    stream = data[1 + count :]
    try:
        start = rans.Decoder(stream, gaussian.tables())._state
    except rans.RansError:
        return
    results = [_pop(coder, stream, levels, start) for coder in dict.fromkeys([_rans_python, rans._coder])]
    assert results[0] == results[-1]


def _pop(coder, stream: bytes, levels: np.ndarray, state):
    tables, symbols = gaussian.tables(), np.zeros(levels.size, np.int32)
    try:
        state = coder.decode(stream, levels, symbols, state, tables.radius, tables.cdf, tables.start, tables.lookup)
    except ValueError as error:
        return str(error)
    return state, symbols.tolist()


def payload(data: bytes) -> None:
    """A small picture with any payload: hyper-latents, features, the context steps."""
    first = int.from_bytes(data[:3], "little")
    header = Header(1 + first % 128, 1 + (first >> 7) % 128, "RGB", load().id, (first >> 14) % (MAX_INDEX + 1))
    try:
        latents = pipeline.decode_latents(Stream(header, [data[3:]]))
    except AecodecError:
        return
    assert latents.dtype == np.int32


def metadata(data: bytes) -> None:
    """Any ICC, EXIF and XMP on their way into each format that the command line writes."""
    kind = ("PNG", "JPEG", "WEBP", "TIFF")[data[0] % 4 if data else 0]
    parts = (data[1:].split(b"\xff\xfe\xfd", 2) + [b""] * 3)[:3]
    image = _pixel().copy()
    image.info.update((name, part) for name, part in zip(("icc_profile", "exif", "xmp"), parts) if part)
    try:
        formats.save(image, kind)
    except AecodecError:
        pass


def picture(data: bytes) -> None:
    """Any bytes as a picture to encode."""
    try:
        pipeline.Encoder(formats.open_picture(data, MAX_PIXELS), max_pixels=MAX_PIXELS)
    except AecodecError:
        pass


def file(data: bytes) -> None:
    """A whole file with right checksums, from its first byte to the pixels."""
    data = repair(data)
    try:
        image = aecodec.decode(data, max_pixels=MAX_PIXELS)
    except AecodecError:
        return
    header, chunks = bitstream.read_head(data)
    mode = header.mode + "A" if bitstream.ALPHA in chunks else header.mode
    assert (image.mode, image.size) == (mode, (header.width, header.height))


TARGETS = {function.__name__: function for function in (container, entropy, payload, metadata, picture, file)}


@functools.cache
def _pixel():
    return aecodec.decode((ROOT / "tests/conformance/pixel.aec").read_bytes())


def repair(data: bytes) -> bytes:
    """The same file with right checksums, as far as its structure can be followed."""
    out = bytearray(data)
    try:
        position = _skip_varint(out, _skip_varint(out, 9)) + 6
        struct.pack_into("<I", out, position, zlib.crc32(out[:position]))
        position += 4
        while position < len(out):
            body = _skip_varint(out, position + 1)
            length = sum((byte & 0x7F) << 7 * i for i, byte in enumerate(out[position + 1 : body]))
            end = body + length
            struct.pack_into("<I", out, end, zlib.crc32(out[body:end], zlib.crc32(out[position : position + 1])))
            position = end + 4
    except (IndexError, struct.error, OverflowError):
        pass  # the rest has no structure
    return bytes(out)


def _skip_varint(data: bytes, position: int) -> int:
    while data[position] & 0x80:
        position += 1
    return position + 1


def mutate(data: bytes, dice: random.Random) -> bytes:
    """``data`` with one kind of accident or malice; never equal to it."""
    while True:
        out = bytearray(data)
        a, b = sorted(dice.randrange(len(out) + 1) for _ in range(2))
        match dice.randrange(8):
            case 0:
                out[a : a + 1] = bytes([dice.randrange(256)])
            case 1:
                for _ in range(dice.randint(1, 16)):
                    out[dice.randrange(len(out))] ^= 1 << dice.randrange(8)
            case 2:
                del out[a:]
            case 3:
                del out[a:b]
            case 4:
                out[a:a] = dice.randbytes(dice.randint(1, 64))
            case 5:
                out[a:b] = dice.randbytes(b - a)
            case 6:
                out[a:b] = bytes([dice.choice((0, 255))]) * (b - a)
            case 7:
                out[a:a] = out[a:b]
        if out and out != data:
            return bytes(out)


def seeds(target: str) -> list[bytes]:
    """Where fuzzing a target begins: the conformance streams, or their parts."""
    files = [path.read_bytes() for path in sorted((ROOT / "tests/conformance").glob("*.aec"))]
    streams = [bitstream.read(data) for data in files]
    image = _pixel().copy()
    image.getexif()[0x010F] = "maker"
    exif, xmp, icc = image.getexif().tobytes(), b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>", bytes(16) + b"RGB " + bytes(108)
    extra = bitstream.write(Stream(streams[0].header, streams[0].payloads, {ICC: icc, EXIF: exif, XMP: xmp, b"z": b"news"}))
    if target in ("container", "file"):
        return [*files, extra]
    if target == "entropy":
        levels = bytes(dice % gaussian.LEVELS for dice in random.Random(1).randbytes(200))
        symbols = np.array([dice - 128 for dice in random.Random(2).randbytes(200)], np.int32) >> 3
        stream = rans.encode(symbols, np.frombuffer(levels, np.uint8), gaussian.tables())
        return [bytes([200]) + levels + stream, bytes([200]) + levels + streams[0].payloads[0]]
    if target == "payload":
        sides = [stream.header for stream in streams if max(stream.header.width, stream.header.height) <= 128]
        return [
            (h.width - 1 | h.height - 1 << 7 | h.rate << 14).to_bytes(4, "little")[:3] + stream.payloads[0]
            for stream in streams
            if (h := stream.header) in sides
        ]
    if target == "metadata":
        return [bytes([kind]) + b"\xff\xfe\xfd".join((icc, exif, xmp)) for kind in range(4)]
    pictures = []
    for kind in ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM"):
        buffer = io.BytesIO()
        image.resize((9, 7)).save(buffer, kind, **({} if kind in ("GIF", "BMP", "PPM") else {"exif": exif}))
        pictures.append(buffer.getvalue())
    return pictures
