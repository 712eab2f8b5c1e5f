"""Train a network that restores: damage is made on the fly, and the network gives the clean picture back.

The loss of a crop is the logarithm of its mean squared error, which PSNR is, with a softening added to the error. Without
it crops that are nearly clean rule the loss, and the network learns to leave JPEG artefacts alone. The mean squared error
itself would be ruled by the heaviest damage, which no network undoes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aecodec.metrics import LUMA_PER_MILLE, PEAK
from aecodec.networks.export import load_unet, save_unet
from aecodec.networks.precision import autocast
from aecodec.networks.unet import UNet
from aecodec.restore import fill, hint
from aecodec.restore.damage import Downscale, Gaussian, draw_blur, draw_downscale, draw_jpeg, draw_mask, draw_noise
from aecodec.training import data
from aecodec.training.checkpoint import checkpoint_of
from aecodec.training.settings import DAMAGES, Settings
from aecodec.training.soap import Group
from aecodec.training.validation import CROPS
from aecodec.training.workers import Workers
from aecodec.weights.restorer import INPUTS, load_restorer

FIRST_STRENGTH = 0.2  # of the damage, when a run begins
HINTED_SHARE = 0.5  # of the crops with Gaussian noise, whose hint says how strong it is
GRAY_SHARE = 0.1
KNOWN_WEIGHT = 0.1  # of what is known, in the loss of inpainting: it is put back afterwards
PURPOSES = {"noise": "noise", "jpeg": "JPEG artefacts", "blur": "blur", "downscale": "small pictures", "mask": "holes"}


class Restoration:
    """Train a network that restores; see ``tasks.Task``.

    A batch has nine channels: the damaged picture, the three planes of its hint, and the clean picture.
    """

    of_crops = False

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.shares = settings.damage or dict.fromkeys(DAMAGES, 1.0)

    def model(self, pictures: data.Pictures, rng: np.random.Generator) -> UNet:
        network = UNet(self.settings.unet)
        if self.settings.init is not None:
            checkpoint = checkpoint_of(self.settings.init)
            network.load_state_dict(
                load_unet(load_restorer(self.settings.init)).state_dict() if checkpoint is None else checkpoint["average"]
            )
        return network

    def groups(self, model: UNet) -> list[Group]:
        rate = self.settings.learning_rate
        return [{"params": list(model.parameters()), "lr": rate, "peak": rate}]

    def couple(self, model: UNet, average: UNet) -> None:
        """Do nothing: the two share no more than their weights."""

    def renew(self, model: UNet) -> None:
        """Do nothing: there are no tables."""

    def agree(self, model: UNet, workers: Workers) -> None:
        """Do nothing: there is nothing to count."""

    def batch(self, crops: NDArray[np.uint8], share: float, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return damaged crops (B, H, W, 9) of clean ones (B, H, W, 3), heavier as the ``share`` of the run grows."""
        growth = min(1.0, share / self.settings.curriculum) if self.settings.curriculum else 1.0
        strength = FIRST_STRENGTH + (1 - FIRST_STRENGTH) * growth
        kinds, weights = list(self.shares), np.array(list(self.shares.values()))
        drawn = rng.choice(np.array(kinds), len(crops), p=weights / weights.sum())
        return np.stack([damaged(crop, str(kind), strength, rng) for crop, kind in zip(crops, drawn, strict=True)])

    def loss(self, model: UNet, x: Tensor, position: Tensor, step: int) -> tuple[Tensor, Tensor]:
        with autocast(x):
            restored = model(x[:, :INPUTS]).float()
        return (squared_error(restored, x) + self.settings.softening).log().mean(), torch.zeros((), device=x.device)

    def validate(self, average: UNet, crops: Tensor) -> tuple[float, list[float]]:
        """Return the mean logarithm of the squared errors, and the mean PSNR in dB of each kind of damage."""
        average.eval()
        errors = torch.cat([squared_error(average(part[:, :INPUTS]).clamp(0, 1), part) for part in crops.split(8)])
        decibels = (10 * torch.log10(PEAK**2 / (errors + 1e-2))).unflatten(0, (len(self.shares), -1)).mean(1)
        return (errors + self.settings.softening).log().mean().item(), decibels.tolist()

    def held_out(self, pictures: data.Pictures, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return crops of every kind of damage at its full range of strengths, kind by kind."""
        count = CROPS // len(self.shares)
        crops = [(kind, data.sample(pictures, count, size, seed)) for seed, kind in enumerate(self.shares)]
        return np.stack([damaged(crop, kind, 1.0, rng) for kind, part in crops for crop in part])

    def finish(self, model: UNet, pictures: data.Pictures, rng: np.random.Generator) -> None:
        """Do nothing."""

    def save(self, model: UNet, folder: Path, card: dict[str, Any]) -> str:
        *most, last = (PURPOSES[kind] for kind in self.shares)
        purpose = f"{', '.join(most)} and {last}" if most else last
        return save_unet(model, folder, self.settings.name, {"purpose": purpose, **card})


def squared_error(restored: Tensor, x: Tensor) -> Tensor:
    """Return the mean squared error (B,) on the 255 scale, of (B, 3, H, W) against the clean pictures of a batch.

    Where pixels are missing it is that over them, and KNOWN_WEIGHT times that over the others.
    """
    error = (PEAK * (restored - x[:, INPUTS:])).square().mean(1)
    missing = x[:, INPUTS - 1]
    weight = torch.where(missing.amax((1, 2), keepdim=True) > 0, missing + KNOWN_WEIGHT * (1 - missing), 1.0)
    return (error * weight).sum((1, 2)) / weight.sum((1, 2))


def damaged(crop: NDArray[np.uint8], kind: str, strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return (H, W, 9) of a clean crop (H, W, 3) with a kind of damage, one of DAMAGES; some of it gray."""
    clean = crop
    if is_gray := rng.random() < GRAY_SHARE:
        luma = np.rint(crop @ np.array(LUMA_PER_MILLE, np.float32) / 1000).astype(np.uint8)
        clean = np.repeat(luma[..., None], 3, -1)
    given = clean[..., :1] if is_gray else clean  # so that a gray picture's noise is gray
    if kind == "mask":
        height, width = crop.shape[:2]
        missing = draw_mask(rng, height, width, strength)(height, width, rng)
        seen = hint.beside(fill.smooth(clean, missing), missing=hint.of_mask(missing))
    else:
        draw = {"noise": draw_noise, "jpeg": draw_jpeg, "blur": draw_blur, "downscale": draw_downscale}[kind]
        damage = draw(rng, strength)
        level, sharpness = 0, hint.UNSHARP if kind == "blur" else 0
        if isinstance(damage, Gaussian) and rng.random() < HINTED_SHARE:
            level = hint.of_sigma(damage.sigma)
        if isinstance(damage, Downscale):
            sharpness = hint.of_factor(damage.factor)
        seen = hint.beside(np.broadcast_to(damage(given, rng), crop.shape), noise=level, sharpness=sharpness)
    return np.concatenate([seen, clean], -1)
