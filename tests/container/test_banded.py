"""Pictures of contexts: their bands and heads, and what of them is refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from aecodec.container import banded
from aecodec.container.banded import Banded
from aecodec.entropy import context
from aecodec.errors import BitstreamError


def drawing(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Rectangles of a few colours."""
    rng = np.random.default_rng(2)
    array = np.zeros((height, width, channels), np.uint8)
    for _ in range(12):
        top, left = rng.integers(0, height), rng.integers(0, width)
        array[top : top + 9, left : left + 20] = rng.integers(0, 256, channels)
    return array


def encoded(*arguments, **options) -> bytes:
    data = banded.encode(*arguments, **options)
    assert data is not None
    return data


@pytest.mark.parametrize("threads", ["1", "3"])
def test_bands_are_put_together_in_their_order(monkeypatch, threads):
    """A long picture has several; they are coded at the same time and must not change places."""
    monkeypatch.setattr(banded, "BAND", 7 * 50 + 3)
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    array = drawing(40, 50)
    picture = Banded.read(encoded(array))
    assert len(picture.streams) == 6
    assert np.array_equal(picture.decode(), np.dstack([array, np.full((40, 50), 255, np.uint8)]))


@pytest.mark.parametrize("is_near", [False, True])
def test_pixels_outside_a_mask_are_not_there(is_near):
    """Alpha says which pixels are exact, and whether they are as they were given."""
    array, mask = drawing(40, 50), drawing(40, 50, 1)[..., 0] % 2 > 0
    picture = Banded.read(encoded(array, mask, is_near=is_near))
    pixels = picture.decode()
    assert np.array_equal(picture.mask(), mask)
    assert np.array_equal(pixels[..., 3], mask * (254 if is_near else 255))
    assert np.array_equal(pixels[..., :3], array * mask[..., None])
    assert picture.is_near == is_near


def test_alpha_comes_back():
    """Half-transparent drawings are common; the colour that nobody sees is dropped."""
    array = drawing(40, 50, 4)
    array[5:9, :, 3] = 0
    assert np.array_equal(Banded.read(encoded(array)).decode(), array * (array[..., 3:] > 0))


@pytest.mark.skipif(context.IMPLEMENTATION != "c", reason="takes minutes without the module in C")
def test_a_picture_that_takes_long_is_none():
    """Photographs are left to another coder, but for small ones."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    assert banded.encode(noise, is_patient=False) is None
    assert banded.encode(noise[:50], is_patient=False) is not None
    assert banded.encode(drawing(300, 300), is_patient=False) is not None


def test_a_head_stands_in_six_bytes():
    """A reader of a file that ends early knows from so many where a picture lies."""
    data = encoded(np.zeros((4096, 4095, 3), np.uint8)[:, :300])
    assert banded.size(data[:6]) == (4096, 300)


DATA = encoded(drawing(40, 50))


@pytest.mark.parametrize(
    "data",
    [
        b"", DATA[:1], DATA[:3], b"\x2f" + DATA[1:], DATA[:1] + b"\x08" + DATA[2:], DATA[:2] + b"\0" + DATA[3:],
        DATA[:2] + b"\x81\x20" + DATA[3:], DATA[:-1], DATA + b"\0", DATA[:2] + b"\xb2\0" + DATA[3:],
    ],
)  # fmt: skip
def test_a_bad_head_or_length_is_refused_before_decoding(data):
    """Sizes beyond the limit, unknown flags, numbers that could be shorter, and what is missing or too much."""
    with pytest.raises(BitstreamError):
        Banded.read(data)


def test_damage_inside_is_told():
    """It is found where a stream ends."""
    for damaged in (DATA[:8] + bytes(len(DATA) - 8), DATA[:-4] + b"\xff" * 4, DATA[:3] + b"\x29" + DATA[4:]):
        with pytest.raises(BitstreamError, match="damaged"):
            Banded.read(damaged).decode()


def test_the_examples_of_the_page_are_right():
    """Who writes a decoder from docs/format.md, section 12.5, compares with these."""
    text = (Path(__file__).parents[2] / "docs" / "format.md").read_text("utf-8")
    examples = [bytes.fromhex(line) for line in re.findall(r"^    (43 0[02](?: [0-9A-F]{2})+)$", text, re.MULTILINE)]
    assert len(examples) == 2
    pixel, masked = (Banded.read(each).decode() for each in examples)
    assert pixel.tolist() == [[[200, 100, 50, 255]]]
    dark, white, none = [10, 20, 30, 255], [255, 255, 255, 255], [0, 0, 0, 0]
    assert masked.tolist() == [[dark, dark, none], [dark, dark, none], [none, dark, white]]
