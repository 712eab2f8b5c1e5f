"""The adversarial autoencoder: a discriminator keeps the codes of all pictures together near N(0, I).

Makhzani et al., "Adversarial autoencoders", 2015. The discriminator learns to tell codes from draws of the prior, and the
encoder to make codes that it takes for draws. Both losses are one sum here, with one optimiser: the discriminator sees
codes without their gradient, and the encoder sees a discriminator whose weights are constants.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aecodec.autoencoders.model import Model, Step
from aecodec.autoencoders.networks import Network, Shape, layers, pair
from aecodec.autoencoders.priors import StandardNormal


@dataclass(frozen=True)
class Adversarial:
    """``weight``: of the encoder's game against the discriminator; ``hidden``: widths of the discriminator's layers."""

    weight: float = 0.3
    hidden: tuple[int, ...] = (128, 128)
    network: Network = "auto"

    def build(self, shape: Shape, latent: int) -> Model:
        """Return a new model."""
        game = Game(latent, self.weight, self.hidden)
        return Model(shape, latent, pair(shape, latent, latent, self.network), penalty=game, prior=StandardNormal(latent))


class Game(nn.Module):
    """The penalty: the losses of both players, in units of the pictures' variance."""

    def __init__(self, length: int, weight: float, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.weight = weight
        self.discriminator = nn.Sequential(*layers([length, *hidden, 1]))

    def forward(self, model: Model, step: Step) -> Tensor:
        drawn = torch.randn_like(step.code)
        tell = self.discriminator(step.code.detach())
        # softplus(-z) is the cross entropy of logits z for "drawn", softplus(z) that for "code"
        learn = F.softplus(-self.discriminator(drawn)).mean() + F.softplus(tell).mean()
        fixed = {name: value.detach() for name, value in self.discriminator.named_parameters()}
        deceive = F.softplus(-torch.func.functional_call(self.discriminator, fixed, (step.code,))).mean()
        return model.spread.square() * self.weight * (learn + deceive)
