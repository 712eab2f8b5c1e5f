"""Smooth ripples and keep edges: the decoder's last stage while it is trained.

Quantisation cuts basis functions off, and the rest of them shows as faint copies of an edge, a block away. A linear filter
cannot tell a ripple from texture. A function of the difference of two pixels can, because the difference of a ripple is
small compared with that of an edge. Each pair of near pixels exchanges an amount of light that depends on the difference of
their luma, by a learned function for each distance and quality (a step of trained nonlinear diffusion: Y. Chen and T. Pock,
"Trainable nonlinear reaction diffusion", IEEE Trans. PAMI 2017). A strength for each block of 8x8 pixels comes from the
network.

``images/edge_filter.py`` computes the same in integers.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aecodec.images.edge_filter import BLOCK, KNOTS as DIFFERENCES, LUMA, PAIRS, RINGS, STRENGTH_MAX
from aecodec.networks.integer import interpolate
from aecodec.networks.typed import Context, apply
from aecodec.quality import KNOTS

PEAK = 255


class _ExchangeContext(Context, Protocol):
    shape: torch.Size  # of the values that a table becomes


class _Exchange(torch.autograd.Function):
    """Apply the piecewise linear, odd function of differences: a gather forward and a sum by index backward."""

    @staticmethod
    def forward(ctx: _ExchangeContext, difference: Tensor, table: Tensor) -> Tensor:
        """Map differences (B, H, W) through a table (B, len(DIFFERENCES)), all in levels."""
        ends = torch.tensor((0, *DIFFERENCES), dtype=torch.float32, device=table.device)
        values = F.pad(table, (1, 1))  # 0 at 0; the last one holds beyond its end
        values[:, -1] = table[:, -1]
        size = difference.abs()
        at = torch.bucketize(size, ends[1:-1].contiguous(), right=True)  # 0 .. len(DIFFERENCES) - 1
        share = ((size - ends[at]) / (ends[1:] - ends[:-1])[at]).clamp_max(1)
        index = at + values.shape[1] * torch.arange(len(table), device=table.device)[:, None, None]
        low, high = values.flatten()[index], values.flatten()[index + 1]
        slope = (high - low) / (ends[1:] - ends[:-1])[at]
        sign = difference.sign()
        ctx.save_for_backward(torch.where(share < 1, slope, 0), index, share, sign)
        ctx.shape = values.shape
        return (low + (high - low) * share) * sign

    @staticmethod
    def backward(ctx: _ExchangeContext, grad: Tensor) -> tuple[Tensor, Tensor]:
        slope, index, share, sign = ctx.saved_tensors
        signed, index = (grad * sign).flatten(), index.flatten()
        upper = signed * share.flatten()
        sums = torch.zeros(ctx.shape.numel(), device=grad.device)
        sums.index_add_(0, index, signed - upper)
        sums.index_add_(0, index + 1, upper)
        return grad * slope, sums.view(ctx.shape)[:, 1:-1]


class EdgeFilter(nn.Module):
    """The filter at the top of this page. A table of zeros, as new weights have it, changes nothing."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(KNOTS, RINGS * len(DIFFERENCES)))
        self.strength = nn.Conv2d(features, 1, 1)
        nn.init.zeros_(self.strength.weight)
        nn.init.ones_(self.strength.get_parameter("bias"))

    def strengths(self, features: Tensor) -> Tensor:
        """Return the factors of amounts, (B, 1, H/8, W/8) in 0..STRENGTH_MAX, from features (B, C, H/8, W/8)."""
        strength: Tensor = self.strength(features)
        return strength.float().clamp(0, STRENGTH_MAX)

    def forward(self, picture: Tensor, features: Tensor, position: Tensor) -> Tensor:
        """Return the filtered picture (B, 3, H, W), of one in 0..1 and the features (B, C, H/8, W/8) behind it."""
        luma = PEAK * torch.einsum("c,bchw->bhw", picture.new_tensor(LUMA) / sum(LUMA), picture)
        tables = interpolate(self.table, position).view(len(picture), RINGS, len(DIFFERENCES)).unbind(1)
        h, w = luma.shape[1:]
        change = torch.zeros_like(luma)
        for ring, down, right in PAIRS:
            left = slice(max(0, -right), w - max(0, right))  # columns whose partner, `right` of them, is in the picture
            there = slice(max(0, right), w + min(0, right))
            amount = apply(_Exchange, luma[:, down:, there] - luma[:, : h - down, left], tables[ring].contiguous())
            change = change + F.pad(amount, (left.start, w - left.stop, 0, down))
            change = change - F.pad(amount, (there.start, w - there.stop, down, 0))
        strength = F.interpolate(self.strengths(features), scale_factor=BLOCK, mode="nearest")
        return picture + (change[:, None] * strength) / PEAK
