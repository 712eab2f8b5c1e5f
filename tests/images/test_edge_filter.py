"""The edge filter: a written definition, its two implementations, and what it must leave alone."""

from __future__ import annotations

import importlib
import os

import numpy as np
import pytest

from aecodec.images import edge_filter
from aecodec.images.edge_filter import AMOUNT, BLOCK, KNOTS, LAST, LEVEL, RINGS, STRENGTH, STRENGTH_MAX, apply, tables
from aecodec.quality import KNOTS as QUALITIES, MAX_INDEX

PURE_PYTHON = bool(os.environ.get("AECODEC_PURE_PYTHON"))


@pytest.fixture(params=["c", "python"])
def implementation(request, monkeypatch):
    """Puts one implementation behind the public interface."""
    if request.param == "c" and PURE_PYTHON:
        pytest.skip("AECODEC_PURE_PYTHON allows its absence")
    module = None if request.param == "python" else importlib.import_module("aecodec.images._edge_filter")
    monkeypatch.setattr(edge_filter, "_compiled", module)


def drawn(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Picture, strengths and amounts of full range."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 255 * LEVEL + 1, (height, width, 3)).astype(np.int16)
    strength = rng.integers(0, STRENGTH_MAX * STRENGTH + 1, (height // BLOCK, width // BLOCK)).astype(np.uint8)
    return picture, strength, tables(rng.normal(0, 3, (QUALITIES, RINGS * len(KNOTS))), 777)


def by_definition(picture, strength, amounts) -> np.ndarray:
    """The filter written from docs/format.md, a pixel at a time."""
    h, w, _ = picture.shape
    luma = [[(77 * int(r) + 150 * int(g) + 29 * int(b) + 128) // 256 for r, g, b in row] for row in picture]
    out = np.zeros(picture.shape, np.uint8)
    offsets = [(0, 0, 1), (0, 1, 0), (1, 1, 1), (1, 1, -1), (2, 0, 2), (2, 2, 0)]
    for y in range(h):
        for x in range(w):
            change = 0
            for ring, down, right in offsets + [(ring, -down, -right) for ring, down, right in offsets]:
                if 0 <= y + down < h and 0 <= x + right < w:
                    difference = luma[y + down][x + right] - luma[y][x]
                    amount = int(amounts[ring][min(abs(difference), LAST)])
                    change += amount if difference > 0 else -amount
            for c in range(3):
                value = 256 * int(picture[y, x, c]) + change * int(strength[y // BLOCK, x // BLOCK])
                out[y, x, c] = min(max((value + 1024) // 2048, 0), 255)
    return out


@pytest.mark.skipif(PURE_PYTHON, reason="AECODEC_PURE_PYTHON allows its absence")
def test_the_extension_is_built():
    """Without it decoding a large picture takes seconds more, and nobody would notice why."""
    assert edge_filter._compiled is not None


@pytest.mark.parametrize("size", [(8, 8), (16, 8), (24, 40)])
def test_the_filter_is_its_definition(implementation, size):
    """Another decoder is written from that definition, and must show the same picture."""
    parts = drawn(*size)
    assert (apply(*parts) == by_definition(*parts)).all()


def test_a_table_of_zeros_only_rounds(implementation):
    """Weights without a filter must not lose anything in it."""
    picture, strength, _ = drawn(16, 24)
    nothing = tables(np.zeros((QUALITIES, RINGS * len(KNOTS))), 1000)
    assert (apply(picture, strength, nothing) == (picture + LEVEL // 2) // LEVEL).all()


def test_a_block_of_strength_zero_is_left_alone(implementation):
    """The network switches the filter off where it would do harm."""
    picture, strength, amounts = drawn(24, 24)
    strength[:] = 9
    strength[1, 1] = 0
    shown = apply(picture, strength, amounts)
    rounded = (picture + LEVEL // 2) // LEVEL
    inside = np.s_[8:16, 8:16]
    assert (shown[inside] == rounded[inside]).all()
    assert (shown[:8] != rounded[:8]).any()


def test_flat_areas_stay_flat(implementation):
    """A sky without texture must not get any."""
    _, strength, amounts = drawn(16, 16)
    picture = np.full((16, 16, 3), 100 * LEVEL, np.int16)
    assert (apply(picture, strength, amounts) == 100).all()


def test_tables_go_through_the_knots():
    """The amounts of a quality knot are the weights' own, to the unit."""
    knots = np.random.default_rng(1).normal(0, 2, (QUALITIES, RINGS * len(KNOTS)))
    for quality in (0, 3, QUALITIES - 1):
        found = tables(knots, quality * MAX_INDEX // (QUALITIES - 1))
        wanted = np.rint(knots[quality] * AMOUNT).reshape(RINGS, -1)
        assert (found[:, [LEVEL * knot for knot in KNOTS]] == wanted).all()
        assert (found[:, 0] == 0).all()


@pytest.mark.skipif(PURE_PYTHON, reason="AECODEC_PURE_PYTHON allows its absence")
@pytest.mark.parametrize("damage", ["short picture", "short out", "odd side", "narrow", "strength", "table"])
def test_arrays_that_do_not_fit_are_refused(damage):
    """The extension must not read or write beyond what it was given."""
    compiled = importlib.import_module("aecodec.images._edge_filter")
    picture, strength, amounts = drawn(16, 16)
    out, size = np.empty((16, 16, 3), np.uint8), (16, 16)
    if damage == "short picture":
        picture = picture[:8].copy()
    elif damage == "short out":
        out = out[:8].copy()
    elif damage == "odd side":
        size = (15, 16)
    elif damage == "narrow":
        size = (16, 0)
    elif damage == "strength":
        strength[0, 0] = 33
    else:
        amounts = amounts[:2].copy()
    with pytest.raises(TypeError):
        compiled.apply(picture, strength, amounts, out, *size)
