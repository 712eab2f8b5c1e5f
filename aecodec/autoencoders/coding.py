"""Turn codes into bytes and back, by the codec's rANS: what a code really costs.

    coder = open_coder(model, values)          # fitted to the training set
    data = coder.encode(codes)                 # (n, q) -> bytes, one stream for all pictures
    rounded = coder.decode(data, len(codes))   # what the decoder gets

A codebook's numbers are coded with the model of neighbours that also draws samples. Any other code is rounded, each number
with a step of its own and a table of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aecodec.autoencoders.bottlenecks import Codebook
from aecodec.autoencoders.losses import mse
from aecodec.autoencoders.model import Model
from aecodec.autoencoders.priors import Neighbours
from aecodec.entropy import rans
from aecodec.entropy.rans import MAX_TABLES

Floats = NDArray[np.float32]
TOLERANCE = 0.05  # by which rounding may raise the mean squared error
LARGEST = 255  # magnitude with a frequency of its own
UNSEEN = 0.1  # what a symbol that did not occur counts for
TRIED = 512  # pictures of the training whose error is looked at
PROBES = 16  # codes at which the decoder's answer to a small change is measured
TOTAL = 65536


class Coder(Protocol):
    """A way to code the codes (n, q) of a model."""

    def encode(self, codes: Floats) -> bytes:
        """Return codes (n, q) as bytes."""

    def decode(self, data: bytes, count: int) -> Floats:
        """Return ``count`` codes (n, q) as the decoder sees them. Raises RansError where the bytes are damaged."""


@torch.no_grad()
def open_coder(model: Model, values: Tensor) -> Coder:
    """Return the coder for a model on the CPU, fitted to values (n, *shape) in 0..1."""
    if isinstance(model.bottleneck, Codebook) and isinstance(model.prior, Neighbours):
        return BookCoder(model.bottleneck, model.prior)
    codes = torch.cat([model.encode(part) for part in values.split(PROBES * 16)])
    step = _steps(model, values, codes)
    symbols = _rounded((codes - model.code_mean) / step)
    tables = [_table(column) for column in _columns(symbols)]
    return RoundingCoder(model.code_mean.numpy(), step.numpy(), rans.Tables.from_cdfs(tables))


@dataclass(frozen=True)
class RoundingCoder:
    """Codes each number as a multiple of its step (q,) from its mean (q,)."""

    mean: Floats
    step: Floats
    tables: rans.Tables

    def encode(self, codes: Floats) -> bytes:
        symbols = np.rint((codes - self.mean) / self.step).astype(np.int32)
        return rans.encode(symbols.ravel(), self._levels(len(codes)), self.tables)

    def decode(self, data: bytes, count: int) -> Floats:
        decoder = rans.Decoder(data, self.tables)
        symbols = decoder.decode(self._levels(count)).reshape(count, -1)
        decoder.finish()
        codes: Floats = (symbols * self.step + self.mean).astype(np.float32)
        return codes

    def _levels(self, count: int) -> NDArray[np.uint8]:
        return np.tile(_group(len(self.mean)), count)


def _group(length: int) -> NDArray[np.uint8]:
    """Return the table of each number of a code (q,): its own, or one shared with those next to it."""
    return (np.arange(length) * min(length, MAX_TABLES) // length).astype(np.uint8)


def _columns(symbols: NDArray[np.int32]) -> list[NDArray[np.int32]]:
    """Return the symbols of each table, of symbols (n, q)."""
    groups = _group(symbols.shape[1])
    return [symbols[:, groups == group].ravel() for group in range(groups[-1] + 1)]


def _rounded(codes: Tensor) -> NDArray[np.int32]:
    found: NDArray[np.int32] = torch.round(codes).numpy().astype(np.int32)
    return found


def _table(symbols: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return a table, as ``rans.Tables.from_cdfs`` takes it, for symbols like these."""
    radius = int(min(LARGEST, np.abs(symbols).max(initial=0)))
    inside = symbols[np.abs(symbols) <= radius]
    counts = np.bincount(inside + radius, minlength=2 * radius + 1) + UNSEEN
    return cdf_of([*counts, symbols.size - inside.size + UNSEEN])


def cdf_of(counts: Sequence[float]) -> NDArray[np.int64]:
    """Return the integers 0..65536 (n + 1,) that have about these shares (n,) between them, each at least 1."""
    shares = np.cumsum(counts) / np.sum(counts)
    inner = np.floor(shares * (TOTAL - len(counts))).astype(np.int64) + np.arange(1, len(counts) + 1)
    inner[-1] = TOTAL
    return np.concatenate([[0], inner])


def _steps(model: Model, values: Tensor, codes: Tensor) -> Tensor:
    """Return the step (q,) of each number.

    An error of a step does the same to the picture, whichever number it is in: then an error of the picture costs fewest
    bits. The steps are the largest that raise the squared error by TOLERANCE at most.
    """
    spread = model.code_spread.clamp_min(1e-6)
    answer = model.answers(codes[:PROBES])
    shape = (1 / answer.clamp_min(1e-9)).minimum(1e3 * spread)
    values, codes = values[:TRIED], codes[:TRIED]
    size, before = math.prod(model.shape), _error(model, values, codes)
    unit = math.sqrt(12 * size * TOLERANCE * before / len(spread)) + 1e-9
    for _ in range(60):
        step = unit * shape
        rounded = model.code_mean + torch.round((codes - model.code_mean) / step) * step
        if _error(model, values, rounded) <= (1 + TOLERANCE) * before + 1e-9:
            break
        unit /= 1.2
    return step


def _error(model: Model, values: Tensor, codes: Tensor) -> float:
    parts = zip(codes.split(256), values.split(256), strict=True)
    return float(torch.cat([mse(model.decode(code), value) for code, value in parts]).mean())


@dataclass(frozen=True)
class BookCoder:
    """Codes the numbers of a codebook's entries by their left neighbours, place after place, in each place all pictures."""

    book: Codebook
    prior: Neighbours

    def encode(self, codes: Floats) -> bytes:
        symbols = self.book.symbols(torch.from_numpy(codes))
        levels = self.prior.left_of(symbols)
        return rans.encode(self._signed(symbols.T), levels.T.numpy().astype(np.uint8).ravel(), self._tables())

    def decode(self, data: bytes, count: int) -> Floats:
        decoder = rans.Decoder(data, self._tables())
        symbols = torch.zeros(count, self.prior.height * self.prior.width, dtype=torch.long)
        for place in range(symbols.shape[1]):
            levels = self.prior.left_of(symbols)[:, place].numpy().astype(np.uint8)
            symbols[:, place] = torch.from_numpy(decoder.decode(levels).astype(np.int64) + self._radius)
        decoder.finish()
        return self.book.of_symbols(symbols).numpy()

    @property
    def _radius(self) -> int:
        return self.book.size // 2

    def _signed(self, symbols: Tensor) -> NDArray[np.int32]:
        """Return numbers 0..K - 1 as the coder takes them, around 0."""
        return np.ascontiguousarray((symbols.numpy() - self._radius).astype(np.int32).ravel())

    def _tables(self) -> rans.Tables:
        """Return a table for each neighbour: K entries, at most one number that is none, and the escape."""
        spare = [1e-9] * (2 * self._radius + 2 - self.book.size)
        rows = self.prior.probabilities(self.prior.beside).double().numpy()
        return rans.Tables.from_cdfs([cdf_of([*row, *spare]) for row in rows])
