"""The container: what it must keep, and what it must refuse."""

from __future__ import annotations

import struct
import time
import tracemalloc
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies as st

from aecodec.codec.encoder import Encoder
from aecodec.container import bitstream
from aecodec.container.bitstream import (
    DEPTHS,
    EXACT,
    EXIF,
    HASH,
    ICC,
    LOSSLESS,
    MAX_SIDE,
    MODES,
    SIGNAL,
    XMP,
    Header,
    Stream,
)
from aecodec.errors import BitstreamError, LimitError
from aecodec.quality import MAX_INDEX, index_of_quality

SIDES = st.integers(1, MAX_SIDE)
IDS = st.binary(min_size=4, max_size=4).map(bytes.hex)
RATES, DEPTH = st.integers(0, MAX_INDEX), st.sampled_from(DEPTHS)
PLAIN = st.builds(Header, SIDES, SIDES, st.sampled_from(MODES), IDS, RATES, st.just(0), DEPTH)
SMALL_SIDES, TILES = st.integers(1, 2000), st.sampled_from([256, 1024, 2**15])
TILED = st.builds(Header, SMALL_SIDES, SMALL_SIDES, st.sampled_from(MODES), IDS, RATES, TILES, DEPTH)
HEADERS = PLAIN | TILED
CHUNKS = st.dictionaries(st.sampled_from([b"c", b"e", b"x", b"q"]), st.binary(max_size=300))
SMALL = Stream(Header(300, 2, "RGB", "0123abcd", 1029), [b"payload"], {b"x": b"<xmp/>"})


def with_checksum(data: bytes) -> bytes:
    return data + struct.pack("<I", zlib.crc32(data))


def chunk(kind: bytes, body: bytes) -> bytes:
    length = bytes([len(body)])
    assert len(body) < 128
    return kind + length + body + struct.pack("<I", zlib.crc32(kind + body))


def header(width: bytes = b"\x10", height: bytes = b"\x10", version: int = 2, layout: int = 1, rate: int = 0) -> bytes:
    """A header with a right checksum, from the description in bitstream.py alone."""
    fields = bytes([version, layout]) + width + height + bytes(4) + struct.pack("<H", rate)
    return with_checksum(b"\x8faec\r\n\n" + fields)


END = chunk(b"P", b"")


@given(HEADERS, st.binary(max_size=300), CHUNKS)
def test_what_is_written_is_read(head, payload, chunks):
    """A field that does not come back is a picture of the wrong size or without its profile."""
    stream = Stream(head, [payload] * head.tiles, chunks)
    data = bitstream.write(stream)
    assert bitstream.read(data, max_pixels=None) == stream
    assert bitstream.read_header(data, max_pixels=None) == head


def test_layout_is_the_documented_one():
    """A file of today must open tomorrow, so the bytes themselves are pinned, not only their round trip."""
    fields = b"\x8faec\r\n\n\x02\x01\xac\x02\x02\x01\x23\xab\xcd\x05\x04"
    expected = with_checksum(fields) + chunk(b"x", b"<xmp/>") + chunk(b"P", b"payload")
    assert bitstream.write(SMALL) == expected


@given(st.binary(max_size=400), st.booleans(), st.data())
@settings(max_examples=300)
def test_any_bytes_are_read_or_refused(noise, keep_header, data):
    """Whatever is handed in, the caller has one error to catch; anything else is a crash for users."""
    if keep_header:  # a valid beginning gets the noise past the first check
        valid = bitstream.write(SMALL)
        noise = valid[: data.draw(st.integers(0, len(valid)))] + noise
    for parse in (bitstream.read, bitstream.read_header):
        try:
            result = parse(noise)
        except BitstreamError:
            continue
        head = result if isinstance(result, Header) else result.header
        assert 0 < head.width <= MAX_SIDE
        assert 0 < head.height <= MAX_SIDE


def test_every_truncation_is_refused():
    """A download that broke off must not pass for a whole picture."""
    data = bitstream.write(SMALL)
    for size in range(len(data)):
        with pytest.raises(BitstreamError):
            bitstream.read(data[:size])


def test_every_change_of_a_byte_is_refused():
    """A disk's or a cable's error must not become a wrong picture."""
    data = bitstream.write(SMALL)
    for position in range(len(data)):
        for change in range(1, 256):
            damaged = bytearray(data)
            damaged[position] ^= change
            with pytest.raises(BitstreamError):
                bitstream.read(bytes(damaged))


def test_text_mode_transfers_are_named():
    """The commonest damage of all has a cause that its victim can remove."""
    data = bitstream.write(SMALL)
    for damaged in (data.replace(b"\r\n", b"\n"), data.replace(b"\n", b"\r\n")):
        with pytest.raises(BitstreamError, match="text mode"):
            bitstream.read(damaged)


def test_bytes_after_the_end_are_refused():
    """Two files joined by mistake are not one picture."""
    data = bitstream.write(SMALL)
    with pytest.raises(BitstreamError, match="2 bytes follow"):
        bitstream.read(data + b"\0\0")
    with pytest.raises(BitstreamError, match="follow"):
        bitstream.read(data + data)


def test_unknown_chunks_are_skipped_or_refused():
    """Readers of today must open files of tomorrow that only add what they need not understand, and no others."""
    assert bitstream.read(header() + chunk(b"z", b"news") + END).payloads == [b""]
    for kind in (b"Z", b"Q", b"7", b"\xe4", b"\0"):
        with pytest.raises(BitstreamError, match="feature"):
            bitstream.read(header() + chunk(kind, b"news") + END)


def test_tiles_are_all_there_in_one_place():
    """A tile that is missing, one too many or out of order is a hole in the picture, or another picture's part."""
    layout = 0x11  # tiles of 256: two by three for 300 x 600
    head = header(b"\xac\x02", b"\xd8\x04", layout=layout)
    bodies = [b"%d" % i for i in range(6)]
    tiles = [chunk(b"P", body) for body in bodies]
    stream = bitstream.read(head + b"".join(tiles))
    assert (stream.header.tile, stream.header.tiles, stream.payloads) == (256, 6, bodies)
    assert bitstream.write(stream) == head + b"".join(tiles)
    with pytest.raises(BitstreamError, match="truncated"):
        bitstream.read(head + b"".join(tiles[:-1]))
    with pytest.raises(BitstreamError, match="follow"):
        bitstream.read(head + b"".join(tiles) + tiles[0])
    with pytest.raises(BitstreamError, match="among its tiles"):
        bitstream.read(head + b"".join(tiles[:3]) + chunk(b"x", b"") + b"".join(tiles[3:]))


def test_the_head_needs_no_payload():
    """An open file dialog reads the first kilobytes of a thousand files."""
    data = header() + chunk(b"A", b"mask") + chunk(b"c", b"icc")
    head, chunks = bitstream.read_head(data + b"P")
    assert (head.width, chunks) == (bitstream.read_header(data).width, {b"A": b"mask", b"c": b"icc"})
    for damaged in (data, data[:-1] + b"!P", header() + chunk(b"Q", b"") + b"P"):
        with pytest.raises(BitstreamError):
            bitstream.read_head(damaged)


def test_two_chunks_of_a_type_are_refused():
    """Which of two profiles is shown must not depend on the reader."""
    for parse in (bitstream.read, bitstream.read_head):
        with pytest.raises(BitstreamError, match="two chunks"):
            parse(header() + chunk(b"c", b"1") + chunk(b"c", b"2") + END)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"version": 3}, "version 3"),
        ({"version": 0}, "version 0"),
        ({"layout": 2}, "layout 2"),  # a mode that is not known
        ({"layout": 5, "version": 1}, "layout 5"),  # more bits a sample, which version 1 had not
        ({"layout": 0x91}, "layout 145"),  # larger tiles than there are
        ({"width": b"\0"}, "impossible"),
        ({"height": b"\x81\x80\x80\x08"}, "impossible"),  # 2**24 + 1
        ({"rate": MAX_INDEX + 1}, "impossible"),
        ({"width": b"\x90\x00"}, "shortest"),
        ({"width": b"\xff\xff\xff\xff\xff\x01"}, "too long"),
        ({"height": b"\xff" * 400}, "too long"),
    ],
)
def test_impossible_headers_are_refused(fields, message):
    """A right checksum only says that somebody wrote these values, not that they make sense."""
    with pytest.raises(BitstreamError, match=message):
        bitstream.read(header(**fields) + END)


def test_huge_pictures_are_refused_before_anything_is_allocated():
    """A hundred bytes must not be able to take a server's memory."""
    data = bitstream.write(Stream(Header(65535, 65535, "RGB", "00000000", 0), [bytes(60)]))
    assert len(data) < 100
    begin = time.process_time()
    with pytest.raises(LimitError, match="65535 x 65535"):
        bitstream.read(data)
    with pytest.raises(LimitError):
        bitstream.read_header(data, max_pixels=65535**2 - 1)
    assert bitstream.read_header(data, max_pixels=65535**2).width == 65535
    assert time.process_time() - begin < 0.1


@pytest.mark.parametrize("length", [b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\x7f", b"\x06"])
def test_chunks_longer_than_the_file_are_refused(length):
    """A declared length is believed only as far as there are bytes."""
    with pytest.raises(BitstreamError, match="truncated"):
        bitstream.read(header() + b"P" + length + b"x")


def test_overhead_is_small(photo):
    """At the lowest quality every byte of header is one that the picture does not get."""
    encoded = Encoder(photo(768, 512)).encode(index_of_quality(70))
    (payload,) = bitstream.read(encoded.data).payloads
    assert len(payload) > 2**14  # its length takes three bytes
    assert len(encoded.data) - len(payload) <= 32


def test_metadata_is_compressed_where_that_is_smaller():
    """An XMP packet of 11 kilobytes was nearly all of a thumbnail's file."""
    header = Header(20, 10, "RGB", "00000000", 0)
    for chunks in ({XMP: b"<x/>" * 999, ICC: bytes(300), b"z": b"a" * 99}, {EXIF: bytes(range(256))}, {XMP: b"<x/>"}):
        data = bitstream.write(Stream(header, [b"payload"], chunks))
        assert bitstream.read(data).chunks == chunks
        assert bitstream.read_head(data)[1] == chunks
        assert len(data) < 100 + sum(map(len, chunks.values()))
    assert len(bitstream.write(Stream(header, [b""], {XMP: b"<x/>" * 999}))) < 120
    plain = Stream(header, [b""], {bitstream.PACKED: bitstream.pack({XMP: b"<x/>" * 99})[bitstream.PACKED]})
    assert bitstream.read(bitstream.write(plain)).chunks == {XMP: b"<x/>" * 99}


def packed(data: bytes, size: int | None = None) -> bytes:
    return bitstream.varint(len(data) if size is None else size) + zlib.compress(data)


@pytest.mark.parametrize(
    "body",
    [
        b"", packed(b"x\1a")[:-1], packed(b"x\1a") + b"!", packed(b"x\1a", 4), packed(b"x\1a", 2), packed(b"x\2a"),
        packed(b"x\1ax\1b"), packed(b"A\1a"), packed(b"m\1a"), packed(b"x"), packed(bytes(9)), b"\x7fhello",
        packed(b"x\1a", 2**26 + 1),
    ],
)  # fmt: skip
def test_damaged_compressed_metadata_is_refused(body):
    """Also where somebody has corrected its checksum."""
    with pytest.raises(BitstreamError):
        bitstream.unpack(body)


@pytest.mark.slow
def test_compressed_metadata_claims_no_more_than_it_declares():
    """A megabyte of zeros becomes a gigabyte: what is declared is limited, and nothing beyond it is inflated."""
    bomb = zlib.compress(bytes(2**27), 9)
    tracemalloc.start()
    for size in (100, 2**26, 2**27, 2**34):
        with pytest.raises(BitstreamError):
            bitstream.unpack(bitstream.varint(size) + bomb)
    with pytest.raises(BitstreamError):
        bitstream.unpack(bitstream.varint(2**26) + zlib.compress(b"short"))
    assert tracemalloc.get_traced_memory()[1] < 2**28
    tracemalloc.stop()


def test_one_kind_of_metadata_stands_in_one_place():
    """Two answers to one question are none."""
    body = bitstream.pack({XMP: b"<x/>" * 99})[bitstream.PACKED]
    header = Header(20, 10, "RGB", "00000000", 0)
    with pytest.raises(BitstreamError, match="two chunks"):
        bitstream.read(bitstream.write(Stream(header, [b""], {bitstream.PACKED: body, XMP: b"a"})))


def test_a_picture_without_loss_ends_with_its_pixels():
    """What is cut off, and pixels that could be decoded in two ways, are noticed as in any other file."""
    exif, pixels = chunk(b"e", b"exif"), chunk(b"L", b"pixels")
    stream = bitstream.read(header() + exif + pixels)
    assert (stream.payloads, stream.chunks) == ([], {b"e": b"exif", b"L": b"pixels"})
    assert bitstream.write(stream) == header() + exif + pixels
    assert bitstream.read_head(header() + exif + pixels)[1] == {b"e": b"exif"}
    for data in (
        exif + pixels[:-1],
        exif,
        pixels + exif,
        pixels + END,
        END + pixels,
        pixels + pixels,
        chunk(b"X", b"some") + pixels,
    ):
        with pytest.raises(BitstreamError):
            bitstream.read(header() + data)


def test_a_file_of_version_1_is_read():
    """The conformance streams and what others wrote before have no other difference than their version."""
    head = header(version=1) + END
    assert bitstream.read(head).header == replace(bitstream.read(header() + END).header, version=1)
    assert bitstream.write(bitstream.read(head)) == head


@pytest.mark.parametrize(("code", "depth"), list(enumerate(DEPTHS)))
def test_the_depth_stands_in_the_layout(code, depth):
    """A wrong depth makes a picture of one colour."""
    data = header(layout=1 | code << 2) + END
    assert bitstream.read(data).header.depth == depth
    assert bitstream.write(bitstream.read(data)) == data


@pytest.mark.parametrize(
    "chunks",
    [
        chunk(b"h", bytes(7)) + END,
        chunk(b"s", bytes(5)) + END,
        chunk(EXACT, b"") + END,
        chunk(LOSSLESS, b""),
    ],
    ids=["short hash", "long colours", "exact pixels of 8 bits in 16", "a picture of 8 bits in 16"],
)
def test_what_cannot_be_is_refused(chunks):
    """A decoder that goes on would show something that nobody meant."""
    with pytest.raises(BitstreamError, match="damaged"):
        bitstream.read(header(layout=1 | 3 << 2) + chunks)


def test_hash_and_colours_stand_where_they_are_documented():
    """Both are optional: an older reader skips them, as their types are lowercase."""
    stream = Stream(Header(16, 16, "RGB", "00000000", 0), [b""], {SIGNAL: bytes([9, 16, 0, 1]), HASH: b"12345678"})
    assert bitstream.write(stream) == header() + chunk(b"h", b"12345678") + chunk(b"s", b"\x09\x10\x00\x01") + END
    assert bitstream.read(bitstream.write(stream)) == stream
