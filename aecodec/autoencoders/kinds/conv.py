"""The convolutional autoencoder: what is near in a picture is treated together, and in every place alike.

Masci et al., "Stacked convolutional auto-encoders for hierarchical feature extraction", 2011. The decoder grows pictures by
pixel shuffle (Shi et al. 2016), by resizing and then convolving (Odena et al., "Deconvolution and checkerboard artifacts",
2016), or by transposed convolutions.
"""

from __future__ import annotations

from dataclasses import dataclass

from aecodec.autoencoders.model import Model
from aecodec.autoencoders.networks import WIDTH, Shape, conv
from aecodec.entropy.architecture import Upsampler


@dataclass(frozen=True)
class Conv:
    """Convolutions of ``width`` channels at half the size, more below; ``upsampler``: how the decoder grows pictures."""

    width: int = WIDTH
    upsampler: Upsampler = "pixelshuffle"

    def build(self, shape: Shape, latent: int) -> Model:
        """Return a new model. Raises SettingsError where the shape is no picture's."""
        return Model(shape, latent, conv(shape, latent, latent, self.width, self.upsampler))
