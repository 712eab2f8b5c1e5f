"""Smooth ripples and keep edges: the decoder's last stage, in integers.

A picture comes in at 1/8 of a level. Every two pixels that are a pair exchange an amount of light: a function of the
difference of their luma, odd, piecewise linear between KNOTS, one for each distance (ring) and quality. The sum that a
pixel gets is multiplied by the strength of its block and added to R, G and B alike. Training sees
``networks/edge_filter.py``; docs/format.md has what another decoder needs.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aecodec.entropy.integer import interpolate


class _Kernel(Protocol):
    """What ``_edge_filter.c`` has."""

    def apply(
        self,
        picture: NDArray[np.int16],
        strength: NDArray[np.uint8],
        amounts: NDArray[np.int16],
        out: NDArray[np.uint8],
        height: int,
        width: int,
        /,
    ) -> None: ...


_compiled: _Kernel | None = None
if not os.environ.get("AECODEC_PURE_PYTHON"):
    with contextlib.suppress(ImportError):
        from aecodec.images import _edge_filter

        _compiled = _edge_filter

TABLE = "synthesis.edges.table"  # the tensor (quality knots, RINGS * len(KNOTS)), in levels
BLOCK = 8  # pixels each way that share a strength
LEVEL = 8  # units of the picture in a level
FINE = 32  # those of a picture that becomes samples of more than 8 bits
AMOUNT = 128  # units of an amount in a level
STRENGTH = 16  # units of a strength in 1
STRENGTH_MAX = 2
KNOTS = (2, 4, 7, 11, 16, 24, 36, 60)  # differences in levels at which a function is given; it is 0 at 0
LAST = LEVEL * KNOTS[-1]  # larger differences count as this one
RINGS = 3  # distances: 1, sqrt(2) and 2 pixels
# (ring, rows down, columns right) of the second pixel of each pair; _edge_filter.c has them, too
PAIRS = ((0, 0, 1), (0, 1, 0), (1, 1, 1), (1, 1, -1), (2, 0, 2), (2, 2, 0))
LUMA = (77, 150, 29)  # of R, G, B, out of 256
AMOUNT_MAX = 32767  # so that tables fit int16, and twelve amounts at the highest strength int32


def tables(knots: NDArray[np.floating[Any]], rate: int) -> NDArray[np.int16]:
    """Return the amounts (RINGS, LAST + 1), int16, for differences 0..LAST at a rate index, from the tensor TABLE."""
    known = np.rint(knots.astype(np.float64) * AMOUNT).clip(-AMOUNT_MAX, AMOUNT_MAX).astype(np.int64)
    values = np.pad(interpolate(known, rate).reshape(RINGS, len(KNOTS)), ((0, 0), (1, 0)))
    ends = LEVEL * np.array([0, *KNOTS])
    difference = np.arange(LAST + 1)
    at = np.minimum(np.searchsorted(ends, difference, "right") - 1, len(KNOTS) - 1)
    width, part = (ends[1:] - ends[:-1])[at], difference - ends[at]
    found = (values[:, at] * (width - part) + values[:, at + 1] * part + width // 2) // width
    return np.ascontiguousarray(found, np.int16)


def apply(picture: NDArray[np.int16], strength: NDArray[np.uint8], amounts: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Return the filtered picture (H, W, 3), uint8.

    picture: (H, W, 3) int16 in 1/LEVEL of a level, 0..255 * LEVEL, sides multiples of BLOCK; strength: (H/8, W/8) uint8,
    0..STRENGTH_MAX * STRENGTH; amounts: as ``tables`` gives them.
    """
    if _compiled is None:
        return _apply(picture, strength, amounts)
    out = np.empty(picture.shape, np.uint8)
    height, width, _ = picture.shape
    _compiled.apply(np.ascontiguousarray(picture), np.ascontiguousarray(strength), amounts, out, height, width)
    return out


def apply_deep(
    picture: NDArray[np.int16], strength: NDArray[np.uint8] | None, amounts: NDArray[np.int16] | None, depth: int
) -> NDArray[np.uint16]:
    """Return the filtered picture (H, W, 3) in samples of ``depth`` bits, 9..16; without ``strength`` it is only rounded.

    picture: (H, W, 3) int16 in 1/FINE of a level, 0..255 * FINE; the rest is as for ``apply``, and so is the light that
    pixels exchange.
    """
    unit = AMOUNT * STRENGTH
    sums = picture.astype(np.int64) * (unit // FINE)
    if strength is not None and amounts is not None:
        eighths = (picture + np.int16(FINE // LEVEL // 2)) // (FINE // LEVEL)
        sums += _change(eighths.astype(np.int32), strength, amounts)[..., None]
    white = 255 * unit
    samples: NDArray[np.uint16] = ((2 * sums.clip(0, white) * (2**depth - 1) + white) // (2 * white)).astype(np.uint16)
    return samples


def _apply(picture: NDArray[np.int16], strength: NDArray[np.uint8], amounts: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Compute ``apply`` in numpy, for machines without the extension."""
    wide, unit = picture.astype(np.int32), AMOUNT * STRENGTH
    change = _change(wide, strength, amounts)
    samples: NDArray[np.int32] = (wide * (unit // LEVEL) + change[..., None] + unit // 2) // unit
    return samples.clip(0, 255).astype(np.uint8)


def _change(wide: NDArray[np.int32], strength: NDArray[np.uint8], amounts: NDArray[np.int16]) -> NDArray[np.int32]:
    """Return what each pixel (H, W) gets, in 1 / (AMOUNT * STRENGTH) of a level."""
    luma: NDArray[np.int32] = (wide @ np.array(LUMA, np.int32) + 128) >> 8
    h, w = luma.shape
    change = np.zeros_like(luma)
    for ring, down, right in PAIRS:
        first = np.s_[: h - down, max(0, -right) : w - max(0, right)]
        second = np.s_[down:, max(0, right) : w + min(0, right)]
        difference = luma[second] - luma[first]
        amount = np.sign(difference) * amounts[ring].astype(np.int32)[np.minimum(np.abs(difference), LAST)]
        change[first] += amount
        change[second] -= amount
    change *= np.kron(strength, np.ones((BLOCK, BLOCK), np.uint8)).astype(np.int32)
    return change
