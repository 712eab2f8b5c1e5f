"""Measure the distortion that an autoencoder is trained by.

A loss maps reconstructions and their originals, (B, C, H, W) or (B, d) in 0..1, to (B,). Pictures are treated as the codec
does; the perceptual mix is that of the default weights, without the terms that need larger pictures.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from aecodec.autoencoders.networks import Shape
from aecodec.defaults import DEFAULT_WEIGHTS
from aecodec.errors import SettingsError
from aecodec.metrics import PEAK, SSIM_WINDOW
from aecodec.training import distortion
from aecodec.training.settings import CONFIGS
from aecodec.weights.cards import read_toml

Loss = Callable[[Tensor, Tensor], Tensor]


def mse(x: Tensor, y: Tensor) -> Tensor:
    """Return mean squared errors (B,)."""
    return F.mse_loss(x, y, reduction="none").flatten(1).mean(1)


def bce(x: Tensor, y: Tensor) -> Tensor:
    """Return mean binary cross entropies (B,) in nats, of probabilities x and values y in 0..1."""
    return F.binary_cross_entropy(x, y, reduction="none").flatten(1).mean(1)


def open_loss(name: str, shape: Shape) -> Loss:
    """Return a loss by name. Raises SettingsError for an unknown one, or one that these shapes are too small for."""
    if name == "mse":
        return mse
    if name == "bce":
        return bce
    if name not in LOSSES:
        raise SettingsError(f"unknown loss {name!r}; the losses are {', '.join(LOSSES)}")
    if len(shape) != 3:
        raise SettingsError(f"the loss {name} needs pictures")
    if name == "ssim":
        if min(shape[1:]) < SSIM_WINDOW:
            raise SettingsError(f"the loss ssim needs sides of at least {SSIM_WINDOW} pixels, not {shape[2]} x {shape[1]}")
        return distortion.ssim
    return _perceptual(min(shape[1:]))


LOSSES = ("mse", "bce", "ssim", "perceptual")


def _perceptual(side: int) -> Loss:
    """Return the mix of the default weights' terms that a picture of this side allows, scaled to the MSE in 0..1."""
    weights = read_toml(CONFIGS / f"{DEFAULT_WEIGHTS}.toml")["distortion"]
    allowed = {name: weight for name, weight in weights.items() if distortion.TERMS[name].side <= side}
    mix = distortion.Mix({name: weight / sum(allowed.values()) for name, weight in allowed.items()})

    def loss(x: Tensor, y: Tensor) -> Tensor:
        if x.shape[1] == 1:
            x, y = x.expand(-1, 3, -1, -1), y.expand(-1, 3, -1, -1)
        return mix(x, y) / PEAK**2

    return loss
