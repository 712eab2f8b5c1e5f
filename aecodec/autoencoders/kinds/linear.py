"""The linear autoencoder: without activations it finds what principal component analysis finds.

Baldi and Hornik, "Neural networks and principal component analysis: learning from examples without local minima", 1989: the
only minimum of the squared error spans the first principal components. With ``tied`` weights the decoder is the transpose
of the encoder, and the components come out orthonormal, up to a rotation.

The gradient of an encoder lies in the span of the training pictures. Without ``tied`` weights nothing takes away what the
encoder began with outside of that span, which is noise in the codes of new pictures: so it begins small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from aecodec.autoencoders.model import Model
from aecodec.autoencoders.networks import Shape

FIRST = 0.1  # the length of an encoder's rows at first; that of components is 1, and near 0 L-BFGS sees no slope


@dataclass(frozen=True)
class Linear:
    """One matrix each way; ``tied``: the same one."""

    tied: bool = False

    def build(self, shape: Shape, latent: int) -> Model:
        """Return a new model."""
        size = math.prod(shape)
        encoder = nn.Linear(size, latent, bias=False)
        decoder = Transposed(encoder) if self.tied else nn.Linear(latent, size, bias=False)
        nn.init.orthogonal_(encoder.weight, 1.0 if self.tied else FIRST)
        if isinstance(decoder, nn.Linear):
            decoder.weight.data.copy_(encoder.weight.T)
        parts = nn.Sequential(nn.Flatten(), encoder), nn.Sequential(decoder, nn.Unflatten(1, shape))
        model = Model(shape, latent, parts)
        model.full_batch = True  # so that components of almost equal variance are told apart, too
        return model


class Transposed(nn.Module):
    """Multiply by the transpose of a layer's matrix, which stays the layer's own."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.owner = (layer,)  # in a tuple, or torch would take the matrix for this module's own, and store it twice

    def forward(self, code: Tensor) -> Tensor:
        return F.linear(code, self.owner[0].weight.T)
