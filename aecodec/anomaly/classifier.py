"""A small network that tells descriptors of damaged places from those of good ones, in numpy: it trains in seconds.

    descriptor (d) -- 128 -- 64 -- 1       leaky rectifiers between; the output is the logarithm of the odds

Adam (Kingma and Ba, ICLR 2015) with decoupled weight decay minimises the binary cross-entropy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
WIDTHS = (128, 64)
SLOPE = 0.05  # of the rectifiers below 0
BATCH = 512
RATE, DECAY = 2e-3, 1e-2  # the step size at the start, and the weight decay in its units
MOMENTUM, SPREAD, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True, eq=False)
class Classifier:
    """The layers: weights (inputs, outputs) and biases (outputs,) in turn."""

    layers: tuple[Floats, ...]

    @classmethod
    def initial(cls, inputs: int, rng: np.random.Generator) -> Classifier:
        """Return random layers (He et al., ICCV 2015); the last one starts at 0."""
        layers: list[Floats] = []
        for rows, columns in zip((inputs, *WIDTHS), (*WIDTHS, 1), strict=True):
            scale = np.sqrt(2 / rows) if columns > 1 else 0
            layers += [(scale * rng.normal(size=(rows, columns))).astype(np.float32), np.zeros(columns, np.float32)]
        return cls(tuple(layers))

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Floats]) -> Classifier:
        return cls(tuple(tensors[f"layer.{number}"] for number in range(2 * len(WIDTHS) + 2)))

    def tensors(self) -> dict[str, Floats]:
        return {f"layer.{number}": layer for number, layer in enumerate(self.layers)}

    def odds(self, descriptors: Floats) -> Floats:
        """Return the logarithms of the odds (...) that places are damaged, of their descriptors (..., d)."""
        flat = descriptors.reshape(-1, descriptors.shape[-1])
        found: Floats = _forward(self.layers, flat)[-1][:, 0].reshape(descriptors.shape[:-1])
        return found

    def trained(self, descriptors: Floats, bad: Floats, epochs: int, rng: np.random.Generator) -> Classifier:
        """Return the classifier after so many passes over descriptors (n, d) and labels (n,), 1 for damaged."""
        layers = [layer.copy() for layer in self.layers]
        means, squares = ([np.zeros_like(layer) for layer in layers] for _ in range(2))
        steps = epochs * -(-len(bad) // BATCH)
        step = 0
        for _ in range(epochs):
            order = rng.permutation(len(bad))
            for start in range(0, len(order), BATCH):
                chosen = order[start : start + BATCH]
                rate = RATE * (1 - step / steps)
                step += 1
                slopes = _slopes(layers, descriptors[chosen], bad[chosen])
                for at, slope in enumerate(slopes):
                    means[at] += (1 - MOMENTUM) * (slope - means[at])
                    squares[at] += (1 - SPREAD) * (slope * slope - squares[at])
                    change = means[at] / (1 - MOMENTUM**step) / (np.sqrt(squares[at] / (1 - SPREAD**step)) + EPSILON)
                    layers[at] -= rate * (change + (DECAY * layers[at] if layers[at].ndim == 2 else 0))
        return Classifier(tuple(layers))


def _forward(layers: tuple[Floats, ...] | list[Floats], x: Floats) -> list[Floats]:
    """Return what enters each layer (n, inputs), and the output (n, 1)."""
    found = [x]
    for number in range(0, len(layers), 2):
        x = x @ layers[number] + layers[number + 1]
        if number + 2 < len(layers):
            x = np.maximum(x, SLOPE * x)
        found.append(x)
    return found


def _slopes(layers: list[Floats], x: Floats, bad: Floats) -> list[Floats]:
    """Return the derivatives of the mean cross-entropy by each layer, by backpropagation."""
    values = _forward(layers, x)
    back = (1 / (1 + np.exp(-np.clip(values[-1], -30, 30))) - bad[:, None]) / len(bad)
    found: list[Floats] = []
    for number in range(len(layers) - 2, -1, -2):
        found = [values[number // 2].T @ back, back.sum(0), *found]
        if number:
            back = (back @ layers[number].T) * np.where(values[number // 2] > 0, np.float32(1), np.float32(SLOPE))
    return found
