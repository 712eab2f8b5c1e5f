"""Measure how fast training goes, and where the time goes: waiting for data, forward, backward, optimiser.

    python benchmarks/train_speed.py --data FOLDER [--batch 16] [--steps 50] [--device cuda]

It times one run's own training step, part by part. On a GPU it waits for each part, so their sum is a little more than what
a run takes. Batches are made in a thread of their own; "making a batch" is how long that takes, and no part of the sum.
Where steps are captured in a CUDA graph, which has no parts, the rate of these follows.
"""

from __future__ import annotations

import argparse
import collections
import statistics
import tempfile
import time
from concurrent.futures import Future
from pathlib import Path

import torch

from aecodec.networks.complexity import kmac_per_pixel
from aecodec.training import compression
from aecodec.training.captured import WARM_UP
from aecodec.training.run import Run
from aecodec.training.settings import make


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, action="append")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--optimiser", default="soap")
    arguments = vars(parser.parse_args())
    arguments["steps"] += 5  # to warm up
    with tempfile.TemporaryDirectory() as folder:
        run = Run(make({**arguments, "held_out": 0.0, "hyper_warm_up": arguments["steps"]}), Path(folder), print)
        parts, drawing = collections.defaultdict(list), []
        for module, name, part in (
            (Future, "result", "waiting"), (compression, "rate_and_distortion", "forward"),
            (torch.Tensor, "backward", "backward"), (run.optimiser, "step", "optimiser"),
        ):  # fmt: skip
            setattr(module, name, timed(getattr(module, name), parts[part], run.device))
        run.draw_batch = timed(run.draw_batch, drawing, torch.device("cpu"))
        whole = timed(run.train_step, parts["step"], run.device)
        for _ in range(arguments["steps"]):
            whole()
            run.step += 1
        captured = captured_rate(run, arguments["steps"]) if run.can_capture else None
    medians = {part: statistics.median(values[5:]) for part, values in parts.items()}
    step = medians.pop("step")
    pixels = arguments["batch"] * arguments["crop"] ** 2
    flops = 6e3 * pixels * sum(kmac_per_pixel(run.settings.architecture).values())  # forward once, backward twice
    print(f"{1 / step:.2f} steps/s of {arguments['batch']} crops of {arguments['crop']} on {run.device}, "
          f"{flops / step / 1e9:.0f} GFLOP/s")  # fmt: skip
    for part, seconds in {**medians, "rest": step - sum(medians.values())}.items():
        print(f"{part:10} {1000 * seconds:7.1f} ms {seconds / step:6.1%}")
    print(f"making a batch {1000 * statistics.median(drawing):.1f} ms")
    if captured is not None:
        print(f"captured: {captured:.2f} steps/s")


def captured_rate(run: Run, steps: int) -> float:
    """Return steps a second, after those that are needed to capture one."""
    for count in (WARM_UP + 1, steps):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(count):
            run.train_step()
            run.step += 1
        torch.cuda.synchronize()
    return steps / (time.perf_counter() - start)


def timed(function, seconds: list[float], device: torch.device):
    """Return the function with a timer, and how long each of its calls takes."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None

    def call(*args, **kwargs):
        wait()
        start = time.perf_counter()
        result = function(*args, **kwargs)
        wait()
        seconds.append(time.perf_counter() - start)
        return result

    return call


if __name__ == "__main__":
    main()
