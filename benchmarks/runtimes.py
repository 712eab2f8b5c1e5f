"""Time the synthesis of the shipped weights in float32, bfloat16 and 8-bit integers on this CPU, and measure the loss.

    python benchmarks/runtimes.py PICTURE ... [--rounds 9]

The integers are OpenVINO's own: a convolution's input has one scale, from its range on the sample picture at all qualities,
its weights have one for each output channel. Times are of the two graphs of the synthesis. The loss is the PSNR of
pictures, against the original, below that of float32.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

import numpy as np
from PIL import Image

os.environ["AECODEC_CACHE"] = ""  # graphs of integers are none that the command should find

from openvino import opset13 as ops

from aecodec.entropy.integer import MEAN_FRAC
from aecodec.metrics import psnr
from aecodec.quality import MAX_INDEX
from aecodec.runtime.openvino_runtime import OpenVinoTransforms
from aecodec.threads import thread_count
from aecodec.weights.store import Weights, load

SAMPLE = Path(__file__).parent.parent / "samples" / "astronaut.png"
RATES = tuple(MAX_INDEX * i // 4 for i in range(5))
SIDES = ((512, 768), (2048, 2048))


class Int8Transforms(OpenVinoTransforms):
    """The networks' convolutions in 8 bits; ``ranges`` has the least and largest input of each layer."""

    def __init__(self, weights: Weights, threads: int, ranges: dict[str, tuple[float, float]]) -> None:
        super().__init__(weights, threads, bfloat16=True)
        self._ranges = ranges

    def _conv(self, name, x, order=lambda weight: weight, *, stride=1, pad=None):
        if name not in self._ranges:
            return super()._conv(name, x, order, stride=stride, pad=pad)
        weight = np.ascontiguousarray(order(self._tensors[f"{name}.weight"].astype(np.float32)))
        pad = weight.shape[-1] // 2 if pad is None else pad
        x = quantised(x, *np.float32(self._ranges[name]).reshape(2, 1, 1, 1, 1), 256)
        largest = np.abs(weight).max((1, 2, 3), keepdims=True)
        weight = quantised(ops.constant(weight), -largest, largest, 255)
        y = ops.convolution(x, weight, [stride] * 2, [pad] * 2, [pad] * 2, [1, 1])
        bias = self._tensors[f"{name}.bias"].astype(np.float32)
        return ops.add(y, ops.constant(np.ascontiguousarray(bias[None, :, None, None])))


def quantised(x, low: np.ndarray, high: np.ndarray, levels: int):
    low, high = ops.constant(low), ops.constant(high)
    return ops.fake_quantize(x, low, high, low, high, levels)


def ranges_of_inputs(weights: Weights, picture: np.ndarray) -> dict[str, tuple[float, float]]:
    """Return the ranges by the name of a layer of the synthesis."""
    import torch

    from aecodec.runtime.torch_runtime import TorchTransforms

    transforms, ranges = TorchTransforms(weights, "cpu"), {}

    def note(name):
        def hook(module, inputs):
            low, high = (value.item() for value in torch.aminmax(inputs[0]))
            ranges[name] = min(low, ranges.get(name, (0, 0))[0]), max(high, ranges.get(name, (0, 0))[1])

        return hook

    for name, module in transforms.model.synthesis.named_modules():
        if isinstance(module, torch.nn.Conv2d) and name != "klt":
            module.register_forward_pre_hook(note(f"synthesis.{name}"))
    for rate in RATES:
        transforms.synthesise(latents_of(transforms, picture, rate), rate)
    return ranges


def latents_of(transforms, picture: np.ndarray, rate: int) -> np.ndarray:
    """Return latents, rounded as plainly as can be: only their size matters."""
    return np.rint(transforms.analyse(picture, rate)).astype(np.int32) << MEAN_FRAC


def read(path: Path) -> np.ndarray:
    """Return a picture (H, W, 3), sides cut to multiples of 64."""
    array = np.asarray(Image.open(path).convert("RGB"))
    return array[: array.shape[0] // 64 * 64, : array.shape[1] // 64 * 64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    weights, threads = load(), thread_count()
    runtimes = {
        "float32": OpenVinoTransforms(weights, threads, bfloat16=False),
        "bfloat16": OpenVinoTransforms(weights, threads, bfloat16=True),
        "8-bit integers": Int8Transforms(weights, threads, ranges_of_inputs(weights, read(SAMPLE))),
    }
    pictures = [read(path) for path in arguments.pictures]
    loss = {name: [] for name in runtimes}
    for picture in pictures:
        for rate in RATES:
            latents = latents_of(runtimes["float32"], picture, rate)
            shown = {name: psnr(picture, each.synthesise(latents, rate)) for name, each in runtimes.items()}
            for name, value in shown.items():
                loss[name].append(shown["float32"] - value)
    qualities = ", ".join(f"{100 * rate / MAX_INDEX:g}" for rate in RATES)
    print("| | " + " | ".join(f"{w}x{h}, ms" for h, w in SIDES) + f" | loss at qualities {qualities}, dB |")
    print("|---|" + "---|" * (len(SIDES) + 1))
    times = [time_of(runtimes, *side, pictures[0], arguments.rounds) for side in SIDES]
    for name, values in loss.items():
        by_rate = np.reshape(values, (len(pictures), len(RATES))).mean(0)
        print(f"| {name} | " + " | ".join(f"{1000 * seconds[name]:.0f}" for seconds in times) + " | "
              + ", ".join(f"{value:.3f}" for value in by_rate) + " |")  # fmt: skip


def time_of(runtimes: dict, height: int, width: int, picture: np.ndarray, rounds: int) -> dict[str, float]:
    """Return median seconds of the runtimes, run in turn."""
    tiled = np.tile(picture, (-(-height // picture.shape[0]), -(-width // picture.shape[1]), 1))[:height, :width]
    latents = latents_of(runtimes["float32"], tiled, MAX_INDEX // 2)
    seconds = {name: [] for name in runtimes}
    for _ in range(rounds + 1):
        for name, each in runtimes.items():
            start = time.perf_counter()
            each.synthesise(latents, MAX_INDEX // 2)
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}


if __name__ == "__main__":
    main()
