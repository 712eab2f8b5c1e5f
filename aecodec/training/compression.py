"""Train the codec itself, starting as a KLT transform codec or from an earlier model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aecodec.errors import TrainingError
from aecodec.networks.export import save_weights
from aecodec.networks.model import Model
from aecodec.networks.precision import autocast
from aecodec.networks.transforms import KLT_STEP, set_klt
from aecodec.quality import KNOTS
from aecodec.training import data
from aecodec.training.checkpoint import initial_state
from aecodec.training.distortion import Mix
from aecodec.training.growth import fit_scales, with_more_blocks, with_more_latents
from aecodec.training.klt import block_covariance, principal_components
from aecodec.training.loss import lagrangian, rate_and_distortion
from aecodec.training.optimiser import parameter_groups
from aecodec.training.settings import Settings
from aecodec.training.soap import Group
from aecodec.training.validation import CROP_SEED, CROPS, validate
from aecodec.training.workers import Workers

GROWTH_CROPS = 16  # that new latents' scales are fitted to
RECOUNT_CROPS, RECOUNTS = 32, 2


class Compression:
    """Train the codec itself; see ``tasks.Task``. A batch has three channels: the picture."""

    of_crops = True

    def __init__(self, settings: Settings) -> None:
        """Set up the task. Raises TrainingError where the distortion cannot be computed for so small crops."""
        self.settings = settings
        self.distortion = Mix(settings.distortion)
        if settings.crop < self.distortion.side:
            raise TrainingError(f"this distortion needs crops of {self.distortion.side} pixels or more each way")

    def model(self, pictures: data.Pictures, rng: np.random.Generator) -> Model:
        model = self._start(pictures, rng)
        model.quantise(self.settings.quantise)
        return model

    def _start(self, pictures: data.Pictures, rng: np.random.Generator) -> Model:
        init, architecture = self.settings.init, self.settings.architecture
        model = new_model(self.settings, pictures, rng) if init is None else Model(architecture)
        if self.settings.optimiser != "soap" or not self.settings.linear_rate:
            for part in (model.analysis, model.synthesis):
                part.klt.requires_grad_(False)
                part.lap.requires_grad_(False)
        if init is None:
            return model
        arch, state = initial_state(init)
        if arch.latents == architecture.latents:
            model.load_state_dict(with_more_blocks(state, model))
            return model
        model.load_state_dict(with_more_latents(state, arch, architecture, block_covariance(pictures, rng)))
        crops = data.batch(pictures, GROWTH_CROPS, self.settings.crop, rng)
        fit_scales(model.eval(), model.arch.latents - arch.latents, data.to_tensor(crops, torch.device("cpu")))
        return model.train()

    def batch(self, crops: NDArray[np.uint8], share: float, rng: np.random.Generator) -> NDArray[np.uint8]:
        return crops

    def groups(self, model: Model) -> list[Group]:
        return parameter_groups(model, self.settings)

    def couple(self, model: Model, average: Model) -> None:
        average.quantiser = model.quantiser  # one count of symbols

    def renew(self, model: Model) -> None:
        model.quantiser.refresh()

    def agree(self, model: Model, workers: Workers) -> None:
        workers.average([model.quantiser.counts])

    def loss(self, model: Model, x: Tensor, position: Tensor, step: int) -> tuple[Tensor, Tensor]:
        warm_up = self.settings.hyper_warm_up
        # at first the hyper-latents cost little, or the model learns to do without them before it has learnt to use them
        hyper_weight = min(1, 0.05 + step / warm_up) if warm_up else 1
        rate, distortion = rate_and_distortion(model, x, position, hyper_weight, self.distortion)
        return lagrangian(rate, distortion, position), rate

    def held_out(self, pictures: data.Pictures, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        return data.sample(pictures, CROPS, size, CROP_SEED)

    def validate(self, average: Model, crops: Tensor) -> tuple[float, list[float]]:
        """Return the score and, for each knot, bits per pixel and decibels; see ``validation.validate``."""
        score, curve = validate(average, crops, self.distortion)
        return score, [value for point in curve for value in point]

    def finish(self, model: Model, pictures: data.Pictures, rng: np.random.Generator) -> None:
        crops = data.batch(pictures, RECOUNT_CROPS, self.settings.crop, rng)
        recount(model, data.to_tensor(crops, next(model.parameters()).device))

    def save(self, model: Model, folder: Path, card: dict[str, Any]) -> str:
        return save_weights(model, folder, self.settings.name, card)


def new_model(settings: Settings, pictures: data.Pictures, rng: np.random.Generator) -> Model:
    """Return a model that starts as a KLT transform codec: linear paths, gains and scales fit the pictures' statistics."""
    model = Model(settings.architecture)
    basis, variance = (torch.from_numpy(a).float() for a in principal_components(block_covariance(pictures, rng)))
    set_klt(model.analysis, model.synthesis, basis, variance)
    latents = settings.architecture.latents
    deviation = variance[:latents].clamp_min(1).sqrt() / (255 * KLT_STEP)
    model.set_scales(deviation)
    return model


def recount(model: Model, x: Tensor) -> None:
    """Count again the symbols that a trained model chooses for pictures x (B, 3, H, W).

    The counts become the coding tables of its weights. During training symbols are counted for the weights before
    averaging. The count is repeated, since the choice of symbols depends on their costs.
    """
    model.eval()
    for _ in range(RECOUNTS):
        model.quantiser.renew()
        for knot in range(KNOTS):
            for part in x.split(8):
                with autocast(x):
                    model(part, torch.full((len(part),), float(knot), device=x.device))
