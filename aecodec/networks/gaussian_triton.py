"""Compute ``model.gaussian_bits`` on a CUDA device, with one kernel each way in place of thirty."""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra import libdevice

_BLOCK = 1024


@triton.jit
def _bits(x, log_scale, bits, count, unit, floor, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    there = at < count
    inverse = tl.exp(-tl.load(log_scale + at, mask=there, other=0.0)) * unit
    low = (tl.abs(tl.load(x + at, mask=there, other=0.0)) - 0.5) * inverse
    p = tl.maximum(0.5 * (libdevice.erfc(low) - libdevice.erfc(low + inverse)), floor)
    tl.store(bits + at, -tl.log2(p), mask=there)


@triton.jit
def _slopes(x, log_scale, grad, d_x, d_log_scale, count, unit, floor, density, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    there = at < count
    value = tl.load(x + at, mask=there, other=0.0)
    inverse = tl.exp(-tl.load(log_scale + at, mask=there, other=0.0)) * unit
    low = (tl.abs(value) - 0.5) * inverse
    high = low + inverse
    p = tl.maximum(0.5 * (libdevice.erfc(low) - libdevice.erfc(high)), floor)
    at_low, at_high = tl.exp(-low * low), tl.exp(-high * high)
    factor = tl.load(grad + at, mask=there, other=0.0) * density / p
    sign = tl.where(value > 0, 1.0, tl.where(value < 0, -1.0, 0.0))
    tl.store(d_x + at, factor * (at_low - at_high) * inverse * sign, mask=there)
    tl.store(d_log_scale + at, factor * (at_high * high - at_low * low), mask=there)


def bits(x: Tensor, log_scale: Tensor, unit: float, floor: float) -> Tensor:
    """Return -log2 of the probability of a unit bin around x, or of ``floor`` where that is larger.

    ``unit`` is 1 / (sqrt(2) scale) at log_scale 0.
    """
    result = torch.empty_like(x)
    _bits[(triton.cdiv(x.numel(), _BLOCK),)](x, log_scale, result, x.numel(), unit, floor, BLOCK=_BLOCK)
    return result


def slopes(x: Tensor, log_scale: Tensor, grad: Tensor, unit: float, floor: float) -> tuple[Tensor, Tensor]:
    """Return the gradients of both arguments, from that of ``bits``."""
    d_x, d_log_scale = torch.empty_like(x), torch.empty_like(x)
    density = 1 / (math.log(2) * math.sqrt(math.pi))
    _slopes[(triton.cdiv(x.numel(), _BLOCK),)](
        x, log_scale, grad, d_x, d_log_scale, x.numel(), unit, floor, density, BLOCK=_BLOCK
    )
    return d_x, d_log_scale
