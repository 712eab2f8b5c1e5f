"""Draw codes: what a code of the pictures learned from looks like.

A prior is fitted to the codes (n, q) of the training pictures, and draws new ones. That of a codebook is of the numbers of
entries.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SMOOTHING = 1.0  # how much the entries' own shares count, in units of the square root of their number


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
    """A bigram of entries of a codebook on a grid: each depends on its left neighbour, in the first column on the upper.

    ``counts`` (K + 1, K): how often an entry follows another; the last row is of the first place.
    """

    counts: Tensor

    def __init__(self, size: int, height: int, width: int) -> None:
        super().__init__()
        self.size, self.height, self.width = size, height, width
        self.register_buffer("counts", torch.zeros(size + 1, size))

    def contexts(self, symbols: Tensor) -> Tensor:
        """Return the row of ``counts`` (n, places) that each symbol (n, places) is drawn from."""
        grid = symbols.reshape(-1, self.height, self.width)
        first = torch.cat([grid.new_full((len(grid), 1), self.size), grid[:, :-1, 0]], 1)
        return torch.cat([first[:, :, None], grid[:, :, :-1]], 2).flatten(1)

    def fit(self, symbols: Tensor) -> None:
        """Count symbols (n, places)."""
        pairs = self.contexts(symbols) * self.size + symbols
        self.counts.copy_(torch.bincount(pairs.flatten(), minlength=self.counts.numel()).view_as(self.counts))

    def probabilities(self) -> Tensor:
        """Return the share (K + 1, K) of each entry behind another: counts, smoothed by those of all entries."""
        everywhere = self.counts.sum(0) + 0.5
        prior = everywhere / everywhere.sum()
        weight = SMOOTHING * self.size**0.5
        shares: Tensor = (self.counts + weight * prior) / (self.counts.sum(1, keepdim=True) + weight)
        return shares

    def sample(self, count: int) -> Tensor:
        """Return symbols (count, places)."""
        chances = self.probabilities()
        symbols = torch.zeros(count, self.height * self.width, dtype=torch.long, device=chances.device)
        for place in range(symbols.shape[1]):
            rows = chances[self.contexts(symbols)[:, place]]
            symbols[:, place] = torch.multinomial(rows, 1)[:, 0]
        return symbols


Prior = StandardNormal | FittedNormal | Neighbours
