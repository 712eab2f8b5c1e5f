"""Training steps in one piece, on a machine without CUDA: what is captured must do what a plain step does."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from aecodec.training import captured, guard, run as running
from aecodec.training.captured import CapturedStep
from aecodec.training.settings import make
from aecodec.training.soap import Soap


class _Stream:
    def __init__(self, device=None):
        pass

    def wait_stream(self, other):
        pass


class _Event:
    def record(self):
        pass

    def synchronize(self):
        pass


class _Graph:
    """What a graph is to the host: something that does again what was captured."""

    def replay(self):
        self.step()


@pytest.fixture
def cuda(monkeypatch):
    """As much of ``torch.cuda`` as a captured step needs, on the CPU."""
    running = []

    @contextlib.contextmanager
    def capture(graph, stream):
        yield
        graph.step = running[-1]

    whole = CapturedStep._step

    def step(self):
        running.append(lambda: whole(self))
        if self.graph is None:  # a capture runs nothing
            whole(self)

    monkeypatch.setattr(CapturedStep, "_step", step)
    for name, stand_in in {
        "Stream": _Stream, "Event": _Event, "CUDAGraph": _Graph, "graph": capture, "synchronize": lambda: None,
        "current_stream": lambda *_: _Stream(), "stream": lambda _: contextlib.nullcontext(),
    }.items():  # fmt: skip
        monkeypatch.setattr(captured.torch.cuda, name, stand_in)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)


def problem(seed: int = 0):
    """A small network and batches for it."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.LeakyReLU(0.1), nn.Conv2d(6, 3, 1))
    batches = torch.randn(12, 4, 3, 8, 8)
    return model, batches


def losses_of(model, x):
    error = (model(x) - x.flip(1)).square().mean((1, 2, 3))
    return error.mean(), error


def groups_of(model):
    return [{"params": list(model.parameters()), "lr": 1e-2, "peak": 1e-2}]


@pytest.mark.slow
def test_it_does_what_plain_steps_do(cuda):
    """Clipping, optimiser, bases and average: the same numbers, whichever way."""
    model, batches = problem()
    plain, average = copy.deepcopy(model), copy.deepcopy(model)
    optimiser = Soap(groups_of(plain), refresh=4)
    norms = []
    for x in batches:
        optimiser.zero_grad()
        losses_of(plain, x)[0].backward()
        norms.append(nn.utils.clip_grad_norm_(list(plain.parameters()), 0.5).item())
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * 0.5
        optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(plain.parameters()), 0.1)

    whole, its_average = copy.deepcopy(model), copy.deepcopy(model)
    waiting = iter(batches)
    its_optimiser = Soap(groups_of(whole), refresh=4)
    step = CapturedStep(
        lambda: losses_of(whole, next(waiting)), its_optimiser, whole, its_average, list(whole.parameters()), 0.5
    )
    results = [step(0.5, 0.9, math.inf) for _ in batches]

    assert step.graph is not None
    assert torch.allclose(torch.stack(results)[:, 2], torch.tensor(norms), rtol=1e-4)
    for ours, theirs in ((whole, plain), (its_average, average)):
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.allclose(one, other, atol=1e-5)
    assert {int(state["step"]) for state in its_optimiser.state.values()} == {len(batches)}


def test_a_spike_moves_nothing(cuda):
    model, batches = problem()
    optimiser = Soap(groups_of(model))
    waiting = iter([*batches[:5], batches[5] * 1e6, *batches[6:]])
    step = CapturedStep(
        lambda: losses_of(model, next(waiting)), optimiser, model, copy.deepcopy(model), list(model.parameters()), 1.0
    )
    for _ in range(5):
        step(1.0, 0.9, 100.0)
    before = [p.detach().clone() for p in model.parameters()]
    _, _, norm = step(1.0, 0.9, 100.0).tolist()
    assert not norm <= 100
    for one, other in zip(before, model.parameters(), strict=True):
        assert torch.equal(one, other)
    step(1.0, 0.9, 100.0)
    assert all(torch.isfinite(p).all() and not torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))


def small_run(folder, **settings) -> running.Run:
    """A run of a small model on pictures of noise."""
    rng = np.random.default_rng(1)
    for i in range(6):
        Image.fromarray(rng.integers(0, 256, (80, 96, 3), np.uint8)).save(folder / f"{i}.png")
    architecture = {
        "latents": 32,
        **dict.fromkeys(("width_8", "width_16", "decoder_width_8", "decoder_width_16"), 16),
        **dict.fromkeys(("hyper_width", "hyper_latents", "context_width"), 16),
    }
    return running.Run(make({"data": str(folder), "crop": 64, "batch": 2, "held_out": 0, "warm_up": 2, "device": "cpu",
                          "architecture": architecture, **settings}), folder, print)  # fmt: skip


@pytest.mark.slow
def test_a_run_takes_captured_steps(cuda, monkeypatch, tmp_path):
    """Crops, positions, the limit of gradients, the log and the end of a run, with the captured step amid them."""
    monkeypatch.setattr(running.Run, "can_capture", property(lambda run: run.step >= 4))
    monkeypatch.setattr(running, "LOG_EVERY", 5)
    run = small_run(tmp_path, steps=15, hyper_warm_up=4)
    begun = run.model.analysis.head.weight.detach().clone()
    reports = list(run.progress())
    assert [report.step for report in reports] == [5, 10, 15]
    assert run._captured.graph is not None
    assert all(math.isfinite(value) for report in reports for value in (report.loss, report.rate, report.gradient))
    assert not torch.equal(run.model.analysis.head.weight, begun)
    assert len(run.guard.norms) == 15
    run._captured.result.fill_(math.nan)
    monkeypatch.setattr(CapturedStep, "__call__", lambda self, *_: self.result)
    good = run.guard.good[0]["analysis.head.weight"].clone()
    run.settings = dataclasses.replace(run.settings, steps=20)
    list(run.progress())
    assert torch.equal(run.model.analysis.head.weight, good)
    assert run._captured is None
    assert run.guard.damping == guard.ROLLBACK_DAMPING  # one fault, one punishment


def test_steps_are_judged_before_they_are_kept(cuda, monkeypatch, tmp_path):
    """A checkpoint of weights that are no numbers is the end of a run, whenever it is written."""
    monkeypatch.setattr(running.Run, "can_capture", property(lambda run: True))
    run = small_run(tmp_path, steps=7, hyper_warm_up=0)

    def spoil(self, *_):
        with torch.no_grad():
            run.model.gain.log.fill_(math.nan)
        return torch.full((3,), math.nan)

    monkeypatch.setattr(CapturedStep, "__call__", spoil)
    monkeypatch.setattr(run.task, "finish", lambda *_: None)
    list(run.progress())  # of fewer steps than there are between two reports
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["model"]["gain.log"].isfinite().all()
