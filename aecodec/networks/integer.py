"""Convolve in arithmetic that is integer by construction, trained through straight-through rounding.

An activation is an integer ``a`` that stands for ``a * 2**-frac``; a weight is an int8 ``w`` that stands for
``w * 2**-k`` with one ``k`` per output channel. All scales are powers of two, so requantisation is a rounding shift and
is exact in float32 as long as sums stay below 2**24, which ``weight_exponents`` guarantees. ``entropy/integer.py``
computes the same function in numpy; this module is what training sees of it.
"""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aecodec.entropy.integer import (
    ACTIVATION_FRAC,
    ACTIVATION_MAX,
    COMPAND_FRAC,
    COMPAND_MAX,
    COMPAND_STEPS,
    MAX_EXPONENT,
    SUM_LIMIT,
    WEIGHT_MAX,
)
from aecodec.networks.fused import is_fused
from aecodec.networks.typed import Context, apply
from aecodec.quality import KNOTS

_COMPAND_UNIT, _COMPAND_TOP = COMPAND_STEPS * 2.0**-COMPAND_FRAC, COMPAND_MAX * 2.0**-COMPAND_FRAC


class _Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor) -> Tensor:
        return torch.floor(x + 0.5)

    @staticmethod
    def backward(ctx: Context, grad: Tensor) -> Tensor:
        return grad


def float32(x: Tensor) -> contextlib.AbstractContextManager[object]:
    """Return a context without autocast on the device of ``x``, if there can be one."""
    device = x.device.type
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else contextlib.nullcontext()


def round_half_up(x: Tensor) -> Tensor:
    """Return floor(x + 1/2), with the gradient of the identity (a straight-through estimator)."""
    return apply(_Round, x)


class _Activation(torch.autograd.Function):
    """Apply ReLU, clamp to 8 bits and rounding in one, in float32, to a ``dtype`` that holds the result.

    The gradient passes where the clamp does not bind.
    """

    @staticmethod
    def forward(ctx: Context, y: Tensor, quantise: bool, dtype: torch.dtype) -> Tensor:
        top = ACTIVATION_MAX * 2.0**-ACTIVATION_FRAC
        if is_fused(y):
            from aecodec.networks import integer_triton

            y = _dense(y)
            ctx.save_for_backward(y)
            return integer_triton.activation(y, top, 2.0**ACTIVATION_FRAC, quantise, dtype)
        out = y.clamp(0, top)
        ctx.save_for_backward(y)
        if quantise:
            out = out.mul_(2.0**ACTIVATION_FRAC).add_(0.5).floor_().mul_(2.0**-ACTIVATION_FRAC)
        return out.to(dtype)

    @staticmethod
    def backward(ctx: Context, grad: Tensor) -> tuple[Tensor, None, None]:
        (y,) = ctx.saved_tensors
        top = ACTIVATION_MAX * 2.0**-ACTIVATION_FRAC
        if is_fused(y):
            from aecodec.networks import integer_triton

            return integer_triton.activation_slope(y, grad, top), None, None
        return grad * ((y > 0) & (y < top)), None, None


class _OnGrid(torch.autograd.Function):
    """Put weights on the grids of their output channels; the gradient passes."""

    @staticmethod
    def forward(ctx: Context, weight: Tensor, input_max: int) -> Tensor:
        if is_fused(weight):
            from aecodec.networks import integer_triton

            total = SUM_LIMIT / input_max - weight[0].numel()
            return integer_triton.on_grid(_dense(weight), WEIGHT_MAX, total, MAX_EXPONENT)
        scale = torch.exp2(weight_exponents(weight, input_max))[:, None, None, None]
        return torch.floor(weight * scale + 0.5) / scale

    @staticmethod
    def backward(ctx: Context, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


class _CompandOnDevice(torch.autograd.Function):
    """Compute ``compand`` on a CUDA device."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, quantise: bool) -> Tensor:
        from aecodec.networks import integer_triton

        x = _dense(x.float())
        ctx.save_for_backward(x)
        return integer_triton.compand(x, _COMPAND_UNIT, _COMPAND_TOP, 2.0**COMPAND_FRAC, quantise)

    @staticmethod
    def backward(ctx: Context, grad: Tensor) -> tuple[Tensor, None]:
        from aecodec.networks import integer_triton

        (x,) = ctx.saved_tensors
        return integer_triton.compand_slope(x, grad, _COMPAND_UNIT, _COMPAND_TOP), None


def _dense(x: Tensor) -> Tensor:
    """Return a tensor whose elements fill its memory, in any order."""
    if x.is_contiguous() or (x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)):
        return x
    return x.contiguous()


def interpolate(table: Tensor, position: Tensor) -> Tensor:
    """Interpolate rows of a (KNOTS, C) table at fractional knot positions (B,); returns (B, C, 1, 1)."""
    return (_shares(position)[:, :, None] * table).sum(1)[:, :, None, None]


_last_shares: tuple[Tensor, Tensor] | None = None


def _shares(position: Tensor) -> Tensor:
    """Return the share of each knot, (B, KNOTS), at a position (B,).

    The last result is kept, because all tables of a model are read at one position.
    """
    global _last_shares  # noqa: PLW0603  a cache of one entry
    last = _last_shares
    if last is None or last[0] is not position:
        knots = torch.arange(KNOTS, device=position.device)
        last = _last_shares = position, (1 - (position[:, None] - knots).abs()).clamp_min(0)
    return last[1]


def weight_exponents(weight: Tensor, input_max: int) -> Tensor:
    """Return the largest k per output channel with |w| 2**k <= 127 and sum(|w|) 2**k * input_max < SUM_LIMIT."""
    flat = weight.detach().flatten(1).abs().float()
    peak = WEIGHT_MAX / flat.amax(1).clamp_min(1e-12)
    total = (SUM_LIMIT / input_max - flat.shape[1]) / flat.sum(1).clamp_min(1e-12)  # rounding adds < 1/2 a weight
    return torch.minimum(peak, total).log2().floor().clamp(max=MAX_EXPONENT)


class IntegerConv2d(nn.Module):
    """A convolution of the entropy path with one bias per quality knot.

    Input and output are real-valued tensors on their integer grids. With ``relu`` the output is clamped to 8 unsigned
    bits; without, it is raw and signed (means and scales), and the caller rounds it. With ``quantise`` off the same layer
    runs in plain float arithmetic: the float twin.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        *,
        groups: int = 1,
        input_max: int = ACTIVATION_MAX,
        input_frac: int = ACTIVATION_FRAC,
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs // groups, kernel, kernel))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        self.bias = nn.Parameter(torch.zeros(KNOTS, outputs))
        self.groups = groups
        self.input_max = input_max
        self.input_frac = input_frac
        self.relu = relu
        self.quantise = True

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        return self.convolve(x, self.quantised_weight(), interpolate(self.bias, position))

    def quantised_weight(self) -> Tensor:
        """Return the weights on their grids, or unchanged in the float twin."""
        if not self.quantise:
            return self.weight
        return apply(_OnGrid, self.weight, self.input_max)

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Apply given weights (O, I, k, k) and biases (B, O, 1, 1); raw outputs are not yet rounded.

        Under autocast the sums of a hidden layer are rounded to its few bits while training, which may move an activation
        by one step. Raw outputs, which need more, and everything in evaluation are as exact as in coding.
        """
        exact = not (self.relu and self.training)
        with float32(x) if exact else contextlib.nullcontext():
            y = F.conv2d(x.float() if exact else x, weight, padding=weight.shape[-1] // 2, groups=self.groups)
        raw = y.float() + bias
        return apply(_Activation, raw, self.quantise, y.dtype) if self.relu else raw


def compand(x: Tensor, quantise: bool = True) -> Tensor:
    """Return sign(x) log2(1 + |x|) on a signed 8-bit grid of COMPAND_STEPS an octave, as context networks read latents.

    Rates differ by a factor of 17 in step size. In the logarithm that is an offset, which the biases can follow.
    """
    if is_fused(x) and torch.is_grad_enabled():  # to encode a picture Triton, which wants a C compiler, is not needed
        return apply(_CompandOnDevice, x, quantise)
    y = (torch.sign(x) * torch.log2(1 + x.abs()) * _COMPAND_UNIT).clamp(-_COMPAND_TOP, _COMPAND_TOP)
    if quantise:
        scale = 2.0**COMPAND_FRAC
        y = torch.sign(y) * round_half_up(y.abs() * scale) / scale
    return y
