"""What a run calls an error: the MSE, or what MS-SSIM finds different.

A distortion of pictures (B, 3, H, W) in 0..1 is (B,), 0 for equal ones.  Both are on one scale: the same lambda gives about
the same rate with either, so that a quality means as much.  The table of Lagrangians of CompressAI's models, trained for
either, says what that scale is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from aecodec.eval.metrics import MS_SSIM_SIDE, MS_SSIM_WEIGHTS, PEAK, SSIM_C1, SSIM_C2, SSIM_SIGMA, SSIM_WINDOW

MS_SSIM_PEAK = 1300.0  # of 1 - MS-SSIM, in units of the MSE: 2.4 / 0.0018 and 220 / 0.18 are the ends of that table
_FLOOR = 1e-4  # of a scale's term, whose power has no gradient at 0


@dataclass(frozen=True)
class Distortion:
    """A measure, the value that counts as 0 dB, and the shortest side that it can be taken of."""

    measure: Callable[[Tensor, Tensor], Tensor]
    peak: float
    side: int = 1


def mse(x: Tensor, y: Tensor) -> Tensor:
    """(B,) mean squared errors on the 255 scale."""
    return PEAK**2 * F.mse_loss(x, y, reduction="none").mean((1, 2, 3))


def ms_ssim(x: Tensor, y: Tensor) -> Tensor:
    """(B,) 1 - MS-SSIM times MS_SSIM_PEAK; as ``eval.metrics.ms_ssim``, for even sides at every scale, with gradients."""
    product: Tensor | float = 1.0
    for scale, weight in enumerate(MS_SSIM_WEIGHTS, 1):
        last = scale == len(MS_SSIM_WEIGHTS)
        product = product * _similarity(x, y, last).clamp_min(_FLOOR) ** weight
        if not last:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return MS_SSIM_PEAK * (1 - product).mean(1)


DISTORTIONS = {"mse": Distortion(mse, PEAK**2), "ms-ssim": Distortion(ms_ssim, MS_SSIM_PEAK, MS_SSIM_SIDE)}


def _similarity(x: Tensor, y: Tensor, whole: bool) -> Tensor:
    """(B, 3) SSIM, or only its contrast-structure factor: means over whole windows of (B, 3, H, W) in 0..1."""
    b, channels, h, w = x.shape
    maps = _blur(torch.cat([x, y, x * y, x * x + y * y]).reshape(-1, h, w)).reshape(4, b, channels, -1)
    mean_x, mean_y, product, squares = maps
    both = mean_x * mean_y
    means = mean_x.square() + mean_y.square()
    c1, c2 = SSIM_C1 / PEAK**2, SSIM_C2 / PEAK**2
    similarity = (2 * (product - both) + c2) / (squares - means + c2)
    if whole:
        similarity = similarity * (2 * both + c1) / (means + c1)
    return similarity.mean(2)


def _blur(x: Tensor) -> Tensor:
    """Gaussian means of (N, H, W) where a whole window fits, (N, H - 10, W - 10)."""
    return _band(x.shape[1], x.device) @ x @ _band(x.shape[2], x.device).T


def _band(size: int, device: torch.device) -> Tensor:
    """(size - 10, size), a window's taps in each row: on CPUs two matrix products are faster than a convolution of one
    channel."""
    at = torch.arange(size, device=device, dtype=torch.float32)
    offset = at[None] - at[: size - SSIM_WINDOW + 1, None] - SSIM_WINDOW // 2
    taps = torch.exp(-(offset / SSIM_SIGMA).square() / 2) * (offset.abs() <= SSIM_WINDOW // 2)
    return taps / taps.sum(1, keepdim=True)
