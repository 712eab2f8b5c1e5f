"""Predict means and scales of the latents in four parallel steps: the context model (``entropy/partition.py``).

Each step reads the hyper-features and the companded latents decoded so far, mixes them at each position (1x1), gathers the
neighbourhood (depthwise 3x3) and predicts (two 1x1) the mean, at gain 1, and the logarithm of the scale.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aecodec.entropy.architecture import Architecture
from aecodec.entropy.integer import RAW_MEAN_FRAC, SCALE_FRAC
from aecodec.entropy.partition import CONTEXT_STEPS, group_of
from aecodec.networks.integer import IntegerConv2d, interpolate, round_half_up


class ContextStep(nn.Module):
    """Predict a quarter of the latents in one step, for each phase another channel group."""

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
        """Return means at gain 1 and log scales, (4, B, M/4, h/2, w/2) each, stacked by phase.

        features: (B, F, h, w); context: (B, M, h, w).
        """
        x = features if context is None else torch.cat([features.to(context.dtype), context], 1)
        x = self.hidden(self.gather(self.mix(x, position), position), position)
        weights = self.out.quantised_weight().unflatten(0, (2, CONTEXT_STEPS, -1)).unbind(1)
        biases = interpolate(self.out.bias, position).unflatten(1, (2, CONTEXT_STEPS, -1)).unbind(2)
        raw = []
        for phase, part in enumerate(_phases(x).unbind()):
            group = group_of(self.step, phase)
            raw.append(self.out.convolve(part, weights[group].flatten(0, 1), biases[group].flatten(1, 2)))
        mean, scale = torch.stack(raw).chunk(2, 2)
        if self.out.quantise:
            mean = round_half_up(mean * 2.0**RAW_MEAN_FRAC) * 2.0**-RAW_MEAN_FRAC
            scale = round_half_up(scale * 2.0**SCALE_FRAC) * 2.0**-SCALE_FRAC
        return mean, scale


def split_steps(y: Tensor) -> list[Tensor]:
    """Split (B, M, h, w) into one (4, B, M/4, h/2, w/2) for each step, stacked by phase."""
    parts = _phases(y).unflatten(2, (CONTEXT_STEPS, -1)).transpose(1, 2).flatten(0, 1).unbind()  # by phase, then group
    return [
        torch.stack([parts[CONTEXT_STEPS * phase + group_of(step, phase)] for phase in range(4)])
        for step in range(CONTEXT_STEPS)
    ]


def _phases(x: Tensor) -> Tensor:
    """Rearrange (B, C, h, w) to (4, B, C, h/2, w/2)."""
    parts: Tensor = x.unflatten(2, (-1, 2)).unflatten(4, (-1, 2))
    return parts.permute(3, 5, 0, 1, 2, 4).flatten(0, 1)


def join_steps(parts: list[Tensor]) -> Tensor:
    """Invert ``split_steps``; steps that are missing at the end are zero."""
    zero = torch.zeros_like(parts[0][0])
    phases = []
    for phase, of_steps in enumerate(zip(*(part.unbind() for part in parts), strict=True)):
        by_group = {group_of(step, phase): part for step, part in enumerate(of_steps)}
        phases.append(torch.cat([by_group.get(group, zero) for group in range(CONTEXT_STEPS)], 1))
    _, b, m, h, w = (4, *phases[0].shape)
    return torch.stack(phases).reshape(2, 2, b, m, h, w).permute(2, 3, 4, 0, 5, 1).reshape(b, m, 2 * h, 2 * w)
