"""Compute the hyperprior: a coarse side signal z that says where latents are large.

    y * gain -> compand -> analysis -> round -> z (B, Nz, H/64, W/64) -> IntegerConv2d -> features (B, F, H/16, W/16)

The analysis is float, since only the writer runs it; everything after z is integer.  (Balle et al., "Variational image
compression with a scale hyperprior", ICLR 2018.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aecodec.entropy.architecture import Architecture
from aecodec.entropy.integer import COMPAND_MAX
from aecodec.networks.integer import IntegerConv2d, compand, interpolate
from aecodec.quality import KNOTS


class HyperAnalysis(nn.Module):
    """Map latents at their gain (B, M, H/16, W/16) to unrounded hyper-latents (B, Nz, H/64, W/64)."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        n = arch.hyper_width
        self.conv1 = nn.Conv2d(arch.latents, n, 3, padding=1)
        self.conv2 = nn.Conv2d(n, n, 5, 2, 2)
        self.conv3 = nn.Conv2d(n, arch.hyper_latents, 5, 2, 2)
        self.bias = nn.Parameter(torch.zeros(KNOTS, n))
        with torch.no_grad():
            self.conv3.weight.mul_(10)  # or all round to zero at first, and training learns to do without them

    def forward(self, y: Tensor, position: Tensor) -> Tensor:
        x = F.leaky_relu(self.conv1(compand(y, quantise=False)) + interpolate(self.bias, position), 0.1)
        z: Tensor = self.conv3(F.leaky_relu(self.conv2(x), 0.1))
        return z.float()


class HyperSynthesis(nn.Module):
    """Map integer hyper-latents (B, Nz, H/64, W/64) to features (B, F, H/16, W/16) on the activation grid."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        n = arch.hyper_width
        self.up_32 = IntegerConv2d(arch.hyper_latents, 4 * n, 3, input_max=COMPAND_MAX, input_frac=0)
        self.up_16 = IntegerConv2d(n, 4 * n, 3)
        self.out = IntegerConv2d(n, n, 3)

    def forward(self, z: Tensor, position: Tensor) -> Tensor:
        x = F.pixel_shuffle(self.up_32(z, position), 2)
        features: Tensor = self.out(F.pixel_shuffle(self.up_16(x, position), 2), position)
        return features
