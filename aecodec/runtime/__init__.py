"""Runtimes: what computes the float networks at the two ends of the codec.

A runtime is opened for one set of weights and offers three functions on numpy arrays (``Transforms``).  The entropy model
is not among them: it is integer arithmetic in ``codec/entropy_model.py``, the same for every runtime.
"""

from __future__ import annotations

import functools
from typing import Protocol

import numpy as np

from aecodec.weights import Weights, load

DEVICES = ("auto", "cpu", "cuda")


class Transforms(Protocol):
    """What a runtime offers.  ``rate`` is the rate index; h = H / 16, w = W / 16."""

    device: str

    def analyse(self, picture: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
        """uint8 (H, W, 3), sides multiples of 64, to float32 latents at their gain (h, w, M) and unrounded hyper-latents
        (h/4, w/4, Nz)."""

    def synthesise(self, latents: np.ndarray, rate: int) -> np.ndarray:
        """int32 latents (h, w, M) in units of 2**-MEAN_FRAC to uint8 (H, W, 3)."""


def open_transforms(weights: Weights, device: str = "auto") -> Transforms:
    """The runtime for a device; opened once and kept.  Raises AecodecError where the device is not there."""
    return _open(str(weights.folder), device)


@functools.lru_cache(maxsize=4)
def _open(folder: str, device: str) -> Transforms:
    from aecodec.runtime.torch_runtime import TorchTransforms

    return TorchTransforms(load(folder), device)
