r"""Compute a restored picture from a damaged one: a residual U-Net.

    damaged (B, 6, H, W) --- shuffle 2 -> 1/2 --------------------- + -> 1/2 -> shuffle 2 -- + -> restored (B, 3, H, W)
        |                                 \-> 1/4 ---------- + -> 1/4 -/                     |
        |                                      \-> 1/8 - + -> 1/8 -/                         |
        |                                           \-> 1/16 -/                              |
        +--- colour -------------------------------------------------------------------------+

(Ronneberger, Fischer, Brox, "U-Net: convolutional networks for biomedical image segmentation", MICCAI 2015; with residual
blocks and additive skips as in DRUNet: Zhang et al., "Plug-and-play image restoration with deep denoiser prior", TPAMI
2021.)  The head starts at zero, so training starts at a picture that stays as it is.
"""

from __future__ import annotations

import itertools

from torch import Tensor, nn
from torch.nn import functional as F

from aecodec.networks.transforms import ResidualBlock
from aecodec.weights.restorer import INPUTS, SHUFFLE, UNetArchitecture


class UNet(nn.Module):
    """Map (B, 6, H, W) in 0..1, colour and the planes of ``restore/hint.py``, to colour (B, 3, H, W), not clamped.

    H and W are multiples of ``arch.stride``.
    """

    def __init__(self, arch: UNetArchitecture) -> None:
        super().__init__()
        self.arch = arch
        widths, blocks = arch.widths, arch.blocks
        pairs = list(itertools.pairwise(widths))
        self.stem = nn.Conv2d(INPUTS * SHUFFLE**2, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(_blocks(width, count) for width, count in zip(widths, blocks, strict=True))
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 2, 2) for fine, coarse in pairs)
        self.up = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 2, 2) for fine, coarse in pairs)
        self.up_blocks = nn.ModuleList(_blocks(width, count) for width, count in zip(widths[:-1], blocks, strict=False))
        self.head = nn.Conv2d(widths[0], 3 * SHUFFLE**2, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.get_parameter("bias"))

    def forward(self, x: Tensor) -> Tensor:
        features, kept = self.stem(F.pixel_unshuffle(x, SHUFFLE)), []
        for blocks, down in zip(self.down_blocks, self.down, strict=False):  # the coarsest has none below it
            kept.append(blocks(features))
            features = down(kept[-1])
        features = self.down_blocks[-1](features)
        for up, blocks, skip in zip(reversed(self.up), reversed(self.up_blocks), reversed(kept), strict=True):
            features = blocks(up(features) + skip)
        return x[:, :3] + F.pixel_shuffle(self.head(features), SHUFFLE)


def _blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width) for _ in range(count)))
