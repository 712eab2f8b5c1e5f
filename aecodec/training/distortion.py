"""Measure the distortion of a run: a weighted mix of terms such as the MSE and the error that SSIMULACRA2 sees.

A term maps pictures and their originals, (B, 3, H, W) in 0..1, to (B,), 0 for equal ones. Every term is scaled to about the
MSE on the 255 scale of our own pictures. So a Lagrangian, and with it a quality, means about the same rate with any mix
whose weights sum to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from aecodec.metrics import MS_SSIM_SIDE, MS_SSIM_WEIGHTS, PEAK, SSIM_C1, SSIM_C2, SSIM_SIGMA, SSIM_WINDOW
from aecodec.training.cvvdp import LEAST_SIDE as CVVDP_SIDE, pooled_difference
from aecodec.training.ssimulacra2 import LEAST_SIDE, weighted_sum

# 1 - MS-SSIM in units of the MSE: 2.4 / 0.0018 and 220 / 0.18 are the ends of CompressAI's table of Lagrangians
MS_SSIM_UNIT = 1300.0
# SSIMULACRA2's weighted sum in units of the MSE: crops of photographs have medians of 1/9 (quality 0) to 1/6 (quality 100)
SSIMULACRA2_UNIT = 1 / 0.15
# ColorVideoVDP's pooled difference in units of the MSE: crops of photographs and screens have medians of 0.37
# (quality 0) to 0.72 (quality 62)
CVVDP_UNIT = 1 / 0.5
_FLOOR = 1e-4  # of a scale's term, whose power has no gradient at 0


@dataclass(frozen=True)
class Term:
    """A measure, and the shortest side of a picture that it is defined for."""

    measure: Callable[[Tensor, Tensor], Tensor]
    side: int = 1


def mse(x: Tensor, y: Tensor) -> Tensor:
    """Return mean squared errors (B,) on the 255 scale."""
    return PEAK**2 * F.mse_loss(x, y, reduction="none").mean((1, 2, 3))


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Return 1 - SSIM (B,) of pictures (B, C, H, W): ``metrics.ssim`` with gradients."""
    return 1 - _similarity(x, y, whole=True).mean(1)


def ms_ssim(x: Tensor, y: Tensor) -> Tensor:
    """Return 1 - MS-SSIM times MS_SSIM_UNIT, (B,): ``metrics.ms_ssim`` for even sides at every scale, with gradients."""
    product = x.new_ones(())
    for scale, weight in enumerate(MS_SSIM_WEIGHTS, 1):
        last = scale == len(MS_SSIM_WEIGHTS)
        product = product * _similarity(x, y, last).clamp_min(_FLOOR) ** weight
        if not last:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return MS_SSIM_UNIT * (1 - product).mean(1)


def ssimulacra2(x: Tensor, y: Tensor) -> Tensor:
    """Return the weighted sum of SSIMULACRA2 times SSIMULACRA2_UNIT, (B,)."""
    return SSIMULACRA2_UNIT * weighted_sum(x, y)


def cvvdp(x: Tensor, y: Tensor) -> Tensor:
    """Return ColorVideoVDP's pooled difference times CVVDP_UNIT, (B,)."""
    return CVVDP_UNIT * pooled_difference(x, y)


TERMS = {
    "mse": Term(mse),
    "ms-ssim": Term(ms_ssim, MS_SSIM_SIDE),
    "ssimulacra2": Term(ssimulacra2, LEAST_SIDE),
    "cvvdp": Term(cvvdp, CVVDP_SIDE),
}


@dataclass(frozen=True)
class Mix:
    """A distortion: the sum of terms, each times its weight; ``side`` is the shortest side that all of them allow."""

    weights: Mapping[str, float]

    @property
    def side(self) -> int:
        return max(TERMS[name].side for name in self.weights)

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the distortions (B,) of pictures x against originals y, (B, 3, H, W) in 0..1."""
        return torch.stack([weight * TERMS[name].measure(x, y) for name, weight in self.weights.items()]).sum(0)


def _similarity(x: Tensor, y: Tensor, whole: bool) -> Tensor:
    """Return (B, C) SSIM, or only its contrast-structure factor: means over whole windows of (B, C, H, W) in 0..1."""
    b, channels, h, w = x.shape
    maps = _blur(torch.cat([x, y, x * y, x * x + y * y]).reshape(-1, h, w)).reshape(4, b, channels, -1)
    mean_x, mean_y, product, squares = maps.unbind()
    both = mean_x * mean_y
    means = mean_x.square() + mean_y.square()
    c1, c2 = SSIM_C1 / PEAK**2, SSIM_C2 / PEAK**2
    similarity = (2 * (product - both) + c2) / (squares - means + c2)
    if whole:
        similarity = similarity * (2 * both + c1) / (means + c1)
    return similarity.mean(2)


def _blur(x: Tensor) -> Tensor:
    """Return Gaussian means of (N, H, W) where a whole window fits, (N, H - 10, W - 10)."""
    return _band(x.shape[1], x.device) @ x @ _band(x.shape[2], x.device).T


def _band(size: int, device: torch.device) -> Tensor:
    """Return (size - 10, size), a window's taps in each row.

    On CPUs two matrix products are faster than a convolution of one channel.
    """
    at = torch.arange(size, device=device, dtype=torch.float32)
    offset = at[None] - at[: size - SSIM_WINDOW + 1, None] - SSIM_WINDOW // 2
    taps: Tensor = torch.exp(-(offset / SSIM_SIGMA).square() / 2) * (offset.abs() <= SSIM_WINDOW // 2)
    return taps / taps.sum(1, keepdim=True)
