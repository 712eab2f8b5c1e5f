"""Samples of more than 8 bits: how they come in and go out beside Pillow, which has no such colours."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from aecodec.codec.encoder import Original
from aecodec.container.bitstream import SIGNAL
from aecodec.images import deep, netpbm, png, reading, writing

Y, X = np.mgrid[:9, :300]
GRAY = (1000 + 200 * X + 77 * Y).astype(np.uint16)[..., None]
COLOUR = np.dstack([GRAY, 60000 - GRAY // 2, GRAY // 3 + 7])


def as_file(samples: np.ndarray, kind: str, depth: int = 16) -> bytes:
    wide = deep.Deep(samples, depth)
    return writing.save(deep.to_image(wide), kind, wide)


def opened(data: bytes) -> tuple[Original, str]:
    """A file as an encoder sees it, and what was said."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        original = Original.open(reading.open_picture(data, None))
    return original, "; ".join(str(warning.message) for warning in caught)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
@pytest.mark.parametrize("samples", [GRAY, COLOUR], ids=["gray", "colour"])
def test_a_file_of_16_bits_comes_in_whole(samples, kind):
    """A sky in 256 levels has bands; it must not lose its other levels on the way in."""
    samples = np.tile(samples, (20, 1, 1))  # more rows than are compressed at a time
    original, said = opened(as_file(samples, kind))
    assert (original.depth, said) == (16, "")
    assert np.array_equal(original.deep, samples)
    assert np.abs(np.asarray(original.image).reshape(samples.shape) * 257.0 - samples).max() <= 128


@pytest.mark.parametrize("samples", [GRAY, COLOUR], ids=["gray", "colour"])
def test_a_png_is_whole_without_a_compiler_too(samples, monkeypatch):
    """Its rows have another filter there, of which every reader must make the same samples. Rows come in several blocks."""
    tall = np.tile(samples, (20, 1, 1))
    monkeypatch.setattr(png, "_best_filters", None)
    assert np.array_equal(opened(as_file(tall, "PNG"))[0].deep, tall)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("samples", [GRAY, COLOUR], ids=["gray", "colour"])
def test_alpha_of_16_bits_is_rounded_and_told(samples, kind):
    """Alpha has 8 bits in a file; what is hidden is filled in, at any depth."""
    plane = (X * 219).astype(np.uint16)
    original, said = opened(as_file(np.dstack([samples, plane]), kind))
    assert said == "alpha of 16 bits is rounded to 8 bits"
    alpha = np.asarray(original.alpha)
    assert np.array_equal(alpha, np.rint(plane / 257))
    assert np.array_equal(original.deep[alpha > 0], samples[alpha > 0])
    exact, said = opened(as_file(np.dstack([samples, alpha * np.uint16(257)]), kind))
    assert said == ""
    assert np.array_equal(np.asarray(exact.alpha), alpha)


def test_samples_of_8_bits_in_a_file_of_16_are_samples_of_8_bits():
    """Programs write 16 bits of what had 8: such a picture is kept without loss, and comes back with 8."""
    small = np.asarray(Image.fromarray((COLOUR >> 8).astype(np.uint8)))
    original, said = opened(as_file(small * np.uint16(257), "PNG"))
    assert (original.depth, original.deep, said) == (8, None, "")
    assert np.array_equal(np.asarray(original.image), small)


@pytest.mark.parametrize(("depth", "peak"), [(10, 1023), (12, 4095), (10, 1000), (16, 5000)])
def test_other_depths_are_found(depth, peak):
    """A white of 1000 must stay white; 10 bits in a file of 16 are 10 bits."""
    values = (COLOUR.astype(np.int64) * peak // 65535).astype(np.uint16)
    values[0, 0] = peak
    data = b"P6\n# a comment\n300 9\n%d\n" % peak + values.astype(">u2").tobytes()
    original, said = opened(data)
    assert (original.depth, said) == (depth, "")
    assert original.deep.max() == 2**depth - 1
    assert np.abs(original.deep / (2**depth - 1) - values / peak).max() <= 0.5 / (2**depth - 1)
    again, _ = opened(as_file(original.deep, "PNG", depth))
    assert again.depth == depth
    assert np.array_equal(again.deep, original.deep)


def test_gray_that_is_stored_as_colour_is_gray():
    """Gray cannot come out tinted, at any depth; colours that only 16 bits tell apart stay colours."""
    original, _ = opened(as_file(np.dstack([GRAY] * 3), "TIFF"))
    assert (original.image.mode, original.deep.shape[2]) == ("L", 1)
    original, _ = opened(as_file(np.dstack([GRAY, GRAY, GRAY + 1]), "PNG"))
    assert (original.image.mode, original.deep.shape[2]) == ("RGB", 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_samples_are_turned_as_pillow_turns_pictures(orientation):
    """With --strip a picture of 16 bits must not lie on its side while that of 8 bits stands."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(GRAY[..., 0].astype(np.int32))
    image.info["exif"] = exif.tobytes()
    wanted = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(deep.turned(GRAY, orientation)[..., 0], wanted)
    wide = deep.Deep(COLOUR, 16)
    picture = deep.to_image(wide)
    picture.info["exif"] = exif.tobytes()
    written = writing.save(picture, "PNG", wide)
    original = Original.open(reading.open_picture(written, None), strip=True)
    assert np.array_equal(original.deep, deep.turned(COLOUR, orientation))
    upright = netpbm.read(writing.save(picture, "PPM", wide))  # which cannot say that it lies
    assert np.array_equal(upright.samples, deep.turned(COLOUR, orientation))


def test_an_image_that_was_changed_after_it_was_read_is_what_it_shows():
    """Whoever draws into an opened picture wants to see it in the file."""
    image = reading.open_picture(as_file(COLOUR, "PNG"), None)
    Original.open(image)
    image.paste("white", (0, 0, 300, 9))
    assert Original.open(image).image.getextrema() == (255, 255)


@pytest.mark.parametrize("layout", ["a", "aa", "aaa", "aaaa"])
def test_arrays_of_16_bits_are_taken(layout):
    """NumPy has colours of 16 bits where Pillow has none."""
    samples = np.dstack([COLOUR, np.full_like(GRAY, 65535)])[..., 4 - len(layout) :] if len(layout) > 1 else GRAY
    original = Original.open(samples[..., 0] if len(layout) == 1 else samples)
    colours = samples[..., :-1] if len(layout) % 2 == 0 else samples
    assert np.array_equal(original.deep, colours)
    assert (original.alpha is None) == (len(layout) % 2 == 1)


def test_a_png_of_16_bits_is_one_that_others_read():
    """The rows are written here, since Pillow writes none: filters, ends and metadata must be those of the format."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 65536, (70, 5, 4)).astype(np.uint16)
    for samples in (noise, COLOUR, GRAY, np.dstack([GRAY, GRAY])):
        data = as_file(samples, "PNG")
        kinds = [chunk.kind for chunk in png.chunks(data)]
        assert all(chunk.is_whole for chunk in png.chunks(data))
        assert (kinds[0], kinds[-1]) == (b"IHDR", b"IEND")
        rows = unfiltered(data, samples.shape)
        assert np.array_equal(rows, samples)
        shown = np.asarray(Image.open(io.BytesIO(data)))  # in which Pillow has 16 bits of gray, and 8 of all else
        high = shown[..., -1] if shown.ndim == 3 else shown >> 8
        assert np.abs(high.astype(int) - (samples[..., -1] >> 8)).max() <= 1


def unfiltered(data: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """The samples of a PNG, by the formulas of the standard, one byte at a time."""
    body = zlib.decompress(b"".join(chunk.body for chunk in png.chunks(data) if chunk.kind == b"IDAT"))
    height, width, channels = shape
    step, length = 2 * channels, 2 * channels * width
    above, rows = bytes(length), []
    for y in range(height):
        kind, row = body[y * (length + 1)], bytearray(body[y * (length + 1) + 1 : (y + 1) * (length + 1)])
        for i in range(length):
            left, up, corner = (row[i - step] if i >= step else 0), above[i], (above[i - step] if i >= step else 0)
            estimate = left + up - corner
            paeth = min((left, up, corner), key=lambda value: abs(estimate - value))
            row[i] = (row[i] + (0, left, up, (left + up) // 2, paeth)[kind]) % 256
        above = bytes(row)
        rows.append(above)
    return np.frombuffer(b"".join(rows), ">u2").reshape(shape)


def test_a_heic_of_10_bits_comes_in_whole():
    """Phones and cameras write 10 bits, and Pillow shows 8 of them."""
    heif = pytest.importorskip("pillow_heif")
    values = COLOUR[:, :256].repeat(8, 0)
    buffer = io.BytesIO()
    heif.from_bytes("RGB;16", (256, len(values)), values.astype("<u2").tobytes()).save(buffer, quality=100, chroma=444)
    original, said = opened(buffer.getvalue())
    assert original.depth == 10
    assert "rounded" not in said
    assert len(np.unique(original.deep)) > 300


def signed(data: bytes, *signal: int) -> bytes:
    """A PNG with a cICP."""
    body = b"cICP" + bytes(signal)
    return data[:33] + struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body)) + data[33:]


@pytest.mark.parametrize("signal", [(9, 16, 0, 1), (9, 18, 0, 1), (12, 13, 0, 1), (1, 13, 0, 0)])
@pytest.mark.parametrize("depth", [8, 16])
def test_colours_by_cicp_are_kept_in_a_png(signal, depth):
    """An HDR picture without its curve looks gray and dull."""
    wide = deep.Deep(COLOUR, 16)
    data = signed(writing.save(deep.to_image(wide), "PNG", wide if depth == 16 else None), *signal)
    original, said = opened(data)
    assert said == ""
    assert original.metadata[SIGNAL] == bytes(signal)
    image = Image.fromarray(np.zeros((9, 300, 3), np.uint8))
    image.info["cicp"] = signal
    written = writing.save(image, "PNG", wide if depth == 16 else None)
    assert [chunk.body for chunk in png.chunks(written) if chunk.kind == b"cICP"] == [bytes(signal)]


def test_colours_that_say_nothing_take_no_room():
    """Almost every AVIF says that it is sRGB."""
    data = writing.save(Image.fromarray(np.zeros((9, 300, 3), np.uint8)), "PNG")
    for signal in ((1, 13, 0, 1), (2, 2, 0, 1)):
        assert SIGNAL not in opened(signed(data, *signal))[0].metadata


@pytest.mark.parametrize(("signal", "said"), [((9, 16, 0, 1), "PQ"), ((1, 13, 0, 0), "studio range"), ((12, 13, 0, 1), "")])
def test_a_format_without_cicp_says_what_it_loses(signal, said):
    """P3 goes into a profile; PQ has none."""
    image = Image.fromarray(np.zeros((9, 300, 3), np.uint8))
    image.info["cicp"] = signal
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        writing.save(image, "JPEG")
    messages = "; ".join(str(warning.message) for warning in caught)
    assert (said in messages) if said else messages == ""
