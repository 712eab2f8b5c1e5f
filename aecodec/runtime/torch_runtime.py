"""Compute the transforms in torch, on a CPU or a CUDA device."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aecodec.entropy.integer import MEAN_FRAC
from aecodec.errors import DeviceError
from aecodec.images import edge_filter
from aecodec.networks.export import load_float_model
from aecodec.networks.typed import channels_last
from aecodec.quality import INDICES_PER_INTERVAL
from aecodec.weights.store import Weights

Given = TypeVar("Given", bound=np.generic)
Found = TypeVar("Found", bound=np.generic)
BATCH_PIXELS = 1 << 24  # that go through a network at once: three blocks of a large picture with their halos


class TorchTransforms:
    """Run ``runtime.Transforms`` in torch.

    Several threads may call it. Calls that wait at the same time, for pictures of one size, are computed as one batch.
    """

    is_exact = False

    def __init__(self, weights: Weights, device: str, *, bfloat16: bool | None = None) -> None:
        """Open the weights. The linear path is float32.

        ``bfloat16`` is the precision of the networks; None uses it on a GPU that computes with it.
        """
        if device == "cuda" and not torch.cuda.is_available():
            raise DeviceError("no CUDA device is available to torch")
        self.device = device
        # TF32 would round to 10 bits; the linear path and the hyper-latents ask for float32's accuracy
        torch.backends.cudnn.allow_tf32 = False
        self.model = channels_last(load_float_model(weights).to(device))
        if bfloat16 is None:  # older ones only imitate it
            bfloat16 = device == "cuda" and torch.cuda.get_device_capability() >= (8, 0)
        self._half = bfloat16
        self._table = weights.tensors[edge_filter.TABLE] if weights.filters_edges else None
        self.analyse = _Batched(self._analyse, lambda picture: picture.shape[0] * picture.shape[1])
        self.hyper_analyse = _Batched(self._hyper_analyse, lambda y: 256 * y.shape[0] * y.shape[1])
        self._samples = _Batched(self._synthesise, lambda latents: 256 * latents.shape[0] * latents.shape[1])

    def prepare_synthesis(self) -> None:
        pass

    def synthesise(self, latents: NDArray[np.int32], rate: int, depth: int = 8) -> NDArray[Any]:
        return self._samples(latents, rate) if depth == 8 else self._synthesise(latents[None], [rate], depth)[0]

    def _networks(self) -> contextlib.AbstractContextManager[object]:
        return torch.autocast(self.device, torch.bfloat16) if self._half else contextlib.nullcontext()

    @torch.inference_mode()
    def _analyse(self, pictures: NDArray[Any], rates: list[int]) -> NDArray[np.float32]:
        x = self._to_device(pictures).float().div_(255)
        position = self._position(rates)
        with self._networks():
            y = self.model.analysis(x, position)
        return _to_numpy(y * self.model.gain(position))

    @torch.inference_mode()
    def _hyper_analyse(self, y: NDArray[np.float32], rates: list[int]) -> NDArray[np.float32]:
        return _to_numpy(self.model.hyper_analysis(self._to_device(y), self._position(rates)))

    @torch.inference_mode()
    def _synthesise(self, latents: NDArray[np.int32], rates: list[int], depth: int = 8) -> NDArray[Any]:
        y = self._to_device(latents).float().mul_(2.0**-MEAN_FRAC)
        position = self._position(rates)
        with self._networks():
            x, features = self.model.synthesis.unfiltered(y * self.model.inverse_gain(position), position)
            strength = None if self._table is None else self.model.synthesis.edges.strengths(features)
        if depth == 8 and (strength is None or self._table is None):
            return _to_numpy(x.mul(255).round_().clamp_(0, 255).to(torch.uint8))
        unit = 255 * (edge_filter.LEVEL if depth == 8 else edge_filter.FINE)
        pictures = _to_numpy(x.mul(unit).round_().clamp_(0, unit).to(torch.int16))
        if strength is None or self._table is None:
            return np.stack([edge_filter.apply_deep(picture, None, None, depth) for picture in pictures])
        strengths = _to_numpy(strength.mul(edge_filter.STRENGTH).round_().to(torch.uint8))[..., 0]
        if depth > 8:
            amounts = [edge_filter.tables(self._table, rate) for rate in rates]
            parts = zip(pictures, strengths, amounts, strict=True)
            return np.stack([edge_filter.apply_deep(*part, depth) for part in parts])
        return np.stack(
            [
                edge_filter.apply(picture, strength, edge_filter.tables(self._table, rate))
                for picture, strength, rate in zip(pictures, strengths, rates, strict=True)
            ]
        )

    def _position(self, rates: list[int]) -> Tensor:
        return torch.tensor([rate / INDICES_PER_INTERVAL for rate in rates], device=self.device)

    def _to_device(self, batch: NDArray[Any]) -> Tensor:
        """Move (B, H, W, C) to the device as (B, C, H, W), channels last in memory."""
        return torch.from_numpy(batch).to(self.device).permute(0, 3, 1, 2)


def _to_numpy(x: Tensor) -> NDArray[Any]:
    """Return (B, C, H, W) as (B, H, W, C) in numpy."""
    array: NDArray[Any] = x.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return array


@dataclass(eq=False)
class _Call(Generic[Given, Found]):
    array: NDArray[Given]
    rate: int
    result: NDArray[Found] | None = None
    error: Exception | None = None


class _Batched(Generic[Given, Found]):
    """A function of one array and its rate, made of a function of batches (B, ...) and their rates.

    No extra thread gathers the calls: a caller that finds the device free computes for all that wait by then.
    """

    def __init__(
        self,
        compute: Callable[[NDArray[Given], list[int]], NDArray[Found]],
        pixels: Callable[[NDArray[Given]], int],
    ) -> None:
        self._compute, self._pixels = compute, pixels
        self._waiting: list[_Call[Given, Found]] = []
        self._queue, self._device = threading.Lock(), threading.Lock()

    def __call__(self, array: NDArray[Given], rate: int) -> NDArray[Found]:
        own: _Call[Given, Found] = _Call(array, rate)
        with self._queue:
            self._waiting.append(own)
        with self._device:
            if own.result is None and own.error is None:
                self._run(self._take(own))
        if own.result is None:
            raise own.error or RuntimeError("the batch has no result for a call")
        return own.result

    def _take(self, own: _Call[Given, Found]) -> list[_Call[Given, Found]]:
        """Take a call, and those that wait and fit into one batch with it, out of the queue."""
        limit = max(1, BATCH_PIXELS // self._pixels(own.array))
        with self._queue:
            alike = [call for call in self._waiting if call.array.shape == own.array.shape and call is not own]
            batch = [own, *alike[: limit - 1]]
            self._waiting = [call for call in self._waiting if call not in batch]
        return batch

    def _run(self, batch: list[_Call[Given, Found]]) -> None:
        try:
            results = self._compute(np.stack([call.array for call in batch]), [call.rate for call in batch])
        except Exception as error:  # noqa: BLE001  raised again in the thread that called
            if len(batch) == 1:
                batch[0].error = error
                return
            for call in batch:  # one of them is at fault, or together they take too much memory
                self._run([call])
        else:
            for call, result in zip(batch, results, strict=True):
                call.result = result
