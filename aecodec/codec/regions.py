"""Which blocks of a picture are kept without loss: those of flat colours, text and lines, where that is cheaper.

The choice is by bits + lambda * squared error, with a cost for each border between exact blocks and others. What a block
costs the networks is known from a first pass. What it costs without loss is measured pixel by pixel, or estimated where
that takes long. The same pixels may cost much less in fewer colours: ``fewer_colours``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aecodec.container import banded
from aecodec.quality import lambda_of_quality, quality_of_index

SIDE = 16  # pixels, of the blocks
ROWS = 64  # of a picture are looked at, at least, to find out whether it may have such blocks; and every STRIDE-th
STRIDE = 8
RUN, EDGE = 3, 16  # equal pixels in a row, and the levels by which the next one differs: an edge of a drawing
FLAT = 0.03  # share of rows of SIDE pixels that are equal, at least, and
EDGES = 1e-4  # share of pixels with such an edge, at least, or nothing is tried;
MOSTLY = 0.3  # but from this share of equal rows on, or
FEW = 64  # with so few colours, it is; and where a drawing was a JPEG:
NOISE, NEARLY = 4, 0.33  # levels by which samples differ in nearly flat rows of SIDE pixels; share of such rows, and
RIPPLE, SHARP, SHARPLY = 8, 96, 1.5e-4  # levels of pixels that are nearly equal, of edges behind them, and share of these
BORDER = 50.0  # bits that a border between two blocks costs; 12 and 300 were worse by bits and error
SWEEPS = 24
GROWTH = 15  # pixels by which exact ones go on beyond their block in the same colour
SQUARE = 12  # pixels, the side of squares of one colour that are exact wherever other pixels are, and the least length of
TURNS = 2  # runs along which exact ones go on to their ends, so many times down and across
ERROR = 0.5  # weight of errors beside lambda: the networks learn more than squared error, which is large at edges
COLOURS, KEPT = 2**18, 2**13  # most colours that are looked at for fewer colours, and that are left when this ends
COLOURS_AT_ONCE = 256  # of these in one step
SAVED = 0.2  # of a colour's estimated bits, that are saved where it becomes another one
WORTH, DOUBLES = 0.07, 20  # bits that a pixel as given is worth beside one in fewer colours, at quality 0; steps for twice
ALONE = 24  # power of their share of the picture by which that falls
# in fewer colours an error counts as much as one of the networks where ``activity`` has USUAL levels, and so many times in
# flat places and beside edges
USUAL, FLATLY, EDGED = 16.0, 16.0, 0.5
EVEN = 0.0263  # ``lagrangian`` at quality 60; below it an error counts more where whole colours go, since hues would shift
# weight of errors beside the root of lambda where pixels take cheaper colours; below so many levels of activity it is more
SEEN, SOFT = 0.28, 256.0

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.uint8]


def may_have_exact(array: Pixels) -> bool:
    """Return whether a picture (H, W, 3) has flat places and sharp edges beside flat ones, or few colours, as drawings do.

    It takes little time. Photographs have one or the other: a white sky, say, or a frame. Drawings that were JPEGs have
    places that are nearly flat, and edges that photographs rarely have.
    """
    stride = max(1, min(STRIDE, len(array) // ROWS))
    rows = np.ascontiguousarray(array[stride // 2 :: stride])
    if rows.shape[1] <= SIDE:
        return True  # so small that to try costs nothing
    colours = rows.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    equal = colours[:, 1:] == colours[:, :-1]
    flat = equal[:, : equal.shape[1] // SIDE * SIDE].reshape(len(rows), -1, SIDE).all(-1).mean()
    if flat >= MOSTLY or len(np.unique(colours)) <= FEW:
        return True
    steps = np.abs(np.diff(rows[..., 1].astype(np.int16), axis=1))
    if flat >= FLAT and _share_of_edges(equal, steps >= EDGE) >= EDGES:
        return True
    if _share_of_edges(steps <= RIPPLE, steps >= SHARP) < SHARPLY:
        return False
    parts = np.moveaxis(rows[:, : rows.shape[1] // SIDE * SIDE], 2, 0).reshape(3, -1, SIDE)
    return bool((np.ptp(parts, 2) <= NOISE).all(0).mean() >= NEARLY)


def _share_of_edges(equal: Mask, edges: Mask) -> float:
    """Return the share of pixels (H, W - 1) at an edge to the next one, behind RUN that are equal to their next ones."""
    runs = equal[:, :-RUN] & equal[:, 1 : 1 - RUN] & equal[:, 2 : 2 - RUN]
    return float((runs & edges[:, RUN:]).mean())


def bits_without_loss(array: Pixels) -> Floats:
    """Return about how many bits each pixel (H, W) costs a coder that knows colours, runs and repeated shapes.

    A pixel is coded among those that have followed the same neighbours elsewhere: left, above, and on both sides of that.
    The first of a kind costs its difference from the neighbours.
    """
    wide = array.astype(np.int64)
    packed = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    padded = np.pad(packed, ((1, 0), (2, 1)), "edge")
    left, far = padded[1:, 1:-2], padded[1:, :-3]
    above, before, after = padded[:-1, 2:-1], padded[:-1, 1:-2], padded[:-1, 3:]
    context = _mix(_mix(_mix(_mix(left) + above) + before) + after) + far
    context = _mix(context)
    own = _mix(context + packed)
    followed, pairs = _counts(context), _counts(own)
    bits: Floats = (np.log2(followed / pairs) + _novelty(array) / pairs).astype(np.float32)
    return bits


def _mix(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return well-spread 64-bit numbers for numbers (a step of SplitMix64)."""
    values = (values ^ (values >> 29)) * np.int64(-0x40A7B892E31B1A47)
    return values ^ (values >> 32)


def _counts(values: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return how often each number occurs in the whole array, at its places."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return counts[inverse].reshape(values.shape).astype(np.float64)


def _novelty(array: Pixels) -> npt.NDArray[np.float64]:
    """Return the bits of each pixel (H, W) as a difference from its neighbours."""
    wide = array.astype(np.int16)
    padded = np.pad(wide, ((1, 0), (1, 0), (0, 0)), "edge")
    left, above, corner = padded[1:, :-1], padded[:-1, 1:], padded[:-1, :-1]
    residual = wide - np.clip(left + above - corner, np.minimum(left, above), np.maximum(left, above))
    residual[..., 0] -= residual[..., 1]
    residual[..., 2] -= residual[..., 1]
    bits: npt.NDArray[np.float64] = (1 + 1.6 * np.log2(1 + np.abs(residual.astype(np.float64)))).sum(-1)
    return bits


def block_sums(values: npt.NDArray[np.floating[Any]], side: int = SIDE) -> Floats:
    """Return the sums of (H, W) over blocks of ``side``, the last ones smaller."""
    height, width = values.shape
    rows = np.add.reduceat(values, np.arange(0, height, side), 0)
    return np.add.reduceat(rows, np.arange(0, width, side), 1).astype(np.float32)


def pixels_of(blocks: Mask, height: int, width: int) -> Mask:
    """Return which pixels (height, width) belong to the set blocks."""
    return np.repeat(np.repeat(blocks, SIDE, 0), SIDE, 1)[:height, :width]


def grown(array: Pixels, blocks: Mask) -> Mask:
    """Return the pixels (H, W) of the set blocks and what is of one colour around them.

    That is what goes on beside them in the very same colour, for up to GROWTH pixels and along runs of SQUARE pixels or
    more, and every square of SQUARE pixels of one colour. So the exact pixels end where the page itself has an edge, such
    as that of a photograph on it.
    """
    wide = array.astype(np.uint32)
    colours = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    mask = pixels_of(blocks, *colours.shape)
    across, down = colours[:, 1:] == colours[:, :-1], colours[1:] == colours[:-1]
    for _ in range(GROWTH):
        before = mask
        mask = before.copy()
        mask[:, 1:] |= before[:, :-1] & across
        mask[:, :-1] |= before[:, 1:] & across
        mask[1:] |= before[:-1] & down
        mask[:-1] |= before[1:] & down
    if min(mask.shape) >= SQUARE:
        runs = _all_of(across, SQUARE - 1)  # of SQUARE equal pixels, by the first of them
        squares = _all_of(runs.T, SQUARE).T & _all_of(down.T, SQUARE - 1).T[:, : runs.shape[1]]
        top, left = squares.shape
        columns = np.zeros((top, mask.shape[1]), bool)
        for shift in range(SQUARE):
            columns[:, shift : shift + left] |= squares
        for shift in range(SQUARE):
            mask[shift : shift + top] |= columns
    for _ in range(TURNS):
        mask = _along_runs(_along_runs(mask.T, down.T).T, across)
    return mask


def _along_runs(mask: Mask, equal: Mask) -> Mask:
    """Return the mask with all of each run of a row that has SQUARE pixels or more and one of them in the mask.

    equal: (H, W - 1), which pixels have the same colour as the next one.
    """
    starts = np.ones(mask.shape, bool)
    starts[:, 1:] = ~equal
    first = np.flatnonzero(starts)
    lengths = np.diff(np.append(first, mask.size))
    whole = np.logical_or.reduceat(np.ravel(mask), first) & (lengths >= SQUARE)
    result: Mask = np.repeat(whole, lengths).reshape(mask.shape) | mask
    return result


def _all_of(values: Mask, count: int) -> Mask:
    """Return whether each value and those after it along a row, ``count`` in all, are set."""
    width = values.shape[1] - count + 1
    result = values[:, :width].copy()
    for shift in range(1, count):
        result &= values[:, shift : shift + width]
    return result


def choose(learned: Floats, exact: Floats, border: float = BORDER) -> Mask:
    """Return the blocks that are better exact, from what each costs in bits either way, error included.

    Each border between two blocks that are coded differently costs ``border`` bits. The sum is brought down by mean-field
    annealing (Peterson and Anderson 1987) over a chequerboard; all or no blocks are taken where that is better still.
    """
    gain = learned - exact
    parity = np.add.outer(np.arange(gain.shape[0]), np.arange(gain.shape[1])) % 2
    state = np.zeros(gain.shape)
    for temperature in border * np.geomspace(4, 0.05, SWEEPS):
        for colour in range(2):
            padded = np.pad(state, 1)
            around = padded[1:-1, :-2] + padded[1:-1, 2:] + padded[:-2, 1:-1] + padded[2:, 1:-1]
            state = np.where(parity == colour, np.tanh((gain + border * around) / (2 * temperature)), state)
    masks = [state > 0, np.zeros(gain.shape, bool), np.ones(gain.shape, bool)]
    return max(masks, key=lambda mask: float(gain[mask].sum()) - border * _borders(mask))


def _borders(mask: Mask) -> int:
    """Return the number of borders between set blocks and others."""
    return int((mask[1:] != mask[:-1]).sum() + (mask[:, 1:] != mask[:, :-1]).sum())


@dataclass(frozen=True)
class Choice:
    """Blocks that are kept, and the bits and weighted error of each of them: (h, w)."""

    blocks: Mask
    costs: Floats

    def total(self, learned: Floats) -> float:
        """Return the bits and weighted error of the picture, where other blocks cost ``learned``."""
        return float(np.where(self.blocks, self.costs, learned).sum())


def lagrangian(rate: int) -> float:
    """Return what a squared error of one pixel, the mean over its channels, is worth in bits at a rate index."""
    return ERROR * lambda_of_quality(quality_of_index(rate))


def squared_error(first: Pixels, second: Pixels) -> Floats:
    """Return the squared difference of each pixel (H, W), the mean over its channels."""
    error: Floats = np.square(np.subtract(first, second, dtype=np.float32)).mean(-1)
    return error


def exactness(rate: int, share: float) -> float:
    """Return what it is worth that a share of a picture, 0..1, is as given and not in fewer colours, in bits a pixel.

    SSIMULACRA2 falls from 100 to about 94 with the first colours that go. The networks take about this many bits for as
    many points, at a rate index; so text and drawings, which cost less, stay as they are. Beside learned pixels it falls
    far less.
    """
    bits: float = WORTH * 2 ** (quality_of_index(rate) / DOUBLES) * share**ALONE
    return bits


def search(
    learned: Floats, exact: Floats, error: Floats, size_of: Callable[[Mask], float] | None, border: float = BORDER
) -> Choice:
    """Return the blocks to keep, none where no block is better so.

    learned: bits and weighted error of each block as the networks code it; exact: bits of each block of the picture that
    is kept; error: weighted error of its blocks; size_of: bits that a mask's blocks take, None where ``exact`` is measured.
    """
    scale = 1.0
    mask = choose(learned, exact + error, border)
    if size_of is not None and mask.any() and not mask.all():
        scale = size_of(mask) / max(float(exact[mask].sum()), 1.0)
        mask = choose(learned, exact * scale + error, border)
    return Choice(mask, (exact * scale + error).astype(np.float32))


def activity(array: Pixels) -> Floats:
    """Return how much there is around each pixel (H, W) that hides an error, in levels.

    That is the largest second difference of three samples in a row or column, in the 5 x 5 pixels around it. A gradient
    hides no more than a flat place: bands on it are seen.
    """
    wide = array.astype(np.int16)
    result = np.zeros(array.shape[:2], np.int16)
    for lines, found in ((wide, result), (wide.swapaxes(0, 1), result.T)):
        second = np.abs(2 * lines[1:-1] - lines[:-2] - lines[2:]).max(-1)
        np.maximum(found[1:-1], second, out=found[1:-1])
    for _ in range(2):
        padded = np.pad(result, [(1, 1), (0, 0)])
        result = np.maximum(np.maximum(padded[:-2], padded[2:]), result).T
    return result.astype(np.float32)


def worth_of_errors(active: Floats, rate: int) -> Floats:
    """Return what a squared error of each pixel (H, W) of a picture in fewer colours is worth in bits at a rate index.

    active: (H, W), ``activity``. Errors of the networks are worth ``lagrangian`` everywhere.
    """
    return lagrangian(rate) * np.clip((USUAL + 1) / (active + 1), EDGED, FLATLY)


def fewer_colours(array: Pixels, bits: Floats, active: Floats, rate: int, within: Mask) -> tuple[Pixels, Floats | None]:
    """Return a picture (H, W, 3) of fewer colours, and of those that cost less beside others; and each pixel's bits (H, W).

    bits: (H, W), ``bits_without_loss``; active: (H, W), ``activity``; within: (H, W), which pixels count and change. An
    error is seen at once in a flat place, and less where colours differ a lot nearby (contrast masking). The bits are None
    where the coder of ``banded`` takes long.
    """
    worth = worth_of_errors(active, rate) * np.float32((EVEN / lagrangian(rate)) ** 0.25)
    result = _common_colours(array, bits, worth, within)
    worth = np.float32(SEEN * lagrangian(rate) ** 0.5) * (1 + np.square(SOFT / (active + 1)))
    return banded.optimise(result, array, worth, within) or (result, None)


def _common_colours(array: Pixels, bits: Floats, worth: Floats, within: Mask) -> Pixels:
    """Return a picture (H, W, 3) in which rare colours have become the nearest common ones.

    A colour goes if the squared error that this makes, times ``worth`` (H, W), is less than the bits that it saves: a share
    of its pixels' bits. So backgrounds keep their colours, and the shades at the edges of letters and the noise of an old
    JPEG go. Of the colours, COLOURS are looked at.
    """
    numbers = array[within].astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    packed, inverse, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    tolerance = SAVED * np.bincount(inverse, bits[within], len(packed)) / np.bincount(inverse, worth[within], len(packed))
    order = np.argsort(-counts, kind="stable")[:COLOURS]
    colours = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], -1).astype(np.float32)
    target = np.arange(len(packed))
    target[order] = order[_nearest_kept(colours[order], tolerance[order])]
    result = array.copy()
    result[within] = colours[target[inverse]].astype(np.uint8)
    return result


def _nearest_kept(colours: Floats, tolerance: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Return which colour (N, 3) each becomes: the nearest that is kept so far, or itself where none is near enough.

    After KEPT colours all others are kept. tolerance: (N,), the largest squared error, the mean over the channels.
    """
    result = np.arange(len(colours))
    kept: list[int] = []
    for start in range(0, len(colours), COLOURS_AT_ONCE):
        if len(kept) > KEPT:
            break
        part = colours[start : start + COLOURS_AT_ONCE]
        distance, nearest = np.full(len(part), np.inf, np.float32), np.zeros(len(part), np.intp)
        if kept:
            before = colours[kept]
            squares = np.square(before).sum(-1) - 2 * part @ before.T  # integers below 2**24: exact
            found = squares.argmin(1)
            nearest = np.asarray(kept)[found]
            distance = (squares[np.arange(len(part)), found] + np.square(part).sum(-1)) / 3
        for index, colour in enumerate(part):
            if distance[index] <= tolerance[start + index]:
                result[start + index] = nearest[index]
                continue
            kept.append(start + index)
            squares = np.square(part[index + 1 :] - colour).mean(-1)
            nearer = squares < distance[index + 1 :]
            distance[index + 1 :][nearer] = squares[nearer]
            nearest[index + 1 :][nearer] = start + index
    return result
