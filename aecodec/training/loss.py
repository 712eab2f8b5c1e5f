"""Compute the rate-distortion loss: what a bit and an error cost at each quality.

The loss of a crop at quality q is ``(R + lambda * D) / sqrt(lambda)`` with its Lagrangian lambda: R in bits per pixel, D
the distortion. The optimum of R + lambda D grows about as the square root of lambda, so no quality dominates the sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from aecodec.networks.model import LAMBDA_UNIT
from aecodec.networks.precision import autocast
from aecodec.quality import INTERVALS, LAMBDA_MAX, LAMBDA_MIN
from aecodec.training.distortion import mse


def lambda_at(position: Tensor) -> Tensor:
    """Return Lagrangians (B,) at knot positions (B,)."""
    return LAMBDA_MIN * torch.exp(math.log(LAMBDA_MAX / LAMBDA_MIN) * position / INTERVALS)


def lagrangian(rate: Tensor, distortion: Tensor, position: Tensor) -> Tensor:
    """Return the mean loss () of rates and distortions (B,) at knot positions (B,), as at the top of this page."""
    factor = lambda_at(position)
    return ((rate + factor * distortion) / (factor / LAMBDA_UNIT).sqrt()).mean()


def rate_and_distortion(
    model: nn.Module, x: Tensor, position: Tensor, hyper_weight: float = 1.0,
    distortion: Callable[[Tensor, Tensor], Tensor] = mse,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Return (B,) bits per pixel and (B,) distortions of pictures (B, 3, H, W) at knot positions (B,)."""
    with autocast(x):
        out = model(x, position)
    rate = (out.latent_bits + hyper_weight * out.hyper_bits) / (x.shape[2] * x.shape[3])
    return rate, distortion(out.picture, x)
