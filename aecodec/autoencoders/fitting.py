"""Train a model on values that are in memory: epochs, a cosine of the learning rate, validation, checkpoints.

Chance comes from the seed and the number of the epoch alone. So a run that goes on from a checkpoint ends with the same
weights as one that was never interrupted, and the caller's own random numbers are left alone.
"""

from __future__ import annotations

import contextlib
import csv
import math
import pickle
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aecodec.autoencoders.losses import Loss
from aecodec.autoencoders.model import Model
from aecodec.errors import TrainingError
from aecodec.training.checkpoint import CHECKPOINT, write_checkpoint

LOG = "log.csv"
SAVE_EVERY = 20.0  # seconds between checkpoints
PASSES = 5  # of L-BFGS over all values in an epoch, and one or two more for its line search
HISTORY = 20  # steps that L-BFGS remembers
PART = 512  # values at a time where a step needs all
WARM_UP = 0.05  # the share of a training in which the learning rate rises


@dataclass(frozen=True)
class Settings:
    """How a model is trained: ``batch`` values a step, a learning rate at its peak."""

    epochs: int
    batch: int
    learning_rate: float
    seed: int


@dataclass(frozen=True)
class Epoch:
    """What an epoch brought: mean loss of its steps, mean score of held-out values (None without any), seconds so far."""

    epoch: int
    loss: float
    validation: float | None
    seconds: float


def fit(
    model: Model,
    values: Tensor,
    held_out: Tensor,
    error: Loss,
    settings: Settings,
    folder: Path | None = None,
    run: dict[str, Any] | None = None,
) -> Iterator[Epoch]:
    """Train a model on values (n, *shape) in 0..1, with a report after each epoch.

    folder: where the log and checkpoints go; a run that was interrupted goes on from its checkpoint there, if ``run``, what
    describes it, is the same. At the end the prior is fitted. Raises TrainingError where the loss is no longer a number, or
    the checkpoint is of another run.
    """
    optimiser: torch.optim.Optimizer
    if model.full_batch:
        optimiser = torch.optim.LBFGS(
            model.parameters(), max_iter=PASSES, history_size=HISTORY, line_search_fn="strong_wolfe"
        )
    else:
        optimiser = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    model.standardise(values)
    done = _resume(folder, model, optimiser, run)
    start = time.perf_counter() - (done[-1].seconds if done else 0)
    yield from done
    saved = time.perf_counter()
    for number in range(len(done), settings.epochs):
        with seeded(settings.seed, number):
            loss = _epoch(model, values, error, settings, number, optimiser)
            validation = score(model, held_out, error) if len(held_out) else None
        if not math.isfinite(loss):
            raise TrainingError(f"the loss is {loss} after {number + 1} epochs; lower the learning rate")
        done.append(Epoch(number + 1, loss, validation, time.perf_counter() - start))
        if folder is not None:
            _log(folder, done[-1])
            if time.perf_counter() - saved > SAVE_EVERY or number + 1 == settings.epochs:
                _save(folder, model, optimiser, run, done)
                saved = time.perf_counter()
        yield done[-1]
    with seeded(settings.seed, settings.epochs), torch.no_grad():
        model.eval()
        model.fit_prior(torch.cat([model.encode(part) for part in values.split(PART)]))


def _epoch(
    model: Model, values: Tensor, error: Loss, settings: Settings, number: int, optimiser: torch.optim.Optimizer
) -> float:
    """Take the steps of an epoch and return their mean loss."""
    model.train()
    if isinstance(optimiser, torch.optim.LBFGS):
        return _step_on_all(model, values, error, optimiser)
    order = torch.randperm(len(values)).to(values.device)
    batches = order.split(settings.batch)
    total = torch.zeros((), device=values.device)
    for at, batch in enumerate(batches):
        share = (number + at / len(batches)) / settings.epochs
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * rate_factor(share)
        loss = model.loss(values[batch], error, share)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()
        total += loss.detach() * len(batch)
    return float(total) / len(values)


def _step_on_all(model: Model, values: Tensor, error: Loss, optimiser: torch.optim.LBFGS) -> float:
    """Take a step of L-BFGS, whose gradient is that of all values, and return the loss that it began with."""

    def loss() -> float:
        optimiser.zero_grad(set_to_none=True)
        total = 0.0
        for part in values.split(PART):
            share = model.loss(part, error, 1.0) * (len(part) / len(values))
            share.backward()
            total += share.item()
        return total

    return float(optimiser.step(loss))


def rate_factor(share: float) -> float:
    """Return the factor of the learning rate at a share of the training: it rises fast and falls along a cosine."""
    return min(1.0, (share + 1e-3) / WARM_UP) * (1 + math.cos(math.pi * share)) / 2


@torch.no_grad()
def score(model: Model, values: Tensor, error: Loss) -> float:
    """Return the mean score of values (n, *shape): minus the error, or the ELBO in nats."""
    model.eval()
    return float(torch.cat([model.scores(part, error) for part in values.split(PART)]).mean())


@contextlib.contextmanager
def seeded(seed: int, epoch: int = 0) -> Iterator[None]:
    """Draw from torch's generators by a seed, and put them back as they were."""
    with torch.random.fork_rng():
        torch.manual_seed((seed * 1_000_003 + epoch) % 2**63)
        yield


def _log(folder: Path, epoch: Epoch) -> None:
    with open(folder / LOG, "a", newline="") as file:
        validation = "" if epoch.validation is None else f"{epoch.validation:.6g}"
        csv.writer(file).writerow([epoch.epoch, f"{epoch.loss:.6g}", validation, f"{epoch.seconds:.1f}"])


def _save(
    folder: Path, model: Model, optimiser: torch.optim.Optimizer, run: dict[str, Any] | None, done: list[Epoch]
) -> None:
    """Write a checkpoint, whole or not at all."""
    epochs = [asdict(epoch) for epoch in done]
    state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "run": run, "epochs": epochs}
    write_checkpoint(folder, state)


def _resume(folder: Path | None, model: Model, optimiser: torch.optim.Optimizer, run: dict[str, Any] | None) -> list[Epoch]:
    """Go on from a folder's checkpoint, if there is one, and return the epochs that it has; the log has these, too."""
    if folder is None:
        return []
    path = folder / CHECKPOINT
    done: list[Epoch] = []
    if path.is_file():
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            if state["run"] != run:
                raise TrainingError(f"{folder} holds a run with other settings or pictures; choose another folder")
            model.load_state_dict(state["model"])
            optimiser.load_state_dict(state["optimiser"])
            done = [Epoch(**epoch) for epoch in state["epochs"]]
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
            if isinstance(error, TrainingError):
                raise
            raise TrainingError(f"cannot read the checkpoint {path}: {str(error).splitlines()[0]}") from None
    with open(folder / LOG, "w", newline="") as file:
        csv.writer(file).writerow(["epoch", "loss", "validation", "seconds"])
    for epoch in done:
        _log(folder, epoch)
    return done
