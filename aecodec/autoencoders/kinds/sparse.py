"""The sparse autoencoder: many units, of which a picture may use few.

The layer has ``factor`` times as many units as the code is asked to have numbers. A penalty keeps most of them silent: the
L1 norm of activations (with decoder columns of length 1, or small activations with large columns would be free; Olshausen
and Field 1996), or the KL divergence of each unit's mean activation from ``target`` (Ng, "Sparse autoencoder", 2011; units
are logistic then). Without the penalty, and with at least as many units as values, it learns the identity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aecodec.autoencoders.model import Model, Step
from aecodec.autoencoders.networks import Shape


@dataclass(frozen=True)
class Sparse:
    """``weight``: of the penalty, 0 for none; ``penalty``: "l1" or "kl"; ``target``: mean activation for "kl"."""

    factor: int = 8
    weight: float = 0.01
    penalty: Literal["l1", "kl"] = "l1"
    target: float = 0.05

    def build(self, shape: Shape, latent: int) -> Model:
        """Return a new model, whose code has factor * latent numbers."""
        size, units = math.prod(shape), self.factor * latent
        active = nn.Sigmoid() if self.penalty == "kl" else nn.ReLU()
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(size, units), active)
        decoder = nn.Sequential(UnitColumns(units, size), nn.Unflatten(1, shape))
        with torch.no_grad():
            encoder[1].get_parameter("weight").copy_(decoder[0].get_parameter("weight").T)
            if self.penalty == "kl":  # or most of the training would be spent on the way down from 1/2
                encoder[1].get_parameter("bias").fill_(math.log(self.target / (1 - self.target)))
        return Model(shape, units, (encoder, decoder), penalty=self.sparsity)

    def sparsity(self, model: Model, step: Step) -> Tensor:
        """Return the penalty of a step, in units of the variance of pictures."""
        if self.penalty == "l1":
            norm: Tensor = step.code.abs().sum(1).mean()
            return self.weight * model.spread.square() * norm / math.sqrt(math.prod(model.shape))
        mean, target = step.code.mean(0).clamp(1e-4, 1 - 1e-4), self.target
        divergence = target * torch.log(target / mean) + (1 - target) * torch.log((1 - target) / (1 - mean))
        return self.weight * model.spread.square() * divergence.sum()


class UnitColumns(nn.Linear):
    """A linear layer whose columns have length 1, times one learned gain: logistic units need it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.gain = nn.Parameter(torch.ones(()))
        with torch.no_grad():
            self.weight.copy_(F.normalize(torch.randn(outputs, inputs), dim=0))

    def forward(self, code: Tensor) -> Tensor:
        return F.linear(code, self.gain * F.normalize(self.weight, dim=0), self.bias)


def active_share(code: Tensor, threshold: float = 1e-3) -> float:
    """Return the share of units that are active, of codes (n, q): above the threshold."""
    return float((code.abs() > threshold).float().mean())
