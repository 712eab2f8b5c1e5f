"""The deep autoencoder: dense layers down to a narrow code and up again.

Trained at once; or ``stacked``: layer by layer, each to reconstruct what the one below it gives, and then tuned together
(Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks", 2006; Bengio et al., "Greedy
layer-wise training of deep networks", 2007).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from aecodec.autoencoders.losses import Loss
from aecodec.autoencoders.model import Model
from aecodec.autoencoders.networks import HIDDEN, Shape, dense

GREEDY = 0.3  # the share of a stacked training that goes layer by layer


@dataclass(frozen=True)
class Deep:
    """Dense layers of the widths ``hidden``; ``stacked``: trained layer by layer first."""

    hidden: tuple[int, ...] = HIDDEN
    stacked: bool = False

    def build(self, shape: Shape, latent: int) -> Model:
        """Return a new model."""
        parts = dense(shape, latent, latent, self.hidden)
        return Stacked(shape, latent, parts) if self.stacked else Model(shape, latent, parts)


class Stacked(Model):
    """A deep model whose loss, for the first part of the training, is that of one layer after another."""

    def loss(self, x: Tensor, error: Loss, share: float) -> Tensor:
        down, up = _blocks(self.encoder), _blocks(self.decoder)
        stage = int(share / GREEDY * len(down))
        if stage >= len(down):
            return super().loss(x, error, share)
        below = ((x - self.mean) / self.spread).flatten(1)
        for block in down[:stage]:
            below = block(below)
        below = below.detach()
        again = up[-1 - stage](down[stage](below))
        # in the unit of the errors that come later, since Adam's steps shrink after larger gradients
        return self.spread.square() * F.mse_loss(again, below)


def _blocks(stack: nn.Module) -> list[nn.Sequential]:
    """Return each dense layer of a stack with the activation behind it."""
    found: list[list[nn.Module]] = []
    for layer in stack.children():
        if isinstance(layer, nn.Linear):
            found.append([layer])
        elif found and not isinstance(layer, nn.Unflatten):
            found[-1].append(layer)
    return [nn.Sequential(*block) for block in found]
