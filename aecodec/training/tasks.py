"""Define what a run can train: the codec (``compression.py``), or a network that restores (``restoration.py``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from aecodec.training import data
from aecodec.training.compression import Compression
from aecodec.training.restoration import Restoration
from aecodec.training.settings import Settings
from aecodec.training.soap import Group
from aecodec.training.workers import Workers

Network = TypeVar("Network", bound=nn.Module)


class Task(Protocol[Network]):
    """What a run trains. ``of_crops`` says that a batch is plain crops."""

    of_crops: bool

    def model(self, pictures: data.Pictures, rng: np.random.Generator) -> Network:
        """Return the model to start from; parameters that must stay fixed have ``requires_grad`` off."""

    def groups(self, model: Network) -> list[Group]:
        """Return the groups of parameters that are trained, each with its learning rate as "lr" and "peak"."""

    def couple(self, model: Network, average: Network) -> None:
        """Let the averaged model share with the trained one what is not averaged."""

    def renew(self, model: Network) -> None:
        """Bring up to date what ``loss`` leaves behind where a step is captured."""

    def agree(self, model: Network, workers: Workers) -> None:
        """Average over the workers what is neither a parameter nor its gradient."""

    def batch(self, crops: NDArray[np.uint8], share: float, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return what the loss needs, (B, H, W, C) uint8, of crops (B, H, W, 3) when this ``share`` of the run is done."""

    def loss(self, model: Network, x: Tensor, position: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch (B, C, H, W) at knot positions (B,), and its rates in bits per pixel."""

    def held_out(self, pictures: data.Pictures, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return the batch (B, H, W, C) uint8, of crops of ``size`` pixels, that the run is validated on."""

    def validate(self, average: Network, crops: Tensor) -> tuple[float, list[float]]:
        """Return the score of that batch, lower is better, and what else a line of validation.csv has."""

    def finish(self, model: Network, pictures: data.Pictures, rng: np.random.Generator) -> None:
        """Finish the averaged model after the last step."""

    def save(self, model: Network, folder: Path, card: dict[str, Any]) -> str:
        """Write weights into a folder and return their id."""


def open_task(settings: Settings) -> Task[Any]:
    """Return the task that the settings name."""
    return Compression(settings) if settings.task == "compress" else Restoration(settings)
