"""The contractive autoencoder: the code moves little when the picture does.

Rifai et al., "Contractive auto-encoders: explicit invariance during feature extraction", 2011: the penalty is the squared
Frobenius norm of the encoder's Jacobian. Of one logistic layer it is exact and as cheap as the layer; of a deeper encoder
it is Hutchinson's estimate: E |J^T v|^2 for random v with independent entries of variance 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aecodec.autoencoders.model import Model, Step
from aecodec.autoencoders.networks import Shape, dense


@dataclass(frozen=True)
class Contractive:
    """``weight``: of the penalty; ``hidden``: widths of dense layers; without, one logistic layer, with the exact norm."""

    weight: float = 0.1
    hidden: tuple[int, ...] = (256,)

    def build(self, shape: Shape, latent: int) -> Model:
        """Return a new model."""
        encoder, decoder = dense(shape, latent, latent, self.hidden)
        if not self.hidden:
            encoder = nn.Sequential(*encoder.children(), nn.Sigmoid())
        return Model(shape, latent, (encoder, decoder), penalty=self.contraction)

    def contraction(self, model: Model, step: Step) -> Tensor:
        """Return the penalty of a step: the squared norm a number of the code, in units of the pictures' variance."""
        layer = model.encoder[1] if not self.hidden else None  # type: ignore[index]
        norm = hutchinson(model.encoder, step.seen) if layer is None else exact(layer.weight, step.code)
        return self.weight * model.spread.square() * norm.mean() / model.length


def exact(weight: Tensor, code: Tensor) -> Tensor:
    """Return |J|^2 (B,) of one logistic layer: its matrix (q, d) and what it says (B, q)."""
    return (code * (1 - code)).square() @ weight.square().sum(1)


def hutchinson(encoder: Callable[[Tensor], Tensor], x: Tensor, draws: int = 1) -> Tensor:
    """Return an unbiased estimate of |J|^2 (B,) of an encoder at x (B, *shape), with gradients for its weights."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        code = encoder(x)
    total = x.new_zeros(len(x))
    for _ in range(draws):
        signs = torch.randint(0, 2, code.shape, device=x.device).to(code.dtype) * 2 - 1
        (product,) = torch.autograd.grad(code, x, signs, create_graph=True)
        total = total + product.square().reshape(len(x), math.prod(x.shape[1:])).sum(1)
    return total / draws
