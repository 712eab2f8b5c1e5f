"""Read and write checkpoints: a run's state in one file, and the model that a run starts from."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aecodec.entropy.architecture import Architecture
from aecodec.errors import TrainingError
from aecodec.networks.export import import_tensors
from aecodec.training.settings import Settings
from aecodec.weights.store import load, neutral

CHECKPOINT = "checkpoint.pt"


def write_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write a run's state into its folder, whole or not at all."""
    temporary = folder / (CHECKPOINT + ".new")
    torch.save(state, temporary)
    temporary.replace(folder / CHECKPOINT)


def checkpoint_of(source: str) -> dict[str, Any] | None:
    """Return the state in a checkpoint file, or in that of a run's folder; None where ``source`` is neither.

    Raises TrainingError where it cannot be read, or is of something else.
    """
    path = Path(source)
    if path.is_dir() and (path / CHECKPOINT).is_file():
        path = path / CHECKPOINT
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise TrainingError(f"cannot read the checkpoint {path}: {str(error).splitlines()[0]}") from None
    if not isinstance(state, dict) or not {"average", "architecture"} <= state.keys():
        raise TrainingError(f"{path} is not a checkpoint of aecodec train")
    return state


def check_same_run(state: dict[str, Any], settings: Settings, folder: Path) -> None:
    """Raise TrainingError where a checkpoint is not of the run that the settings describe."""
    if state.get("task", "compress") != settings.task:
        raise TrainingError(f"{folder} holds a run of the task {state.get('task')}; choose another folder")
    if type(settings.trained)(**state["architecture"]) != settings.trained:
        raise TrainingError(f"{folder} holds a run of another architecture; choose another folder")
    if state["kind"] != settings.optimiser:
        raise TrainingError(f"{folder} holds a run with the optimiser {state['kind']}; choose another folder")


def initial_state(source: str) -> tuple[Architecture, dict[str, Tensor]]:
    """Return architecture and state dictionary from a checkpoint file, or from weights: an installed name or a folder.

    Weights hold the entropy model as integers; they are put back on their grids as real numbers.
    """
    checkpoint = checkpoint_of(source)
    if checkpoint is not None:
        return Architecture(**checkpoint["architecture"]), with_neutral(checkpoint["average"], checkpoint["architecture"])
    weights = load(source)
    return weights.arch, import_tensors(weights)


def with_neutral(state: dict[str, Tensor], architecture: dict[str, Any]) -> dict[str, Tensor]:
    """Return a model's state with ``store.neutral`` in place of tensors that it is too old to have."""
    return {name: torch.from_numpy(array) for name, array in neutral(Architecture(**architecture)).items()} | state
