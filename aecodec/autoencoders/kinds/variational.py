"""The variational autoencoder: codes are drawn from a posterior that is kept near N(0, I), so that new codes can be drawn.

Kingma and Welling, "Auto-encoding variational Bayes", 2013. The observation model is a Gaussian whose variance is the best
one for the errors at hand (Rybkin et al., "Simple and effective VAE training with calibrated decoders", 2021), so no weight
between error and divergence has to be guessed. ``beta`` weighs the divergence all the same (Higgins et al., "beta-VAE",
2017); it grows from 0 over the share ``anneal`` of the training (Bowman et al. 2016).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aecodec.autoencoders.bottlenecks import Gaussian
from aecodec.autoencoders.losses import Loss
from aecodec.autoencoders.model import Model, Step
from aecodec.autoencoders.networks import Network, Shape, pair
from aecodec.autoencoders.priors import StandardNormal


@dataclass(frozen=True)
class Variational:
    """``beta``: weight of the divergence; ``anneal``: see above; ``free_bits``: see ``Gaussian``."""

    beta: float = 1.0
    anneal: float = 0.1
    free_bits: float = 0.0
    network: Network = "auto"

    def build(self, shape: Shape, latent: int) -> Model:
        """Return a new model."""
        parts = pair(shape, 2 * latent, latent, self.network)
        prior = StandardNormal(latent)
        return Vae(shape, latent, parts, Gaussian(self.free_bits), Divergence(self.beta, self.anneal), prior=prior)


class Divergence(nn.Module):
    """The penalty: what the divergence is worth, in units of the error.

    With the variance s of the observation model, the negative ELBO of d values is d / (2 s) * error + KL; times 2 s / d it
    is error + 2 s / d * KL. A cross entropy is a likelihood as it is, and the factor is 1 / d.
    """

    variance: Tensor

    def __init__(self, beta: float, anneal: float) -> None:
        super().__init__()
        self.beta, self.anneal = beta, anneal
        self.register_buffer("variance", torch.zeros(()))

    def forward(self, model: Model, step: Step) -> Tensor:
        with torch.no_grad():
            error = step.error.mean()
            self.variance.copy_(error if self.variance == 0 else self.variance.lerp(error, 0.05))
        beta = self.beta * (min(1.0, step.share / self.anneal) if self.anneal else 1.0)
        unit = 1.0 if model.bounded else 2 * error
        return beta * unit * step.cost.mean() / math.prod(model.shape)


class Vae(Model):
    """A model that is scored by the evidence lower bound (ELBO)."""

    def scores(self, x: Tensor, error: Loss) -> Tensor:
        """Return the ELBO (B,) of values in 0..1, in nats; the code is drawn in training mode, and else the mean."""
        size = math.prod(self.shape)
        divergence: Tensor
        code, divergence = self.bottleneck(self.raw(x))
        errors = error(self.decode(code), x)
        if self.bounded:
            return -(size * errors + divergence)
        variance = self.get_buffer("penalty.variance").clamp_min(1e-9)
        likelihood: Tensor = -size / 2 * (torch.log(2 * math.pi * variance) + errors / variance)
        return likelihood - divergence
