"""Compute the networks at the two ends of the codec outside training. This room knows nothing of files.

A runtime is opened for one set of weights and offers functions on numpy arrays (``Transforms``). The decoder's half is
integer arithmetic: ``libaec.py`` has it in C, ``torch_integers.py`` in torch for a GPU, and ``integer_synthesis.py`` in
numpy, for reading. A runtime's own synthesis is in floats, and within a level of it. The entropy model is in
``entropy/entropy_model.py``, and in libaec.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from aecodec import cuda
from aecodec.errors import MissingPackageError, WeightsError
from aecodec.runtime import libaec
from aecodec.threads import thread_count
from aecodec.weights.restorer import Restorer
from aecodec.weights.store import Source, Weights

DEVICES = ("auto", "cpu", "cuda")
Key = TypeVar("Key")
Opened = TypeVar("Opened")
MAX_OPEN = 4  # runtimes that are kept; each holds a model


class Synthesis(Protocol):
    """What a decoder needs of a runtime. Any thread may call it.

    ``is_exact`` says whether its samples are those that docs/format.md defines, or may be off by a level.
    """

    is_exact: bool

    def synthesise(self, latents: NDArray[np.int32], rate: int, depth: int = 8) -> NDArray[Any]:
        """Return the picture (16 h, 16 w, 3) of int32 latents (h, w, M) in units of 2**-MEAN_FRAC.

        Samples are uint8, or uint16 where ``depth`` is more than 8 bits.
        """


class Transforms(Synthesis, Protocol):
    """The functions of a runtime. ``rate`` is the rate index; h = H / 16, w = W / 16. Any thread may call them."""

    device: str

    def analyse(self, picture: NDArray[np.uint8] | NDArray[np.float32], rate: int) -> NDArray[np.float32]:
        """Return float32 latents at their gain (h, w, M) of a picture (H, W, 3) in levels 0..255, sides multiples of 16.

        It is uint8, or float32 where a sample has more than 8 bits.
        """

    def hyper_analyse(self, y: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
        """Return unrounded hyper-latents (h/4, w/4, Nz) float32.

        The latents (h, w, M) are at their gain, h and w multiples of 4.
        """

    def prepare_synthesis(self) -> None:
        """Build what ``synthesise`` needs, so that its first call takes no longer than others."""


class RestoringNetwork(Protocol):
    """A network that restores pictures. Any thread may call it."""

    def restore(self, seen: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return colour (H, W, 3) of a damaged picture and its hints (H, W, 6), sides multiples of the network's stride."""


def open_synthesis(weights: Weights, device: str = "auto") -> Synthesis:
    """Return the synthesis for a device, ready to run: libaec's, or torch's in the same integers for "cuda".

    Where neither can decode, it is a runtime's, in floats. Raises as ``open_transforms`` does.
    """
    decoder = open_exact(weights, device)
    if decoder is not None:
        return decoder
    if _resolved(device) == "cuda" and weights.arch.upsampler == "pixelshuffle":
        with contextlib.suppress(WeightsError):  # experimental weights, which are no integers
            return _kept(_integers, (weights.id, str(weights.folder)), lambda: _open_integers(weights))
    transforms = open_transforms(weights, device)
    transforms.prepare_synthesis()
    return transforms


def open_exact(source: Source, device: str = "auto") -> libaec.ExactDecoder | None:
    """Return libaec's decoder for weights, or None for the device "cuda" and where libaec cannot decode.

    Raises WeightsError where weights that are given by name are missing or damaged, ValueError for another device.
    """
    _check(device)
    return None if device == "cuda" else libaec.open_decoder(source)


def open_transforms(weights: Weights, device: str = "auto") -> Transforms:
    """Return the runtime for a device; it is opened once and kept.

    "cpu" is OpenVINO, or torch where OpenVINO is not installed or the architecture needs it; "cuda" is torch; "auto" is
    "cuda" where there is an NVIDIA driver and a torch that can use it, else "cpu". Raises DeviceError where the device is
    missing, MissingPackageError where its library is missing, ValueError for another name.
    """
    _check(device)
    device = _resolved(device)
    return _kept(_opened, (weights.id, device), lambda: _open(weights, device))


def open_restorer(restorer: Restorer, device: str = "auto") -> RestoringNetwork:
    """Return a restoring network for a device; it is opened once and kept. Raises as ``open_transforms`` does."""
    _check(device)
    device = _resolved(device)
    return _kept(_restoring, (restorer.id, device), lambda: _open_unet(restorer, device))


def _resolved(device: str) -> str:
    """Return "cpu" or "cuda"."""
    if device == "auto":
        return "cuda" if cuda.is_usable() else "cpu"
    return device


def _kept(cache: dict[Key, Opened], key: Key, open_: Callable[[], Opened]) -> Opened:
    """Return what a cache of MAX_OPEN holds under a key, opened once."""
    with _opening:
        if key not in cache:
            while len(cache) >= MAX_OPEN:
                del cache[next(iter(cache))]
            cache[key] = open_()
        return cache[key]


def _check(device: str) -> None:
    if device not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(DEVICES)}, not {device!r}")


_opened: dict[tuple[str, str], Transforms] = {}
_restoring: dict[tuple[str, str], RestoringNetwork] = {}
_integers: dict[tuple[str, str], Synthesis] = {}
_opening = threading.Lock()


def preload(device: str) -> None:
    """Import what ``open_synthesis`` will most likely need; meant for a thread that has nothing else to do."""
    if device != "cuda" and not libaec.is_compiled() and _installed("openvino"):
        importlib.import_module("aecodec.runtime.openvino_runtime")


def _open(weights: Weights, device: str) -> Transforms:
    if device == "cpu" and weights.arch.upsampler == "pixelshuffle" and _installed("openvino"):
        from aecodec.runtime.openvino_runtime import OpenVinoTransforms

        return OpenVinoTransforms(weights, thread_count())
    _check_torch(device)
    from aecodec.runtime.torch_runtime import TorchTransforms

    return TorchTransforms(weights, device)


def _open_unet(restorer: Restorer, device: str) -> RestoringNetwork:
    if device == "cpu" and _installed("openvino"):
        from aecodec.runtime.openvino_unet import OpenVinoUNet

        return OpenVinoUNet(restorer, thread_count())
    _check_torch(device)
    from aecodec.runtime.torch_unet import TorchUNet

    return TorchUNet(restorer, device)


def _open_integers(weights: Weights) -> Synthesis:
    _check_torch("cuda")
    from aecodec.runtime.torch_integers import TorchIntegers

    return TorchIntegers(weights, "cuda")


def _check_torch(device: str) -> None:
    if not _installed("torch"):
        raise MissingPackageError(f"the device {device}", "torch", "'aecodec[gpu]'")


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
