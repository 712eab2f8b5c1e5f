"""Other formats: what goes in, and what is said of what is lost."""

from __future__ import annotations

import io
import struct
import sys
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from aecodec.errors import FramesError, LimitError, MissingPackageError, PictureError
from aecodec.images import reading, samples


def data_of(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def load(data: bytes, frame: int | None = None, max_pixels: int | None = None) -> tuple[Image.Image, int]:
    image = reading.open_picture(data, max_pixels)
    return image, reading.load(image, frame, max_pixels)


def said(function, *args) -> tuple:
    """What a function returns, and its warnings in one text."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return function(*args), "; ".join(str(w.message) for w in caught)


HEIC = b"\0\0\0\x18ftypmif1\0\0\0\0heicmif1" + bytes(60)
AVIF = b"\0\0\0\x18ftypmif1\0\0\0\0avifmif1" + bytes(60)
JXL = b"\xff\x0a\xfa\x1f"


@pytest.mark.parametrize(
    ("data", "name", "module", "package"),
    [
        (HEIC, "HEIF", "pillow_heif", "pillow-heif"),
        (AVIF, "AVIF", "pillow_avif", "pillow-avif-plugin"),
        (JXL, "JXL", "pillow_jxl", "pillow-jxl-plugin"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JXL", "pillow_jxl", "pillow-jxl-plugin"),
    ],
)
def test_a_missing_plugin_is_named(monkeypatch, data, name, module, package):
    """An iPhone's picture is no damaged file; the message is all that leads to the package."""
    Image.init()
    monkeypatch.delitem(Image.SAVE, name, raising=False)
    monkeypatch.delitem(Image.OPEN, name, raising=False)
    monkeypatch.setattr(Image, "ID", [known for known in Image.ID if known != name])
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingPackageError, match=f"pip install {package}"):
        reading.open_picture(data, None)


@pytest.mark.parametrize(
    ("kind", "module", "package"), [("HEIF", "pillow_heif", HEIC), ("AVIF", None, AVIF), ("JXL", "pillow_jxl", JXL)]
)
def test_modern_formats_go_in(photo, kind, module, package):
    """With the plugin there, nobody has to register it, and damage is not taken for a missing plugin."""
    if module:
        plugin = pytest.importorskip(module)
        if kind == "HEIF":
            plugin.register_heif_opener()
    Image.init()
    if kind not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {kind}")
    image, bits = load(data_of(photo(32, 16), kind, quality=90))
    assert (image.size, bits) == ((32, 16), 8)
    with pytest.raises(PictureError) as caught:
        reading.open_picture(package, None)
    assert "pip install" not in str(caught.value)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_one_of_several_frames(kind):
    """Refused unless one is chosen, and then it is that one."""
    frames = [Image.new("RGB", (16, 8), colour) for colour in ("red", "lime", "blue")]
    options = {"save_all": True, "append_images": frames[1:]} | ({"lossless": True} if kind == "WEBP" else {})
    data = data_of(frames[0], kind, **options)
    with pytest.raises(FramesError, match="3 pages" if kind == "TIFF" else "animated"):
        load(data)
    for index, frame in enumerate(frames):
        image, _ = load(data, index)
        assert np.array_equal(np.asarray(image.convert("RGB")), np.asarray(frame))
    with pytest.raises(PictureError, match="no frame 3"):
        load(data, 3)


def test_a_still_is_its_own_first_frame(photo):
    """A script that takes frame 0 of everything must not fail on half of it."""
    assert load(data_of(photo(8, 8)), 0)[0].size == (8, 8)
    with pytest.raises(PictureError, match="no frame 1"):
        load(data_of(photo(8, 8)), 1)


def test_the_size_of_a_page_is_checked(photo):
    """The first page of a TIFF may be small and the second huge."""
    data = data_of(photo(8, 8), "TIFF", save_all=True, append_images=[photo(40, 40)])
    assert load(data, 0, 64)[0].size == (8, 8)
    with pytest.raises(LimitError):
        load(data, 1, 64)


def test_the_second_picture_of_a_telephone_is_told(photo):
    """A gain map or the other eye's view is lost, which is no reason to refuse the photograph."""
    data = data_of(photo(24, 8), "MPO", save_all=True, append_images=[photo(8, 8)])
    (image, _), warned = said(load, data)
    assert image.size == (24, 8)
    assert "not kept: 1 more" in warned
    assert said(load, data, 0)[1] == ""


def tiff_of_16_bits(samples: tuple = (0, 0, 0), order: str = "<", deflated: bool = False) -> bytes:
    """An RGB TIFF of one pixel; Pillow reads such files and does not write them."""
    strip = struct.pack(f"{order}3H", *samples)
    strip = zlib.compress(strip) if deflated else strip
    longs = [(256, 1, 1), (257, 1, 1), (258, 3, 200), (259, 1, 8 if deflated else 1), (262, 1, 2), (273, 1, 220),
             (277, 1, 3), (278, 1, 1), (279, 1, len(strip))]  # fmt: skip
    body = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(longs))
    body += b"".join(struct.pack(f"{order}HHII", tag, 3 if tag == 258 else 4, *rest) for tag, *rest in longs) + bytes(4)
    return body.ljust(200, b"\0") + struct.pack(f"{order}3H", 16, 16, 16).ljust(20, b"\0") + strip


def png_of_16_bits(colour_type: int, samples: bytes | None = None) -> bytes:
    """A PNG of one pixel, black or of these samples."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 1, 1, 16, colour_type, 0, 0, 0)
    row = b"\0" + (samples or bytes({0: 2, 2: 6, 4: 4, 6: 8}[colour_type]))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b""))  # fmt: skip


@pytest.mark.parametrize(
    ("data", "bits"),
    [
        (png_of_16_bits(0), 16),
        (png_of_16_bits(2), 16),
        (png_of_16_bits(4), 16),
        (png_of_16_bits(6), 16),
        (tiff_of_16_bits(), 16),
        (b"P6 1 1 1023\n" + bytes(6), 10),
        (b"P5 1 1 1023\n" + bytes(2), 16),
        (b"P6 1 1 255\n" + bytes(3), 8),
        (data_of(Image.new("1", (1, 1))), 1),
        (data_of(Image.new("RGB", (1, 1)), "TIFF"), 8),
        (data_of(Image.new("RGB", (8, 8)), "JPEG"), 8),
        (data_of(Image.new("RGB", (8, 8)), "JPEG2000"), 8),
    ],
)
def test_depth_is_that_of_the_file(data, bits):
    """Pillow reads 16 bits of colour as 8 without a word; the loss of half of them must be reported."""
    assert load(data)[1] == bits


@pytest.mark.parametrize(("colour_type", "mode"), [(2, "RGB"), (4, "LA"), (6, "RGBA")])
def test_colour_of_16_bits_is_rounded_and_not_cut(colour_type, mode):
    """Cut, all shadows get darker and all lights brighter; Pillow cuts."""
    samples = [129, 128, 65535, 256][: len(mode)]
    image, _ = load(png_of_16_bits(colour_type, struct.pack(f">{len(mode)}H", *samples)))
    assert image.mode == mode
    assert image.getpixel((0, 0)) == tuple(round(sample / 257) for sample in samples)
    assert image.copy().getpixel((0, 0)) == image.getpixel((0, 0))


@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiffs_of_16_bits_are_rounded_too(order, deflated):
    """Scanners write them, in either order of bytes, as they are and compressed."""
    image, bits = load(tiff_of_16_bits((129, 128, 256), order, deflated))
    assert (bits, image.mode, image.getpixel((0, 0))) == (16, "RGB", (1, 0, 1))


def test_integers_of_32_bits_are_refused_in_a_file_too():
    """Of four thousand million levels a picture uses the lowest: it would come out black."""
    image, bits = load(data_of(Image.fromarray(np.array([[0, 252], [63000, 4]], np.int32)), "TIFF"))
    assert bits > 16
    with pytest.raises(PictureError, match="fixed range"):
        samples.split(image, bits)


def test_signed_samples_have_half_of_the_range():
    """Their white is 32767; at 65535 the picture would have half of its light."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[339] = 2
    unsigned = Image.fromarray(np.array([[0, 16384, 32767]], np.uint16))
    image, bits = load(data_of(unsigned, "TIFF", tiffinfo=tags))
    assert bits == 15
    (colour, _), _ = said(samples.split, image, bits)
    assert list(colour.getdata()) == [0, 128, 255]


@pytest.mark.parametrize("data", [b"", b"hello", data_of(Image.new("L", (64, 64)))[:60], b"GIF89a" + bytes(9)])
def test_damaged_pictures_have_one_error(data):
    """Plugins raise whatever they meet; a program that reads uploads should have one thing to catch."""
    with pytest.raises(PictureError):
        load(data)


def twelve_bit_jpeg() -> bytes:
    data = bytearray(data_of(Image.new("L", (8, 8)), "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x8faec\r\n\n", ".aec file already"),
        (twelve_bit_jpeg(), "12-bit"),
        (data_of(Image.new("L", (8, 8))).replace(b"IHDR\0", b"IHDR\1", 1), "checksum"),
        (tiff_of_16_bits().replace(struct.pack("<HHII", 258, 3, 3, 200), struct.pack("<HHII", 258, 3, 1, 24)), "24 bits"),
        (b"hello", "^not a picture that Pillow can read$"),
    ],
)
def test_a_reason_is_given(data, reason):
    """Without one, people look for the fault in the wrong place."""
    with pytest.raises(PictureError, match=reason):
        reading.open_picture(data, None)
