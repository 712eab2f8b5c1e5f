"""The transforms in torch, on a CPU or a CUDA device."""

from __future__ import annotations

import numpy as np
import torch

from aecodec.codec.integer import MEAN_FRAC
from aecodec.codec.quality import STEPS
from aecodec.errors import AecodecError
from aecodec.networks.export import load_float_model
from aecodec.weights import Weights


class TorchTransforms:
    """See ``runtime.Transforms``."""

    def __init__(self, weights: Weights, device: str) -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise AecodecError("no CUDA device is available to torch; use --device cpu")
        self.device = device
        # TF32 would round to 10 bits; the format asks for float32's accuracy
        torch.backends.cudnn.allow_tf32 = False
        self.model = load_float_model(weights).to(device).to(memory_format=torch.channels_last)

    def _position(self, rate: int) -> torch.Tensor:
        return torch.tensor([rate / STEPS], device=self.device)

    @torch.inference_mode()
    def analyse(self, picture: np.ndarray, rate: int) -> np.ndarray:
        x = torch.from_numpy(picture).to(self.device).permute(2, 0, 1)[None].float().div_(255)
        position = self._position(rate)
        return _to_numpy(self.model.analysis(x, position) * self.model.gain(position))

    @torch.inference_mode()
    def hyper_analyse(self, y: np.ndarray, rate: int) -> np.ndarray:
        x = torch.from_numpy(y).to(self.device).permute(2, 0, 1)[None]
        return _to_numpy(self.model.hyper_analysis(x, self._position(rate)))

    def prepare_synthesis(self) -> None:
        pass

    @torch.inference_mode()
    def synthesise(self, latents: np.ndarray, rate: int) -> np.ndarray:
        y = torch.from_numpy(latents).to(self.device).permute(2, 0, 1)[None].float().mul_(2.0**-MEAN_FRAC)
        position = self._position(rate)
        x = self.model.synthesis(y * self.model.inverse_gain(position), position)
        return x[0].mul(255).round_().clamp_(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()


def _to_numpy(x: torch.Tensor) -> np.ndarray:
    """(1, C, H, W) to (H, W, C)."""
    return x[0].permute(1, 2, 0).contiguous().cpu().numpy()
