"""Smaller pictures from the same latents, which thumbnails are made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aecodec import decode, encode, weights
from aecodec.codec.decoder import decode_latents
from aecodec.codec.encoder import Encoder
from aecodec.container import bitstream, exact
from aecodec.container.bitstream import Stream
from aecodec.container.tiles import Box
from aecodec.errors import BitstreamError, PictureError
from aecodec.quality import MAX_INDEX, index_of_quality
from aecodec.runtime import libaec
from aecodec.runtime.integer_synthesis import IntegerSynthesis
from aecodec.runtime.libaec import ExactDecoder

SCALES = (2, 4, 8, 16)
CONFORMANCE = Path(__file__).parents[1] / "conformance"
compiled = pytest.mark.skipif(not libaec.is_compiled(), reason="libaec was not compiled")


def means(picture: np.ndarray, scale: int) -> np.ndarray:
    """The means of squares of a picture (h, w, 3)."""
    h, w, _ = picture.shape
    return picture.reshape(h // scale, scale, w // scale, scale, 3).mean((1, 3))


@pytest.fixture(scope="module")
def photo_latents(photo):
    """Latents and rate index of a picture at high quality, where the linear path has the most to say."""
    stream = bitstream.read(Encoder(photo(192, 128)).encode(index_of_quality(80)).data)
    return decode_latents(stream), stream.header.rate


@pytest.mark.parametrize("scale", SCALES)
def test_a_smaller_picture_is_the_mean_of_the_whole_one(photo_latents, scale):
    """A thumbnail that is darker, shifted or blocky would not look like its picture."""
    latents, rate = photo_latents
    synthesis = IntegerSynthesis.of(weights.load())
    whole, small = synthesis.synthesise(latents, rate), synthesis.scaled(latents, rate, scale)
    error = small - means(whole, scale)
    assert small.shape == (128 // scale, 192 // scale, 3)
    assert abs(error.mean()) < 0.5
    assert 10 * np.log10(255**2 / np.mean(error**2)) > 38
    shifted = np.roll(means(whole, scale), 1, 1)[:, 1:]
    assert np.mean((small[:, 1:] - shifted) ** 2) > 4 * np.mean(error**2)


@compiled
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 3), (13, 7)])
def test_libaec_gives_the_samples_that_the_format_defines(tiny, scale, shape):
    """A cache of thumbnails must not depend on who made it."""
    model, rng = weights.load(str(tiny[1])), np.random.default_rng(sum(shape) + scale)
    decoder, reference = ExactDecoder(model), IntegerSynthesis.of(model)
    for rate, size in ((0, 30), (700, 3000), (MAX_INDEX, 300)):
        latents = rng.laplace(0, size, (*shape, model.arch.latents)).astype(np.int32)
        latents.flat[rng.integers(0, latents.size, 2)] = (2**26, -40000)
        wanted = reference.scaled(latents, rate, scale)
        for threads in (1, 3):
            decoder._threads = threads
            assert np.array_equal(decoder.synthesise(latents, rate, scale=scale), wanted)


@compiled
def test_libaec_gives_them_with_the_installed_weights():
    """Their widths fill whole registers."""
    latents = np.random.default_rng(3).laplace(0, 200, (3, 5, 512)).astype(np.int32)
    for name in weights.names():
        model = weights.load(name)
        decoder, reference = ExactDecoder(model), IntegerSynthesis.of(model)
        for scale in SCALES:
            wanted = reference.scaled(latents, 1000, scale)
            for kernels in ("PLAIN", "SSE2_OR_NEON", "AVX2", "AVX_VNNI", "AVX512"):
                decoder._kernels = getattr(libaec._compiled, kernels)
                assert np.array_equal(decoder.synthesise(latents, 1000, scale=scale), wanted)


def assert_is_part(decoder, data, crop, scale, picture):
    """Compare a crop at a scale, from both decoders, with the samples of the smaller picture that show it."""
    left, top, width, height = crop
    wanted = picture[top // scale : -(-(top + height) // scale), left // scale : -(-(left + width) // scale)]
    assert np.array_equal(np.asarray(decode(data, crop=crop, scale=scale)), wanted)
    samples = np.empty(wanted.shape, np.uint8)
    libaec.preview(decoder, data, samples, 8, scale, Box(top, left, top + height, left + width))
    assert np.array_equal(samples, wanted)


@compiled
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_both_decoders_make_the_same_smaller_picture(photo, mode):
    """Exact pixels and alpha are averaged, too; the right and the bottom squares are smaller than the others."""
    image = photo(75, 50, mode[: 3 if mode.startswith("RGB") else 1])
    if mode.endswith("A"):
        image.putalpha(photo(75, 50, "L", 3).point(lambda value: value if value > 100 else 0))
    rng = np.random.default_rng(4)
    array, mask = rng.integers(0, 256, (50, 75, 3), np.uint8), np.zeros((50, 75), bool)
    mask[7:30, 20:], mask[45:, :9] = rng.random((23, 55)) < 0.7, True
    stream = bitstream.read(encode(image, quality=40, device="cpu"))
    body = exact.encode_some(array, mask)
    files = [
        encode(image, lossless=True),
        bitstream.write(stream),
        bitstream.write(Stream(stream.header, stream.payloads, {**stream.chunks, bitstream.EXACT: body})),
    ]
    decoder = ExactDecoder(weights.load())
    for data in files:
        for scale in SCALES:
            picture = np.asarray(decode(data, scale=scale))
            samples = np.empty(picture.shape, np.uint8)
            decoder._model.decode(data, samples, 1, decoder._kernels, 0, scale)
            assert picture.shape[:2] == (-(-50 // scale), -(-75 // scale))
            assert np.array_equal(samples, picture)
            for crop in ((3, 5, 70, 43), (74, 49, 1, 1), (16, 0, 32, 50), (33, 17, 2, 20)):
                assert_is_part(decoder, data, crop, scale, picture)
            if data is files[0] and mode in ("L", "RGB") and scale == 2:
                wanted = np.asarray(image).reshape(50, 75, -1)[:, :74].reshape(25, 2, 37, 2, -1).mean((1, 3))
                assert np.abs(picture.reshape(25, 38, -1)[:, :37] - wanted).max() <= 0.5


@compiled
@pytest.mark.parametrize("scale", SCALES)
def test_a_part_of_a_smaller_picture_is_what_the_smaller_picture_shows_there(scale):
    """Who looks at a corner of a large picture from afar would see seams, or other colours."""
    data = (CONFORMANCE / "tiles.aec").read_bytes()
    stream = bitstream.read(data)
    width, height, side = stream.header.width, stream.header.height, stream.header.tile
    assert len(stream.payloads) > 2
    picture, decoder = np.asarray(decode(data, scale=scale)), ExactDecoder(weights.load())
    rest = width - side
    for crop in ((0, 0, 1, 1), (side - 1, 0, 2, height), (side, 0, rest, height), (5, height - 17, width - 9, 17)):
        assert_is_part(decoder, data, crop, scale, picture)


def test_a_part_of_a_smaller_picture_needs_only_its_tiles():
    """A map of a large picture would take as long as all of it."""
    stream = bitstream.read((CONFORMANCE / "tiles.aec").read_bytes())
    broken = [stream.payloads[0], *(b"" for _ in stream.payloads[1:])]
    data = bitstream.write(Stream(stream.header, broken, stream.chunks))
    part = decode(data, crop=(0, 0, 64, 64), scale=4)
    assert part == decode(bitstream.write(stream), scale=4).crop((0, 0, 16, 16))
    with pytest.raises(BitstreamError):
        decode(data, scale=4)


def test_a_scale_that_there_is_not_is_refused(file):
    """A wrong number must not give some picture."""
    for options in ({"scale": 3}, {"scale": 0}, {"scale": 3, "crop": (0, 0, 8, 8)}):
        with pytest.raises(ValueError, match="scale"):
            decode(file, **options)
    with pytest.raises(PictureError, match="crop"):
        decode(file, scale=2, crop=(90, 0, 7, 1))


def test_the_command_makes_a_thumbnail(cli, tmp_path, file):
    """File managers call it."""
    (tmp_path / "in.aec").write_bytes(file)
    assert cli("decode", "--scale", "1/8", "in.aec", "out.png").exit_code == 0
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (12, 8)
    assert cli("decode", "--scale", "1/8", "--crop", "20,16,30,24", "in.aec", "part.png").exit_code == 0
    with Image.open(tmp_path / "out.png") as image, Image.open(tmp_path / "part.png") as part:
        assert np.array_equal(part, image.crop((2, 2, 7, 5)))
