"""Draw codes: what a code of the pictures learned from looks like.

A prior is fitted to the codes (n, q) of the training pictures, and draws new ones. That of a codebook is of the numbers of
entries.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class StandardNormal(nn.Module):
    """N(0, I), which the kind itself brings its codes to."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length

    def fit(self, codes: Tensor) -> None:
        """Do nothing."""

    def sample(self, count: int) -> Tensor:
        """Return codes (count, q)."""
        return torch.randn(count, self.length)


class FittedNormal(nn.Module):
    """The Gaussian with mean and covariance of the codes: a kind without a prior of its own gets one afterwards.

    Ghosh et al., "From variational to deterministic autoencoders", 2020.
    """

    mean: Tensor
    factor: Tensor

    def __init__(self, length: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(length))
        self.register_buffer("factor", torch.eye(length))

    def fit(self, codes: Tensor) -> None:
        """Take mean and covariance of codes (n, q)."""
        self.mean.copy_(codes.mean(0))
        centred = (codes - self.mean).double()
        values, vectors = torch.linalg.eigh(centred.T @ centred / max(1, len(codes) - 1))
        self.factor.copy_(vectors * values.clamp_min(0).sqrt())

    def sample(self, count: int) -> Tensor:
        """Return codes (count, q)."""
        return self.mean + torch.randn(count, len(self.mean)).to(self.mean) @ self.factor.T


class Neighbours(nn.Module):
    """Bigrams of entries of a codebook on a grid: how often each stands beside another, and how often below another.

    ``beside`` and ``below`` (K + 1, K): the counts; the last row is of places without such a neighbour.
    """

    beside: Tensor
    below: Tensor

    def __init__(self, size: int, height: int, width: int) -> None:
        super().__init__()
        self.size, self.height, self.width = size, height, width
        self.register_buffer("beside", torch.zeros(size + 1, size))
        self.register_buffer("below", torch.zeros(size + 1, size))

    def left_of(self, symbols: Tensor) -> Tensor:
        """Return the left neighbour (n, places) of each symbol (n, places), K where there is none."""
        grid = symbols.reshape(-1, self.height, self.width)
        return torch.cat([grid.new_full((len(grid), self.height, 1), self.size), grid[:, :, :-1]], 2).flatten(1)

    def above(self, symbols: Tensor) -> Tensor:
        """Return the neighbour above, as ``left_of`` does."""
        return torch.cat([symbols.new_full((len(symbols), self.width), self.size), symbols[:, : -self.width]], 1)

    def fit(self, symbols: Tensor) -> None:
        """Count symbols (n, places)."""
        for counts, neighbours in ((self.beside, self.left_of(symbols)), (self.below, self.above(symbols))):
            pairs = neighbours * self.size + symbols
            counts.copy_(torch.bincount(pairs.flatten(), minlength=counts.numel()).view_as(counts))

    def shares(self) -> Tensor:
        """Return the share (K,) of each entry."""
        counts = self.beside.sum(0) + 0.5
        return counts / counts.sum()

    def probabilities(self, counts: Tensor) -> Tensor:
        """Return the share (K + 1, K) of each entry next to another: counts, smoothed by the shares of entries."""
        weight = math.sqrt(self.size)
        smoothed: Tensor = (counts + weight * self.shares()) / (counts.sum(1, keepdim=True) + weight)
        return smoothed

    def sample(self, count: int) -> Tensor:
        """Return symbols (count, places).

        Both neighbours count, as if they were independent given the entry: p(entry | left) p(entry | above) / p(entry).
        """
        left, above = self.probabilities(self.beside), self.probabilities(self.below)
        symbols = torch.zeros(count, self.height * self.width, dtype=torch.long, device=left.device)
        for place in range(symbols.shape[1]):
            chances = left[self.left_of(symbols)[:, place]] * above[self.above(symbols)[:, place]] / self.shares()
            symbols[:, place] = torch.multinomial(chances, 1)[:, 0]
        return symbols


Prior = StandardNormal | FittedNormal | Neighbours
