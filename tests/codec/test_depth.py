"""Pictures of more than 8 bits from end to end, and the hash of decoded samples."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import aecodec
from aecodec.codec import decoder
from aecodec.codec.encoder import Encoder
from aecodec.container import bitstream, digest
from aecodec.container.bitstream import ALPHA, HASH, LOSSLESS
from aecodec.errors import BitstreamError, PictureError
from aecodec.images import deep
from aecodec.metrics import deep_psnr, psnr
from aecodec.quality import index_of_quality
from aecodec.runtime import libaec

needs_libaec = pytest.mark.skipif(not libaec.is_compiled(), reason="libaec was not compiled")
Y, X = np.mgrid[:64, :128]


def sky(depth: int = 16) -> np.ndarray:
    """A gradient (64, 128, 3) so slow that 8 bits give it eight levels of green."""
    slope = (X + Y / 2) / 191
    levels = 100 + np.stack([12 * slope, 8 * slope, 20 * slope], -1)
    return np.rint(levels * ((2**depth - 1) / 255)).astype(np.uint16)


def levels(samples: np.ndarray, depth: int = 16) -> np.ndarray:
    return samples * (255 / (2**depth - 1))


@needs_libaec
@pytest.mark.parametrize("quality", [60, 100])
def test_a_gradient_comes_back_without_bands(quality, monkeypatch):
    """Bands in a sky are what 16 bits are for: many levels, and nearer to the original than 8 bits of the networks."""
    monkeypatch.setattr("aecodec.codec.regions.may_have_exact", lambda array: False)  # the bands alone are a drawing
    given = sky()
    shown = aecodec.decode_array(aecodec.encode(given, quality))
    assert shown.dtype == np.uint16
    rounded = np.rint(levels(given))
    assert len(np.unique(rounded[..., 1])) == 8
    assert len(np.unique(shown[..., 1])) > 150
    error = np.sqrt(np.square(levels(shown) - levels(given)).mean())
    flat = aecodec.decode_array(aecodec.encode(rounded.astype(np.uint8), quality))
    assert error < 0.93 * np.sqrt(np.square(flat - levels(given)).mean())
    gray = given[..., 1]
    error = levels(aecodec.decode_array(aecodec.encode(gray, quality))) - levels(gray)
    if quality == 100:
        assert np.sqrt(np.square(error).mean()) < np.sqrt(1 / 12)  # which rounding to 8 bits alone would cost


@needs_libaec
@pytest.mark.parametrize("depth", [10, 12, 16])
def test_a_file_has_the_depth_of_its_picture(depth):
    """A display of 10 bits is sent 10 bits."""
    encoder = Encoder(deep.to_image(deep.Deep(sky(depth), depth)))
    data = encoder.encode(index_of_quality(90)).data
    assert aecodec.info(data).depth == depth
    found = decoder.decode_samples(data)
    assert (found.depth, found.colour.dtype) == (depth, np.uint16)
    assert np.abs(levels(found.colour, depth) - levels(sky(depth), depth)).max() < 4
    assert np.array_equal(found.array(16), np.rint(found.colour * (65535 / (2**depth - 1))))


@needs_libaec
def test_gray_and_alpha_of_16_bits(photo):
    """A mask is exact, in 8 bits; gray stays gray."""
    alpha = np.where(X > 60, 65535, 257 * (X % 4)).astype(np.uint16)
    given = np.dstack([sky()[..., 2], alpha])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = aecodec.encode(given, 90)
    shown = aecodec.decode_array(data)
    assert np.array_equal(shown[..., 1], alpha)
    assert np.abs(levels(shown[..., 0]) - levels(given[..., 0]))[alpha > 0].max() < 3
    assert aecodec.decode_array(data, 8).dtype == np.uint8
    assert aecodec.info(data).mode == "LA"


@needs_libaec
def test_pillow_gets_8_bits_and_is_told():
    """Pillow has no colours of 16 bits; nobody should believe that it has."""
    data = aecodec.encode(sky(), 80)
    with pytest.warns(UserWarning, match="16-bit samples are rounded to 8 bits"):
        image = aecodec.decode(data)
    assert np.array_equal(np.asarray(image), (aecodec.decode_array(data).astype(np.int64) * 510 + 65535) // (2 * 65535))
    assert np.array_equal(np.asarray(image), aecodec.decode_array(data, 8))


@needs_libaec
def test_a_file_of_8_bits_can_be_decoded_more_finely(photo):
    """Even a picture of 8 bits has bands that its file has not."""
    data = aecodec.encode(np.rint(levels(sky())).astype(np.uint8), 80)
    few, many = aecodec.decode_array(data), aecodec.decode_array(data, 16)
    assert len(np.unique(many)) > 8 * len(np.unique(few))
    assert np.abs(levels(many) - few).max() <= 0.5 + 1 / 16 + 1 / 257
    lossless = aecodec.encode(few, lossless=True)
    assert np.array_equal(aecodec.decode_array(lossless, 16), few * np.uint16(257))


def test_what_cannot_be_kept_without_loss_is_refused():
    """A copy that has lost half of its bits is no copy."""
    with pytest.raises(PictureError, match="16 bits"):
        aecodec.encode(sky(), lossless=True)


@needs_libaec
def test_a_target_of_psnr_counts_the_samples_as_they_are():
    """Its peak is white, whatever the depth."""
    rng = np.random.default_rng(0)
    given = (sky() + rng.normal(0, 900, (64, 128, 1))).clip(0, 65535).astype(np.uint16)
    data = aecodec.encode(given, target=aecodec.Psnr(38))
    assert 38 <= deep_psnr(given, aecodec.decode_array(data), 16) < 38.5
    first, second = rng.integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    assert deep_psnr(first * np.uint16(257), second * np.uint16(257), 16) == pytest.approx(psnr(first, second))


def test_the_runtimes_in_floats_round_to_the_same_depth(tiny):
    """On a GPU, or without a C compiler, a deep picture must not come out in 8 bits, or black."""
    from aecodec import weights
    from aecodec.runtime.integer_synthesis import IntegerSynthesis
    from aecodec.runtime.openvino_runtime import OpenVinoTransforms
    from aecodec.runtime.torch_runtime import TorchTransforms

    model = weights.load(str(tiny[1]))
    values = np.random.default_rng(1).laplace(0, 20, (8, 8, model.arch.latents)).astype(np.int32)
    wanted = IntegerSynthesis.of(model).synthesise(values, 700, 12)
    picture = np.random.default_rng(2).uniform(0, 255, (64, 64, 3)).astype(np.float32)
    latents = []
    for transforms in (OpenVinoTransforms(model, bfloat16=False), TorchTransforms(model, "cpu")):
        shown = transforms.synthesise(values, 700, 12)
        assert shown.dtype == np.uint16
        assert (np.abs(shown.astype(int) - wanted) <= 16).mean() > 0.98  # integers clamp what these weights exaggerate
        latents.append(transforms.analyse(picture, 700))
        rounded = transforms.analyse(np.rint(picture).astype(np.uint8), 700)
        assert np.abs(latents[-1] - rounded).max() > 0
        assert np.allclose(transforms.analyse(np.rint(picture), 700), rounded, atol=1e-3)
    assert np.allclose(*latents, atol=1e-3 * np.abs(latents[0]).max())


def hashed(photo, mode: str) -> bytes:
    return aecodec.encode(photo(70, 50, mode), 50, hashed=True)


@needs_libaec
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA"])
def test_a_hash_proves_the_samples(photo, mode):
    """An archive is proven by decoding it, on any machine, with any later version."""
    picture = photo(70, 50, mode.removesuffix("A"))
    if mode.endswith("A"):
        picture.putalpha(Image.fromarray((X[:50, :70] * 3).astype(np.uint8)))
    data = aecodec.encode(picture, 50, hashed=True)
    assert len(data) == len(aecodec.encode(picture, 50)) + 14
    found = decoder.decode_samples(data)
    assert found.is_verified
    channels = np.asarray(found.image()).reshape(50, 70, -1)
    colours = channels[..., : len(mode.removesuffix("A"))]
    colours = (colours * (channels[..., -1:] > 0) if mode.endswith("A") else colours).tobytes()
    alpha = channels[..., -1].tobytes() if mode.endswith("A") else b""
    assert bitstream.read(data).chunks[HASH] == hashlib.sha256(colours + alpha).digest()[:8]


@needs_libaec
@pytest.mark.parametrize("size", [(70, 50), (64, 256)])
def test_a_hash_of_deep_samples(size):
    """The same of 16 bits, little-endian."""
    data = aecodec.encode(np.resize(sky(), (*size, 3)), 50, hashed=True)
    found = decoder.decode_samples(data)
    assert found.is_verified
    assert bitstream.read(data).chunks[HASH] == hashlib.sha256(found.colour.astype("<u2").tobytes()).digest()[:8]


@needs_libaec
def test_another_picture_than_was_encoded_is_refused(photo):
    """Checksums are right, and the picture is not: a decoder with an error, or a machine."""
    stream = bitstream.read(hashed(photo, "RGB"))
    wrong = bitstream.write(replace(stream, chunks=stream.chunks | {HASH: bytes(8)}))
    with pytest.raises(BitstreamError, match="hash"):
        aecodec.decode(wrong)
    assert aecodec.decode(wrong, verify=False).size == (70, 50)
    assert aecodec.decode(wrong, crop=(0, 0, 10, 10)).size == (10, 10)
    assert not decoder.decode_samples(wrong, bits=16).is_verified  # of which it says nothing


@needs_libaec
def test_a_wrong_synthesis_is_noticed(photo, monkeypatch):
    """One sample that is off by one: this is what the hash is for."""
    data = hashed(photo, "RGB")
    honest = libaec.ExactDecoder.synthesise

    def broken(self, latents, rate, depth=8):
        samples = honest(self, latents, rate, depth)
        samples[20, 30, 1] ^= 1
        return samples

    monkeypatch.setattr(libaec.ExactDecoder, "synthesise", broken)
    with pytest.raises(BitstreamError, match="hash"):
        aecodec.decode(data)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_a_picture_without_loss_has_a_hash(photo, mode):
    """It costs nothing there, and says that the decoder of WebP is right, too."""
    picture = photo(70, 50, mode.removesuffix("A"))
    if mode.endswith("A"):
        picture.putalpha(Image.fromarray((X[:50, :70] * 3).astype(np.uint8)))
    data = aecodec.encode(picture, lossless=True)
    stream = bitstream.read(data)
    assert {HASH, LOSSLESS} <= stream.chunks.keys()
    assert decoder.decode_samples(data).is_verified
    with pytest.raises(BitstreamError, match="hash"):
        aecodec.decode(bitstream.write(replace(stream, chunks=stream.chunks | {HASH: bytes(8)})))


@needs_libaec
def test_exact_pixels_are_in_the_hash(photo):
    """A page of text: some of it is learned, some is exact, and all of it is proven."""
    array = np.full((128, 192, 3), 250, np.uint8)
    array[::3, ::2] = 20, 40, 90
    array[10:110, 100:180] = np.asarray(photo(80, 100))
    data = aecodec.encode(array, 30, hashed=True)
    assert bitstream.EXACT in bitstream.read(data).chunks
    found = decoder.decode_samples(data)
    assert found.is_verified
    assert bitstream.read(data).chunks[HASH] == digest.of_samples(found.colour, None)


def test_pillow_saves_and_opens_colours_by_cicp(photo):
    """What a program does with Image.open and Image.save keeps an HDR picture what it is."""
    import aecodec.pillow  # noqa: F401

    picture = photo(40, 30)
    picture.info["cicp"] = (12, 13, 0, 1)
    buffer = io.BytesIO()
    picture.save(buffer, "AEC", quality=30)
    opened = Image.open(buffer)
    assert opened.info["cicp"] == (12, 13, 0, 1)
    assert b"Made from the chromaticities" in opened.info["icc_profile"]  # for those that know no CICP
    assert bitstream.ICC not in bitstream.read(buffer.getvalue()).chunks
    assert ALPHA not in bitstream.read(buffer.getvalue()).chunks
