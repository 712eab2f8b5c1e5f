r"""Compute analysis and synthesis: the float networks at the two ends of the codec.

    picture (B, 3, H, W)                                              reconstruction
        | \                                                               ^
        |  shuffle 8 -> 1/8 -> 1/16 -> conv                                | shuffle 8
    lap, KLT                                   |              1/8 <- 1/16 <- conv
        |                                      |               |               |
        +---------------- + -------------------+               +-- KLT^T, lap -+
                          |                                                    |
                      y (B, M, H/16, W/16)  --- gain, quantise, code ---  y^ --+

Nothing in the synthesis runs above 1/8 resolution but the final shuffle and the lapping, a tenth of a kMAC per pixel. The
KLT path is a linear transform codec; the networks' last layers start at zero and the lapping as the identity, so training
starts at a KLT of blocks and not at noise, and then moves it together with the rest. It stays in float32 under autocast:
eight bits would be a step of their own at the top qualities.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aecodec.entropy.architecture import LATENT_STRIDE, Architecture, Upsampler
from aecodec.networks.edge_filter import EdgeFilter
from aecodec.networks.integer import float32, interpolate
from aecodec.quality import KNOTS

KLT_STEP = 38 / 255  # the quantiser step, in picture units, that a unit of y stands for at gain 1


class ResidualBlock(nn.Module):
    """Compute x + conv3(act(conv3(x))), dense: on CPUs these reach more FLOP/s than depthwise blocks."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        with torch.no_grad():
            self.conv2.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.conv2(F.leaky_relu(self.conv1(x), 0.1))
        return x + change


class Gain(nn.Module):
    """Compute per-channel factors that depend on the quality, interpolated between knots in the logarithm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.zeros(KNOTS, channels))

    def forward(self, position: Tensor) -> Tensor:
        return torch.exp(interpolate(self.log, position))


def upsampler(kind: Upsampler, inputs: int, outputs: int, factor: int, kernel: int) -> nn.Module:
    """Return a layer that upsamples by ``factor``: shuffle, resize then convolve, or transposed convolution."""
    if kind == "pixelshuffle":
        return nn.Sequential(nn.Conv2d(inputs, outputs * factor**2, kernel, padding=kernel // 2), nn.PixelShuffle(factor))
    if kind == "resize-conv":
        return nn.Sequential(nn.Upsample(scale_factor=factor, mode="nearest"), nn.Conv2d(inputs, outputs, 3, padding=1))
    return nn.ConvTranspose2d(inputs, outputs, 2 * factor, factor, factor // 2)


class Lapping(nn.Module):
    """Apply one matrix (16, 16) to the windows astride the borders of blocks: first along rows, then along columns.

    A filter before the transform of blocks, and its inverse behind that of the reader, make it a lapped transform.  (Tran,
    Liang, Tu, "Lapped transform via time-domain pre- and post-filtering", IEEE Trans. Signal Processing 2003.)  Half a
    block at the picture's edges stays as it is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(LATENT_STRIDE)[:, :, None, None])  # a convolution's, to the optimiser

    def forward(self, x: Tensor) -> Tensor:
        """Filter (B, C, H, W), H and W multiples of 16, into the same shape."""
        matrix, half = self.weight[:, :, 0, 0].T, LATENT_STRIDE // 2
        x = x.contiguous()
        for _ in range(2):
            first, windows, last = x.tensor_split([half, x.shape[3] - half], 3)
            windows = (windows.unflatten(3, (-1, LATENT_STRIDE)) @ matrix).flatten(3)
            x = torch.cat([first, windows, last], 3).transpose(2, 3)
        return x


class Analysis(nn.Module):
    """Map a picture (B, 3, H, W) in 0..1, H and W multiples of 16, to latents (B, M, H/16, W/16) at gain 1."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.lap = Lapping()
        self.klt = nn.Conv2d(3, arch.latents, LATENT_STRIDE, LATENT_STRIDE, bias=False)
        self.stem = nn.Conv2d(64 * 3, arch.width_8, 3, padding=1)
        self.gain_8 = Gain(arch.width_8)
        self.blocks_8 = nn.Sequential(*(ResidualBlock(arch.width_8) for _ in range(arch.blocks_8)))
        self.down_16 = nn.Conv2d(arch.width_8, arch.width_16, 3, 2, 1)
        self.gain_16 = Gain(arch.width_16)
        self.blocks_16 = nn.Sequential(*(ResidualBlock(arch.width_16) for _ in range(arch.blocks_16)))
        self.head = nn.Conv2d(arch.width_16, arch.latents, 3, padding=1)
        with torch.no_grad():
            self.head.weight.mul_(0.05)

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        x = x - 0.5
        with float32(x):
            y: Tensor = self.klt(self.lap(x.float()))
        x = F.leaky_relu(self.stem(F.pixel_unshuffle(x, 8)), 0.1)
        x = self.blocks_8(x * self.gain_8(position).to(x.dtype))
        x = self.down_16(x)
        x = self.blocks_16(x * self.gain_16(position).to(x.dtype))
        correction: Tensor = self.head(x)
        return y + correction.float()


class Synthesis(nn.Module):
    """Map latents (B, M, H/16, W/16) at gain 1 to a picture (B, 3, H, W), not clamped.

    The edge filter at its end computes in floats here and in integers (``images/edge_filter.py``) where files are decoded.
    """

    spread: Tensor

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.klt = nn.Conv2d(arch.latents, 3 * LATENT_STRIDE**2, 1, bias=False)
        self.lap = Lapping()
        self.register_buffer("spread", torch.ones(1, arch.latents, 1, 1))
        self.stem = nn.Conv2d(arch.latents, arch.decoder_width_16, 3, padding=1)
        self.gain_16 = Gain(arch.decoder_width_16)
        self.blocks_16 = nn.Sequential(*(ResidualBlock(arch.decoder_width_16) for _ in range(arch.decoder_blocks_16)))
        self.up_8 = upsampler(arch.upsampler, arch.decoder_width_16, arch.decoder_width_8, 2, 1)
        self.gain_8 = Gain(arch.decoder_width_8)
        self.blocks_8 = nn.Sequential(*(ResidualBlock(arch.decoder_width_8) for _ in range(arch.decoder_blocks_8)))
        self.head = upsampler(arch.upsampler, arch.decoder_width_8, 3, 8, 3)
        self.edges = EdgeFilter(arch.decoder_width_8)
        with torch.no_grad():
            for module in self.head.modules():
                if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                    module.weight.mul_(0.05)

    def forward(self, y: Tensor, position: Tensor) -> Tensor:
        picture: Tensor = self.edges(*self.unfiltered(y, position), position)
        return picture

    def unfiltered(self, y: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """Return the picture before the edge filter, and the features (B, C, H/8, W/8) that give its strength."""
        with float32(y):
            linear = self.lap(F.pixel_shuffle(self.klt(y.float()), LATENT_STRIDE))
        x = self.stem(y / self.spread)
        x = self.blocks_16(x * self.gain_16(position).to(x.dtype))
        x = F.leaky_relu(self.up_8(x), 0.1)
        x = self.blocks_8(x * self.gain_8(position).to(x.dtype))
        return linear + self.head(x).float() + 0.5, x


def spread_of(variance: Tensor) -> Tensor:
    """Return the divisors of latents in the synthesis, (1, M, 1, 1): their standard deviations.

    variance: (M,) on the 255 scale.
    """
    return (variance.sqrt() / (255 * KLT_STEP)).clamp_min(0.3)[None, :, None, None]


def set_klt(analysis: Analysis, synthesis: Synthesis, basis: Tensor, variance: Tensor) -> None:
    """Set both linear paths to principal components (M, 768) of 16x16 RGB blocks, flattened as (3, 16, 16).

    The synthesis' input is scaled by their standard deviations, from ``variance`` (M,) on the 255 scale.
    """
    m = analysis.klt.weight.shape[0]
    with torch.no_grad():
        analysis.klt.weight.copy_(basis[:m].reshape(m, 3, LATENT_STRIDE, LATENT_STRIDE) / KLT_STEP)
        # PixelShuffle reads channel c * 256 + i * 16 + j, which is the block's own (3, 16, 16) order
        synthesis.klt.weight.copy_(basis[:m].T[:, :, None, None] * KLT_STEP)
        synthesis.spread.copy_(spread_of(variance[:m]))
