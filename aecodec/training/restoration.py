"""Train an encoder for damaged pictures, before a decoder and an entropy model that stay fixed.

The encoder starts as the codec's own, with a fourth input channel, the hint, whose weights start at zero. For the first
part of a run (``distil``) its loss is the L1 distance to the latents of the clean picture, which needs no decoder. After
that it is the rate, and the distortion of the decoded picture against the clean one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from aecodec.entropy.architecture import LATENT_STRIDE
from aecodec.metrics import LUMA_PER_MILLE, PEAK
from aecodec.networks.export import import_tensors, save_encoder
from aecodec.networks.model import LAMBDA_UNIT, Model
from aecodec.networks.precision import autocast
from aecodec.networks.transforms import Analysis
from aecodec.networks.typed import channels_last
from aecodec.restore import fill, hint
from aecodec.restore.damage import Gaussian, draw_mask, draw_noise
from aecodec.training import data
from aecodec.training.checkpoint import checkpoint_of
from aecodec.training.distortion import mse
from aecodec.training.growth import encoder_before_new_decoder, encoder_with_more_latents, with_more_blocks
from aecodec.training.loss import lambda_at
from aecodec.training.settings import Settings
from aecodec.weights.store import is_of_encoder, load, load_any

INPUTS = 4  # colour and the hint
FIRST_STRENGTH = 0.1  # of the damage, when a run begins
HINTED_SHARE = 0.5  # of the crops with Gaussian noise, whose hint says how strong it is
GRAY_SHARE = 0.1
KNOWN_WEIGHT = 0.1  # of what is known, in the loss of inpainting: it is put back afterwards
PURPOSES = {"denoise": "noise and JPEG artefacts", "inpaint": "scratches, text and holes"}


class Restoration:
    """Train an encoder for damaged pictures; see ``tasks.Task``.

    A batch has seven channels: the damaged picture, its hint, and the clean picture.
    """

    of_crops = False

    def __init__(self, settings: Settings, device: torch.device) -> None:
        """Open the decoder. Raises WeightsError where it cannot be opened."""
        self.settings = settings
        self.decoder = load(settings.decoder)
        self.state = import_tensors(self.decoder)
        self.own = Analysis(self.decoder.arch).eval().requires_grad_(False)
        self.own.load_state_dict({key[9:]: value for key, value in self.state.items() if key.startswith("analysis.")})
        channels_last(self.own.to(device))

    def model(self, pictures: data.Pictures, rng: np.random.Generator) -> Model:
        """Return the decoder's model with the encoder's architecture; only the two analyses are trained."""
        model = Model(self.settings.architecture)
        own = model.state_dict().keys()
        start = {name: value for name, value in self.state.items() if name in own}  # it may have fewer blocks
        if self.settings.init is not None:
            encoder = _encoder_state(self.settings.init)
            if self.settings.init_decoder is None:
                encoder = encoder_with_more_latents(encoder, self.state, model.arch.latents)
            else:
                encoder = encoder_before_new_decoder(encoder, import_tensors(load(self.settings.init_decoder)), self.state)
            start = {**start, **encoder}
        model.load_state_dict(with_more_blocks(start, model))
        model.requires_grad_(False)
        model.quantiser.counting = False
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(is_of_encoder(name))
        return model

    def batch(self, crops: NDArray[np.uint8], share: float, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return damaged crops (B, H, W, 7) of clean ones (B, H, W, 3), heavier as the ``share`` of the run grows."""
        growth = min(1.0, share / self.settings.curriculum) if self.settings.curriculum else 1.0
        strength = FIRST_STRENGTH + (1 - FIRST_STRENGTH) * growth
        make = noisy if self.settings.task == "denoise" else holed
        return np.stack([make(crop, strength, rng) for crop in crops])

    def phase(self, share: float) -> int:
        return int(share >= self.settings.distil)

    def loss(self, model: Model, x: Tensor, position: Tensor, step: int, phase: int) -> tuple[Tensor, Tensor]:
        if phase:
            rate, distortion = self.measure(model, x, position)
            # in the logarithm: heavy damage leaves an error that no encoder undoes, and would hide all else in a mean
            return (rate + lambda_at(position) * distortion).log().mean(), rate
        damaged, clean = x[:, :INPUTS], x[:, INPUTS:]
        with autocast(x):
            error = model.analysis(damaged, position) - self.own(clean, position)
        # in steps of the quantiser, but for what all steps shrink by as the quality grows
        scale = model.gain(position) / (lambda_at(position) / LAMBDA_UNIT).sqrt()[:, None, None, None]
        matters = F.max_pool2d(self._weight(damaged), LATENT_STRIDE)
        return (error * scale * matters).abs().mean(), torch.zeros((), device=x.device)

    def measure(self, model: Model, x: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B,) bits per pixel, 0 for inpainting, and (B,) squared error against the clean picture on the 255 scale.

        The error is the mean, or that over missing pixels plus KNOWN_WEIGHT times that over the others.
        """
        damaged, clean = x[:, :INPUTS], x[:, INPUTS:]
        with autocast(x):
            if self.settings.task == "denoise":
                out = model(damaged, position)
                rate = (out.latent_bits + out.hyper_bits) / (x.shape[2] * x.shape[3])
                return rate, mse(out.picture, clean)
            # what is inpainted is never kept as a file, so there is neither a rate to pay nor a step that would show
            latents = model.analysis(damaged, position) * model.gain(position) * model.inverse_gain(position)
            error = (PEAK * (model.synthesis(latents, position) - clean)).square().mean(1, keepdim=True)
        missing = damaged[:, 3:]
        parts = [(error * part).sum((1, 2, 3)) / part.sum((1, 2, 3)).clamp_min(1) for part in (missing, 1 - missing)]
        return torch.zeros(len(x), device=x.device), parts[0] + KNOWN_WEIGHT * parts[1]

    def finish(self, model: Model, pictures: data.Pictures, rng: np.random.Generator) -> None:
        """Do nothing: the coding tables are the decoder's."""

    def _weight(self, damaged: Tensor) -> Tensor:
        """Return the weight of each pixel, (B, 1, H, W)."""
        if self.settings.task == "denoise":
            return torch.ones_like(damaged[:, :1])
        return KNOWN_WEIGHT + (1 - KNOWN_WEIGHT) * damaged[:, 3:]

    def save(self, model: Model, folder: Path, card: dict[str, Any]) -> str:
        task = self.settings.task
        facts = {"purpose": PURPOSES[task], "task": task, "decoder": self.decoder.card["sha256"]}
        return save_encoder(model, folder, self.settings.name, {**facts, **card}, self.state)


def noisy(crop: NDArray[np.uint8], strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return (H, W, 7) of a clean crop (H, W, 3), damaged by ``damage.draw_noise``; some of it gray."""
    gray = rng.random() < GRAY_SHARE
    weights = np.array(LUMA_PER_MILLE, np.float32)[:, None]
    clean = np.rint(crop @ weights / 1000).astype(np.uint8) if gray else crop
    noise = draw_noise(rng, strength)
    known = noise.sigma if isinstance(noise, Gaussian) and rng.random() < HINTED_SHARE else None
    level = np.full((*crop.shape[:2], 1), hint.of_sigma(known), np.uint8)
    colours = [np.broadcast_to(part, crop.shape) for part in (noise(clean, rng), clean)]
    return np.concatenate([colours[0], level, colours[1]], -1)


def holed(crop: NDArray[np.uint8], strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return (H, W, 7) of a clean crop (H, W, 3), damaged by ``damage.draw_mask``, filled as ``inpaint`` fills it first."""
    height, width = crop.shape[:2]
    missing = draw_mask(rng, height, width, strength)(height, width, rng)
    return np.concatenate([fill.smooth(crop, missing), hint.of_mask(missing)[..., None], crop], -1)


def _encoder_state(source: str) -> dict[str, Tensor]:
    """Return the tensors of an earlier encoder, in weights, or in a run's folder or checkpoint.

    In weights, tensors that are the decoder's own may be left out.
    """
    checkpoint = checkpoint_of(source)
    if checkpoint is not None:
        state = checkpoint["average"]
    else:
        state = {name: torch.from_numpy(array).float() for name, array in load_any(source).tensors.items()}
    return {name: value for name, value in state.items() if is_of_encoder(name)}
