"""Files with a small fault that every viewer shows, files that Pillow reads wrongly, and files that are bombs."""

from __future__ import annotations

import io
import resource
import struct
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from aecodec.container import metadata
from aecodec.container.bitstream import ICC, XMP
from aecodec.defaults import MAX_PIXELS
from aecodec.errors import LimitError, PictureError
from aecodec.images import bmp, reading, samples

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(*more: bytes, pixels: np.ndarray = PIXELS, bits: int = 8) -> bytes:
    """An RGB file with other chunks in front of its data."""
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, bits, {1: 0, 3: 2}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(f">u{bits // 8}").tobytes() for row in pixels)
    parts = [chunk(b"IHDR", header), *more, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def opened(data: bytes, max_pixels: int | None = None) -> tuple[Image.Image, int, str]:
    """A loaded picture, the bits of its samples, and what was said."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        image = reading.open_picture(data, max_pixels)
        bits = reading.load(image, None, max_pixels)
        metadata.read(image, strip=False)
    return image, bits, "; ".join(str(warning.message) for warning in caught)


def damaged(data: bytes) -> bytes:
    """A chunk with a wrong checksum."""
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (chunk(b"zTXt", b"mxfile\0\0" + zlib.compress(bytes(2_000_000))), "comments"),
        (chunk(b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(bytes(3_000_000))), "comments"),
        (chunk(b"tEXt", b"prompt\0" + b"x" * 1_500_000), "comments"),
        (damaged(chunk(b"tEXt", b"Comment\0hello")), "a damaged chunk tEXt"),
        (damaged(chunk(b"tIME", bytes(7))), "a damaged chunk tIME"),
        (damaged(chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(200)))), "a damaged chunk iCCP"),
    ],
)
def test_a_png_is_taken_with_its_trifles(more, said):
    """draw.io and ComfyUI keep their documents in the text of a PNG; one bit in a comment costs no picture."""
    image, _, message = opened(png(more))
    assert np.array_equal(np.asarray(image), PIXELS)
    assert message == f"not kept: {said}"


def test_large_metadata_of_a_png_is_kept():
    """Only because Pillow has a limit it is not worth less."""
    profile, packet = bytes(range(256)) * 8000, b"<x:xmpmeta>" + b"a" * 2_000_000 + b"</x:xmpmeta>"
    data = png(chunk(b"iCCP", b"scanner\0\0" + zlib.compress(profile)),
               chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(packet)))  # fmt: skip
    chunks = metadata.read(opened(data)[0], strip=False)
    assert chunks[ICC] == profile
    assert chunks[XMP] == packet


def test_a_bomb_of_text_is_refused():
    """A limit above all that anybody writes, and far below what hurts."""
    body = zlib.compress(bytes(2**26), 9)
    tracemalloc.start()
    with pytest.raises(LimitError, match="metadata"):
        opened(png(*(chunk(b"zTXt", b"x%d\0\0" % i + body) for i in range(4))))
    assert tracemalloc.get_traced_memory()[1] < 2**28
    tracemalloc.stop()


@pytest.mark.slow
def test_a_large_picture_in_an_icon_is_refused_before_it_is_decoded():
    """An icon of 437 kB that says 16 x 16 pixels took 3.5 GB."""
    side = 40000
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    compressor = zlib.compressobj(9)
    body = b"".join(compressor.compress(bytes(side // 8 + 1)) for _ in range(side)) + compressor.flush()
    inside = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    icon = struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(inside), 22) + inside
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(LimitError, match="a picture inside the file is too large"):
        reading.open_picture(icon, MAX_PIXELS)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18  # kB


def test_a_checksum_that_pixels_need_counts():
    """A picture with an error in it must not pass for a good one."""
    data = png()
    place = data.index(b"IDAT") + 10
    with pytest.raises(PictureError):
        opened(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    data = png(damaged(chunk(b"tEXt", b"Comment\0hello")))
    place = data.index(b"IDAT") + 10
    with pytest.raises(PictureError):  # and beside a trifle
        opened(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 30}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_without_its_end_mark_is_whole(photo, mode, options):
    """Many cameras and transfers lose it; one with a hole in it is another matter."""
    buffer = io.BytesIO()
    photo(96, 64, mode).save(buffer, "JPEG", **options)
    whole = buffer.getvalue()
    expected = np.asarray(Image.open(io.BytesIO(whole)))
    for data in (whole[:-2], whole[:-1]):
        image, _, said = opened(data)
        assert np.array_equal(np.asarray(image), expected)
        assert "the picture is whole" in said
    for cut in (40, len(whole) // 4):
        with pytest.raises(PictureError, match="truncated"):
            opened(whole[:-cut])


@pytest.mark.parametrize(("data", "rows"), [
    (b"P1\n4 2\n1 0 1 0\n0 1 0 1\n", [[0, 255, 0, 255], [255, 0, 255, 0]]),
    (b"P1\n# by hand\n4 2\n10100101", [[0, 255, 0, 255], [255, 0, 255, 0]]),
    (b"P2\n2 1\n255\n7 200\n", [[7, 200]]),
    (b"P4\n4 2\n\xa0\x50", [[0, 255, 0, 255], [255, 0, 255, 0]]),
])  # fmt: skip
def test_portable_bitmaps(data, rows):
    """The plainest file that there is ended in an internal error."""
    image, bits, _ = opened(data)
    assert np.asarray(samples.separate(image, bits)[0]).tolist() == rows


def test_a_transparent_colour_of_16_bits_is_one_colour():
    """Compared by 8 bits it made 51 pixels transparent instead of one."""
    values = (np.arange(600).reshape(20, 30, 1) * np.array([5, 3, 1])).astype(np.uint16)
    key = tuple(int(value) for value in values[4, 20])
    image, bits, _ = opened(png(chunk(b"tRNS", struct.pack(">3H", *key)), pixels=values, bits=16))
    _, alpha = samples.separate(image, bits)
    assert (np.asarray(alpha) == 0).nonzero() == (np.array([4]), np.array([20]))


def run_length_bmp(bits: int, rows: bytes, width: int, height: int) -> bytes:
    palette = b"".join(bytes([16 * i, 255 - 16 * i, i, 0]) for i in range(16))
    start = 54 + len(palette)
    head = struct.pack("<2sIHHI", b"BM", start + len(rows), 0, 0, start)
    head += struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, {4: 2, 8: 1}[bits], len(rows), 0, 0, 16, 0)
    return head + palette + rows


@pytest.mark.parametrize(("bits", "rows", "expected"), [
    # runs, an absolute run of odd length, a jump, and the end in the middle
    (4, b"\3\x12\0\3\x45\x60\0\0" b"\0\2\2\0\4\x77\0\1", [[0, 0, 7, 7, 7, 7], [1, 2, 1, 4, 5, 6]]),
    (4, b"\0\5\x12\x34\x50\0\1\x90\0\0" b"\6\x78\0\1", [[7, 8, 7, 8, 7, 8], [1, 2, 3, 4, 5, 9]]),
    (8, b"\3\7\0\3\1\2\3\0\0\0" b"\6\x0f\0\1", [[15] * 6, [7, 7, 7, 1, 2, 3]]),
])  # fmt: skip
def test_run_lengths_of_a_bmp(bits, rows, expected):
    """Pillow up to 12.0 loses its place after an odd run and shows garbage."""
    image, _, _ = opened(run_length_bmp(bits, rows, 6, 2))
    assert np.asarray(image).tolist() == expected
    assert image.convert("RGB").getpixel((0, 1)) == (expected[1][0], 255 - 16 * expected[1][0], 16 * expected[1][0])


def test_run_lengths_that_are_damaged_end():
    """Runs beyond the row, jumps beyond the picture, data that stops."""
    dice = np.random.default_rng(1)
    for _ in range(300):
        rows = dice.integers(0, 256, dice.integers(0, 40), np.uint8).tobytes()
        image = bmp.run_lengths(run_length_bmp(4, rows, 5, 3))
        assert image is not None
        assert image.size == (5, 3)


def icon(body: bytes) -> bytes:
    return struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(body), 22) + body


def large_png(side: int) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    body = zlib.compress(bytes((side // 8 + 1) * side), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_a_large_picture_in_a_small_icon():
    """437 kilobytes took all memory: the header of an icon says 16 x 16, and that is what was looked at."""
    large = large_png(2000)
    many = b"icns" + struct.pack(">I", 16 + len(large)) + b"ic07" + struct.pack(">I", 8 + len(large)) + large
    for data in (icon(large), many):
        with pytest.raises(LimitError):
            opened(data, 10**6)
    assert opened(icon(large), 10**7)[0].size == (2000, 2000)


def test_the_limit_of_pillow_is_left_alone(photo):
    """A server sets it for all that it opens; a picture that we refuse must not lift it."""
    before = Image.MAX_IMAGE_PIXELS
    buffer = io.BytesIO()
    photo(64, 64).save(buffer, "PNG")
    opened(buffer.getvalue(), 10**9)
    with pytest.raises(LimitError):
        opened(buffer.getvalue(), 100)
    assert before == Image.MAX_IMAGE_PIXELS


def test_several_stills_in_a_heic(photo):
    """A spatial photograph or a burst: the primary picture is the photograph."""
    plugin = pytest.importorskip("pillow_heif")
    plugin.register_heif_opener()
    buffer = io.BytesIO()
    photo(64, 48).save(buffer, "HEIF", save_all=True, append_images=[photo(32, 32, seed=1)], primary_index=1)
    image, _, said = opened(buffer.getvalue())
    assert image.size == (32, 32)
    assert "not kept: 1 more picture in the file" in said
