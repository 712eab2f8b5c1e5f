"""The context coder: what was coded comes back, in C and in Python alike, and damage is told."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, features

from aecodec.entropy import _context_python, context
from aecodec.entropy.context import ContextError

needs_c = pytest.mark.skipif(context.IMPLEMENTATION != "c", reason="the module in C is not compiled")


def packed(array: np.ndarray) -> np.ndarray:
    """Pixels (H, W, 3) or (H, W, 4) as 0xAARRGGBB; colour under an alpha of 0 is 0."""
    wide = array.astype(np.uint32)
    alpha = wide[..., 3] if array.shape[2] == 4 else np.uint32(255)
    result = alpha << 24 | wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return np.where(result < 1 << 24, 0, result).astype(np.uint32)


def page(width: int = 90, height: int = 60) -> np.ndarray:
    """Text, lines and a gradient."""
    image = Image.fromarray(np.add.outer(np.arange(height), np.arange(width)).astype(np.uint8)).convert("RGB")
    draw = ImageDraw.Draw(image)
    draw.rectangle((4, 6, width - 5, height - 20), "white", "navy")
    for row in range(3):
        draw.text((8, 8 + 11 * row), f"line {row} of text", "black" if row % 2 else "#b03060")
    return np.asarray(image)


def noise(height: int, width: int, channels: int = 3, most: int = 256, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, most, (height, width, channels), np.uint8)


def tiles() -> np.ndarray:
    """A pattern that occurs again and again, as that of a window's background: matches are found."""
    return np.tile(noise(16, 24, most=8), (4, 4, 1))


PICTURES = {
    "page": page(),
    "a colour": np.full((40, 50, 3), 77, np.uint8),
    "noise": noise(20, 30),
    "little noise": noise(30, 40, most=4),
    "tiles": tiles(),
    "a pixel": noise(1, 1),
    "a row": noise(1, 60, most=3),
    "a column": noise(60, 1, most=3),
    "alpha": np.dstack([page(), np.where(page()[..., 0] > 100, page()[..., 1], 0)]),
    "noisy alpha": noise(20, 20, 4, most=3),
}


def masks(shape: tuple[int, int]) -> list[np.ndarray | None]:
    rng = np.random.default_rng(3)
    blocks = (
        np.kron(rng.random((-(-shape[0] // 16), -(-shape[1] // 16))) < 0.5, np.ones((16, 16)))[: shape[0], : shape[1]] > 0
    )
    return [None, blocks, rng.random(shape) < 0.3, np.zeros(shape, bool)]


@pytest.mark.parametrize("name", PICTURES)
def test_pixels_come_back(name):
    """One wrong pixel in a picture that is promised to be exact is a broken promise."""
    pixels, has_alpha = packed(PICTURES[name]), PICTURES[name].shape[2] == 4
    for mask in masks(pixels.shape):
        stream = context.encode(pixels, mask, has_alpha=has_alpha)
        assert stream is not None
        found, inside = context.decode(stream, *pixels.shape, has_mask=mask is not None, has_alpha=has_alpha)
        if mask is None:
            assert inside is None
            assert np.array_equal(found, pixels)
        else:
            assert np.array_equal(inside, mask)
            assert np.array_equal(context.decode_mask(stream, *pixels.shape), mask)
            assert np.array_equal(found[mask], pixels[mask])


@needs_c
@pytest.mark.parametrize("name", PICTURES)
def test_python_and_c_agree(name):
    """A machine without a compiler must read what others wrote, and write what they read."""
    pixels, has_alpha = packed(PICTURES[name]), PICTURES[name].shape[2] == 4
    height, width = pixels.shape
    for mask in masks(pixels.shape)[:2]:
        stream = context.encode(pixels, mask, has_alpha=has_alpha)
        assert _context_python.encode(pixels, mask, width, height, has_alpha, context.MOST) == stream
        found, inside = np.empty_like(pixels), None if mask is None else np.empty(pixels.shape, bool)
        _context_python.decode(stream, found, inside, width, height, has_alpha, False)
        decoded = context.decode(stream, height, width, has_mask=mask is not None, has_alpha=has_alpha)
        assert np.array_equal(found, decoded[0])
        assert mask is None or np.array_equal(inside, mask)


@needs_c
@pytest.mark.parametrize("name", ["page", "noise", "tiles", "a row"])
def test_what_pixels_cost_is_measured(name):
    """The choice of what is kept exact rests on it: bits that are counted must be those that are written."""
    pixels = packed(PICTURES[name])
    for mask in (None, np.random.default_rng(1).random(pixels.shape) < 0.7):
        bits = context.measure(pixels, mask)
        assert bits is not None
        assert (bits >= 0).all()
        assert mask is None or not bits[~mask].any()
        written = 8 * (len(context.encode(pixels, mask)) - 16) - (0 if mask is None else mask.size * 0.88)
        assert bits.sum() == pytest.approx(written, rel=0.05, abs=200)


@needs_c
def test_cheaper_colours_cost_less_and_are_near():
    """They are what makes a page with a JPEG's noise small; one that is far off would be a stain."""
    given = packed(np.clip(page().astype(int) + noise(60, 90, most=7) - 3, 0, 255).astype(np.uint8))
    mask = np.ones(given.shape, bool)
    mask[:, 60:] = False
    sizes = []
    for weight in (10.0, 0.1, 0.01):
        found, bits = context.optimise(given, given, np.full(given.shape, weight, np.float32), mask)
        assert np.array_equal(found[~mask], given[~mask])
        assert bits.sum() == pytest.approx(context.measure(found, mask).sum(), rel=0.01)
        change = np.stack([(found >> shift & 255).astype(int) - (given >> shift & 255) for shift in (16, 8, 0)])
        # no more than a pixel can cost: one that is given is at most about 16 bits for its value, and 11 decisions
        assert (np.array([0.3, 0.5, 0.2]) @ np.square(change).reshape(3, -1)).max() * weight < 16 + 11 * 12
        sizes.append(len(context.encode(found, mask)))
    assert sizes[0] > 1.2 * sizes[1] > 1.2 * 1.2 * sizes[2]


@needs_c
def test_cheaper_colours_are_not_looked_for_forever():
    """A photograph takes twenty decisions a pixel; whoever encodes a folder of them waits."""
    pixels, weights = packed(noise(40, 40)), np.ones((40, 40), np.float32)
    assert context.optimise(pixels, pixels, weights, most=1000) is None
    assert context.measure(pixels, most=1000) is None
    assert context.measure(pixels) is not None


def test_nothing_is_measured_in_python(monkeypatch):
    """It would take minutes a picture: without the compiled coder nothing is written by it either."""
    monkeypatch.setattr(context, "IMPLEMENTATION", "python")
    pixels = packed(page())
    assert context.measure(pixels) is None
    assert context.optimise(pixels, pixels, np.ones(pixels.shape, np.float32)) is None


@pytest.mark.skipif(not features.check("webp"), reason="this Pillow has no WebP")
@pytest.mark.parametrize("array", [page(400, 300), np.tile(page(), (3, 4, 1))])
def test_screens_take_fewer_bytes_than_a_webp(array):
    """What this coder is there for."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "WEBP", lossless=True, method=6, quality=100)
    stream = context.encode(packed(array))
    assert stream is not None
    assert len(stream) < 0.9 * len(buffer.getvalue())


def test_photographs_are_given_up_early(photo):
    """They take twenty decisions a pixel; who is to decode one must not wait for that."""
    pixels = packed(np.asarray(photo(64, 64)))
    assert context.encode(pixels, most=6 * pixels.size) is None
    assert context.encode(pixels) is not None
    drawing = packed(page())
    assert context.encode(drawing, most=6 * drawing.size) is not None


@needs_c
@pytest.mark.slow
def test_a_long_stream_has_several_blocks():
    """Decisions are kept until a block of 4 194 304 is full; a large picture must not stop there."""
    pixels = packed(noise(440, 440))
    stream = context.encode(pixels)
    assert stream is not None
    assert np.array_equal(context.decode(stream, 440, 440)[0], pixels)


def test_other_pixels_or_damage_are_told():
    """The end of a stream is known: one that was cut, lengthened or is of another size is never taken for whole."""
    pixels = packed(page())
    stream = context.encode(pixels)
    assert stream is not None
    for damaged in (b"", stream[:15], stream[:-4], stream + b"\0\0\0\0", b"\0" * 16, b"\xff" * len(stream)):
        with pytest.raises(ContextError):
            context.decode(damaged, *pixels.shape)
    for height, width in ((pixels.shape[0] - 1, pixels.shape[1]), (pixels.shape[0] + 1, pixels.shape[1])):
        with pytest.raises(ContextError):
            context.decode(stream, height, width)


@needs_c
def test_python_and_c_refuse_alike():
    """Neither may crash on what the other refuses."""
    pixels = packed(page(40, 30))
    stream = context.encode(pixels)
    assert stream is not None
    rng = np.random.default_rng(5)
    for _ in range(30):
        damaged = bytearray(stream)
        damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        found = np.empty_like(pixels)
        answers = []
        for decode in (context._coder.decode, _context_python.decode):
            try:
                decode(bytes(damaged), found, None, 40, 30, False, False)
                answers.append(found.tobytes())
            except ValueError:
                answers.append(None)
        assert answers[0] == answers[1]


@needs_c
def test_arrays_of_another_size_are_an_error():
    """Memory beyond an array must not be read."""
    pixels = np.zeros((4, 4), np.uint32)
    for width, height in ((5, 4), (0, 4), (4, 0)):
        with pytest.raises(TypeError):
            context._coder.encode(pixels, None, width, height, False, context.MOST)
        with pytest.raises(TypeError):
            context._coder.decode(b"", pixels, None, width, height, False, False)
    with pytest.raises(TypeError):
        context._coder.encode(pixels, np.zeros((4, 5), bool), 4, 4, False, context.MOST)
