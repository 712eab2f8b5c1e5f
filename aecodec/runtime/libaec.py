"""libaec at work: the decoder's half of a model, in integers, the same samples and latents on every machine."""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
import warnings
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec.container.tiles import Box
from aecodec.entropy.architecture import LATENT_STRIDE
from aecodec.errors import BitstreamError, WeightsError
from aecodec.threads import thread_count
from aecodec.weights.cards import folder_of
from aecodec.weights.store import Source, Stamp, Stored, Weights, read, stamp

_compiled: ModuleType | None = None
_is_wanted = not os.environ.get("AECODEC_PURE_PYTHON")
if _is_wanted:
    with contextlib.suppress(ImportError):
        _compiled = importlib.import_module("aecodec.runtime._libaec")

MAX_OPEN = 4  # models that are kept


class ExactDecoder:
    """The entropy decoder and the synthesis of one set of weights.  Any thread may call.

    Raises WeightsError where libaec cannot decode with the weights, or was not compiled.
    """

    is_exact = True

    def __init__(self, weights: Weights | Stored, threads: int | None = None) -> None:
        compiled = _needed()
        stored = read(weights.folder) if isinstance(weights, Weights) else weights
        if stored.id != weights.id:
            raise WeightsError(f"the weights in {weights.folder} are others than they were")
        self.arch = stored.arch
        self._threads = threads or thread_count()
        self._channels = stored.arch.latents
        self._kernels: int = compiled.BEST
        try:
            self._model = compiled.Model(stored.data, bytes.fromhex(stored.id))
        except LookupError as error:
            raise WeightsError(f"libaec cannot use the weights in {weights.folder}: {error}") from None

    def synthesise(self, latents: NDArray[np.int32], rate: int, depth: int = 8, scale: int = 1) -> NDArray[Any]:
        """Return the samples (16 h, 16 w, 3) of latents (h, w, M) in units of 2**-MEAN_FRAC at a rate index.

        They are uint8, or uint16 where ``depth`` is more than 8 bits. At a ``scale`` of 2, 4, 8 or 16 the picture is so
        many times smaller each way, and has 8 bits.
        """
        h, w, channels = latents.shape
        if latents.dtype != np.int32 or channels != self._channels:
            raise TypeError(f"latents must be (h, w, {self._channels}) int32, not {latents.shape} {latents.dtype}")
        side = LATENT_STRIDE // scale
        samples = np.empty((side * h, side * w, 3), np.uint8 if depth == 8 else np.uint16)
        values = np.ascontiguousarray(latents)
        self._model.synthesise(values, samples, rate, h, w, self._threads, self._kernels, depth, scale)
        return samples

    def decode_latents(self, payload: bytes, shape: tuple[int, int], rate: int) -> NDArray[np.int32]:
        """Return the latents (h, w, M) of a tile's payload; ``shape`` is (h, w), multiples of 4.

        Raises BitstreamError where the payload is damaged.
        """
        latents = np.empty((*shape, self._channels), np.int32)
        try:
            self._model.decode_latents(payload, latents, rate, *shape, self._kernels)
        except ValueError as error:
            raise BitstreamError(str(error)) from None
        return latents


def preview(
    decoder: ExactDecoder | None, data: bytes, samples: NDArray[Any], depth: int, scale: int, area: Box | None
) -> None:
    """Fill samples (h, w, channels) of a depth, uint8 or uint16, with what there is of a file that ends early.

    decoder: that of the file's weights, None where no payload has begun or the file is without loss; area: None for the
    whole picture.  Raises BitstreamError where the file is damaged, WeightsError without libaec.
    """
    compiled = _needed()
    crop = (0, 0, 0, 0) if area is None else (area.left, area.top, area.right - area.left, area.bottom - area.top)
    try:
        compiled.preview(decoder._model if decoder else None, data, samples, thread_count(), depth, scale, crop)
    except ValueError as error:
        raise BitstreamError(str(error)) from None


def preview_info(data: bytes) -> tuple[int, bool]:
    """Return channels of a file that may end early, and whether it is without loss.  Raises as ``preview`` does."""
    try:
        channels, lossless = _needed().preview_info(data)
    except ValueError as error:
        raise BitstreamError(str(error)) from None
    return channels, bool(lossless)


def _needed() -> ModuleType:
    if _compiled is None:
        raise WeightsError("libaec was not compiled when aecodec was installed")
    return _compiled


def is_compiled() -> bool:
    """Whether libaec is there; without it pictures are computed in floats, within a level of what it gives."""
    return _compiled is not None


def open_decoder(source: Source) -> ExactDecoder | None:
    """Return libaec's decoder for weights, opened once and kept, or None where it cannot decode them.

    That is where it was not compiled, with a RuntimeWarning, and for experimental weights: with another upsampler, or
    without integers. Raises WeightsError where weights that are given by name are missing or damaged.
    """
    folder = source.folder if isinstance(source, Weights) else folder_of(source)
    key = source.id if isinstance(source, Weights) else "", stamp(folder)
    with _opening:
        if key not in _opened:
            while len(_opened) >= MAX_OPEN:
                del _opened[next(iter(_opened))]
            _opened[key] = _open(source)
        return _opened[key]


_opened: dict[tuple[str, Stamp], ExactDecoder | None] = {}
_opening = threading.Lock()


def _open(source: Source) -> ExactDecoder | None:
    if _compiled is None:
        if _is_wanted:
            text = "libaec is missing, since aecodec was installed without a C compiler: decoding takes longer"
            warnings.warn(f"{text}, and a sample may be a level off", RuntimeWarning, stacklevel=2)
        return None
    weights = source if isinstance(source, Weights) else read(source)
    if weights.arch.upsampler != "pixelshuffle":
        return None
    try:
        return ExactDecoder(weights)
    except WeightsError:
        return None
