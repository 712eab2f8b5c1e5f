"""Count the bits of a file, by the probabilities of the tables that its symbols are coded with.

They add up to the payloads but for what the coder adds: the two states that end a stream, and what rounding costs.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec.codec.tiling import open_workers
from aecodec.container import bitstream
from aecodec.container.bitstream import ALPHA, EXACT, LOSSLESS, PAYLOAD
from aecodec.container.tiles import Box
from aecodec.entropy import latents, trellis
from aecodec.entropy.architecture import LATENT_STRIDE
from aecodec.entropy.entropy_model import EntropyModel
from aecodec.entropy.gaussian import LEVELS, scale_of_level
from aecodec.entropy.integer import COMPAND_MAX, MEAN_FRAC
from aecodec.entropy.latents import RESIDUAL_MAX, CodedLatents
from aecodec.entropy.partition import CONTEXT_STEPS
from aecodec.entropy.trellis import STEP, STEP_SIZE
from aecodec.inspect.opened import Opened

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
SCALES = np.array([scale_of_level(level) for level in range(LEVELS)])


@dataclass(frozen=True, eq=False)
class Tally:
    """Sums over the symbols of a tile; ``+`` adds those of two. Bits are float64, squares are in units of latents.

    By hyper-latent channel: ``hyper_bits`` (Nz,). By channel, each (M,): ``bits``; ``coded`` and ``zeros``, latents that
    have a symbol, and those whose symbol is 0; ``energy``, squares of latents; ``residual``, squares of their distance to
    the mean; ``predicted``, squares of the model's scale. By context step: ``step_bits`` and ``step_coded``,
    (CONTEXT_STEPS,). By quantiser and level, each (2, LEVELS): ``uses``, ``nothing`` (the symbol 0) and ``squares`` (of the
    residual). Counted once: ``positions``, ``escapes`` (symbols beyond their table), ``clipped`` (values at their limit).
    """

    hyper_bits: Floats
    bits: Floats
    coded: Counts
    zeros: Counts
    energy: Floats
    residual: Floats
    predicted: Floats
    step_bits: Floats
    step_coded: Counts
    uses: Counts
    nothing: Counts
    squares: Floats
    positions: int
    escapes: int
    clipped: int

    def __add__(self, other: Tally) -> Tally:
        return Tally(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})


def tally(model: EntropyModel, coded: CodedLatents) -> Tally:
    """Return the sums over a tile's symbols."""
    symbol_bits = latents.symbol_bits(model, coded)
    hyper, bits = latents.place(coded, symbol_bits)
    start = hyper.size
    symbols, rows = coded.symbols[start:], coded.rows[start:]
    quantisers, levels = latents.quantiser_of(rows), rows % LEVELS
    multiples = trellis.multiples(symbols, quantisers)
    squares = np.square(multiples * STEP_SIZE)

    def at_place(values: NDArray[np.int32]) -> NDArray[np.int32]:
        return latents.place(coded, np.concatenate([np.zeros(start, np.int32), values]))[1]

    placed, level = at_place(multiples), at_place(levels.astype(np.int32))
    table = quantisers.astype(np.int64) * LEVELS + levels
    shape = (2, LEVELS)
    sums_by_table: Floats = np.bincount(table, squares, 2 * LEVELS).astype(np.float64)
    ends = np.cumsum([0, *(int(part.sum()) for part in coded.coded)])
    channels = placed.shape[-1]
    return Tally(
        hyper_bits=hyper.reshape(-1, hyper.shape[-1]).sum(0),
        bits=bits.reshape(-1, channels).sum(0),
        coded=(level > 0).reshape(-1, channels).sum(0),
        zeros=((level > 0) & (placed == 0)).reshape(-1, channels).sum(0),
        energy=np.square(coded.latents * 2.0**-MEAN_FRAC).reshape(-1, channels).sum(0),
        residual=np.square(placed * STEP_SIZE).reshape(-1, channels).sum(0),
        predicted=np.square(SCALES[level]).reshape(-1, channels).sum(0),
        step_bits=np.array([symbol_bits[start:][a:b].sum() for a, b in itertools.pairwise(ends)]),
        step_coded=np.diff(ends),
        uses=np.bincount(table, minlength=2 * LEVELS).reshape(shape),
        nothing=np.bincount(table[symbols == 0], minlength=2 * LEVELS).reshape(shape),
        squares=sums_by_table.reshape(shape),
        positions=placed.shape[0] * placed.shape[1],
        escapes=int(np.count_nonzero(np.abs(coded.symbols) > model.tables.radius[coded.rows])),
        clipped=int(np.count_nonzero(np.abs(multiples) * STEP >= (int(RESIDUAL_MAX) << MEAN_FRAC) - 2 * STEP))
        + int(np.count_nonzero(np.abs(coded.symbols[:start]) == COMPAND_MAX)),
    )


def count(file: Opened) -> tuple[Tally, NDArray[np.float32]]:
    """Return the sums over a file that has latents, and its bits by position (h, w) of the whole latent area.

    The bits of hyper-latents are spread over their positions. Only the tiles that threads work on are in memory.
    """
    model = file.learned.entropy_model
    where = np.zeros(file.latent_area.shape, np.float32)

    def of_tile(index: int) -> tuple[Tally, NDArray[np.float32]]:
        coded = file.trace(index)
        return tally(model, coded), latents.position_bits(model, coded)

    tallies = []
    with open_workers(len(file.tiles) > 1) as workers:
        for box, (own, part) in zip(file.tiles, workers.map(of_tile, range(len(file.tiles))), strict=True):
            tallies.append(own)
            where[box.slices] = part
    return functools.reduce(operator.add, tallies), where


@dataclass(frozen=True)
class Part:
    """A part of a file: its name, its kind ("latents", "hyper", "pixels", "alpha", "metadata", "container"), its bytes."""

    name: str
    kind: str
    size: float


def parts(file: Opened, total: Tally | None) -> list[Part]:
    """Return the parts of a file that are not empty, in about the order of the file. They add up to its length.

    A chunk counts with its type, length and checksum. ``total`` is None where the file has no latents.
    """
    sizes = bitstream.sizes(file.data)
    named = {b"": ("header", "container"), ALPHA: ("alpha", "alpha"), EXACT: ("exact pixels", "pixels")}
    named[LOSSLESS] = named[EXACT]
    found = [Part(*named[kind], sizes[kind]) for kind in named if kind in sizes]
    metadata = sum(size for kind, size in sizes.items() if kind not in (*named, PAYLOAD))
    if metadata:
        found.insert(1, Part("metadata", "metadata", metadata))
    if total is None:
        return found
    payload = sum(map(len, file.stream.payloads))
    inside = [Part("hyper-latents", "hyper", float(total.hyper_bits.sum()) / 8)]
    inside += [Part(f"latents, step {k + 1}", "latents", float(total.step_bits[k]) / 8) for k in range(CONTEXT_STEPS)]
    found += inside
    found.append(Part("ends of the coder's streams", "container", payload - sum(part.size for part in inside)))
    found.append(Part("frames of the payloads", "container", sizes[PAYLOAD] - payload))
    return found


def pooled(values: NDArray[Any], side: int) -> Floats:
    """Return the means of squares of a map (h, w), the squares as small as keeps both sides at most ``side``."""
    return pooled_by(values, -(-max(values.shape) // side))


def pooled_by(values: NDArray[Any], size: int) -> Floats:
    """Return the means of squares of ``size`` of a map (h, w); those at the right and bottom may be smaller."""
    rows, columns = (np.arange(0, length, size) for length in values.shape)
    sums = np.add.reduceat(np.add.reduceat(values.astype(np.float64), rows, 0), columns, 1)
    heights, widths = (np.diff([*starts, end]) for starts, end in zip((rows, columns), values.shape, strict=True))
    means: Floats = sums / np.outer(heights, widths)
    return means


def visible(file: Opened) -> Box:
    """Return the latent positions that the picture itself covers; the others are padding."""
    return file.area.scaled(1, LATENT_STRIDE)


def channel_order(total: Tally) -> Sequence[int]:
    """Return the channels that take bits, those that take most first."""
    order = np.argsort(-total.bits, kind="stable")
    return [int(channel) for channel in order if total.bits[channel] > 0]
