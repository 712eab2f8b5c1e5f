"""Make the encoders and decoders that kinds are put together from: dense layers, and convolutions for pictures.

An encoder maps (B, *shape) to (B, outputs), a decoder maps (B, inputs) back. A shape is (C, H, W) for pictures and (d,) for
rows of a table.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from aecodec.entropy.architecture import Upsampler
from aecodec.errors import SettingsError
from aecodec.networks.transforms import upsampler

Shape = tuple[int, ...]
Network = Literal["auto", "dense", "conv"]
SMALLEST = 4  # convolutions halve a picture until its longer side is at most this
HIDDEN = (256, 64)  # widths of dense layers
MIDDLE = 128  # width of the dense layer between convolutions and code
WIDTH = 16  # channels of convolutions at half the size


def layers(sizes: Sequence[int], activation: type[nn.Module] = nn.SiLU) -> list[nn.Module]:
    """Return linear layers from each size to the next, with activations between them."""
    found: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        found += [nn.Linear(inputs, outputs), activation()]
    return found[:-1]


def dense(shape: Shape, outputs: int, inputs: int, hidden: Sequence[int] = HIDDEN) -> tuple[nn.Module, nn.Module]:
    """Return an encoder and a decoder of dense layers, the decoder's widths in reverse order."""
    size = math.prod(shape)
    encoder = nn.Sequential(nn.Flatten(), *layers([size, *hidden, outputs]))
    decoder = nn.Sequential(*layers([inputs, *reversed(hidden), size]), nn.Unflatten(1, shape))
    return encoder, decoder


def conv(
    shape: Shape, outputs: int, inputs: int, width: int = WIDTH, up: Upsampler = "pixelshuffle"
) -> tuple[nn.Module, nn.Module]:
    """Return a convolutional encoder and decoder with two dense layers at the code."""
    down, small = downward(shape, width, halvings(shape))
    channels, height, wide = small
    size = math.prod(small)
    encoder = nn.Sequential(down, nn.Flatten(), *layers([size, MIDDLE, outputs]))
    from_code = [*layers([inputs, MIDDLE, size]), nn.SiLU(), nn.Unflatten(1, (channels, height, wide))]
    return encoder, nn.Sequential(*from_code, upward(shape, width, halvings(shape), up))


def pair(shape: Shape, outputs: int, inputs: int, network: Network = "auto") -> tuple[nn.Module, nn.Module]:
    """Return an encoder and a decoder: convolutional for pictures, dense for rows of a table, unless ``network`` says."""
    if network == "conv" or (network == "auto" and len(shape) == 3):
        return conv(shape, outputs, inputs)
    return dense(shape, outputs, inputs)


def halvings(shape: Shape) -> int:
    """Return how often a picture is halved down to SMALLEST.  Raises SettingsError for what is no picture."""
    if len(shape) != 3:
        raise SettingsError("convolutions need pictures, (n, H, W) or (n, H, W, C)")
    return max(1, math.ceil(math.log2(max(shape[1:]) / SMALLEST)))


def downward(shape: Shape, width: int, times: int) -> tuple[nn.Sequential, Shape]:
    """Return convolutions that halve a picture ``times`` times, and the shape (C, h, w) behind them."""
    channels, height, wide = shape
    found: list[nn.Module] = []
    for outputs in _widths(width, times):
        found += [nn.Conv2d(channels, outputs, 3, 2, 1), nn.SiLU()]
        channels, height, wide = outputs, -(-height // 2), -(-wide // 2)
    return nn.Sequential(*found), (channels, height, wide)


def upward(shape: Shape, width: int, times: int, up: Upsampler = "pixelshuffle") -> nn.Sequential:
    """Return the way back from what ``downward`` gives to (C, H, W)."""
    widths = [*reversed(_widths(width, times)), shape[0]]
    found: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        found += [_smooth(upsampler(up, inputs, outputs, 2, 3)), nn.SiLU()]
    return nn.Sequential(*found[:-1], Crop(shape[1], shape[2]))


def _smooth(layer: nn.Module) -> nn.Module:
    """Return an upsampler; where it is a pixel shuffle, after its four pixels have got equal weights to start from.

    Aitken et al., "Checkerboard artifact free sub-pixel convolution", 2017.
    """
    if isinstance(layer, nn.Sequential) and isinstance(layer[0], nn.Conv2d):
        for value in layer[0].parameters():
            value.data = value.data[::4].repeat_interleave(4, 0)
    return layer


def _widths(width: int, times: int) -> list[int]:
    """Return the channels behind each halving: twice as many each time, four times the first at most."""
    return [width * min(4, 2**step) for step in range(times)]


class Crop(nn.Module):
    """Cut pictures to a size: their sides were rounded up when they were halved."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: Tensor) -> Tensor:
        return x[..., : self.height, : self.width]
