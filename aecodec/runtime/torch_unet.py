"""Run a restoring U-Net in torch, on a CPU or a CUDA device."""

from __future__ import annotations

import contextlib

import numpy as np
import torch
from numpy.typing import NDArray

from aecodec.errors import DeviceError
from aecodec.networks.export import load_unet
from aecodec.networks.typed import channels_last
from aecodec.weights.restorer import Restorer


class TorchUNet:
    """Run ``runtime.RestoringNetwork``. Any thread may call it."""

    def __init__(self, restorer: Restorer, device: str) -> None:
        """Open the weights. Raises DeviceError where there is no such device."""
        if device == "cuda" and not torch.cuda.is_available():
            raise DeviceError("no CUDA device is available to torch")
        self._device = device
        self._network = channels_last(load_unet(restorer).to(device))
        self._half = device == "cuda" and torch.cuda.get_device_capability() >= (8, 0)

    @torch.inference_mode()
    def restore(self, seen: NDArray[np.uint8]) -> NDArray[np.uint8]:
        x = torch.from_numpy(seen).to(self._device).permute(2, 0, 1)[None].float().div_(255)
        with torch.autocast(self._device, torch.bfloat16) if self._half else contextlib.nullcontext():
            restored = self._network(x)
        levels = restored.float().mul(255).round_().clamp_(0, 255).to(torch.uint8)
        found: NDArray[np.uint8] = levels[0].permute(1, 2, 0).contiguous().cpu().numpy()
        return found
