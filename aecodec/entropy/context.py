"""Turn pixels of screens and drawings into bytes and back without loss: a context coder.

A pixel is one of a few colours that followed the same neighbours before, or is coded bit by bit. Contexts, and weights that
learn which of them to trust, say how likely each decision is (Mahoney 2005, "Adaptive weighing of context models for
lossless data compression"). The decisions go through the coder of ``rans.py``: a 1 has the start 0 and its probability as
frequency, in 1/65536, a 0 has what is left. docs/format.md, section 5.6, defines the model; ``_context_python.py`` has it
in Python, ``libaec/src/context_model.h`` in C.

Pixels are uint32, 0xAARRGGBB. Those of a picture without alpha have an alpha of 255. Colour under an alpha of 0 is lost.
"""

from __future__ import annotations

import contextlib
import os
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aecodec.entropy import _context_python

Pixels = NDArray[np.uint32]
Mask = NDArray[np.bool_]
Bits = NDArray[np.float32]


class _Coder(Protocol):
    """What ``_context.c`` and ``_context_python.py`` both have."""

    def encode(
        self, pixels: Pixels, mask: Mask | None, width: int, height: int, has_alpha: bool, most: int, /
    ) -> bytes | None: ...

    def decode(
        self, data: bytes, pixels: Pixels, mask: Mask | None, width: int, height: int, has_alpha: bool, mask_alone: bool, /
    ) -> None: ...


_coder: _Coder = _context_python
IMPLEMENTATION = "python"
if not os.environ.get("AECODEC_PURE_PYTHON"):
    with contextlib.suppress(ImportError):
        from aecodec.entropy import _context

        _coder, IMPLEMENTATION = _context, "c"

__all__ = ["IMPLEMENTATION", "ContextError", "decode", "decode_mask", "encode", "measure", "optimise"]

MOST = 2**64 - 1


class ContextError(ValueError):
    """The stream is damaged, or is that of other pixels."""


def encode(pixels: Pixels, mask: Mask | None = None, *, has_alpha: bool = False, most: int = MOST) -> bytes | None:
    """Return the stream of pixels (H, W), at most 2**24; ``mask`` (H, W) says which of them are coded, None: all.

    None where that takes more than ``most`` decisions.
    """
    height, width = pixels.shape
    inside = None if mask is None else np.ascontiguousarray(mask)
    return _coder.encode(np.ascontiguousarray(pixels), inside, width, height, has_alpha, most)


def measure(pixels: Pixels, mask: Mask | None = None, *, most: int = MOST) -> Bits | None:
    """Return the bits (H, W) that ``encode`` takes for each of the pixels, without alpha.

    None where that takes more than ``most`` decisions, or the coder is not compiled.
    """
    measured = _measured(pixels, mask, None, None, most)
    return None if measured is None else measured[1]


def optimise(
    pixels: Pixels, given: Pixels, weights: NDArray[np.float32], mask: Mask | None = None, *, most: int = MOST
) -> tuple[Pixels, Bits] | None:
    """Return pixels (H, W) that cost less, since some have another colour of their surroundings, and their bits.

    given: (H, W), the colours that are right; weights: (H, W), the bits that a squared error from them is worth, the mean
    over the channels, of which red counts 0.3, green 0.5 and blue 0.2; mask: (H, W), which pixels are coded and may change,
    None: all. Each pixel takes the colour of least bits + weight * error, whatever that means for later ones
    (rate-distortion optimisation, Sullivan and Wiegand 1998). None as in ``measure``.
    """
    return _measured(pixels, mask, given, weights, most)


def _measured(
    pixels: Pixels, mask: Mask | None, given: Pixels | None, weights: NDArray[np.float32] | None, most: int
) -> tuple[Pixels, Bits] | None:
    if IMPLEMENTATION != "c":
        return None
    (height, width), result = pixels.shape, pixels.copy()
    bits, inside = np.zeros(pixels.shape, np.float32), None if mask is None else np.ascontiguousarray(mask)
    right = None if given is None else np.ascontiguousarray(given)
    worth = None if weights is None else np.ascontiguousarray(weights, np.float32)
    is_whole = _context.measure(result, inside, right, worth, bits, width, height, most)
    return (result, bits) if is_whole else None


def decode(
    data: bytes, height: int, width: int, *, has_mask: bool = False, has_alpha: bool = False
) -> tuple[Pixels, Mask | None]:
    """Return pixels (H, W) and, of a stream with a mask, which of them are coded (H, W); others have no meaning.

    Raises ContextError where the stream is damaged.
    """
    return _decoded(data, height, width, has_mask, has_alpha, mask_alone=False)


def decode_mask(data: bytes, height: int, width: int) -> Mask:
    """Return which pixels (H, W) of a stream with a mask are coded; that is known sooner. Raises as ``decode`` does."""
    mask = _decoded(data, height, width, has_mask=True, has_alpha=False, mask_alone=True)[1]
    assert mask is not None
    return mask


def _decoded(
    data: bytes, height: int, width: int, has_mask: bool, has_alpha: bool, mask_alone: bool
) -> tuple[Pixels, Mask | None]:
    pixels = np.empty((height, width), np.uint32)
    mask = np.empty((height, width), bool) if has_mask else None
    try:
        _coder.decode(data, pixels, mask, width, height, has_alpha, mask_alone)
    except ValueError as error:
        raise ContextError(str(error)) from None
    return pixels, mask
