"""Compute the pointwise functions of ``integer.py`` on a CUDA device, with one kernel each in place of a dozen."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 1024


@triton.jit
def _on_grid(weight, result, size, peak, total, most, BLOCK: tl.constexpr):
    """Round a row of weights of one output channel to its grid; see ``weight_exponents``."""
    at = tl.arange(0, BLOCK)
    there = at < size
    w = tl.load(weight + tl.program_id(0) * size + at, mask=there, other=0.0)
    size_of = tl.abs(w)
    room = tl.minimum(peak / tl.maximum(tl.max(size_of, 0), 1e-12), total / tl.maximum(tl.sum(size_of, 0), 1e-12))
    exponent = tl.minimum((room.to(tl.int32, bitcast=True) >> 23) - 127, most)  # floor(log2(room))
    scale = ((exponent + 127) << 23).to(tl.float32, bitcast=True)
    tl.store(result + tl.program_id(0) * size + at, tl.floor(w * scale + 0.5) / scale, mask=there)


@triton.jit
def _activation(y, out, count, top, steps, QUANTISE: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.minimum(tl.maximum(tl.load(y + at, mask=at < count, other=0.0), 0.0), top)
    if QUANTISE:
        value = tl.floor(value * steps + 0.5) / steps
    tl.store(out + at, value.to(out.dtype.element_ty), mask=at < count)


@triton.jit
def _activation_slope(y, grad, out, count, top, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(y + at, mask=at < count, other=0.0)
    slope = tl.load(grad + at, mask=at < count, other=0.0).to(tl.float32)
    tl.store(out + at, tl.where((value > 0) & (value < top), slope, 0.0), mask=at < count)


@triton.jit
def _compand(x, out, count, factor, limit, steps, QUANTISE: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < count, other=0.0)
    size = tl.minimum(tl.log2(1 + tl.abs(value)) * factor, limit)
    if QUANTISE:
        size = tl.floor(size * steps + 0.5) / steps
    tl.store(out + at, tl.where(value < 0, -size, size), mask=at < count)


@triton.jit
def _compand_slope(x, grad, out, count, factor, limit, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    size = 1 + tl.abs(tl.load(x + at, mask=at < count, other=0.0))
    slope = tl.load(grad + at, mask=at < count, other=0.0).to(tl.float32)
    slope = slope * factor * 1.4426950408889634 / size
    tl.store(out + at, tl.where(tl.log2(size) * factor <= limit, slope, 0.0), mask=at < count)


def on_grid(weight: Tensor, peak: float, total: float, most: int) -> Tensor:
    """Round weights (O, I, k, k), whole in memory by output channel, to multiples of 2**-k; k as ``weight_exponents``."""
    result, size = torch.empty_like(weight), weight[0].numel()
    _on_grid[(len(weight),)](weight, result, size, peak, total, most, BLOCK=triton.next_power_of_2(size))
    return result


def activation(y: Tensor, top: float, steps: float, quantise: bool, dtype: torch.dtype) -> Tensor:
    """Compute ``integer._Activation``, with ``steps`` in a unit."""
    out = torch.empty_like(y, dtype=dtype)
    _activation[(triton.cdiv(y.numel(), _BLOCK),)](y, out, y.numel(), top, steps, QUANTISE=quantise, BLOCK=_BLOCK)
    return out


def activation_slope(y: Tensor, grad: Tensor, top: float) -> Tensor:
    """Return the gradient of ``activation``, from that of its output."""
    grad, out = _laid_out_as(y, grad), torch.empty_like(y)
    _activation_slope[(triton.cdiv(y.numel(), _BLOCK),)](y, grad, out, y.numel(), top, BLOCK=_BLOCK)
    return out


def compand(x: Tensor, factor: float, limit: float, steps: float, quantise: bool) -> Tensor:
    """Return sign(x) log2(1 + |x|) * factor, within ``limit`` and in ``steps`` a unit."""
    out = torch.empty_like(x)
    _compand[(triton.cdiv(x.numel(), _BLOCK),)](x, out, x.numel(), factor, limit, steps, QUANTISE=quantise, BLOCK=_BLOCK)
    return out


def compand_slope(x: Tensor, grad: Tensor, factor: float, limit: float) -> Tensor:
    """Return the gradient of ``compand``, from that of its output."""
    grad, out = _laid_out_as(x, grad), torch.empty_like(x)
    _compand_slope[(triton.cdiv(x.numel(), _BLOCK),)](x, grad, out, x.numel(), factor, limit, BLOCK=_BLOCK)
    return out


def _laid_out_as(y: Tensor, grad: Tensor) -> Tensor:
    return grad if grad.stride() == y.stride() else torch.empty_like(y, dtype=grad.dtype).copy_(grad)
