"""What becomes of pictures of every mode before they are coded."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from aecodec.errors import LimitError, PictureError
from aecodec.images import samples


def png(bits: int, colour_type: int, row: bytes, key: bytes, width: int = 2) -> Image.Image:
    """A PNG of one row and one transparent colour, which Pillow does not write for such depths."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, 1, bits, colour_type, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"tRNS", key) + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    return Image.open(io.BytesIO(b"\x89PNG\r\n\x1a\n" + data))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("mode", "colour_mode", "has_alpha"),
    [
        ("1", "L", False),
        ("L", "L", False),
        ("LA", "L", True),
        ("La", "L", True),
        ("P", "RGB", False),
        ("PA", "RGB", True),
        ("RGB", "RGB", False),
        ("RGBA", "RGB", True),
        ("RGBa", "RGB", True),
        ("RGBX", "RGB", False),
        ("YCbCr", "RGB", False),
    ],
)
def test_modes_of_eight_bits_lose_nothing(photo, mode, colour_mode, has_alpha):
    """Warnings that come every time are not read when they matter."""
    source = photo(16, 8)
    source = {"La": source.convert("LA"), "PA": source.convert("P"), "RGBa": source.convert("RGBA")}.get(mode, source)
    colour, alpha = samples.split(source.convert(mode))
    assert colour.mode == colour_mode
    assert (alpha is not None) == has_alpha
    want = source.convert(mode).convert({"La": "LA", "RGBa": "RGBA"}.get(mode, mode)).convert(colour_mode)
    assert np.array_equal(np.asarray(colour), np.asarray(want))


def test_alpha_is_taken_as_it_is(photo):
    """Half-transparent glass is neither a hole nor a wall."""
    image = photo(16, 8).convert("RGBA")
    ramp = Image.fromarray(np.arange(128, dtype=np.uint8).reshape(8, 16) * 2)
    image.putalpha(ramp)
    colour, alpha = samples.split(image)
    assert np.array_equal(np.asarray(alpha), np.asarray(ramp))
    seen = np.asarray(ramp) > 0
    assert np.array_equal(np.asarray(colour)[seen], np.asarray(image)[seen][:, :3])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("bits", "colour_type", "row", "key"),
    [
        (1, 0, b"\x80", b"\0\1"),
        (2, 0, b"\xb0", b"\0\2"),
        (4, 0, b"\x5f", b"\0\5"),
        (8, 0, b"\5\x0f", b"\0\5"),
        (16, 0, b"\5\5\0\5", b"\5\5"),
        (8, 2, b"\1\2\3\1\2\4", b"\0\1\0\2\0\3"),
        (16, 2, b"\1\2\3\4\5\6\1\2\3\4\6\6", b"\1\2\3\4\5\6"),
    ],
)
def test_a_transparent_colour_is_found_at_every_depth(bits, colour_type, row, key):
    """A key is of the file's depth; Pillow's own conversion misses it below 8 bits and shows a box around the logo."""
    image = png(bits, colour_type, row, key)
    image.load()
    _, alpha = samples.split(image, bits)
    assert list(alpha.getdata()) == [0, 255]


@pytest.mark.parametrize("transparency", [3, bytes([255, 255, 128, 0, 255])])
def test_transparency_of_palettes(reopened, transparency):
    """GIF and PNG: one clear colour, or an alpha for each."""
    image = Image.new("P", (5, 1))
    image.putpalette([10, 20, 30] * 5)
    image.putdata(range(5))
    _, alpha = samples.split(reopened(image, transparency=transparency))
    assert list(alpha.getdata()) == ([255, 255, 255, 0, 255] if transparency == 3 else list(transparency))


def test_unseen_colour_is_smooth_and_seen_colour_untouched(photo):
    """Editors leave the old picture, or noise, under what they erase: nobody should pay for it."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (64, 96, 3)).astype(np.uint8)
    seen = np.zeros((64, 96), bool)
    seen[:, :20] = seen[:, 80:] = seen[30] = True
    source = np.asarray(photo())
    pixels[seen] = source[seen]
    filled = np.asarray(samples.fill(Image.fromarray(pixels), Image.fromarray(np.where(seen, 1, 0).astype(np.uint8))))
    assert np.array_equal(filled[seen], source[seen])
    steps = np.abs(np.diff(filled.astype(int), axis=1))[:, 22:78]
    assert steps[np.r_[:29, 32:64]].mean() < 3
    assert np.abs(np.diff(pixels.astype(int), axis=1)).mean() > 30
    assert filled[~seen].min() >= source[seen].min()
    assert filled[~seen].max() <= source[seen].max()


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3)])
def test_a_picture_that_nobody_sees(photo, mode, size):
    """All clear, of any size: something flat, and no endless loop."""
    filled = samples.fill(photo(*size, mode), Image.new("L", size))
    assert filled.size == size
    assert len(filled.getcolors()) == 1


def test_gray_of_16_bits_is_rounded_with_a_warning():
    """65535 is white, and the warning comes once."""
    image = Image.fromarray(np.array([[0, 128, 129, 65535]], np.uint16))
    with pytest.warns(UserWarning, match="16-bit") as caught:
        colour, _ = samples.split(image, 16)
    assert list(colour.getdata()) == [0, 0, 1, 255]
    assert len(caught) == 1


def test_gray_of_12_bits_is_not_black():
    """Scanners and microscopes write 12 bits in a TIFF; white is 4095."""
    with pytest.warns(UserWarning, match="12-bit"):
        colour, _ = samples.split(Image.fromarray(np.array([[0, 2048, 4095]], np.uint16)), 12)
    assert list(colour.getdata()) == [0, 128, 255]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("array", [np.ones((2, 2), np.float32), np.full((2, 2), 70000, np.int32), -np.eye(2, dtype="i4")])
def test_samples_without_a_range_are_refused(array):
    """Which value is white is a guess, and a wrong one is a black picture."""
    with pytest.raises(PictureError, match="range"):
        samples.split(Image.fromarray(array), 16)


def cmyk_profile() -> bytes:
    """An ICC profile (version 2, one mft1 table) of a printer that prints everything green, and darker with more ink."""
    corners = [(200 - 40 * inks.bit_count(), 60, 160) for inks in range(16)]  # L* in 255ths, a* and b* from 128
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    table += bytes(range(256)) * 4 + bytes(sum(corners, ())) + bytes(range(256)) * 3
    head = b"\0\0\0\0" + bytes.fromhex("02100000") + b"prtrCMYKLab " + bytes(12) + b"acsp" + bytes(28)
    head += struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D) + bytes(48)
    tags = struct.pack(">I4sII", 1, b"A2B0", 144, len(table))
    return struct.pack(">I", 144 + len(table)) + head + tags + table


def test_cmyk_goes_through_its_profile():
    """Ink is not light: without the profile a printer's colours come out wrong. One warning says that they changed."""
    image = Image.new("CMYK", (4, 4), (0, 255, 255, 0))
    with pytest.warns(UserWarning, match="from CMYK to sRGB") as caught:
        plain, alpha = samples.split(image)
    assert (plain.mode, alpha, len(caught)) == ("RGB", None, 1)
    red, green, _ = plain.getpixel((0, 0))
    assert red > 200
    assert green < 60
    image.info["icc_profile"] = cmyk_profile()
    with pytest.warns(UserWarning, match="from CMYK to sRGB") as caught:
        managed, _ = samples.split(image)
    assert len(caught) == 1
    red, green, _ = managed.getpixel((0, 0))
    assert green > red + 60


def test_size_limits():
    """The limit in pixels can be lifted, that of the format cannot."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        samples.check_size(2**22, 1, None)
    with pytest.raises(LimitError, match="10 x 10 is over the limit of 99"):
        samples.check_size(10, 10, 99)
    with pytest.raises(PictureError, match="stored"):
        samples.check_size(2**22 + 1, 1, None)


def test_gray_that_is_stored_as_colour_is_gray(photo):
    """Three channels that were the same came out tinted, by up to 16 levels."""
    gray = photo(20, 10, "L")
    assert samples.gray_if_equal(gray.convert("RGB")).mode == "L"
    assert np.array_equal(np.asarray(samples.gray_if_equal(gray.convert("RGB"))), np.asarray(gray))
    for channel in range(3):
        almost = np.asarray(gray.convert("RGB")).copy()
        almost[5, 7, channel] ^= 1
        assert samples.gray_if_equal(Image.fromarray(almost)).mode == "RGB"
