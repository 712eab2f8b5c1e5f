"""Put the pieces of an autoencoder together, and compute the loss that it is trained by.

x --- damage --- encoder --- bottleneck --- code --- decoder --- picture
                                 |            |                     |
                               cost        penalty                error        loss = error + penalty
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from aecodec.autoencoders.bottlenecks import Bottleneck
from aecodec.autoencoders.losses import Loss
from aecodec.autoencoders.networks import Shape
from aecodec.autoencoders.priors import FittedNormal, Prior

LOGIT_BOUND = 0.02  # of the mean picture, whose logit must not be infinite


@dataclass
class Step:
    """What a penalty may look at.

    share: of the training that is done, 0..1; seen: the batch (B, *shape) as the encoder gets it, on its scale; raw: what
    the encoder says (B, r); code (B, q); cost (B,) of the bottleneck; error (B,).
    """

    share: float
    seen: Tensor
    raw: Tensor
    code: Tensor
    cost: Tensor
    error: Tensor


class Penalty(Protocol):
    """A part of the loss beside the error."""

    def __call__(self, model: Model, step: Step) -> Tensor:
        """Return the penalty () of a step, in units of the error."""


def no_penalty(model: Model, step: Step) -> Tensor:
    """Return 0."""
    return step.error.new_zeros(())


class Model(nn.Module):
    """An autoencoder for values in 0..1, (B, *shape).

    encoder: (B, *shape) -> (B, r), bottleneck: -> (B, q) and a cost, decoder: -> (B, *shape). The encoder sees values less
    the mean picture, in units of their standard deviation, and the decoder speaks in these units; ``standardise`` sets
    both. With ``bounded`` the reconstruction is a probability: the decoder's output goes through a logistic function.
    """

    mean: Tensor
    spread: Tensor
    code_mean: Tensor
    code_spread: Tensor

    def __init__(
        self,
        shape: Shape,
        length: int,
        parts: tuple[nn.Module, nn.Module],
        bottleneck: Bottleneck | None = None,
        penalty: Penalty = no_penalty,
        damage: Callable[[Tensor, float], Tensor] | None = None,
        prior: Prior | None = None,
    ) -> None:
        """Make a model whose codes are (B, length); ``damage`` gets values in 0..1 and the share of the training done."""
        super().__init__()
        self.shape, self.length, self.bounded = shape, length, False
        self.full_batch = False  # whether a step of the training takes all values, by L-BFGS, and not a batch, by Adam
        self.encoder, self.decoder = parts
        self.bottleneck = bottleneck or Bottleneck()
        self.penalty = penalty
        self.damage = damage
        self.prior = prior or FittedNormal(length)
        self.register_buffer("mean", torch.full(shape, 0.5))
        self.register_buffer("spread", torch.ones(()))
        self.register_buffer("code_mean", torch.zeros(length))
        self.register_buffer("code_spread", torch.ones(length))

    def standardise(self, x: Tensor) -> None:
        """Take the mean picture and the standard deviation of values (n, *shape)."""
        self.mean.copy_(x.mean(0))
        spread = (x - self.mean).square().mean().sqrt()
        self.spread.copy_(spread if spread > 0 else torch.ones(()))

    def raw(self, x: Tensor) -> Tensor:
        """Return what the encoder says (B, r) of values in 0..1."""
        said: Tensor = self.encoder((x - self.mean) / self.spread)
        return said

    def encode(self, x: Tensor) -> Tensor:
        """Return codes (B, q) of values (B, *shape)."""
        return self.bottleneck.code(self.raw(x))

    def decode(self, code: Tensor) -> Tensor:
        """Return values (B, *shape) of codes (B, q)."""
        change: Tensor = self.decoder(code)
        if self.bounded:
            return torch.sigmoid(change + torch.logit(self.mean, LOGIT_BOUND))
        return self.mean + self.spread * change

    def loss(self, x: Tensor, error: Loss, share: float) -> Tensor:
        """Return the loss () of a batch (B, *shape) at a share of the training."""
        damaged = x if self.damage is None else self.damage(x, share)
        seen = (damaged - self.mean) / self.spread
        raw = self.encoder(seen)
        code, cost = self.bottleneck(raw)
        errors = error(self.decode(code), x)
        step = Step(share, seen, raw, code, cost, errors)
        total: Tensor = errors.mean() + self.penalty(self, step)
        return total

    def fit_prior(self, codes: Tensor) -> None:
        """Fit the prior to the codes (n, q) of the training, and take their means and standard deviations."""
        self.code_mean.copy_(codes.mean(0))
        self.code_spread.copy_(codes.std(0, correction=0))
        self.prior.fit(self.bottleneck.symbols(codes))

    def sample(self, count: int) -> Tensor:
        """Return codes (count, q) drawn from the prior."""
        return self.bottleneck.of_symbols(self.prior.sample(count))

    def answers(self, codes: Tensor) -> Tensor:
        """Return how far (q,) the picture moves for a small move of each number by 1: the root of the squared distance."""
        still, widths = self.decode(codes), 0.1 * self.code_spread.clamp_min(1e-6)
        found = []
        for number, width in enumerate(widths):
            moved = codes.clone()
            moved[:, number] += width
            found.append((self.decode(moved) - still).square().flatten(1).sum(1).mean().sqrt() / width)
        return torch.stack(found)

    def scores(self, x: Tensor, error: Loss) -> Tensor:
        """Return how much values (B, *shape) are like those learned from, (B,): minus the error."""
        return -error(self.decode(self.encode(x)), x)


class Kind(Protocol):
    """A recipe for a model. Kinds are frozen dataclasses, whose fields are their options."""

    def build(self, shape: Shape, latent: int) -> Model:
        """Return a new model. Raises SettingsError for shapes that the kind cannot take."""
