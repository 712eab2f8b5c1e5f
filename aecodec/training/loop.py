"""The training run: rate-distortion loss, optimiser, averaged weights, validation, checkpoints.

What is trained, and on what, is a ``Task``: the codec, or an encoder for damaged pictures (``restoration.py``).

The loss of a crop at quality q is ``(R + lambda * D) / sqrt(lambda)`` with its Lagrangian lambda: R in bits per pixel, D the
distortion.  The optimum of R + lambda D grows about as the square root of lambda, so no quality dominates the sum.
"""

from __future__ import annotations

import copy
import csv
import math
import os
import pickle
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from aecodec.entropy.architecture import Architecture
from aecodec.errors import AecodecError
from aecodec.metrics import PEAK
from aecodec.networks.fused import is_fused
from aecodec.networks.model import LAMBDA_UNIT, Model
from aecodec.networks.precision import autocast
from aecodec.networks.transforms import KLT_STEP, set_klt
from aecodec.quality import INTERVALS, KNOTS, LAMBDA_MAX, LAMBDA_MIN
from aecodec.training import data
from aecodec.training.captured import CapturedStep
from aecodec.training.distortion import Mix, mse
from aecodec.training.growth import fit_scales, with_more_blocks, with_more_latents
from aecodec.training.klt import block_covariance, principal_components
from aecodec.training.settings import Settings
from aecodec.training.soap import Soap
from aecodec.training.workers import Workers
from aecodec.weights.store import neutral

CHECKPOINT = "checkpoint.pt"
LOG, VALIDATION = "log.csv", "validation.csv"
VALIDATION_CROPS, VALIDATION_SEED = 64, 9  # the same crops in every run on the same pictures
LOG_EVERY = 100
GROWTH_CROPS = 16  # that new latents' scales are fitted to
RECOUNT_CROPS, RECOUNTS = 32, 2
SPIKE = 8.0  # a gradient this many times its running median is not applied
# What the linear paths' weights are trained in; the synthesis' by the spread of the latent that they multiply.  With the
# networks' units they would move by many quantiser steps at once.
ANALYSIS_UNIT, SYNTHESIS_UNIT, LAPPING_UNIT = 5.0, 0.025, 5.0
REFRESH = {"cpu": 10, "cuda": 80}  # steps between two updates of SOAP's bases, which a GPU is slow at
ROLLBACK_WINDOW, ROLLBACK_COUNT, ROLLBACK_DAMPING = 60, 30, 0.7


@dataclass(frozen=True)
class Progress:
    """What a run reports every LOG_EVERY steps: means over them; rate in bits per pixel, seconds since the start."""

    step: int
    seconds: float
    share: float
    loss: float
    rate: float
    gradient: float


def lambda_at(position: Tensor) -> Tensor:
    """Lagrangians (B,) at knot positions (B,)."""
    return LAMBDA_MIN * torch.exp(math.log(LAMBDA_MAX / LAMBDA_MIN) * position / INTERVALS)


def new_model(settings: Settings, pictures: data.Pictures, rng: np.random.Generator) -> Model:
    """A model that starts as a KLT transform codec: linear paths, gains and scales from the pictures' own statistics."""
    model = Model(settings.architecture)
    basis, variance = (torch.from_numpy(a).float() for a in principal_components(block_covariance(pictures, rng)))
    set_klt(model.analysis, model.synthesis, basis, variance)
    latents = settings.architecture.latents
    deviation = variance[:latents].clamp_min(1).sqrt() / (255 * KLT_STEP)
    model.set_scales(deviation)
    return model


def parameter_groups(model: Model, settings: Settings) -> list[dict]:
    """Groups for the optimiser: transforms, entropy model, the tables that are indexed by quality, and the linear paths of
    the two transforms, which only SOAP can train."""
    linear = linear_paths(model)
    entropy = ("context.", "hyper_synthesis.", "hyper_analysis.")
    groups: dict[float, list[nn.Parameter]] = {1.0: [], settings.entropy_rate: [], settings.table_rate: []}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad or any(parameter is group["params"][0] for group in linear):
            continue
        if parameter.ndim == 2:
            groups[settings.table_rate].append(parameter)
        elif parameter.ndim == 4 and name.startswith(entropy):
            groups[settings.entropy_rate].append(parameter)
        else:
            groups[1.0].append(parameter)
    rated = [(factor, {"params": parameters}) for factor, parameters in groups.items()]
    rated += [(settings.linear_rate, group) for group in linear]
    rates = [settings.learning_rate * factor for factor, _ in rated]
    return [{**group, "lr": rate, "peak": rate} for rate, (_, group) in zip(rates, rated)]


def linear_paths(model: Model) -> list[dict]:
    """A group each for the linear analysis and synthesis and the lapping of each, where both are trained; one alone is of a
    restoring encoder."""
    analysis, synthesis = model.analysis.klt.weight, model.synthesis.klt.weight
    if not (analysis.requires_grad and synthesis.requires_grad):
        return []
    return [
        {"params": [analysis], "unit": ANALYSIS_UNIT},
        {"params": [synthesis], "unit": SYNTHESIS_UNIT / model.synthesis.spread},
        *({"params": [part.lap.weight], "unit": LAPPING_UNIT} for part in (model.analysis, model.synthesis)),
    ]


def rate_and_distortion(
    model: nn.Module, x: Tensor, position: Tensor, hyper_weight: float = 1.0,
    distortion: Callable[[Tensor, Tensor], Tensor] = mse,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """(B,) bits per pixel and (B,) distortions of pictures (B, 3, H, W) at knot positions (B,)."""
    with autocast(x):
        out = model(x, position)
    rate = (out.latent_bits + hyper_weight * out.hyper_bits) / (x.shape[2] * x.shape[3])
    return rate, distortion(out.picture, x)


def to_tensor(crops: np.ndarray, device: torch.device) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float32 in 0..1, channels last in memory."""
    return torch.from_numpy(crops).to(device, non_blocking=True).permute(0, 3, 1, 2).float().div_(255)


@torch.no_grad()
def validate(
    model: Model,
    crops: Tensor,
    measure: Callable[..., tuple[Tensor, Tensor]] = rate_and_distortion,
) -> tuple[float, list[tuple[float, float]]]:
    """Mean of log(R + lambda D) over the knots, lower is better (0.01 is about 1 % of rate), and per knot the mean bits
    per pixel (estimated) and decibels of D below PEAK squared; R and D by ``measure``."""
    score, curve = 0.0, []
    for knot in range(KNOTS):
        rates, distortions = [], []
        for part in crops.split(8):
            position = torch.full((len(part),), float(knot), device=part.device)
            rate, distortion = measure(model, part, position)
            rates.append(rate)
            distortions.append(distortion)
        rate, distortion = torch.cat(rates), torch.cat(distortions)
        factor = lambda_at(torch.tensor(float(knot)))
        score += (rate + factor * distortion).log().mean().item() / KNOTS
        curve.append((rate.mean().item(), (10 * torch.log10(PEAK**2 / distortion)).mean().item()))
    return score, curve


def recount(model: Model, x: Tensor) -> None:
    """Counts anew what symbols a trained model chooses for pictures x (B, 3, H, W), for the coding tables of its weights.

    While it was trained they were counted of other weights, those before averaging.  More than once, since what is chosen
    depends on what it costs.
    """
    model.eval()
    for _ in range(RECOUNTS):
        model.quantiser.renew()
        for knot in range(KNOTS):
            for part in x.split(8):
                with autocast(x):
                    model(part, torch.full((len(part),), float(knot), device=x.device))


def lagrangian(rate: Tensor, distortion: Tensor, position: Tensor) -> Tensor:
    """The loss of rates and distortions (B,) at knot positions (B,), as at the top of this page."""
    factor = lambda_at(position)
    return ((rate + factor * distortion) / (factor / LAMBDA_UNIT).sqrt()).mean()


class Task(Protocol):
    """What a run trains.  ``of_crops`` says that a batch is crops as they are."""

    of_crops: bool

    def model(self, pictures: data.Pictures, rng: np.random.Generator) -> Model:
        """The model to start from; what must stay as it is has ``requires_grad`` off."""

    def batch(self, crops: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
        """What the loss needs (B, H, W, C), of crops (B, H, W, 3), uint8, when this ``share`` of the run is done."""

    def phase(self, share: float) -> int:
        """Which loss it is that counts now; the losses of two phases do not compare."""

    def loss(self, model: Model, x: Tensor, position: Tensor, step: int, phase: int) -> tuple[Tensor, Tensor]:
        """The loss of a batch (B, C, H, W) at knot positions (B,), and its rates in bits per pixel."""

    def measure(self, model: Model, x: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """As ``rate_and_distortion``, of a batch."""

    def finish(self, model: Model, pictures: data.Pictures, rng: np.random.Generator) -> None:
        """What is to be done with the averaged model when all steps are."""

    def save(self, model: Model, folder: Path, card: dict[str, Any]) -> str:
        """Writes weights into a folder and returns their id."""


class Compression:
    """The codec itself."""

    of_crops = True

    def __init__(self, settings: Settings) -> None:
        """Raises AecodecError where the distortion cannot be taken of so small crops."""
        self.settings = settings
        self.distortion = Mix(settings.distortion)
        if settings.crop < self.distortion.side:
            raise AecodecError(f"this distortion needs crops of {self.distortion.side} pixels or more each way")

    def model(self, pictures: data.Pictures, rng: np.random.Generator) -> Model:
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
        fit_scales(model.eval(), model.arch.latents - arch.latents, to_tensor(crops, torch.device("cpu")))
        return model.train()

    def batch(self, crops: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
        return crops

    def phase(self, share: float) -> int:
        return 0

    def loss(self, model: Model, x: Tensor, position: Tensor, step: int, phase: int) -> tuple[Tensor, Tensor]:
        warm_up = self.settings.hyper_warm_up
        # at first the hyper-latents cost little, or the model learns to do without them before it has learnt to use them
        hyper_weight = min(1, 0.05 + step / warm_up) if warm_up else 1
        rate, distortion = rate_and_distortion(model, x, position, hyper_weight, self.distortion)
        return lagrangian(rate, distortion, position), rate

    def measure(self, model: Model, x: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        return rate_and_distortion(model, x, position, distortion=self.distortion)

    def finish(self, model: Model, pictures: data.Pictures, rng: np.random.Generator) -> None:
        crops = data.batch(pictures, RECOUNT_CROPS, self.settings.crop, rng)
        recount(model, to_tensor(crops, next(model.parameters()).device))

    def save(self, model: Model, folder: Path, card: dict[str, Any]) -> str:
        from aecodec.networks.export import save_weights

        return save_weights(model, folder, self.settings.name, card)


def open_task(settings: Settings, device: torch.device) -> Task:
    """The task that the settings name."""
    if settings.task == "compress":
        return Compression(settings)
    from aecodec.training.restoration import Restoration

    return Restoration(settings, device)


class Run:
    """One training run in a folder; it resumes from the folder's checkpoint where there is one."""

    def __init__(self, settings: Settings, folder: Path, complain: Callable[[str], None]) -> None:
        """Loads the pictures and builds or resumes the model.  Raises AecodecError where that cannot work."""
        self.settings, self.folder = settings, folder
        if settings.threads:
            torch.set_num_threads(settings.threads)
        name = settings.device if settings.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        self.workers = Workers(name)
        if not self.workers.first:
            complain = _say_nothing
        self.device = self.workers.device
        torch.backends.cudnn.allow_tf32 = False  # what is not under autocast is so because it needs its bits
        torch.manual_seed(settings.seed)
        self.rng = np.random.default_rng(settings.seed)
        self.task = open_task(settings, self.device)
        files = data.find(settings.data)
        held = {path for path in files if data.is_held_out(path.name, settings.held_out)}
        if len(held) == len(files):
            raise AecodecError("all pictures are held out for validation; add some, or set held_out = 0")
        self.pictures = data.load([path for path in files if path not in held], complain)
        self.validation = self._validation_crops([path for path in files if path in held], complain)
        model = self.task.model(self.pictures, self.rng)
        model.quantise(settings.quantise)
        self.model = model.to(self.device).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model).eval()
        self.average.quantiser = self.model.quantiser  # one count of symbols
        groups = parameter_groups(self.model, settings)
        # without the linear paths, whose gradients are of another unit and would rule the norm
        self.clipped = [p for group in groups if "unit" not in group for p in group["params"]]
        self.optimiser: torch.optim.Optimizer
        if settings.optimiser == "soap":
            self.optimiser = Soap(groups, refresh=REFRESH[self.device.type])
        else:
            self.optimiser = torch.optim.Adam(groups, betas=(0.9, 0.995), fused=True)
        self.step, self.seconds, self.damping, self.phase_start = 0, 0.0, 1.0, 0
        self.norms: list[float] = []
        self.skipped: list[int] = []
        self.stopped = self._stop_asked = False
        if (folder / CHECKPOINT).is_file():
            self._resume()
        self._meet()
        self.phase = self.task.phase(self.share)
        self._captured: CapturedStep | None = None
        self._unjudged: list[Tensor] = []  # what captured steps gave whose norms nobody has looked at yet
        self._crops: data.DeviceCrops | None = None
        self._drawn: Tensor | None = None  # a batch, where captured steps look for it
        torch.backends.cudnn.benchmark = True
        self._remember()
        self._reader = ThreadPoolExecutor(1, "batches")
        self._next: Future[np.ndarray] = self._reader.submit(self._draw, self.share)

    def _validation_crops(self, held: list[Path], complain: Callable[[str], None]) -> Tensor | None:
        """A batch of what is held out (B, C, H, W), or None where there is nothing that can be read."""
        if not held:
            return None
        try:
            pictures = data.load(held, complain)
        except AecodecError:
            complain("no held-out picture can be read, so nothing is validated")
            return None
        crops = data.sample(pictures, VALIDATION_CROPS, self.settings.crop, VALIDATION_SEED)
        crops = self.task.batch(crops, 1.0, np.random.default_rng(self.settings.seed))
        return to_tensor(crops, self.device)

    @property
    def share(self) -> float:
        """How much of the run is done, 0..1."""
        done = [self.step / self.settings.steps] if self.settings.steps else []
        done += [self.seconds / (60 * self.settings.minutes)] if self.settings.minutes else []
        return min(1.0, max(done))

    def progress(self) -> Iterator[Progress]:
        """Trains to the end, or to ``stop``, with a report every LOG_EVERY steps; checkpoints and validates on the way."""
        start = time.perf_counter() - self.seconds
        results: list[Tensor] = []
        while self.share < 1 and not self.stopped:
            results.append(self._train_step())
            self.step += 1
            self.seconds, stopped = self.workers.agree(time.perf_counter() - start, self._stop_asked)
            self.stopped = bool(stopped)
            if self.step % LOG_EVERY == 0:
                loss, rate, norm = torch.stack([result.cpu() for result in results]).T.tolist()
                self._look_back()
                means = statistics.fmean(loss), statistics.fmean(rate)
                report = Progress(self.step, self.seconds, self.share, *means, norm[-1])
                self._log(LOG, [report.step, f"{report.seconds:.0f}", f"{report.loss:.5f}", f"{report.rate:.4f}"])
                yield report
                results.clear()
            if self.step % self.settings.validate_every == 0 and self.share < 1:
                self._look_back()
                self.validate_and_save()
        self._look_back()
        if self.stopped:
            self.save()
        else:
            self.task.finish(self.average, self.pictures, self.rng)
            self.validate_and_save()

    def stop(self) -> None:
        """Ends the run after the step that it is at, with a checkpoint; the first worker's word counts for all."""
        self._stop_asked = True

    def validate_and_save(self) -> None:
        """One line of validation.csv and a checkpoint."""
        self.workers.follow([*self.model.parameters(), *self.average.parameters()])
        self.workers.average([self.model.quantiser.counts])
        if self.validation is not None and self.workers.first:
            score, curve = validate(self.average, self.validation, self.task.measure)
            points = [f"{value:.4f}" for point in curve for value in point]
            self._log(VALIDATION, [self.step, f"{self.seconds:.0f}", f"{score:.5f}", *points])
        self.save()

    def _train_step(self) -> Tensor:
        """Takes a step and gives (3,): loss, mean rate in bits per pixel, norm of the gradient."""
        settings = self.settings
        if (phase := self.task.phase(self.share)) != self.phase:
            self._look_back()
            self.phase, self.phase_start = phase, self.step
            self.norms.clear()
            self._forget_moments()
        factor = min(1, (self.step - self.phase_start + 1) / settings.warm_up) if settings.warm_up else 1
        falling = max(0, 1 - (1 - self.share) / settings.decay)
        factor *= self.damping * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * falling)))
        limit = SPIKE * self._usual()
        decay = min(settings.ema, (self.step + 1) / (self.step + 20))
        if self._can_capture:
            self._feed()
            if self._captured is None:
                self._captured = CapturedStep(
                    self._loss_on_device, self.optimiser, self.model, self.average, self.clipped, settings.clip
                )
            self._unjudged.append(self._captured(factor, decay, limit))
            return self._unjudged[-1]
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * factor
        drawn, self._next = self._next.result(), self._reader.submit(self._draw, self.share)
        x = to_tensor(drawn, self.device)
        loss, rate = self.task.loss(self.model, x, self._positions("cpu").to(self.device), self.step, phase)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.workers.average([parameter.grad for parameter in self.model.parameters() if parameter.grad is not None])
        norm = nn.utils.clip_grad_norm_(self.clipped, settings.clip).item()
        (norm,) = self.workers.agree(norm)
        if math.isfinite(norm) and norm <= limit:
            self.optimiser.step()
            with torch.no_grad():
                torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)
        self._judge([norm])
        return torch.tensor([loss.item(), rate.mean().item(), norm])

    def _look_back(self) -> None:
        """What there is to do after captured steps, if there were any."""
        if not self._unjudged:
            return
        norms = torch.stack(self._unjudged)[:, -1].tolist()
        self._unjudged.clear()
        if all(map(math.isfinite, norms)):
            self._judge(norms)
        else:  # the steps behind the first that is no number are none either
            self._go_back()
        self.model.quantiser.refresh()

    def _positions(self, device: str | torch.device) -> Tensor:
        """Knot positions (B,) of a batch, drawn evenly over what ``low_quality_bias`` makes of 0..1."""
        count = self.settings.batch
        uniform = (torch.arange(count, device=device) + torch.rand(count, device=device)) / count
        return INTERVALS * uniform**self.settings.low_quality_bias

    def _usual(self) -> float:
        """The norm that gradients have of late."""
        return statistics.median(self.norms[-200:]) if len(self.norms) > 30 else math.inf

    def _judge(self, norms: list[float]) -> None:
        """What the norms of steps mean: they become usual, or were spikes (or no numbers) and the steps were left out."""
        usual = self._usual()
        for norm in norms:
            if math.isfinite(norm) and norm <= SPIKE * usual:
                self.norms.append(norm)
                continue
            if math.isfinite(usual):
                self.norms.append(SPIKE * usual)
            self._skip()
        if self.step % 200 == 0 and not any(step > self.step - 200 for step in self.skipped):
            self._remember()

    @property
    def _can_capture(self) -> bool:
        """Whether steps from now on can be one CUDA graph: on one GPU, once the loss is what it stays."""
        settings = self.settings
        alone = is_fused(self.model.gain.log) and self.workers.size == 1 and settings.optimiser == "soap"
        return alone and self.step >= settings.hyper_warm_up

    def _feed(self) -> None:
        """Puts the next batch where ``_loss_on_device`` finds it, or the pictures, which it can draw crops of itself."""
        if self.task.of_crops:
            self._crops = self._crops or data.DeviceCrops(self.pictures, self.settings.crop, self.device)
            return
        drawn, self._next = torch.from_numpy(self._next.result()), self._reader.submit(self._draw, self.share)
        if self._drawn is None:
            self._drawn = torch.empty_like(drawn, device=self.device)
        self._drawn.copy_(drawn)

    def _loss_on_device(self) -> tuple[Tensor, Tensor]:
        drawn = self._crops.batch(self.settings.batch) if self.task.of_crops else self._drawn
        x = drawn.permute(0, 3, 1, 2).float().div_(255)
        return self.task.loss(self.model, x, self._positions(self.device), self.step, self.phase)

    def _forget_moments(self) -> None:
        self.optimiser.state.clear()
        self._captured = None

    def _draw(self, share: float) -> np.ndarray:
        """A batch; it is made while the step before it is computed, and nothing else draws from ``rng`` by then."""
        crops = data.batch(self.pictures, self.settings.batch, self.settings.crop, self.rng)
        return self.task.batch(crops, share, self.rng)

    def _remember(self) -> None:
        """Keeps the weights as they are now, and their average, for ``_skip``."""
        self._good = [copy.deepcopy(model.state_dict()) for model in (self.model, self.average)]

    def _skip(self) -> None:
        """Leaves a step out; where that becomes the rule, goes back to the last good state with a lower rate."""
        self.skipped = [step for step in self.skipped if step > self.step - ROLLBACK_WINDOW] + [self.step]
        if len(self.skipped) > ROLLBACK_COUNT:
            self._go_back()

    def _go_back(self) -> None:
        """To the last good state, with a lower rate."""
        for model, state in zip((self.model, self.average), self._good):
            model.load_state_dict(state)
        self._forget_moments()
        self.skipped.clear()
        self.damping *= ROLLBACK_DAMPING
        if self.damping < 0.01:
            raise AecodecError("training diverges again and again; lower learning_rate")

    def _meet(self) -> None:
        """All workers begin with the first one's weights, each with crops of its own; a resumed run sees new ones."""
        if self.workers.agree(self.step) != [self.step]:
            raise AecodecError(f"{self.folder} holds another checkpoint here than on the first host; let all hosts see one")
        for model in (self.model, self.average):
            self.workers.follow(model.state_dict().values())
        torch.manual_seed(self.settings.seed + self.workers.rank + (self.step << 16))
        self.rng = np.random.default_rng([self.settings.seed, self.workers.rank, self.step])

    def _log(self, name: str, row: list) -> None:
        if not self.workers.first:
            return
        with open(self.folder / name, "a", newline="") as file:
            csv.writer(file).writerow(row)

    def save(self) -> None:
        """Writes the checkpoint, whole or not at all."""
        if not self.workers.first:
            return
        state = {
            "step": self.step, "seconds": self.seconds, "damping": self.damping, "phase_start": self.phase_start,
            "model": self.model.state_dict(), "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(), "architecture": self.settings.architecture.to_dict(),
            "kind": self.settings.optimiser, "task": self.settings.task, "device": self.device.type,
        }
        temporary = self.folder / (CHECKPOINT + ".new")
        torch.save(state, temporary)
        os.replace(temporary, self.folder / CHECKPOINT)

    def _resume(self) -> None:
        state = checkpoint_of(str(self.folder))
        if state.get("task", "compress") != self.settings.task:
            raise AecodecError(f"{self.folder} holds a run of the task {state.get('task')}; choose another folder")
        if Architecture(**state["architecture"]) != self.settings.architecture:
            raise AecodecError(f"{self.folder} holds a run of another architecture; choose another folder")
        if state["kind"] != self.settings.optimiser:
            raise AecodecError(f"{self.folder} holds a run with the optimiser {state['kind']}; choose another folder")
        self.model.load_state_dict(_with_neutral(state["model"], state["architecture"]))
        self.average.load_state_dict(_with_neutral(state["average"], state["architecture"]))
        # the settings may ask for another rate now, and a unit that comes from a checkpoint lies on the CPU
        asked = [{key: value for key, value in group.items() if key != "params"} for group in self.optimiser.param_groups]
        if moved := state["kind"] == "soap" and state.get("device", "cpu") != self.device.type:
            state["optimiser"]["state"] = {}  # a GPU's moments are laid out in another way
        try:
            self.optimiser.load_state_dict(state["optimiser"])
        except ValueError:
            raise AecodecError(
                f"{self.folder} holds a run that trains other parameters; go on from it with init, in another folder"
            ) from None
        self.step, self.seconds = state["step"], state["seconds"]
        if all(own["peak"] == group["peak"] for own, group in zip(asked, self.optimiser.param_groups)):
            self.damping = state["damping"]
        for group, own in zip(self.optimiser.param_groups, asked):
            group.update(own)
        self.phase_start = self.step if moved else state.get("phase_start", 0)


def _say_nothing(message: str) -> None:
    """What the workers but the first one say of pictures that all of them read."""


def initial_state(source: str) -> tuple[Architecture, dict[str, Tensor]]:
    """Architecture and state dictionary from a checkpoint file, or from weights: an installed name or a folder.

    Weights hold the entropy model as integers; they are put back on their grids as real numbers.
    """
    checkpoint = checkpoint_of(source)
    if checkpoint is not None:
        return Architecture(**checkpoint["architecture"]), _with_neutral(checkpoint["average"], checkpoint["architecture"])
    from aecodec.networks.export import import_tensors
    from aecodec.weights.store import load

    weights = load(source)
    return weights.arch, import_tensors(weights)


def _with_neutral(state: dict[str, Tensor], architecture: dict[str, Any]) -> dict[str, Tensor]:
    """Return a model's state with ``store.neutral`` in place of what it is too old to have."""
    return {name: torch.from_numpy(array) for name, array in neutral(Architecture(**architecture)).items()} | state


def checkpoint_of(source: str) -> dict[str, Any] | None:
    """A checkpoint file, or that in a run's folder, as ``Run.save`` wrote it; None where ``source`` is neither.

    Raises AecodecError where it cannot be read, or is of something else.
    """
    path = Path(source)
    if path.is_dir() and (path / CHECKPOINT).is_file():
        path = path / CHECKPOINT
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise AecodecError(f"cannot read the checkpoint {path}: {str(error).splitlines()[0]}") from None
    if not isinstance(state, dict) or not {"average", "architecture"} <= state.keys():
        raise AecodecError(f"{path} is no checkpoint of aecodec train")
    return state
