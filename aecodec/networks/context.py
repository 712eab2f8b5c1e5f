"""The context model: means and scales of the latents in four parallel steps (``codec/partition.py``).

Each step reads the hyper-features and the companded latents decoded so far, mixes them at each position (1x1), gathers
the neighbourhood (depthwise 3x3) and predicts (two 1x1) the mean, at gain 1, and the logarithm of the scale.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aecodec.codec.config import Architecture
from aecodec.codec.integer import RAW_MEAN_FRAC, SCALE_FRAC
from aecodec.codec.partition import STEPS, group_of
from aecodec.networks.integer import IntegerConv2d, interpolate, round_half_up


class ContextStep(nn.Module):
    """One step: predicts a quarter of the latents, each phase another channel group."""

    def __init__(self, arch: Architecture, step: int) -> None:
        super().__init__()
        n, m = arch.context_width, arch.latents
        self.step = step
        self.mix = IntegerConv2d(arch.hyper_width + (m if step else 0), n)
        self.gather = IntegerConv2d(n, n, 3, groups=n)
        self.hidden = IntegerConv2d(n, n)
        self.out = IntegerConv2d(n, 2 * m, relu=False)
        with torch.no_grad():
            self.out.weight.mul_(0.1)

    def forward(self, features: Tensor, context: Tensor | None, position: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, F, h, w) and context (B, M, h, w) to means at gain 1 and log scales, (4, B, M/4, h/2, w/2) each,
        stacked by phase."""
        x = features if context is None else torch.cat([features.to(context.dtype), context], 1)
        x = self.hidden(self.gather(self.mix(x, position), position), position)
        weight = self.out.quantised_weight().unflatten(0, (2, STEPS, -1))
        bias = interpolate(self.out.bias, position).unflatten(1, (2, STEPS, -1))
        raw = []
        for phase in range(4):
            group = group_of(self.step, phase)
            y = self.out.convolve(x[:, :, phase // 2 :: 2, phase % 2 :: 2], weight[:, group].flatten(0, 1),
                                  bias[:, :, group].flatten(1, 2))
            raw.append(y)
        mean, scale = torch.stack(raw).chunk(2, 2)
        if self.out.quantise:
            mean = round_half_up(mean * 2.0**RAW_MEAN_FRAC) * 2.0**-RAW_MEAN_FRAC
            scale = round_half_up(scale * 2.0**SCALE_FRAC) * 2.0**-SCALE_FRAC
        return mean, scale


def split_steps(y: Tensor) -> list[Tensor]:
    """(B, M, h, w) to one (4, B, M/4, h/2, w/2) per step, stacked by phase."""
    groups = y.chunk(STEPS, 1)
    phases = [(phase // 2, phase % 2) for phase in range(4)]
    return [
        torch.stack([groups[group_of(step, 2 * i + j)][:, :, i::2, j::2] for i, j in phases]) for step in range(STEPS)
    ]


def join_steps(parts: list[Tensor]) -> Tensor:
    """The inverse of ``split_steps``; steps that are missing at the end are zero."""
    zero = torch.zeros_like(parts[0][0])
    phases = []
    for phase in range(4):
        by_group = {group_of(step, phase): part[phase] for step, part in enumerate(parts)}
        phases.append(torch.cat([by_group.get(group, zero) for group in range(STEPS)], 1))
    _, b, m, h, w = (4, *phases[0].shape)
    return torch.stack(phases).reshape(2, 2, b, m, h, w).permute(2, 3, 4, 0, 5, 1).reshape(b, m, 2 * h, 2 * w)
