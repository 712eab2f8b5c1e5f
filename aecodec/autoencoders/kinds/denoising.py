"""The denoising autoencoder: it sees a damaged picture and has to give the clean one.

Vincent et al., "Extracting and composing robust features with denoising autoencoders", 2008. The damage grows over the
first part of the training (a curriculum), up to its full strength.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from aecodec.autoencoders.damage import DAMAGES
from aecodec.autoencoders.model import Model
from aecodec.autoencoders.networks import Network, Shape, pair


@dataclass(frozen=True)
class Denoising:
    """``damage``: what is done to pictures, at ``strength``: sigma in 0..1, or a share of values.

    ``curriculum``: the share of the training after which the damage has its full strength.
    """

    damage: Literal["gaussian", "salt-pepper", "masking"] = "gaussian"
    strength: float = 0.15
    curriculum: float = 0.3
    network: Network = "auto"

    def build(self, shape: Shape, latent: int) -> Model:
        """Return a new model."""
        return Model(shape, latent, pair(shape, latent, latent, self.network), damage=self.spoil)

    def spoil(self, x: Tensor, share: float) -> Tensor:
        """Return a batch, damaged as strongly as this share of the training wants."""
        grown = min(1.0, share / self.curriculum) if self.curriculum else 1.0
        return DAMAGES[self.damage](x, self.strength * grown)
