"""Exact pixels: every one comes back, in few bytes, and nothing else comes out of a bad chunk."""

from __future__ import annotations

import io
import struct
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from aecodec.container import banded, exact
from aecodec.container.bitstream import varint
from aecodec.container.tiles import Box, whole
from aecodec.errors import BitstreamError, MissingPackageError


def drawing(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Rectangles of a few colours."""
    random = np.random.default_rng(seed)
    array = np.zeros((height, width, channels), np.uint8)
    for _ in range(30):
        top, left = random.integers(0, height), random.integers(0, width)
        bottom, right = top + 1 + random.integers(0, 20), left + 1 + random.integers(0, 40)
        array[top:bottom, left:right] = random.integers(0, 256, channels)
    return array


def some(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A mask of rectangles, with at least one pixel."""
    return drawing(height, width, 1, seed)[..., 0] % 2 > 0 if height * width > 100 else np.ones((height, width), bool)


def webp(array: np.ndarray) -> bytes:
    """A bare stream, cut out of a file of Pillow's by its definition: RIFF, length, WEBP, VP8L, length."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "WEBP", lossless=True)
    data = buffer.getvalue()
    return data[20 : 20 + struct.unpack_from("<I", data, 16)[0]]


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 1), (70, 90)])
def test_exact_pixels_come_back(size):
    """A single wrong pixel in text that is promised to be exact is a broken promise."""
    array, mask = drawing(*size), some(*size)
    found = exact.read_some(exact.encode_some(array, mask), *size)
    pixels = found.decode(whole(*size))
    assert np.array_equal(pixels[..., 3] > 0, mask)
    assert np.array_equal(pixels[mask][:, :3], array[mask])
    assert found.shares() == (pytest.approx(mask.mean()), 0)


def test_alpha_without_a_mask_says_which_pixels_are_exact():
    """Other writers may leave the mask out; ``info`` must count the pixels that a decoder shows."""
    array = drawing(40, 50, 4)
    array[..., 3] = np.where(some(40, 50), array[..., 3], 0)
    stream = banded.encode(array)
    assert stream is not None
    found = exact.read_some(varint(len(stream)) + varint(0) + varint(0) + stream, 40, 50)
    alpha = found.decode(whole(40, 50))[..., 3]
    assert found.shares() == (pytest.approx((alpha == 255).mean()), pytest.approx(((alpha > 0) & (alpha < 255)).mean()))
    assert 0 < sum(found.shares()) < 1


def test_pixels_that_are_not_as_given_are_known_as_such():
    """What a file calls exact must be."""
    array, mask = drawing(70, 90), some(70, 90)
    found = exact.read_some(exact.encode_some(array, mask, as_given=False), 70, 90)
    assert np.array_equal(found.decode(whole(70, 90))[mask][:, :3], array[mask])
    assert found.shares() == (0, pytest.approx(mask.mean()))


@pytest.mark.parametrize("channels", [3, 4])
def test_a_whole_picture_comes_back(channels):
    """Who asks for no loss gets none, of colour and of alpha."""
    array = drawing(70, 90, channels)
    array[..., 3:] |= 1  # WebP does not keep colour that nobody sees
    found = exact.read_whole(exact.encode_whole(array), 70, 90)
    assert np.array_equal(found.decode(whole(70, 90))[..., :channels], array)


@pytest.mark.parametrize("area", [Box(0, 0, 70, 90), Box(3, 5, 4, 6), Box(20, 30, 60, 90), Box(63, 63, 65, 65)])
def test_an_area_is_that_part_and_reads_no_other(monkeypatch, area):
    """A detail of a large page must come soon, and be the same as in the page."""
    monkeypatch.setattr(exact, "PART", 64)
    array, mask = drawing(70, 90), some(70, 90)
    found = exact.read_some(exact.encode_some(array, mask), 70, 90)
    read = []
    original = exact._read
    monkeypatch.setattr(exact, "_read", lambda stream: read.append(stream) or original(stream))
    pixels = found.decode(area)
    assert len(read) == sum(bool(box & area) for box in found.streams) <= 4
    assert np.array_equal(pixels[..., 3] > 0, mask[area.slices])
    assert np.array_equal(pixels[..., :3][mask[area.slices]], array[area.slices][mask[area.slices]])


def test_the_body_is_that_of_the_description(monkeypatch):
    """docs/format.md, byte by byte: other decoders have nothing else to go by."""
    monkeypatch.setattr(exact, "PART", 32)
    pixels = drawing(6, 5, 4)
    pixels[..., 3] = 255
    stream = webp(pixels)
    body = b"\0" + varint(len(stream)) + b"\7\2" + stream + b"\0" * 4  # 2 x 3 parts, the picture in the second
    found = exact.read_some(body, 40, 70)
    assert list(found.streams) == [Box(7, 34, 13, 39)]
    assert np.array_equal(found.decode(whole(40, 70))[7:13, 34:39], pixels)
    mask = np.zeros((40, 70), bool)
    mask[7:13, 34:39] = True
    array = np.zeros((40, 70, 3), np.uint8)
    array[7:13, 34:39] = pixels[..., :3]
    assert list(exact.read_some(exact.encode_some(array, mask), 40, 70).streams) == [Box(7, 34, 13, 39)]


def test_parts_are_cut_where_the_description_says(monkeypatch):
    """A part beyond the first is placed by its number alone; one of a long page must not slip."""
    monkeypatch.setattr(exact, "PART", 32)
    array = drawing(40, 70)
    found = exact.read_whole(exact.encode_whole(array), 40, 70)
    boxes = [Box(top, left, min(top + 32, 40), min(left + 32, 70)) for top in (0, 32) for left in (0, 32, 64)]
    assert list(found.streams) == boxes
    assert np.array_equal(found.decode(whole(40, 70))[..., :3], array)


def test_what_lies_between_exact_pixels_costs_little():
    """Exact text beside a photograph must not pay for the photograph."""
    array = drawing(128, 128)
    noisy = array.copy()
    noisy[20:, 64:120] = np.random.default_rng(0).integers(0, 256, (108, 56, 3))
    mask = np.ones((128, 128), bool)
    mask[20:, 64:120] = False
    assert len(exact.encode_some(noisy, mask)) < len(exact.encode_whole(array)) + 100


def test_is_not_larger_than_a_webp():
    """Who had a lossless WebP must not pay more here."""
    array = drawing(300, 200)
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "WEBP", lossless=True)
    assert len(exact.encode_whole(array)) <= len(buffer.getvalue())


STREAM = webp(drawing(40, 40))


def with_stream(stream: bytes, place: bytes = b"\0\0") -> bytes:
    return varint(len(stream)) + place + stream


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\0", with_stream(STREAM)[:-1], with_stream(STREAM) + b"\0", with_stream(STREAM, b"\0\1"), with_stream(b""),
        with_stream(webp(drawing(40, 41))), with_stream(webp(drawing(41, 40))), with_stream(STREAM[:4]),
        with_stream(b"\x2e" + STREAM[1:]), with_stream(STREAM[:4] + b"\xff" + STREAM[5:]),
    ],
)  # fmt: skip
def test_damage_is_told_before_a_picture_is_decoded(body, monkeypatch):
    """Pictures that reach over their part, or none at all: none of it may be shown as something."""
    monkeypatch.setattr(exact, "_read", None)
    with pytest.raises(BitstreamError):
        exact.read_some(body, 40, 40)


@pytest.mark.parametrize("picture", [drawing(39, 40), drawing(40, 41)])
def test_a_whole_picture_has_its_size(picture):
    """A picture without loss must not be that of another file."""
    for body in (with_stream(webp(picture), b""), with_stream(STREAM, b"") + b"\0", with_stream(STREAM, b"")[:-1], b""):
        with pytest.raises(BitstreamError):
            exact.read_whole(body, 40, 40)


def test_a_damaged_picture_is_told():
    """What the coder inside refuses is one error of ours."""
    head = struct.pack("<BI", 0x2F, 39 | 39 << 14)
    for damaged in (STREAM[:-4], head, head + bytes(60), head + b"\xff" * 60):
        found = exact.read_some(with_stream(damaged), 40, 40)
        with pytest.raises(BitstreamError, match="damaged"):
            found.decode(whole(40, 40))


def test_claims_cost_no_memory():
    """A chunk of some bytes for a picture of 268 megapixels is refused before anything is allocated."""
    tracemalloc.start()
    for read in (exact.read_whole, exact.read_some):
        with pytest.raises(BitstreamError):
            read(with_stream(STREAM), 2**14, 2**14)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**6


def test_a_pillow_without_webp_is_told(monkeypatch):
    """Who built Pillow without it learns what is missing, and not that the file is damaged."""
    monkeypatch.setattr(exact, "is_installed", lambda: False)
    with pytest.raises(MissingPackageError, match="WebP"):
        exact.encode_whole(drawing(8, 8), is_photograph=True)
    with pytest.raises(MissingPackageError, match="WebP"):
        exact.read_some(with_stream(STREAM), 40, 40).decode(whole(40, 40))
