"""Run the training: steps, averaged weights, logs, validation, checkpoints. It trains a task (``tasks.py``)."""

from __future__ import annotations

import copy
import csv
import math
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aecodec.errors import TrainingError
from aecodec.networks.fused import is_fused
from aecodec.networks.typed import channels_last
from aecodec.quality import INTERVALS
from aecodec.training import data
from aecodec.training.captured import CapturedStep
from aecodec.training.checkpoint import check_same_run, checkpoint_of, with_neutral, write_checkpoint
from aecodec.training.guard import DivergenceGuard
from aecodec.training.optimiser import open_optimiser
from aecodec.training.settings import Settings
from aecodec.training.soap import Soap
from aecodec.training.tasks import open_task
from aecodec.training.workers import Workers

LOG, VALIDATION = "log.csv", "validation.csv"
LOG_EVERY = 100


@dataclass(frozen=True)
class Progress:
    """A report every LOG_EVERY steps: means over them; rate in bits per pixel, seconds since the start."""

    step: int
    seconds: float
    share: float
    loss: float
    rate: float
    gradient: float


class Run:
    """One training run in a folder; it resumes from the folder's checkpoint where there is one."""

    def __init__(self, settings: Settings, folder: Path, complain: Callable[[str], None]) -> None:
        """Load the pictures and build or resume the model. Raises TrainingError where that cannot work."""
        self.settings, self.folder = settings, folder
        if settings.threads:
            torch.set_num_threads(settings.threads)
        name = settings.device if settings.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        self.workers = Workers(name)
        if not self.workers.first:
            complain = _ignore_message
        self.device = self.workers.device
        torch.backends.cudnn.allow_tf32 = False  # everything outside autocast needs the bits of float32
        torch.manual_seed(settings.seed)
        self.rng = np.random.default_rng(settings.seed)
        self.task = open_task(settings)
        files = data.find(settings.data, complain)
        held = {path for path in files if data.is_held_out(path.name, settings.held_out)}
        if len(held) == len(files):
            raise TrainingError("all pictures are held out for validation; add some, or set held_out = 0")
        self.pictures = data.load([path for path in files if path not in held], complain)
        self.validation = self._held_out([path for path in files if path in held], complain)
        model = self.task.model(self.pictures, self.rng)
        self.model = channels_last(model.to(self.device))
        self.average = copy.deepcopy(self.model).eval()
        self.task.couple(self.model, self.average)
        groups = self.task.groups(self.model)
        # without the linear paths, whose gradients are of another unit and would rule the norm
        self.clipped = [p for group in groups if "unit" not in group for p in group["params"]]
        self.optimiser = open_optimiser(groups, settings, self.device)
        self.guard = DivergenceGuard((self.model, self.average))
        self.step, self.seconds, self.warm_from = 0, 0.0, 0
        self.stopped = self._stop_asked = False
        self._resume()
        self._synchronise_workers()
        self._captured: CapturedStep | None = None
        self._captured_results: list[Tensor] = []  # of captured steps that the guard has not seen yet
        self._crops: data.DeviceCrops | None = None
        self._batch_on_device: Tensor | None = None  # where captured steps look for it
        torch.backends.cudnn.benchmark = True
        self.guard.keep_state()
        self._reader = ThreadPoolExecutor(1, "batches")
        self._next: Future[NDArray[np.uint8]] = self._reader.submit(self.draw_batch, self.share)

    @property
    def share(self) -> float:
        """Return how much of the run is done, 0..1."""
        done = [self.step / self.settings.steps] if self.settings.steps else []
        done += [self.seconds / (60 * self.settings.minutes)] if self.settings.minutes else []
        return min(1.0, max(done))

    def progress(self) -> Iterator[Progress]:
        """Train to the end, or to ``stop``, with a report every LOG_EVERY steps; write checkpoints and validate on the way.

        Raises TrainingError where the run diverges again and again.
        """
        start = time.perf_counter() - self.seconds
        results: list[Tensor] = []
        while self.share < 1 and not self.stopped:
            results.append(self.train_step())
            self.step += 1
            self.seconds, stopped = self.workers.agree(time.perf_counter() - start, self._stop_asked)
            self.stopped = bool(stopped)
            if self.step % LOG_EVERY == 0:
                loss, rate, norm = torch.stack([result.cpu() for result in results]).T.tolist()
                self._review_captured_steps()
                means = statistics.fmean(loss), statistics.fmean(rate)
                report = Progress(self.step, self.seconds, self.share, *means, norm[-1])
                self._log(LOG, [report.step, f"{report.seconds:.0f}", f"{report.loss:.5f}", f"{report.rate:.4f}"])
                yield report
                results.clear()
            if self.step % self.settings.validate_every == 0 and self.share < 1:
                self._review_captured_steps()
                self.validate_and_save()
        self._review_captured_steps()
        if self.stopped:
            self.save()
        else:
            self.task.finish(self.average, self.pictures, self.rng)
            self.validate_and_save()

    def stop(self) -> None:
        """End the run after the current step, with a checkpoint; the first worker decides for all."""
        self._stop_asked = True

    def validate_and_save(self) -> None:
        """Write one line of validation.csv and a checkpoint."""
        self.workers.follow([*self.model.parameters(), *self.average.parameters()])
        self.task.agree(self.model, self.workers)
        if self.validation is not None and self.workers.first:
            with torch.no_grad():
                score, values = self.task.validate(self.average, self.validation)
            self._log(VALIDATION, [self.step, f"{self.seconds:.0f}", f"{score:.5f}", *(f"{value:.4f}" for value in values)])
        self.save()

    def train_step(self) -> Tensor:
        """Take a step and return (3,): loss, mean rate in bits per pixel, norm of the gradient."""
        factor, decay = self._rate_factor(), min(self.settings.ema, (self.step + 1) / (self.step + 20))
        if not (self.can_capture and isinstance(self.optimiser, Soap)):
            return self._plain_step(factor, decay)
        self._place_batch_on_device()
        if self._captured is None:
            self._captured = CapturedStep(
                self._loss_on_device, self.optimiser, self.model, self.average, self.clipped, self.settings.clip
            )
        self._captured_results.append(self._captured(factor, decay, self.guard.limit))
        return self._captured_results[-1]

    def _rate_factor(self) -> float:
        """Return the factor of the learning rates at this step: rising, held, and falling at the end."""
        settings = self.settings
        rising = min(1, (self.step - self.warm_from + 1) / settings.warm_up) if settings.warm_up else 1
        falling = max(0, 1 - (1 - self.share) / settings.decay)
        return rising * (self.guard.damping * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * falling))))

    def _plain_step(self, factor: float, decay: float) -> Tensor:
        """Take a step kernel by kernel; ``factor`` is for the learning rates, ``decay`` for the averaged weights."""
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * factor
        drawn, self._next = self._next.result(), self._reader.submit(self.draw_batch, self.share)
        x = data.to_tensor(drawn, self.device)
        loss, rate = self.task.loss(self.model, x, self._positions("cpu").to(self.device), self.step)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.workers.average([parameter.grad for parameter in self.model.parameters() if parameter.grad is not None])
        norm = nn.utils.clip_grad_norm_(self.clipped, self.settings.clip).item()
        (norm,) = self.workers.agree(norm)
        if self.guard.accepts(norm):
            self.optimiser.step()
            with torch.no_grad():
                torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)
        if self.guard.record([norm], self.step):
            self._clear_optimiser_state()
        return torch.tensor([loss.item(), rate.mean().item(), norm])

    def _review_captured_steps(self) -> None:
        """Show the guard the norms of captured steps since the last time, if there were any."""
        if not self._captured_results:
            return
        norms = torch.stack(self._captured_results)[:, -1].tolist()
        self._captured_results.clear()
        if all(map(math.isfinite, norms)):
            went_back = self.guard.record(norms, self.step)
        else:  # the steps after the first NaN are NaN, too
            self.guard.restore_state()
            went_back = True
        if went_back:
            self._clear_optimiser_state()
        self.task.renew(self.model)

    def _positions(self, device: str | torch.device) -> Tensor:
        """Return knot positions (B,) of a batch, drawn evenly over the image of 0..1 under ``low_quality_bias``."""
        count = self.settings.batch
        uniform = (torch.arange(count, device=device) + torch.rand(count, device=device)) / count
        return INTERVALS * uniform**self.settings.low_quality_bias

    @property
    def can_capture(self) -> bool:
        """Return whether steps from now on can be one CUDA graph: on one GPU, once the loss no longer changes."""
        settings = self.settings
        alone = is_fused(next(self.model.parameters())) and self.workers.size == 1 and settings.optimiser == "soap"
        return alone and self.step >= settings.hyper_warm_up

    def _place_batch_on_device(self) -> None:
        """Put the next batch where ``_loss_on_device`` finds it, or the pictures, if it can draw crops of them itself."""
        if self.task.of_crops:
            self._crops = self._crops or data.DeviceCrops(self.pictures, self.settings.crop, self.device)
            return
        drawn, self._next = torch.from_numpy(self._next.result()), self._reader.submit(self.draw_batch, self.share)
        if self._batch_on_device is None:
            self._batch_on_device = torch.empty_like(drawn, device=self.device)
        self._batch_on_device.copy_(drawn)

    def _loss_on_device(self) -> tuple[Tensor, Tensor]:
        if self._crops is not None:
            drawn = self._crops.batch(self.settings.batch)
        elif self._batch_on_device is not None:
            drawn = self._batch_on_device
        else:
            raise RuntimeError("no batch has been placed on the device")
        x = drawn.permute(0, 3, 1, 2).float().div_(255)
        return self.task.loss(self.model, x, self._positions(self.device), self.step)

    def _clear_optimiser_state(self) -> None:
        self.optimiser.state.clear()
        self._captured = None

    def draw_batch(self, share: float) -> NDArray[np.uint8]:
        """Return a batch. It is made while the step before it is computed; nothing else draws from ``rng`` meanwhile."""
        crops = data.batch(self.pictures, self.settings.batch, self.settings.crop, self.rng)
        return self.task.batch(crops, share, self.rng)

    def _held_out(self, files: list[Path], complain: Callable[[str], None]) -> Tensor | None:
        """Return the batch that the run is validated on, or None where no file can be read."""
        if not files:
            return None
        try:
            pictures = data.load(files, complain)
        except TrainingError:
            complain("no held-out picture can be read, so nothing is validated")
            return None
        batch = self.task.held_out(pictures, self.settings.crop, np.random.default_rng(self.settings.seed))
        return data.to_tensor(batch, self.device)

    def _synchronise_workers(self) -> None:
        """Give all workers the first one's weights, and each crops of its own; a resumed run sees new ones."""
        for model in (self.model, self.average):
            self.workers.follow(model.state_dict().values())
        torch.manual_seed(self.settings.seed + self.workers.rank + (self.step << 16))
        self.rng = np.random.default_rng([self.settings.seed, self.workers.rank, self.step])

    def _log(self, name: str, row: list[object]) -> None:
        if not self.workers.first:
            return
        with open(self.folder / name, "a", newline="") as file:
            csv.writer(file).writerow(row)

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        if not self.workers.first:
            return
        write_checkpoint(self.folder, {
            "step": self.step, "seconds": self.seconds, "damping": self.guard.damping, "warm_from": self.warm_from,
            "model": self.model.state_dict(), "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(), "architecture": self.settings.trained.to_dict(),
            "kind": self.settings.optimiser, "task": self.settings.task, "device": self.device.type,
        })  # fmt: skip

    def _resume(self) -> None:
        """Go on from the folder's checkpoint, where there is one, or from that of another host."""
        here = checkpoint_of(str(self.folder))
        state = self.workers.newest(-1 if here is None else here["step"], here)
        if state is None:
            return
        check_same_run(state, self.settings, self.folder)
        for model, kept in ((self.model, state["model"]), (self.average, state["average"])):
            model.load_state_dict(with_neutral(kept, state["architecture"]) if self.settings.task == "compress" else kept)
        # the settings may ask for another rate now, and a unit that comes from a checkpoint lies on the CPU
        asked = [{key: value for key, value in group.items() if key != "params"} for group in self.optimiser.param_groups]
        if moved := state["kind"] == "soap" and state.get("device", "cpu") != self.device.type:
            state["optimiser"]["state"] = {}  # a GPU's moments are laid out in another way
        try:
            self.optimiser.load_state_dict(state["optimiser"])
        except ValueError:
            raise TrainingError(
                f"{self.folder} holds a run that trains other parameters; continue from it with init, in another folder"
            ) from None
        self.step, self.seconds = state["step"], state["seconds"]
        if all(own["peak"] == group["peak"] for own, group in zip(asked, self.optimiser.param_groups, strict=True)):
            self.guard.damping = state["damping"]
        for group, own in zip(self.optimiser.param_groups, asked, strict=True):
            group.update(own)
        self.warm_from = self.step if moved else state.get("warm_from", 0)


def _ignore_message(message: str) -> None:
    """Take the place of ``complain`` in the other workers, which would repeat the first one's messages."""
