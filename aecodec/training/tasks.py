"""Define what a run can train: the codec (``compression.py``), or an encoder for damaged pictures (``restoration.py``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aecodec.networks.model import Model
from aecodec.training import data
from aecodec.training.compression import Compression
from aecodec.training.restoration import Restoration
from aecodec.training.settings import Settings


class Task(Protocol):
    """What a run trains. ``of_crops`` says that a batch is plain crops."""

    of_crops: bool

    def model(self, pictures: data.Pictures, rng: np.random.Generator) -> Model:
        """Return the model to start from; parameters that must stay fixed have ``requires_grad`` off."""

    def batch(self, crops: NDArray[np.uint8], share: float, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return what the loss needs, (B, H, W, C) uint8, of crops (B, H, W, 3) when this ``share`` of the run is done."""

    def phase(self, share: float) -> int:
        """Return the number of the current loss; losses of two phases cannot be compared."""

    def loss(self, model: Model, x: Tensor, position: Tensor, step: int, phase: int) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch (B, C, H, W) at knot positions (B,), and its rates in bits per pixel."""

    def measure(self, model: Model, x: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """Return rates and distortions (B,) of a batch, as ``loss.rate_and_distortion`` does."""

    def finish(self, model: Model, pictures: data.Pictures, rng: np.random.Generator) -> None:
        """Finish the averaged model after the last step."""

    def save(self, model: Model, folder: Path, card: dict[str, Any]) -> str:
        """Write weights into a folder and return their id."""


def open_task(settings: Settings, device: torch.device) -> Task:
    """Return the task that the settings name."""
    return Compression(settings) if settings.task == "compress" else Restoration(settings, device)
