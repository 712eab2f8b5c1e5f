"""Define what is fuzzed: functions of bytes that may raise AecodecError and nothing else, and must return soon.

Checksums would keep a fuzzer out of everything behind them, so ``repair`` makes them right again, and the targets for the
inner layers take their parts without a container around them.
"""

from __future__ import annotations

import contextlib
import functools
import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np

import aecodec
from aecodec.codec.decoder import decode_latents
from aecodec.codec.encoder import Encoder
from aecodec.container import alpha as alpha_coder, bitstream, exact as exact_coder, metadata as metadata_of
from aecodec.container.bitstream import ALPHA, EXACT, EXIF, ICC, LOSSLESS, METADATA, NO_WEIGHTS, PACKED, XMP, Header, Stream
from aecodec.container.tiles import Box
from aecodec.entropy import _rans_python, gaussian, rans
from aecodec.errors import AecodecError
from aecodec.images import deep, jpeg, reading, tiff, writing
from aecodec.quality import MAX_INDEX
from aecodec.weights.store import load

ROOT = Path(__file__).parent.parent
MAX_PIXELS = 2**14  # of what is decoded: larger pictures only take longer to do the same


def container(data: bytes) -> None:
    """Read header and chunks, as they are and with right checksums: a valid stream or an error."""
    for candidate in (data, repair(data)):
        try:
            header, chunks = bitstream.read_head(candidate, max_pixels=None)
            assert candidate.startswith(bitstream.write(Stream(header, [])))  # one picture, one header
            stream = bitstream.read(candidate, max_pixels=None)
        except AecodecError:
            continue
        lossless = stream.chunks.pop(bitstream.LOSSLESS, None)
        assert (stream.header, stream.chunks) == (header, chunks)
        assert len(stream.payloads) == (header.tiles if lossless is None else 0)
        assert sum(map(len, (*chunks.values(), *stream.payloads))) <= 1032 * len(candidate)  # what zlib can make of them


def entropy(data: bytes) -> None:
    """Decode any levels with any stream: the coder in C and its twin in Python agree on the symbols or on the error."""
    count = data[0] if data else 0
    levels = np.frombuffer(data[1 : 1 + count], np.uint8) % gaussian.LEVELS
    stream = data[1 + count :]
    try:
        start = rans.Decoder(stream, load().entropy_model.tables)._state
    except rans.RansError:
        return
    for stride in (0, gaussian.LEVELS):  # hyper-latents, latents
        results = [_pop(coder, stream, levels, start, stride) for coder in dict.fromkeys([_rans_python, rans._coder])]
        assert results[0] == results[-1]


def _pop(coder, stream: bytes, levels: np.ndarray, state, stride: int):
    tables, symbols = load().entropy_model.tables, np.zeros(levels.size, np.int32)
    arrays = (tables.radius, tables.cdf, tables.start, tables.lookup)
    try:
        state = coder.decode(stream, levels, symbols, state, *arrays, stride)
    except ValueError as error:
        return str(error)
    return state, symbols.tolist()


def payload(data: bytes) -> None:
    """Decode a small picture with any payload, or any two: hyper-latents, features, the context steps."""
    fields = int.from_bytes(data[:4], "little")
    tile = 256 if fields >> 31 else 0
    side, other = 1 + tile + fields % 128, 1 + (fields >> 7) % 128
    header = Header(side, other, "RGB", load().id, (fields >> 14) % (MAX_INDEX + 1), tile)
    half = len(data[4:]) // 8 * 4
    try:
        latents = decode_latents(Stream(header, [data[4 : 4 + half], data[4 + half :]] if tile else [data[4:]]))
    except AecodecError:
        return
    assert latents.dtype == np.int32


def alpha(data: bytes) -> None:
    """Decode any bytes as the alpha of a small picture, or any samples in its zlib stream."""
    height, width = (1 + byte % 128 for byte in (data + bytes(2))[:2])
    body = data[2:3] + zlib.compress(data[3:]) if data[:1] >= b"\x80" else data[2:]
    try:
        plane = alpha_coder.decode(body, height, width)
    except AecodecError:
        return
    assert (plane.shape, plane.dtype) == ((height, width), np.uint8)


def packed(data: bytes) -> None:
    """Any bytes as compressed metadata, or any chunks in its zlib stream."""
    body = bitstream.varint(len(data[1:])) + zlib.compress(data[1:]) if data[:1] >= b"\x80" else data[1:]
    try:
        chunks = bitstream.unpack(body)
    except AecodecError:
        return
    assert bitstream._unpacked(bitstream.pack(chunks)) == chunks


def exact(data: bytes) -> None:
    """Any bytes as the exact pixels of a small picture: of some, or of all."""
    height, width = (1 + byte % 128 for byte in (data + bytes(2))[:2])
    area = Box(height // 3, width // 3, height, width)
    for read in (exact_coder.read_some, exact_coder.read_whole):
        try:
            found = read(data[2:], height, width)
            pixels = found.decode(area)
            assert 0 <= sum(found.shares()) <= 1
        except AecodecError:
            continue
        assert (pixels.shape, pixels.dtype) == ((*area.shape, 4), np.uint8)


def metadata(data: bytes) -> None:
    """Write any ICC, EXIF and XMP into each format that the command line writes."""
    kind = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")[data[0] % 5 if data else 0]
    chunks = {kind: part for kind, part in zip(METADATA, data[1:].split(b"\xff\xfe\xfd", 4), strict=False) if part}
    metadata_of.shown(Header(1, 1, "RGB", "00000000", 0), chunks)
    image = _pixel().copy()
    image.info.update(metadata_of.from_chunks(chunks))
    with contextlib.suppress(AecodecError):
        writing.save(image, kind)


def picture(data: bytes) -> None:
    """Encode any bytes as a picture."""
    with contextlib.suppress(AecodecError):
        Encoder(reading.open_picture(data, MAX_PIXELS), max_pixels=MAX_PIXELS)


def file(data: bytes) -> None:
    """Decode a whole file with right checksums, from its first byte to the pixels."""
    data = repair(data)
    try:
        image = aecodec.decode(data, max_pixels=MAX_PIXELS)
    except AecodecError:
        return
    header = bitstream.read_header(data)
    assert (image.mode.removesuffix("A"), image.size) == (header.mode, (header.width, header.height))


TARGETS = {
    function.__name__: function for function in (container, entropy, payload, alpha, exact, packed, metadata, picture, file)
}


@functools.cache
def _pixel():
    return aecodec.decode((ROOT / "tests/conformance/pixel.aec").read_bytes())


def repair(data: bytes) -> bytes:
    """Return the same file with right checksums, as far as its structure can be followed."""
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
    """Return ``data`` with one kind of accident or malice; never equal to it."""
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
    """Return the inputs that fuzzing a target begins with: the conformance streams, or their parts."""
    files = [path.read_bytes() for path in sorted((ROOT / "tests/conformance").glob("*.aec"))]
    streams = [bitstream.read(data) for data in files]
    image = _pixel().copy()
    image.getexif()[0x010F] = "maker"
    exif, xmp, icc = image.getexif().tobytes(), b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>", bytes(16) + b"RGB " + bytes(108)
    if target in ("container", "file"):
        small = min(streams, key=lambda stream: stream.header.width * stream.header.height)
        chunks = {ICC: icc, EXIF: exif, XMP: xmp, b"z": b"news"}
        width, height = small.header.width, small.header.height
        drawing = np.zeros((height, width, 4), np.uint8)
        some = {EXACT: exact_coder.encode_some(drawing[..., :3], np.ones((height, width), bool))}
        whole = {ALPHA: alpha_coder.ELSEWHERE, LOSSLESS: exact_coder.encode_whole(drawing)}
        lossless = Stream(Header(width, height, "RGB", NO_WEIGHTS, 0), [], whole)
        made = (Stream(small.header, small.payloads, chunks), Stream(small.header, small.payloads, some), lossless)
        return [*files, *map(bitstream.write, made)]
    if target == "entropy":
        levels = bytes(dice % gaussian.LEVELS for dice in random.Random(1).randbytes(200))
        symbols = np.array([dice - 128 for dice in random.Random(2).randbytes(200)], np.int32) >> 3
        stream = rans.encode(symbols, np.frombuffer(levels, np.uint8), load().entropy_model.tables)
        return [bytes([200]) + levels + stream, bytes([200]) + levels + streams[0].payloads[0]]
    if target == "payload":
        small = [stream for stream in streams if max(stream.header.width, stream.header.height) <= 128]
        fields = [s.header.width - 1 | s.header.height - 1 << 7 | s.header.rate << 14 for s in small]
        single = [field.to_bytes(4, "little") + stream.payloads[0] for field, stream in zip(fields, small, strict=True)]
        return [*single, (fields[0] | 1 << 31).to_bytes(4, "little") + 2 * small[0].payloads[0]]
    if target == "alpha":
        dice = np.random.default_rng(0)
        planes = (dice.integers(0, 256, (9, 21)), dice.choice((0, 255), (9, 21)), np.add.outer(range(9), range(21)))
        coded = [alpha_coder.encode(plane.astype(np.uint8)) for plane in planes]
        inflated = [body[:1] + zlib.decompress(body[1:]) for body in coded]
        return [bytes([flag + 8, 20]) + body for flag, bodies in ((0, coded), (128, inflated)) for body in bodies]
    if target == "packed":
        whole = bitstream.pack({ICC: icc, EXIF: exif, XMP: xmp})[PACKED]
        return [b"\0" + whole, b"\xff" + zlib.decompress(whole[2:]), b"\xff" + b"x\0y\0"]
    if target == "exact":
        dice = np.random.default_rng(0)
        pixels = np.repeat(dice.integers(0, 256, (9, 7, 4), np.uint8), 3, 1)
        masks = (np.ones((9, 21), bool), np.eye(9, 21, 3, bool))
        coded = [exact_coder.encode_some(pixels[..., :3], mask) for mask in masks]
        coded += [exact_coder.encode_whole(pixels[..., :channels]) for channels in (3, 4)]
        return [bytes([8, 20]) + body for body in coded]
    if target == "metadata":
        return [bytes([kind]) + b"\xff\xfe\xfd".join((icc, exif, xmp)) for kind in range(5)]
    pictures = []
    for kind in ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM"):
        buffer = io.BytesIO()
        image.resize((9, 7)).save(buffer, kind, **({} if kind in ("GIF", "BMP", "PPM") else {"exif": exif}))
        pictures.append(buffer.getvalue())
    samples = np.asarray(image.resize((9, 7)))
    wide = deep.Deep(samples.astype(np.uint16) * 257 + 128, 16)
    pictures += [writing.save(deep.to_image(wide), kind, wide) for kind in ("PNG", "TIFF", "PPM")]
    extended = jpeg.with_segments(pictures[1], xmp=xmp, extended=xmp * 2, resources=jpeg.resources_with(b"\x1c\2\5\0\1a"))
    return [*pictures, tiff.write(samples, exif=exif, resources=jpeg.resources_with(b"\x1c\2\5\0\1a")), extended]
