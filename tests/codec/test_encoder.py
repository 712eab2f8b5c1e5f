"""From a picture to a file, with the installed weights, and what comes back of it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

import aecodec
from aecodec.codec.decoder import decode
from aecodec.codec.encoder import Encoder
from aecodec.container import bitstream
from aecodec.entropy import latents
from aecodec.errors import LimitError, PictureError, WeightsError
from aecodec.metrics import psnr, ssimulacra2
from aecodec.quality import index_of_quality

ICC = bytes(16) + b"RGB " + bytes(108)
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"


@pytest.mark.parametrize("quality", [0, 60, 100])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", [(1, 1), (1, 64), (63, 65), (96, 64)])
def test_round_trip(photo, size, mode, quality):
    """Writer and reader must agree on every pixel: rate control and the report show what the writer reconstructs."""
    encoder = Encoder(photo(*size, mode))
    quantised = encoder.quantise(index_of_quality(quality))
    image = decode(encoder.write(quantised).data)
    assert (image.size, image.mode) == (size, mode)
    shown = np.asarray(image) if mode == "RGB" else np.repeat(np.asarray(image)[..., None], 3, -1)
    assert np.array_equal(shown, encoder.reconstruct(quantised))


@pytest.mark.slow
@pytest.mark.parametrize("tile", [0, 256])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_was_quantised_is_what_the_file_holds(photo, small_blocks, mode, tile):
    """Targets and denoising show latents that no file has held: one that differs is a wrong picture or a missed target."""
    picture = photo(300, 150).convert(mode)  # six blocks, and two tiles
    picture.putalpha(photo(300, 150, "L", 1))
    picture.info["icc_profile"] = ICC
    encoder = Encoder(picture)
    rate = index_of_quality(40)
    quantised = encoder.quantise(rate, tile)
    encoded = encoder.encode(rate, tile)
    assert encoder.write(quantised) == encoded
    decoded, shown = decode(encoded.data), encoder.show(quantised)
    assert (decoded.mode, decoded.info) == (shown.mode, shown.info) == (mode, picture.info)
    assert np.array_equal(np.asarray(decoded), np.asarray(shown))


@pytest.mark.slow
def test_blocks_leave_no_seam(photo, request):
    """The transforms work on a picture in parts; where one ends must not show, and not by one level."""
    encoder = Encoder(photo(400, 330))
    at_once = encoder.encode(index_of_quality(60))
    picture_at_once = np.asarray(decode(at_once.data), int)
    request.getfixturevalue("small_blocks")
    in_parts = encoder.encode(index_of_quality(60))
    assert len(in_parts.data) == pytest.approx(len(at_once.data), rel=1e-3)  # the last bits of y may differ
    assert np.abs(np.asarray(decode(at_once.data), int) - picture_at_once).max() <= 1


@pytest.mark.slow
def test_tiles_are_decoded_to_the_whole_picture(photo):
    """Tiles see nothing of each other in the entropy coder; the picture must not show where they meet."""
    picture = photo(600, 300)
    encoder = Encoder(picture)
    rate = index_of_quality(40)
    tiled, plain = encoder.encode(rate, 256), encoder.encode(rate, 0)
    _, coded = encoder._code(encoder.array, rate, 256, lambda coded: coded)
    estimate = sum(latents.symbol_bits(encoder.weights.entropy_model, tile).sum() for tile in coded)
    assert bitstream.read(tiled.data).header.tiles == 6
    assert len(tiled.data) == pytest.approx(len(plain.data), rel=0.1)
    assert len(tiled.data) == pytest.approx(estimate / 8, rel=0.01, abs=150)
    error = np.square(np.subtract(picture, decode(tiled.data), dtype=float)).mean(-1)
    near = np.zeros(error.shape, bool)
    for edge in (256, 512):
        near[:, edge - 8 : edge + 8] = True
    near[256 - 8 : 256 + 8] = True
    assert 10 * np.log10(error[near].mean() / error[~near].mean()) < 0.5  # dB; few pixels, so much noise


def test_more_quality_is_a_better_and_a_larger_picture(photo):
    """A quality scale that does not rise, or a decoder that shows something else than the picture, is useless."""
    picture = photo()
    original = np.asarray(picture)
    files = [aecodec.encode(picture, quality) for quality in (0, 25, 50, 75, 100)]
    assert sorted(files, key=len) == files
    fidelity = [psnr(original, np.asarray(aecodec.decode(file))) for file in files]
    assert sorted(fidelity) == fidelity
    assert fidelity[0] > 20
    assert fidelity[-1] > 35


def test_metadata_survives(photo):
    """Colours without their profile are wrong colours; a photo without its EXIF has lost when and which way up."""
    picture = photo(20, 10)
    exif = picture.getexif()
    exif[0x0112] = 6  # orientation
    exif[0x010F] = "maker"
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", exif=exif, icc_profile=ICC, xmp=XMP)
    with Image.open(buffer) as source:
        image = decode(Encoder(source).encode(0).data)
        stripped_encoder = Encoder(source, strip=True)
        assert aecodec.info(aecodec.encode(source)).width == 10  # as it is shown
    assert image.size == (20, 10)
    assert image.info["icc_profile"] == ICC
    assert image.info["xmp"] == XMP
    assert dict(image.getexif()) == {0x0112: 6, 0x010F: "maker"}
    stripped = decode(stripped_encoder.encode(0).data)
    assert stripped.size == (10, 20)  # what orientation 6 says, done
    assert stripped.info == {"icc_profile": ICC}


def test_animation_is_refused(photo):
    """Nobody wants to find out later that all frames but one are gone."""
    buffer = io.BytesIO()
    photo(8, 8).save(buffer, "GIF", save_all=True, append_images=[photo(8, 8, seed=1)])
    with pytest.raises(PictureError, match="animated"):
        Encoder(Image.open(buffer))
    assert aecodec.info(aecodec.encode(Image.open(buffer), frame=1)).width == 8


@pytest.mark.filterwarnings("ignore:not kept")
def test_photographs_of_phones_are_no_animations(photo):
    """An MPO is a JPEG with a preview behind it; to refuse it is to refuse every other telephone's pictures."""
    buffer = io.BytesIO()
    photo(24, 8).save(buffer, "MPO", save_all=True, append_images=[photo(8, 8)])
    assert Encoder(Image.open(buffer)).image.size == (24, 8)


def test_a_tiff_layout_is_not_metadata(photo):
    """Pillow takes a TIFF file's own strips and offsets for EXIF; in another file they are wrong, and cost bytes."""
    picture = photo(24, 8)
    buffer = io.BytesIO()
    exif = picture.getexif()
    exif[0x010F] = "maker"
    picture.save(buffer, "TIFF", exif=exif)
    image = decode(Encoder(Image.open(buffer)).encode(0).data)
    assert dict(image.getexif()) == {0x010F: "maker"}


def test_damaged_exif_costs_no_picture(photo):
    """Old cameras wrote bad EXIF; the picture is worth more than it."""
    picture = photo(8, 8)
    picture.info["exif"] = b"Exif\0\0XX*\0rubbish"
    with pytest.warns(UserWarning, match="EXIF"):
        assert decode(Encoder(picture).encode(0).data).size == (8, 8)


def test_profiles_of_other_colours_are_not_kept(photo):
    """An RGB picture that claims to be CMYK is shown as garbage, or not at all."""
    picture = photo(8, 8, "CMYK")
    picture.info["icc_profile"] = bytes(16) + b"CMYK" + bytes(108)
    with pytest.warns(UserWarning, match="CMYK"):
        encoder = Encoder(picture)
    assert decode(encoder.encode(0).data).info == {}


def test_weights_of_a_folder_read_what_they_wrote(photo, tiny):
    """Somebody who trains a model must be able to read its files without installing it."""
    _, folder = tiny
    encoder = Encoder(photo(), weights=str(folder))
    data = encoder.encode(1000).data
    image = aecodec.decode(data, weights=str(folder))
    assert np.array_equal(np.asarray(image), encoder.reconstruct(encoder.quantise(1000)))
    with pytest.raises(WeightsError, match=encoder.weights.id):
        aecodec.decode(data)
    with pytest.raises(WeightsError):
        aecodec.decode(aecodec.encode(photo(8, 8)), weights=str(folder))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("mode", "want"), [("RGBA", "RGBA"), ("LA", "LA"), ("PA", "RGBA"), ("La", "LA")])
def test_alpha_comes_back_as_it_was(photo, mode, want):
    """A logo must stand on the page without a box around it, and its edge must not fray."""
    image = photo(24, 16).convert("LA" if want == "LA" else "RGBA")
    image.putalpha(Image.fromarray(np.arange(384, dtype=np.uint8).reshape(16, 24)))
    if mode == "PA":
        image = Image.merge("PA", (image.convert("P"), image.getchannel("A")))
    data = aecodec.encode(image.convert("La") if mode == "La" else image, 100)
    decoded = aecodec.decode(data)
    assert decoded.mode == aecodec.info(data).mode == want
    assert np.array_equal(np.asarray(decoded)[..., -1], np.asarray(image.convert(want))[..., -1])


def test_colour_that_nobody_sees_costs_nothing(photo):
    """What an editor left under an erased background is noise that would be paid for."""
    image = photo(96, 64)
    hidden = np.zeros((64, 96), np.uint8)
    hidden[:, :40] = 255
    noisy = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8))
    noisy.paste(image, mask=Image.fromarray(hidden))
    plain = len(aecodec.encode(noisy))
    noisy.putalpha(Image.fromarray(hidden))
    assert len(aecodec.encode(noisy)) < 0.5 * plain


def test_loss_of_depth_is_told():
    """Where 16 bits become 8, rounded and over the whole range, so that 65535 is white, one warning says so."""
    samples = np.array([[0, 128, 129, 65535]], np.uint16)
    encoder = Encoder(Image.fromarray(samples))
    assert (encoder.depth, encoder.original.deep[..., 0].tolist()) == (16, samples.tolist())
    assert np.asarray(encoder.image).tolist() == [[0, 0, 1, 255]]
    with pytest.warns(UserWarning, match="16-bit") as caught:
        assert encoder.original.in_8_bits().deep is None
    assert len(caught) == 1


def test_limits_hold_for_writing_and_reading(photo, file):
    """The limit is what keeps a server alive, so it must come before the work on both ways."""
    with pytest.raises(LimitError):
        Encoder(photo(96, 64), max_pixels=96 * 64 - 1)
    with pytest.raises(LimitError):
        decode(file, max_pixels=96 * 64 - 1)
    assert decode(file, max_pixels=96 * 64).size == (96, 64)


def test_interface(photo):
    """The three functions that the README shows."""
    picture = photo(40, 30)
    data = aecodec.encode(picture, quality=33)
    head = aecodec.info(data)
    assert (head.width, head.height, head.mode, head.quality) == (40, 30, "RGB", 33)
    assert aecodec.decode(data).size == (40, 30)
    for quality in (-0.01, 100.01, float("nan")):
        with pytest.raises(ValueError, match="quality"):
            aecodec.encode(picture, quality)
    with pytest.raises(aecodec.WeightsError, match="no-such"):
        aecodec.encode(picture, weights="no-such")


@pytest.mark.slow
def test_targets(photo):
    """The library gives what the command gives: a size, a bit rate or a fidelity in place of a quality."""
    picture = photo()
    original = np.asarray(picture)

    def shown(target):
        return np.asarray(aecodec.decode(aecodec.encode(picture, target=target)))

    assert 0.98 * 1500 <= len(aecodec.encode(picture, target=aecodec.Size(1500))) <= 1500
    assert 0.98 * 2 <= len(aecodec.encode(picture, target=aecodec.BitsPerPixel(2))) * 8 / 96 / 64 <= 2
    assert 32 <= psnr(original, shown(aecodec.Psnr(32))) <= 32.5
    assert 70 <= ssimulacra2(original, shown(aecodec.Ssimulacra2(70))) <= 75
    with pytest.raises(aecodec.TargetError, match="9 bytes cannot be reached"):
        aecodec.encode(picture, target=aecodec.Size(9))
    with pytest.raises(ValueError, match="not both"):
        aecodec.encode(picture, 60, target=aecodec.Psnr(32))
    with pytest.raises(TypeError, match="target"):
        aecodec.encode(picture, target=1500)


@pytest.mark.slow
def test_quality_rises_smoothly_between_the_knots(encoder):
    """A quality between two that were trained must not be worse than both: users ask for any number."""
    psnrs, sizes = [], []
    for quality in range(0, 101, 4):
        quantised = encoder.quantise(index_of_quality(quality))
        error = encoder.reconstruct(quantised).astype(float) - encoder.array
        psnrs.append(10 * np.log10(255**2 / np.square(error).mean()))
        sizes.append(len(encoder.write(quantised).data))
    assert (np.diff(psnrs) > -0.02).all(), psnrs
    assert (np.diff(sizes) >= 0).all(), sizes
