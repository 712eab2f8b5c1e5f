"""Exact pixels in libaec: what Python lays over a decoded picture must be laid over it in C."""

from __future__ import annotations

import io
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aecodec import decode, decode_array, encode, weights
from aecodec.container import bitstream, exact
from aecodec.container.bitstream import ALPHA, EXACT, HASH, LOSSLESS, Stream
from aecodec.errors import BitstreamError
from aecodec.runtime import libaec

pytestmark = pytest.mark.skipif(not (libaec.is_compiled() and exact.is_installed()), reason="libaec or libwebp is missing")


@pytest.fixture(scope="module")
def model():
    return libaec.open_decoder(weights.load())._model


def check(model, data: bytes) -> np.ndarray:
    """Decode a file with both, and return its samples (H, W, channels)."""
    picture = np.asarray(decode(data, device="cpu"))
    samples = np.empty(picture.shape, np.uint8)
    model.decode(data, samples, 1, 0, 0, 1)
    assert np.array_equal(samples, picture)
    wide = decode_array(data, 16, device="cpu")
    deep = np.empty(wide.shape, np.uint16)
    model.decode(data, deep, 1, 0, 16, 1)
    assert np.array_equal(deep, wide)
    return samples


def with_exact(data: bytes, array: np.ndarray, mask: np.ndarray) -> bytes:
    """The file with the pixels of an array (H, W, 3) laid over it where the mask says so."""
    stream = bitstream.read(data)
    chunks = {**stream.chunks, EXACT: exact.encode_some(array, mask)}
    return bitstream.write(Stream(stream.header, stream.payloads, chunks))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_exact_pixels_are_laid_over_the_picture(model, photo, mode):
    """Text on a screen would come out blurred otherwise."""
    image = photo(75, 50, mode[: 3 if mode.startswith("RGB") else 1])
    if mode.endswith("A"):
        image.putalpha(photo(75, 50, "L", 3))
    rng = np.random.default_rng(1)
    array = rng.integers(0, 256, (50, 75, 3), np.uint8)
    for share in (0.02, 0.5):
        found = check(model, with_exact(encode(image, quality=40, device="cpu"), array, rng.random((50, 75)) < share))
        assert found.shape[2:] == (() if mode == "L" else (len(mode),))


@pytest.mark.slow
def test_every_part_stands_in_its_place(model, photo):
    """A picture beyond 4096 pixels has several parts, of which some may be empty."""
    rng = np.random.default_rng(2)
    mask = np.zeros((20, 8200), bool)
    mask[3:9, 4000:4090] = mask[5, 4100] = mask[12:, 8195:] = True
    array = rng.integers(0, 256, (20, 8200, 3), np.uint8)
    data = encode(photo(8200, 20), quality=20, device="cpu")
    found = check(model, with_exact(data, array, mask))
    assert np.array_equal(found[mask], array[mask])
    mask[:, :8192] = False
    check(model, with_exact(data, array, mask))
    check(model, encode(Image.fromarray(array), lossless=True))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_pictures_without_loss_are_decoded(model, photo, mode):
    """They need no weights; alpha stands with the colour, or in a chunk of its own."""
    image = photo(61, 47, mode[: 3 if mode.startswith("RGB") else 1])
    for alpha in [photo(61, 47, "L", 3), Image.new("L", (61, 47), 255)] if mode.endswith("A") else [None]:
        if alpha:
            image.putalpha(alpha.point(lambda value: value if value > 100 else 0))
        data = encode(image, lossless=True)
        assert LOSSLESS in bitstream.read(data).chunks
        check(model, data)
    if mode == "RGBA":
        stream = bitstream.read(data)
        chunks = {**stream.chunks, ALPHA: bitstream.read(encode(image, quality=10, device="cpu")).chunks[ALPHA]}
        chunks.pop(HASH)  # which is that of the other alpha
        check(model, bitstream.write(Stream(stream.header, [], chunks)))


def forgeries(stream: bytes) -> list[bytes]:
    """Lossless WebP streams that claim the largest size there is, a later version, or to be of another kind."""
    huge = stream[:1] + b"\xff\xff\xff" + bytes([stream[4] | 0x0F]) + stream[5:]
    return [huge, stream[:4] + bytes([stream[4] | 0x20]) + stream[5:], b"\x2e" + stream[1:]]


def test_bodies_that_break_a_rule_are_refused(model, photo):
    """Sizes and places in a file are not to be believed."""
    image, stream = photo(40, 30), exact._write_webp(np.zeros((30, 40, 3), np.uint8), (0, 0))
    small = exact._write_webp(np.zeros((5, 8, 3), np.uint8), (0, 0))
    varint, samples = bitstream.varint, np.empty((30, 40, 3), np.uint8)
    lossy, whole = bitstream.read(encode(image, quality=10, device="cpu")), bitstream.read(encode(image, lossless=True))
    files = [
        (lossy, {EXACT: body})
        for body in (
            b"",
            b"\0",
            varint(len(small)) + b"\x1a\0" + small,  # beyond the bottom
            varint(len(small)) + b"\0\x21" + small,
            varint(len(small)) + b"\0\xff\xff\xff\xff\x7f" + small,
            varint(len(small)) + b"\0\0" + small + b"\0",
            varint(len(small) + 1) + b"\0\0" + small,
            varint(4) + b"\0\0" + small[:4],
            varint(len(small) - 4) + b"\0\0" + small[:-4],
            (varint(len(small)) + b"\0\0" + small) * 2,  # there is one part
            *(varint(len(forged)) + b"\0\0" + forged for forged in forgeries(small)),
        )
    ]
    files += [
        (whole, {LOSSLESS: body})
        for body in (
            b"",
            b"\0",
            varint(len(small)) + small,
            varint(len(stream)) + stream + b"\0",
            2 * (varint(len(stream)) + stream),
            varint(len(stream) + 1) + stream,
            *(varint(len(forged)) + forged for forged in forgeries(stream)),
        )
    ]
    files += [(whole, {**whole.chunks, EXACT: varint(len(small)) + b"\0\0" + small}), (lossy, {ALPHA: b"\x08"})]
    for parsed, chunks in files:
        data = bitstream.write(Stream(parsed.header, parsed.payloads, chunks))
        with pytest.raises(ValueError, match=r"damaged|truncated"):
            model.decode(data, np.empty((30, 40, 4), np.uint8) if ALPHA in chunks else samples, 1, 0, 0, 1)
        with pytest.raises(BitstreamError):
            decode(data, device="cpu")


def test_a_picture_of_many_pixels_in_few_bytes_has_its_size(model):
    """A hundred bytes hold a megapixel of one colour; a header that says otherwise must not decide where it is written."""
    pixels = np.tile(np.array([7, 80, 9], np.uint8), (1000, 1000, 1))
    data = encode(Image.fromarray(pixels), lossless=True)
    assert len(data) < 200
    assert np.array_equal(check(model, data), pixels)
    stream = bitstream.read(data)
    small = bitstream.write(Stream(replace(stream.header, width=999), [], stream.chunks))
    with pytest.raises(ValueError, match="another size"):
        model.decode(small, np.empty((1000, 999, 3), np.uint8), 1, 0, 0, 1)
    with pytest.raises(BitstreamError, match="another size"):
        decode(small, device="cpu")


def test_bytes_after_a_picture_in_its_stream_change_nothing(model, photo):
    """What libwebp does not read libaec does not read either, or one file would be two pictures."""
    image = photo(40, 30)
    stream = exact._write_webp(np.asarray(image), (0, 0)) + b"\xff" * 9
    header = bitstream.read(encode(image, lossless=True)).header
    body = bitstream.varint(len(stream)) + stream
    assert np.array_equal(check(model, bitstream.write(Stream(header, [], {LOSSLESS: body}))), np.asarray(image))


@pytest.fixture(scope="module")
def aecdec(tmp_path_factory):
    """aecdec(data, *options) is what the program decodes a file to, an array."""
    compiler, root, folder = shutil.which("cc"), Path(__file__).parents[2], tmp_path_factory.mktemp("aecdec")
    if compiler is None:
        pytest.skip("no C compiler")
    program, library = folder / "aecdec", root / "libaec"
    flags = ["-std=c11", "-O1", f"-I{library}/include", "-lm", "-lpthread"]
    sources = [*(library / "src").glob("*.c"), library / "tools/aecdec.c"]
    subprocess.run([compiler, *sources, "-o", program, *flags], check=True)

    def run(data: bytes, *options: str) -> np.ndarray:
        (folder / "in.aec").write_bytes(data)
        command = [program, *options, folder / "in.aec", "-"]
        written = subprocess.run(command, check=True, capture_output=True).stdout
        if not written.startswith(b"P7"):
            return np.asarray(Image.open(io.BytesIO(written)))
        head, _, samples = written.partition(b"ENDHDR\n")
        width, height, depth = (int(line.split()[1]) for line in head.splitlines()[1:4])
        return np.frombuffer(samples, np.uint8).reshape(height, width, depth)

    return run


@pytest.mark.slow
def test_the_program_opens_a_picture_without_loss(aecdec, photo):
    """Screens sent as .aec files must open where there is nothing but aecdec."""
    image = photo(50, 40)
    assert np.array_equal(aecdec(encode(image, lossless=True)), np.asarray(image))


@pytest.mark.slow
def test_a_crop_is_that_part_of_the_picture(aecdec, photo):
    """Whoever looks at a corner of a large picture must see what the whole one shows there."""
    image = photo(1100, 290)
    image.putalpha(photo(1100, 290, "L", 3))
    array, mask = np.zeros((290, 1100, 3), np.uint8), np.zeros((290, 1100), bool)
    mask[100:150, 1000:1090] = True
    data = with_exact(encode(image, quality=30, device="cpu"), array, mask)
    options = ("-w", str(weights.load().folder / weights.TENSORS), "-j", "2")
    picture = aecdec(data, *options)
    assert np.array_equal(picture, np.asarray(decode(data, device="cpu")))
    for left, top, width, height in (
        (0, 0, 1, 1),
        (1010, 90, 80, 30),
        (37, 201, 300, 89),
        (1099, 289, 1, 1),
        (5, 0, 1090, 20),
    ):
        crop = f"{left},{top},{width},{height}"
        found = aecdec(data, *options, "-c", crop)
        assert np.array_equal(found, picture[top : top + height, left : left + width]), crop
        smaller = np.asarray(decode(data, scale=4, crop=(left, top, width, height)))
        assert np.array_equal(aecdec(data, *options, "-c", crop, "-s", "4"), smaller), crop
    with pytest.raises(subprocess.CalledProcessError):
        aecdec(data, *options, "-c", "1090,0,20,20")
