"""TIFF files that Pillow reads wrongly, and files that are none of the pictures that they seem to be."""

from __future__ import annotations

import io
import struct
import tracemalloc
import warnings

import numpy as np
import pytest
from PIL import Image

from aecodec.errors import FramesError, LimitError, PictureError
from aecodec.images import reading, samples, tiff

tifffile = pytest.importorskip("tifffile")
Y, X = np.mgrid[:37, :53]
RGB = np.dstack([X * 4, Y * 6, X + Y]).astype(np.uint16) * 257


def written(array: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    byteorder = options.pop("byteorder", "<")
    with tifffile.TiffWriter(buffer, byteorder=byteorder, bigtiff=options.pop("bigtiff", False)) as file:
        file.write(array, **options)
    return buffer.getvalue()


def colour_of(data: bytes, frame: int | None = None) -> tuple[Image.Image, Image.Image | None, str]:
    """Colour and alpha of a file, and what was said."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        image = reading.open_picture(data, None)
        bits = reading.load(image, frame, None)
        colour, alpha = samples.separate(image, bits)
    return colour, alpha, "; ".join(str(warning.message) for warning in caught)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(
    "options",
    [{}, {"rowsperstrip": 8}, {"tile": (16, 32)}, {"compression": "zlib", "rowsperstrip": 8},
     {"compression": "zlib", "predictor": True, "rowsperstrip": 8},
     {"compression": "zlib", "predictor": True, "tile": (16, 16)},
     {"planarconfig": "separate"}, {"planarconfig": "separate", "rowsperstrip": 5, "compression": "zlib"},
     {"bigtiff": True, "rowsperstrip": 8}],
)  # fmt: skip
def test_16_bit_colour_in_strips_tiles_and_planes(options, byteorder):
    """Scanners write these: they were refused or came out as stripes."""
    array = np.moveaxis(RGB, -1, 0) if "planarconfig" in options else RGB
    data = written(np.ascontiguousarray(array), photometric="rgb", byteorder=byteorder, **options)
    colour, alpha, said = colour_of(data)
    assert np.array_equal(np.asarray(colour), RGB // 257)
    assert alpha is None
    assert "16-bit" in said


@pytest.mark.parametrize("strips", [{}, {"rowsperstrip": 8}])
def test_alpha_of_16_bits(strips):
    """It was lost with the error that the strips ended in."""
    array = np.dstack([RGB, RGB[..., 0]])
    colour, alpha, _ = colour_of(written(array, photometric="rgb", extrasamples=["unassalpha"], **strips))
    assert np.array_equal(np.asarray(colour), RGB // 257)
    assert np.array_equal(np.asarray(alpha), RGB[..., 0] // 257)


def test_white_is_zero():
    """The page came out as its negative."""
    colour, _, _ = colour_of(written(RGB[..., 0], photometric="miniswhite"))
    assert np.array_equal(np.asarray(colour), 255 - RGB[..., 0] // 257)


def test_signed_samples_of_8_bits():
    """Their white is 127; a negative sample means nothing that anybody can know."""
    array = (RGB[..., 0] // 514).astype(np.int8)
    colour, _, _ = colour_of(written(array, photometric="minisblack"))
    assert np.abs(np.asarray(colour, float) - array * (255 / 127)).max() <= 0.5
    array[0, 0] = -1
    with pytest.raises(PictureError, match="negative"):
        colour_of(written(array, photometric="minisblack"))


def test_more_channels_than_a_picture_has_are_told():
    """Infrared or a spot colour is data, and somebody paid for it."""
    for dtype in (np.uint8, np.uint16):
        array = np.dstack([RGB, RGB[..., :2]]).astype(dtype)
        data = written(array, photometric="rgb", extrasamples=["unspecified", "unspecified"])
        assert "2 more channels" in colour_of(data)[2]


def test_an_orientation_is_applied_once():
    """Pillow turns a TIFF while it loads it; what it does not load must be turned as well."""
    tag = [(274, 3, 1, 6, True)]
    colour, _, _ = colour_of(written(RGB, photometric="rgb", rowsperstrip=8, extratags=tag))
    assert np.array_equal(np.asarray(colour), np.rot90(RGB // 257, -1))
    plain = colour_of(written((RGB // 257).astype(np.uint8), photometric="rgb", extratags=tag))[0]
    assert np.array_equal(np.asarray(plain), np.asarray(colour))


def raw_file(**first: object) -> bytes:
    """A preview, and the sensor's samples in a directory below it."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        file.write((RGB[::4, ::4] // 257).astype(np.uint8), photometric="rgb", subifds=1, **first)
        pattern = [(33421, 3, 2, (2, 2), True), (33422, 1, 4, b"\0\1\1\2", True)]
        file.write(RGB[..., 0], photometric=32803, extratags=pattern)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [raw_file(subfiletype=1, extratags=[(50706, 1, 4, b"\1\4\0\0", True)]), raw_file(subfiletype=1), raw_file(),
     written(RGB, photometric="rgb", extratags=[(50706, 1, 4, b"\1\4\0\0", True)]), b"FUJIFILMCCD-RAW 0201" + bytes(99),
     b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(99), b"IIU\0\x18\0\0\0" + bytes(99)],
)  # fmt: skip
def test_a_raw_file_is_refused(data):
    """It became its own thumbnail, and whoever deletes originals would have lost it."""
    with pytest.raises(PictureError, match="raw converter"):
        reading.open_picture(data, None)


def test_a_raw_file_that_pillow_opened_is_refused(tmp_path):
    """The library is handed opened pictures."""
    (tmp_path / "x.dng").write_bytes(raw_file(subfiletype=1))
    with Image.open(tmp_path / "x.dng") as image, pytest.raises(PictureError, match="raw converter"):
        reading.load(image, None, None)


@pytest.mark.parametrize("first_is_small", [False, True])
def test_a_page_that_is_a_thumbnail_is_no_page(first_is_small):
    """The picture is taken, and the copy is told; two whole pages are two pictures."""
    whole = (RGB // 257).astype(np.uint8)
    pages = [(whole, 0), (whole[::4, ::4], 1)]
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        for page, kind in reversed(pages) if first_is_small else pages:
            file.write(page, photometric="rgb", subfiletype=kind)
    colour, _, said = colour_of(buffer.getvalue())
    assert np.array_equal(np.asarray(colour), whole)
    assert "not kept: 1 more picture" in said
    with pytest.raises(FramesError, match="2 pages"):
        colour_of(written(np.stack([whole, whole]), photometric="rgb"))


def test_layers_of_photoshop_are_no_exif():
    """350 bytes became three million, and the EXIF beside them was dropped for its size."""
    layers = (37724, 7, 0, b"Adobe Photoshop Document Data Block\0" + bytes(100_000), True)
    data = written(
        (RGB // 257).astype(np.uint8), photometric="rgb", subifds=1, extratags=[layers, (315, 2, 0, "Ada", True)]
    )
    image = reading.open_picture(data, None)
    with pytest.warns(UserWarning, match="layers of Photoshop"):
        reading.load(image, None, None)
    assert len(image.info["exif"]) < 400
    page = next(tiff.Tiff(image.info["exif"][6:]).pages())
    assert page[315].value == b"Ada\0"
    assert not {330, 37724, 273, 256} & page.keys()


def test_damaged_directories_end():
    """A directory that is its own successor, entries that lie outside, and counts of thousands of millions."""
    loop = struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<HHHIII", 1, 256, 4, 2**32 - 1, 2**32 - 1, 8)
    assert [len(page) for page in tiff.Tiff(loop).pages()] == [0]
    assert not tiff.Tiff(loop).is_raw()
    dice = np.random.default_rng(0)
    good = bytearray(written(RGB, photometric="rgb", rowsperstrip=8, compression="zlib"))
    for _ in range(60):
        data = bytearray(good)
        for place in dice.integers(0, 400, 3):
            data[-int(place)] = dice.integers(256)
            data[int(place) % 8 + 4] = dice.integers(256)
        try:
            image = reading.open_picture(bytes(data), 2**16)
            reading.load(image, None, 2**16)
        except (PictureError, LimitError):
            pass


def test_values_that_overlap_take_no_more_memory_than_the_file():
    """A megabyte with 60 000 tags, each of them all of the file, would take 60 GB."""
    count, size = 60_000, 2**20
    table = b"".join(struct.pack("<HHII", tag, 7, size - 16, 8) for tag in range(count))
    data = (b"II*\0\x08\0\0\0" + struct.pack("<H", count) + table).ljust(size, b"\0")
    tracemalloc.start()
    tiff.Tiff(data).directory(8)
    assert tracemalloc.get_traced_memory()[1] < 4 * size
    tracemalloc.stop()


def test_pages_that_overlap_take_no_more_time_than_the_file():
    """In a file of 200 kB thousands of pages of 4096 entries lie over each other, and more of them in a larger one."""
    pages, count = 1000, 4096
    data = bytearray(b"II*\0\x08\0\0\0" + struct.pack("<H", count) * 100_000)
    for start in range(8, 8 + 4 * pages, 4):
        struct.pack_into("<I", data, start + 2 + 12 * count, start + 4)  # where the next page begins
    assert sum(1 for _ in tiff.Tiff(bytes(data)).pages()) <= len(data) // (12 * count) + 1
