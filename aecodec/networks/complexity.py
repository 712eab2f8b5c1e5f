"""Count the cost of a model: multiply-accumulates per pixel, part by part."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from aecodec.entropy.architecture import PADDING, Architecture
from aecodec.networks.integer import IntegerConv2d
from aecodec.networks.model import Model
from aecodec.networks.quantiser import DependentQuantiser
from aecodec.networks.transforms import Lapping
from aecodec.networks.unet import UNet
from aecodec.weights.restorer import INPUTS, SHUFFLE


class _Unquantised(DependentQuantiser):
    """Stand in for the quantiser, which multiplies nothing and needs values."""

    def forward(self, residual: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
        return residual, residual


def kmac_per_pixel(arch: Architecture) -> dict[str, float]:
    """Return thousands of multiply-accumulates per pixel of each part, counted on the shapes that really flow.

    Training evaluates the context model's last layer as inference does, one channel group per phase, so the counts are
    those of inference.
    """
    with torch.device("meta"):
        model = Model(arch)
        model.quantiser = _Unquantised()
    side = 4 * PADDING
    counts = {"analysis": 0, "hyper_analysis": 0, "hyper_synthesis": 0, "context": 0, "synthesis": 0}

    def count(part: str, weight: Tensor, output: Tensor, transposed: bool = False) -> None:
        positions = output.shape[-2] * output.shape[-1]
        counts[part] += positions * (weight.numel() * output.shape[1] // weight.shape[int(transposed)])

    for part in counts:
        for module in getattr(model, part).modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                transposed = isinstance(module, nn.ConvTranspose2d)

                def hook(
                    m: nn.Conv2d | nn.ConvTranspose2d,
                    inputs: tuple[Tensor],
                    output: Tensor,
                    part: str = part,
                    transposed: bool = transposed,
                ) -> None:
                    # a transposed convolution uses every weight once per input position
                    count(part, m.weight, inputs[0] if transposed else output)

                module.register_forward_hook(hook)
            elif isinstance(module, Lapping):

                def lapped(m: Lapping, inputs: tuple[Tensor], output: Tensor, part: str = part) -> None:
                    counts[part] += 2 * len(m.weight) * output.numel()

                module.register_forward_hook(lapped)
            elif isinstance(module, IntegerConv2d):
                convolve = module.convolve

                def counted(
                    x: Tensor,
                    weight: Tensor,
                    bias: Tensor,
                    convolve: Callable[[Tensor, Tensor, Tensor], Tensor] = convolve,
                    part: str = part,
                ) -> Tensor:
                    y = convolve(x, weight, bias)
                    count(part, weight, y)
                    return y

                module.convolve = counted  # type: ignore[method-assign]  # a method, which has no hooks
    model.eval()
    with torch.device("meta"):
        model(torch.zeros(1, 3, side, side), torch.zeros(1))
    return {part: macs / side**2 / 1000 for part, macs in counts.items()}


def unet_kmac_per_pixel(network: UNet) -> float:
    """Return thousands of multiply-accumulates per pixel of a restoring network."""
    arch = network.arch
    cost, area = 0.0, float(SHUFFLE**2)  # pixels that are one position of the level
    for level, (width, blocks) in enumerate(zip(arch.widths, arch.blocks, strict=True)):
        last = level == len(arch.widths) - 1
        cost += (2 - last) * blocks * 2 * 9 * width**2 / area
        if not last:  # each weight of the layers between two levels once for a position of the coarser one
            cost += 2 * 4 * width * arch.widths[level + 1] / (4 * area)
        area *= 4
    cost += 9 * arch.widths[0] * (INPUTS + 3)  # the first and the last layer
    return cost / 1000
