"""The vector-quantised autoencoder: at each place of a small grid, the code is one of K learned vectors.

van den Oord, Vinyals and Kavukcuoglu, "Neural discrete representation learning", 2017. ``latent`` is the length of a
vector. A picture costs log2(K) bits a place at most; ``coding`` counts what it costs with a model of neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from aecodec.autoencoders.bottlenecks import Codebook
from aecodec.autoencoders.model import Model, Step
from aecodec.autoencoders.networks import WIDTH, Shape, downward, halvings, upward
from aecodec.autoencoders.priors import Neighbours
from aecodec.entropy.rans import MAX_TABLES
from aecodec.errors import SettingsError


@dataclass(frozen=True)
class Quantised:
    """``codes``: K, the entries of the codebook; the grid is the picture halved ``halvings`` times.

    ``commitment``: weight of the distance between what the encoder says and what is taken.
    """

    codes: int = 128
    halvings: int = 3
    width: int = WIDTH
    commitment: float = 0.25

    def build(self, shape: Shape, latent: int) -> Model:
        """Return a new model, whose code has places * latent numbers. Raises SettingsError where this is no picture."""
        if not 2 <= self.codes < MAX_TABLES:
            raise SettingsError(f"codes must be 2 to {MAX_TABLES - 1}, not {self.codes}")
        times = min(self.halvings, halvings(shape))
        down, (channels, height, width) = downward(shape, self.width, times)
        encoder = nn.Sequential(down, nn.Conv2d(channels, latent, 1), PlacesFirst(), nn.Flatten())
        back = nn.Sequential(
            nn.Unflatten(1, (height, width, latent)), ChannelsFirst(), nn.Conv2d(latent, channels, 3, 1, 1)
        )
        book = Codebook(self.codes, latent, height * width)
        prior = Neighbours(self.codes, height, width)
        decoder = nn.Sequential(back, nn.SiLU(), upward(shape, self.width, times))
        return Model(shape, height * width * latent, (encoder, decoder), book, self.commit, prior=prior)

    def commit(self, model: Model, step: Step) -> Tensor:
        """Return the penalty of a step, in units of the pictures' variance."""
        return self.commitment * model.spread.square() * step.cost.mean()


class PlacesFirst(nn.Module):
    """Turn (B, D, h, w) into (B, h, w, D)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)


class ChannelsFirst(nn.Module):
    """Turn (B, h, w, D) into (B, D, h, w)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 1, 2)
