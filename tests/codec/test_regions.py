"""Screens, text and drawings: exact where that is cheaper, and photographs untouched."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

import aecodec
from aecodec.codec import regions
from aecodec.codec.decoder import decode
from aecodec.codec.encoder import Encoder
from aecodec.container import bitstream
from aecodec.container.bitstream import ALPHA, EXACT, LOSSLESS
from aecodec.metrics import psnr
from aecodec.quality import MAX_INDEX, index_of_quality


def page(photo, width: int = 320, height: int = 192, mode: str = "RGB") -> Image.Image:
    """Text on white, with a photograph of 96 x 64 on it that begins where no block does."""
    image = Image.new("RGB", (width, height), (250, 250, 252))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(12)
    for row in range(height // 16):
        draw.text((6, 3 + 16 * row), "exact text beside a photograph"[: 30 - row % 5], (20, 30, 40), font)
    image.paste(photo(96, 64), (width - 117, 37))
    return image.convert(mode)


def webp_size(image: Image.Image) -> int:
    """The smaller one of two efforts: for some drawings more effort makes larger files."""
    sizes = []
    for effort in ({}, {"method": 6, "quality": 100}):
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", lossless=True, **effort)
        sizes.append(len(buffer.getvalue()))
    return min(sizes)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("quality", [20, 60])
def test_text_is_sharp_and_a_photograph_is_not_exact(photo, quality, mode):
    """Blurred text is what people see first, and a photograph without loss is what they pay for."""
    picture = page(photo, mode=mode)
    encoder = Encoder(picture)
    encoded = encoder.encode(index_of_quality(quality))
    shown = np.asarray(decode(encoded.data))
    assert shown.shape == np.asarray(picture).shape
    error = np.abs(shown - np.asarray(picture, np.int16))
    # it may be in fewer colours; the networks' mean is 3 and 13, their largest error 34 and 129
    assert error[:, :190].mean() <= (1.2 if quality >= 60 else 2.5)
    assert error[:, :190].max() <= 40
    assert error[40:90, 210:290].any()
    assert 0.5 < encoded.exact + encoded.near < 0.95
    assert len(encoded.data) < webp_size(picture)
    assert EXACT in bitstream.read(encoded.data).chunks


def test_exact_pixels_make_a_page_smaller_and_better(photo):
    """That is what they are for."""
    encoder = Encoder(page(photo))
    rate = index_of_quality(40)
    mixed = encoder.encode(rate)
    plain = Encoder(page(photo), all_learned=True).encode(rate)
    assert len(mixed.data) < 0.7 * len(plain.data)
    assert psnr(encoder.array, np.asarray(decode(mixed.data))) > psnr(encoder.array, np.asarray(decode(plain.data)))


def test_a_photograph_is_coded_as_before(photo):
    """Exact pixels must cost photographs neither bytes nor time."""
    encoder = Encoder(photo(400, 300))
    assert not encoder.tries_exact
    assert set(bitstream.read(encoder.encode(index_of_quality(60)).data).chunks) == set()


@pytest.mark.slow
@pytest.mark.parametrize("quality", [0, 60, 100])
def test_a_drawing_is_exact_all_over_and_not_larger_than_a_webp(quality):
    """Vector art that is blurred, or larger than a lossless file, sends people away at once."""
    image = Image.new("RGB", (200, 150), "white")
    draw = ImageDraw.Draw(image)
    for index in range(12):
        draw.ellipse((10 * index, 5 * index, 60 + 11 * index, 40 + 9 * index), (20 * index, 90, 255 - 15 * index), "black")
    encoded = Encoder(image).encode(index_of_quality(quality))
    assert np.array_equal(np.asarray(decode(encoded.data)), np.asarray(image))
    assert encoded.exact == 1
    assert len(encoded.data) < 1.01 * webp_size(image) + 30


def terminal() -> Image.Image:
    """Words of a few colours on a dark ground, with the shades that smooth letters have."""
    image = Image.new("RGB", (320, 240), (46, 52, 54))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(15)
    draw.rectangle((0, 0, 320, 24), fill=(85, 87, 83))
    words = [
        "the",
        "quick",
        "brown",
        "fox",
        "jumps",
        "over",
        "0123456789",
        "$",
        "make",
        "test:",
        "41",
        "passed,",
        "1",
        "failed",
    ]
    colours = [(211, 215, 207), (138, 226, 52), (114, 159, 207), (211, 215, 207), (239, 41, 41)]
    for row in range(9):
        left = 8.0
        for word in range(5):
            text = words[(row * 5 + word * 3) % len(words)] + " "
            draw.text((left, 30 + 23 * row), text, colours[(row + word) % 5], font)
            left += draw.textlength(text, font)
    return image


def diagram() -> Image.Image:
    """Shapes of one colour each whose edges are smooth."""
    image = Image.new("RGB", (1280, 960), "white")
    draw = ImageDraw.Draw(image)
    for part in range(12):
        colour = (20 * part, 90 + 60 * (part % 3), 255 - 15 * part)
        draw.pieslice((80, 80, 660, 660), 30 * part, 30 * part + 30, colour, "white", 12)
        draw.rectangle((60 + 100 * part, 900 - 20 * (part * 5 % 12), 130 + 100 * part, 910), colour)
    draw.line([(700 + x, 330 + 250 * np.sin(x / 90)) for x in range(0, 520, 4)], (164, 0, 0), 14, "curve")
    return image.resize((320, 240), Image.Resampling.BOX)


@pytest.mark.parametrize("drawn", [terminal, diagram])
def test_terminals_and_drawings_are_exact_at_quality_60(drawn):
    """Every bit of them: smooth letters in fewer colours save a picture of text a few kilobytes and are seen at once."""
    picture = drawn()
    encoded = Encoder(picture).encode(index_of_quality(60))
    assert encoded.exact == 1
    assert np.array_equal(np.asarray(decode(encoded.data)), np.asarray(picture))
    assert len(encoded.data) <= webp_size(picture) + 30


@pytest.mark.slow
def test_a_dithered_picture_is_not_larger_than_a_webp(photo):
    """Black dots on white have no flat places; a fax or an old game's picture would take six times the bytes."""
    image = photo(96, 64, "L").convert("1").convert("RGB")
    encoded = Encoder(image).encode(index_of_quality(60))
    assert encoded.exact == 1
    assert len(encoded.data) < 1.01 * webp_size(image) + 30


@pytest.mark.slow
@pytest.mark.parametrize("tile", [0, 256])
@pytest.mark.parametrize("crop", [(0, 0, 1, 1), (180, 20, 100, 90), (319, 191, 1, 1)])
def test_a_crop_of_a_page_is_that_part(photo, small_blocks, tile, crop):
    """Exact pixels must lie where they belong, in any part of the picture and with any tiles."""
    data = Encoder(page(photo)).encode(index_of_quality(50), tile).data
    left, top, width, height = crop
    whole = np.asarray(decode(data), int)[top : top + height, left : left + width]
    assert np.abs(np.asarray(decode(data, crop=crop), int) - whole).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("quality", [50, None])
def test_alpha_stays_and_hidden_colour_costs_nothing(photo, mode, quality):
    """A page with rounded corners, as it is cut out of a screen, with sharp text or without loss at all."""
    picture = page(photo).convert(mode)
    plane = np.full((192, 320), 255, np.uint8)
    plane[:40, 100:180], plane[100:110] = 0, 77
    picture.putalpha(Image.fromarray(plane))
    noisy = np.array(picture)
    noisy[plane == 0, :-1] = np.random.default_rng(0).integers(0, 256, noisy[plane == 0, :-1].shape)
    sizes = []
    for given in (picture, Image.fromarray(noisy)):
        encoder = Encoder(given)
        data = encoder.original.encode().data if quality is None else encoder.encode(index_of_quality(quality)).data
        shown = np.asarray(decode(data))
        assert decode(data).mode == aecodec.info(data).mode == mode
        assert np.array_equal(shown[..., -1], plane)
        text = np.zeros(plane.shape, bool)
        text[110:, :180] = True
        error = np.abs(shown[text] - np.asarray(given, np.int16)[text])
        assert error.max() <= (0 if quality is None else 40)  # where text is in fewer colours
        assert error.mean() <= 2
        sizes.append(len(data))
    assert sizes[1] < 1.02 * sizes[0]


@pytest.mark.slow
def test_what_was_quantised_is_what_a_page_shows(photo):
    """Targets measure what no file has held yet: one that differs is a missed target."""
    picture = page(photo).convert("RGBA")
    picture.putalpha(Image.fromarray(np.tile(np.arange(320) > 20, (192, 1)).astype(np.uint8) * 255))
    encoder = Encoder(picture)
    for quality in (20, 60, 100):
        rate = index_of_quality(quality)
        quantised = encoder.quantise(rate)
        encoded = encoder.write(quantised)
        assert encoded == encoder.encode(rate)
        shown, decoded = np.asarray(encoder.show(quantised)), np.asarray(decode(encoded.data))
        assert np.array_equal(shown, decoded)
        seen = decoded[..., 3] > 0
        assert np.array_equal(encoder.reconstruct(quantised)[seen], decoded[..., :3][seen])


@pytest.mark.parametrize("margin", [21, 5])
def test_no_seam_at_the_edge_of_exact_pixels(photo, margin):
    """Where exact pixels end must not show: they end where the page has an edge, here that of the photograph."""
    picture, left = page(photo), 224 - margin
    picture.paste((250, 250, 252), (180, 0, 320, 192))
    picture.paste(photo(96, 64), (left, 37))
    shown = np.asarray(decode(Encoder(picture).encode(index_of_quality(30)).data), int)
    error = np.abs(shown - np.asarray(picture, int)).max(-1)
    assert error[37:101, left : left + 96].mean() < 10
    error[37:101, left : left + 96] = 0
    assert not error[(np.asarray(picture) == (250, 250, 252)).all(-1)].any()
    assert error.max() <= 40
    assert error.mean() <= 1.2


def test_what_is_of_one_colour_is_exact_around_exact_pixels():
    """Every square of one colour, however it lies to the blocks; and nothing else."""
    random = np.random.default_rng(0)
    array = random.integers(0, 256, (64, 80, 3), np.uint8)
    array[20:35, 30:60] = 7
    array[50:61, 0:40] = 9  # one row too low for a square, and long enough for a run
    blocks = np.zeros((4, 5), bool)
    want = np.zeros((64, 80), bool)
    want[20:35, 30:60] = True
    assert np.array_equal(regions.grown(array, blocks), want)
    blocks[3, 0] = want[48:, :16] = want[50:61, :40] = True
    assert np.array_equal(regions.grown(array, blocks), want)


@pytest.mark.slow
def test_without_loss(photo):
    """One call, and every sample is as it was, of photographs too."""
    for mode in ("RGB", "L", "RGBA", "LA"):
        picture = photo(90, 70, mode)
        data = aecodec.encode(picture, lossless=True)
        assert np.array_equal(np.asarray(aecodec.decode(data)), np.asarray(picture))
        assert np.array_equal(np.asarray(aecodec.decode(data, crop=(5, 6, 20, 30))), np.asarray(picture)[6:36, 5:25])
        assert bitstream.read(data).payloads == []
    for other in ({"quality": 50}, {"target": aecodec.Size(1000)}):
        with pytest.raises(ValueError, match="without loss"):
            aecodec.encode(picture, lossless=True, **other)


def test_alpha_stands_where_it_is_smaller():
    """Alpha that repeats the colour's shapes costs nothing beside them; noise in it does not spoil them."""
    shapes = np.zeros((64, 64, 4), np.uint8)
    shapes[10:50, 10:50] = 200, 30, 40, 255
    assert len(bitstream.read(aecodec.encode(shapes, lossless=True)).chunks[ALPHA]) == 1
    noise = shapes.copy()
    noise[..., 3] = np.random.default_rng(0).integers(1, 256, (64, 64))
    for array in (shapes, noise):
        assert np.array_equal(np.asarray(aecodec.decode(aecodec.encode(array, lossless=True))), array)


def test_no_weights_are_needed_without_loss(photo, monkeypatch):
    """An archive without loss must open where no model is installed."""
    data = aecodec.encode(photo(), lossless=True)
    monkeypatch.setattr("aecodec.codec.decoder.weights_of", None)
    assert np.array_equal(np.asarray(decode(data)), np.asarray(photo()))


@pytest.mark.slow
def test_targets_end_without_loss(photo):
    """A fidelity that no quality has, and a size that is more than enough, are both met by the picture itself."""
    picture = photo()
    for target in (aecodec.Psnr(90), aecodec.Ssimulacra2(99.9), aecodec.Size(10**6), aecodec.BitsPerPixel(30)):
        data = aecodec.encode(picture, target=target)
        assert np.array_equal(np.asarray(decode(data)), np.asarray(picture))
    size = len(data)
    assert LOSSLESS not in bitstream.read(aecodec.encode(picture, target=aecodec.Size(size - 1))).chunks
    assert LOSSLESS in bitstream.read(aecodec.encode(picture, target=aecodec.Size(size))).chunks


@pytest.mark.slow
def test_targets_of_a_page_are_met(photo):
    """Exact pixels move sizes and fidelity by steps; the promise holds all the same."""
    picture = page(photo)
    smallest = len(aecodec.encode(picture, 0))
    data = aecodec.encode(picture, target=aecodec.Size(1.5 * smallest))
    assert 0.9 * smallest < len(data) <= 1.5 * smallest
    shown = np.asarray(decode(aecodec.encode(picture, target=aecodec.Psnr(38))))
    assert psnr(np.asarray(picture), shown) >= 38


def test_a_pillow_without_webp_still_encodes(photo, monkeypatch):
    """WebP is a part of Pillow that a build may lack; only what needs it is refused."""
    monkeypatch.setattr("aecodec.container.exact.is_installed", lambda: False)
    picture = page(photo)
    assert EXACT not in bitstream.read(aecodec.encode(picture)).chunks
    with pytest.raises(aecodec.MissingPackageError, match="WebP"):
        aecodec.encode(photo(400, 300), lossless=True)
    with pytest.raises(aecodec.TargetError):
        aecodec.encode(picture, target=aecodec.Psnr(90))


@pytest.mark.slow
def test_the_estimate_follows_the_coder(photo):
    """The choice of blocks rests on it: what is cheap to the coder must be cheap to the estimate."""
    text = np.asarray(page(photo))[:, :190]
    texture = np.asarray(photo(190, 192))
    assert regions.bits_without_loss(text).mean() < 0.3 * regions.bits_without_loss(texture).mean()
    for array in (text, texture):
        assert 0.3 < regions.bits_without_loss(array).sum() / 8 / webp_size(Image.fromarray(array)) < 3


def noisy_text(width: int = 320, height: int = 192) -> np.ndarray:
    """Text on white whose dark pixels have many shades, as under a JPEG's noise."""
    image = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(12)
    for row in range(height // 16):
        draw.text((6, 3 + 16 * row), "many shades of nearly one colour here"[: 37 - row % 5], (20, 30, 40), font)
    array = np.array(image)
    dark = (array < 250).any(-1)
    array[dark] = np.clip(array[dark] + np.random.default_rng(0).integers(-3, 4, (dark.sum(), 3)), 0, 255)
    return array


@pytest.mark.slow
def test_shades_that_nobody_sees_go_where_they_cost_most():
    """An old JPEG's page of text would cost three times the bytes for its noise; at quality 100 it is kept all the same."""
    picture = Image.fromarray(noisy_text())
    encoder = Encoder(picture)
    near = encoder.encode(index_of_quality(60))
    assert (near.exact, near.near) == (0, 1)
    assert len(near.data) < 0.5 * webp_size(picture)
    error = np.abs(np.subtract(decode(near.data), np.asarray(picture), dtype=np.int16))
    assert 0 < error.max() < 40
    assert not error[(np.asarray(picture) == 255).all(-1)].any()
    best = encoder.encode(MAX_INDEX)
    assert (best.exact, best.near) == (1, 0)
    assert np.array_equal(np.asarray(decode(best.data)), np.asarray(picture))


@pytest.mark.slow
def test_what_was_quantised_in_fewer_colours_is_what_a_file_shows():
    """Targets measure what no file has held yet: one that differs is a missed target."""
    encoder = Encoder(Image.fromarray(np.dstack([noisy_text(), np.tile(np.arange(320) > 20, (192, 1)) * np.uint8(255)])))
    quantised = encoder.quantise(index_of_quality(50))
    encoded = encoder.write(quantised)
    assert encoded.near > 0
    decoded = np.asarray(decode(encoded.data))
    assert np.array_equal(np.asarray(encoder.show(quantised)), decoded)
    assert np.array_equal(encoder.reconstruct(quantised)[:, 21:], decoded[:, 21:, :3])


def test_common_colours_stay():
    """A background that shifts by a level is an edge where two pictures meet."""
    array = np.zeros((40, 40, 3), np.uint8)
    array[20:] = 2  # as near as can be, but half of the picture
    array[5, 5:35] = np.arange(30)[:, None] // 3 * 3
    bits = np.full((40, 40), 0.1, np.float32)
    bits[5, 5:35] = 20
    worth, everywhere = np.full((40, 40), 0.05, np.float32), np.ones((40, 40), bool)
    found = regions._common_colours(array, bits, worth, everywhere)
    rest = np.delete(np.arange(40), 5)
    assert np.array_equal(found[rest], array[rest])
    assert len(np.unique(found)) < len(np.unique(array))
    assert np.square(found.astype(float) - array).mean(-1).max() <= regions.SAVED * 20 / 0.05
    outside = ~everywhere
    outside[5, :10] = True
    assert np.array_equal(regions._common_colours(array, bits, worth, outside)[:, 10:], array[:, 10:])


def test_a_gradient_has_no_bands():
    """Errors hide beside edges; steps of three levels in a smooth shade are what people see first."""
    shade = np.linspace(40, 200, 320).round().astype(np.uint8)
    array = np.repeat(np.tile(shade, (96, 1))[..., None], 3, -1)
    array[48:] = noisy_text()[:48]
    assert regions.activity(array)[:46].max() <= 2
    assert regions.activity(array)[50:].max() > 100
    bits, everywhere = np.full((96, 320), 4, np.float32), np.ones((96, 320), bool)
    found, _ = regions.fewer_colours(array, bits, regions.activity(array), index_of_quality(60), everywhere)
    error = np.abs(found.astype(int) - array)
    assert error[:46].max() <= 1 < error[48:].max()


def test_a_drawing_that_was_a_jpeg_is_known(photo):
    """A chart from the web in half the bytes, and sharp; a photograph is not tried, which takes three times as long."""
    for picture, is_drawn in ((diagram(), True), (terminal(), True), (photo(400, 300), False)):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=85)
        assert regions.may_have_exact(np.asarray(Image.open(buffer).convert("RGB"))) == is_drawn


def test_a_colour_becomes_the_nearest_that_is_kept(monkeypatch):
    """Whatever is looked at in one step: else a page's colours would depend on how many it has."""
    random = np.random.default_rng(0)
    colours = random.integers(0, 256, (300, 3)).astype(np.float32)
    tolerance = random.uniform(0, 600, 300)
    at_once = regions._nearest_kept(colours, tolerance)
    monkeypatch.setattr(regions, "COLOURS_AT_ONCE", 7)
    assert np.array_equal(regions._nearest_kept(colours, tolerance), at_once)
    assert 0 < (at_once != np.arange(300)).mean() < 1
    assert (np.square(colours - colours[at_once]).mean(-1) <= tolerance + 1e-3).all()
    assert np.array_equal(at_once[at_once], at_once)


def test_a_border_must_be_worth_its_price():
    """Single blocks that are a little cheaper exact would make a chequerboard on the picture."""
    gain = np.random.default_rng(0).normal(0, 20, (8, 8)).astype(np.float32)
    gain += np.repeat([400, -100], 4)
    mask = regions.choose(gain, np.zeros_like(gain))
    assert mask[:, :4].all()
    assert not mask[:, 4:].any()


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1), (17, 16)])
def test_tiny_pictures(size):
    """The shortest side decides nothing."""
    array = np.zeros((*size, 3), np.uint8)
    array[size[0] // 2 :] = 200
    for quality in (10, 90):
        assert decode(Encoder(Image.fromarray(array)).encode(index_of_quality(quality)).data).size == size[::-1]
