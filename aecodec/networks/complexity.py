"""Count the cost of a model: multiply-accumulates per pixel, part by part."""

from __future__ import annotations

import torch
from torch import nn

from aecodec.entropy.architecture import PADDING, Architecture
from aecodec.networks.integer import IntegerConv2d
from aecodec.networks.model import Model
from aecodec.networks.transforms import Lapping


def kmac_per_pixel(arch: Architecture) -> dict[str, float]:
    """Return thousands of multiply-accumulates per pixel of each part, counted on the shapes that really flow.

    Training evaluates the context model's last layer as inference does, one channel group per phase, so the counts are
    those of inference.
    """
    with torch.device("meta"):
        model = Model(arch)
    model.quantiser.forward = lambda residual, log_scale: (residual, residual)  # it multiplies nothing, and needs values
    side = 4 * PADDING
    counts = {"analysis": 0, "hyper_analysis": 0, "hyper_synthesis": 0, "context": 0, "synthesis": 0}

    def count(part: str, weight: torch.Tensor, output: torch.Tensor, transposed: bool = False) -> None:
        positions = output.shape[-2] * output.shape[-1]
        counts[part] += positions * (weight.numel() * output.shape[1] // weight.shape[int(transposed)])

    for part in counts:
        for module in getattr(model, part).modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                transposed = isinstance(module, nn.ConvTranspose2d)

                def hook(m, inputs, output, part=part, transposed=transposed):
                    # a transposed convolution uses every weight once per input position
                    count(part, m.weight, inputs[0] if transposed else output)

                module.register_forward_hook(hook)
            elif isinstance(module, Lapping):

                def lapped(m, inputs, output, part=part):
                    counts[part] += 2 * len(m.weight) * output.numel()

                module.register_forward_hook(lapped)
            elif isinstance(module, IntegerConv2d):
                convolve = module.convolve

                def counted(x, weight, bias, convolve=convolve, part=part):
                    y = convolve(x, weight, bias)
                    count(part, weight, y)
                    return y

                module.convolve = counted
    model.eval()
    with torch.device("meta"):
        model(torch.zeros(1, arch.inputs, side, side), torch.zeros(1))
    return {part: macs / side**2 / 1000 for part, macs in counts.items()}
