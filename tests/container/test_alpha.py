"""Alpha: every sample comes back, in few bytes, and nothing else comes out of a bad chunk."""

from __future__ import annotations

import io
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from aecodec.container import alpha
from aecodec.container.alpha import ABOVE, BITS, LEFT
from aecodec.errors import BitstreamError


def masks(height: int, width: int) -> dict[str, np.ndarray]:
    """What alpha planes look like."""
    random = np.random.default_rng(3)
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(x - width / 2, y - height / 2)
    return {
        "opaque": np.full((height, width), 255, np.uint8),
        "clear": np.zeros((height, width), np.uint8),
        "disc": np.where(distance < width / 3, 255, 0).astype(np.uint8),
        "soft disc": (255 * (width / 3 - distance + 0.5).clip(0, 1)).astype(np.uint8),
        "ramp": (x * 255 // max(width - 1, 1)).astype(np.uint8),
        "shadow": (255 / (1 + np.exp((distance - width / 3) / 8))).astype(np.uint8),
        "noise": random.integers(0, 256, (height, width)).astype(np.uint8),
        "bits": (random.integers(0, 2, (height, width)) * 255).astype(np.uint8),
    }


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (17, 1), (7, 13), (48, 64)])
@pytest.mark.parametrize("name", masks(1, 1))
def test_round_trip(size, name):
    """A single wrong sample of alpha is a speck on somebody's page."""
    plane = masks(*size)[name]
    assert np.array_equal(alpha.decode(alpha.encode(plane), *size), plane)


@pytest.mark.parametrize("form", [0, LEFT, ABOVE, LEFT | ABOVE, BITS, BITS | ABOVE])
def test_forms_are_those_of_the_description(form):
    """docs/format.md, sample by sample: other decoders have nothing else to go by."""
    height, width = 5, 19
    columns = 3 if form & BITS else width
    raw = np.random.default_rng(form).integers(0, 256, (height, columns), np.uint8)
    want = np.zeros((height, columns), int)
    for row in range(height):
        for column in range(columns):
            left = want[row][column - 1] if form & LEFT and column else 0
            above = want[row - 1][column] if form & ABOVE and row else 0
            both = want[row - 1][column - 1] if form & LEFT and form & ABOVE and row and column else 0
            want[row][column] = (raw[row][column] + left + above - both) % 256
    if form & BITS:
        want = np.array([[255 * (want[row][x // 8] >> (7 - x % 8) & 1) for x in range(width)] for row in range(height)])
    assert np.array_equal(alpha.decode(bytes([form]) + zlib.compress(raw.tobytes()), height, width), want)


@pytest.mark.parametrize("name", ["disc", "soft disc", "ramp", "shadow"])
def test_is_smaller_than_a_png(name):
    """Who had a PNG must not pay more for its alpha here."""
    plane = masks(128, 128)[name]
    buffer = io.BytesIO()
    Image.fromarray(plane).save(buffer, "PNG", optimize=True)
    assert len(alpha.encode(plane)) < 0.97 * len(buffer.getvalue())


def test_bombs_are_refused_in_little_memory():
    """A chunk of 10 kB that inflates to 10 MB, and one of ten bytes for 268 megapixels, must cost neither."""
    for body, size in ((b"\0" + zlib.compress(bytes(10**7)), 64), (b"\0" + zlib.compress(b"x"), 2**14)):
        tracemalloc.start()
        with pytest.raises(BitstreamError, match="another size"):
            alpha.decode(body, size, size)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 10**6


def test_damage_is_told():
    """Alpha that is cut, lengthened, or of an unknown form must not be shown as something."""
    body = alpha.encode(masks(16, 24)["shadow"])
    bad = [b"", body[:1], body[:-1], body + b"\0", bytes([LEFT | BITS]) + body[1:], b"\x08" + body[1:]]
    bad += [body[:i] + bytes([body[i] ^ 4]) + body[i + 1 :] for i in range(1, len(body))]
    for damaged in bad:
        with pytest.raises(BitstreamError, match="damaged"):
            alpha.decode(damaged, 16, 24)
    with pytest.raises(BitstreamError, match="damaged"):
        alpha.decode(body, 24, 24)
