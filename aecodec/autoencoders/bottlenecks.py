"""Make the bottleneck of an autoencoder: what becomes of an encoder's output before the decoder sees it.

A bottleneck maps the raw output (B, r) to a code (B, q) and its cost (B,), which is 0 where codes are taken as they are. In
training it may draw at random; ``code`` is what it gives without chance.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DEAD = 0.02  # of the uses that an entry of the codebook has on average: with fewer it is dead
RESTARTED = 0.25  # the same, of an entry that starts again


class Bottleneck(nn.Module):
    """The plain bottleneck: the code is what the encoder says. The base of all others."""

    def code(self, raw: Tensor) -> Tensor:
        """Return the codes (B, q) of raw outputs (B, r), without chance."""
        return raw

    def forward(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        return raw, raw.new_zeros(len(raw))

    def symbols(self, code: Tensor) -> Tensor:
        """Return what a prior is of: codes, or the numbers of entries of a codebook."""
        return code

    def of_symbols(self, symbols: Tensor) -> Tensor:
        """Invert ``symbols``."""
        return symbols


class Gaussian(Bottleneck):
    """The code is drawn from a Gaussian posterior; its cost is the divergence from N(0, I) in nats.

    Kingma and Welling, "Auto-encoding variational Bayes", 2013. ``free_bits``: nats of each number that cost nothing, on
    average over a batch, so that numbers are not given up early (Kingma et al., "Improved variational inference with
    inverse autoregressive flow", 2016).
    """

    def __init__(self, free_bits: float = 0.0) -> None:
        super().__init__()
        self.free_bits = free_bits

    def code(self, raw: Tensor) -> Tensor:
        return raw.chunk(2, 1)[0]

    def forward(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.posterior(raw)
        code = mean + torch.exp(log_variance / 2) * torch.randn_like(mean) if self.training else mean
        divergence = kl_to_standard_normal(mean, log_variance)
        if self.free_bits and self.training:
            return code, divergence.mean(0).clamp_min(self.free_bits).sum().expand(len(raw))
        return code, divergence.sum(1)

    @staticmethod
    def posterior(raw: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and logarithms of variances (B, q); the latter bounded, so that no step can blow up."""
        mean, log_variance = raw.chunk(2, 1)
        return mean, log_variance.clamp(-12, 6)


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the divergences KL(N(mean, variance) || N(0, 1)) of each number, in nats, of the shape of both."""
    return (mean.square() + log_variance.exp() - 1 - log_variance) / 2


class Codebook(Bottleneck):
    """The code is, at each of ``places``, the nearest of K learned vectors; its cost is the commitment (B,).

    van den Oord, Vinyals and Kavukcuoglu, "Neural discrete representation learning", 2017, with the codebook of its
    appendix: exponential averages of the vectors that choose an entry. An entry that nobody chooses starts again at a
    vector of the batch. The gradient passes straight through.
    """

    entries: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, size: int, length: int, places: int, decay: float = 0.97) -> None:
        super().__init__()
        self.size, self.length, self.places, self.decay = size, length, places, decay
        entries = torch.randn(size, length)
        self.register_buffer("entries", entries)
        self.register_buffer("counts", torch.zeros(size))
        self.register_buffer("sums", torch.zeros(size, length))

    def symbols(self, code: Tensor) -> Tensor:
        """Return the numbers (B, places) of the entries nearest to the vectors of a code (B, places * length)."""
        vectors = code.reshape(-1, self.length)
        far = self.entries.square().sum(1) - 2 * vectors @ self.entries.T
        return far.argmin(1).reshape(-1, self.places)

    def of_symbols(self, indices: Tensor) -> Tensor:
        """Return codes (B, places * length) of numbers (B, places)."""
        return self.entries[indices].flatten(1)

    def code(self, raw: Tensor) -> Tensor:
        return self.of_symbols(self.symbols(raw))

    def forward(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        vectors = raw.detach().reshape(-1, self.length)
        if self.training and not self.counts.any():
            self._restart(self.counts == 0, vectors)
        chosen = self.symbols(raw)
        code = self.of_symbols(chosen)
        if self.training:
            self._follow(vectors, chosen.flatten())
        cost = (raw - code).square().mean(1)
        return raw + (code - raw).detach(), cost

    @torch.no_grad()
    def _follow(self, vectors: Tensor, chosen: Tensor) -> None:
        """Move each entry towards the vectors that chose it, and restart dead ones."""
        used = F.one_hot(chosen, self.size).to(vectors.dtype)
        self.counts.lerp_(used.sum(0), 1 - self.decay)
        self.sums.lerp_(used.T @ vectors, 1 - self.decay)
        self.entries.copy_(self.sums / self.counts[:, None].clamp_min(1e-9))
        self._restart(self.counts < DEAD * len(vectors) / self.size, vectors)

    def _restart(self, which: Tensor, vectors: Tensor) -> None:
        """Put entries at vectors of the batch that are drawn at random."""
        drawn = vectors[torch.randint(len(vectors), (int(which.sum()),), device=vectors.device)]
        count = RESTARTED * len(vectors) / self.size
        self.entries[which], self.counts[which], self.sums[which] = drawn, count, drawn * count


def perplexity(indices: Tensor, size: int) -> float:
    """Return how many entries of a codebook are in use: the exponential of the entropy of indices in nats."""
    shares = torch.bincount(indices.flatten(), minlength=size) / indices.numel()
    return float(torch.special.entr(shares).sum().exp())
