"""How large the activations of a synthesis are, and the fixed point that holds them where files are decoded.

A decoder computes with inputs of convolutions that fit 16 bits, and more slowly with larger ones, up to 23 bits
(docs/format.md, section 8). How many bits are behind the point depends on the weights; ``fraction_bits`` finds it on
pictures that are made here, whose activations are about four times those of photographs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from aecodec.networks.model import FloatModel
from aecodec.quality import KNOTS

INPUT_MAX = 32767  # beyond it decoding is slower
BITS_MAX = 16
SIDE = 128  # of the pictures


def pictures() -> Tensor:
    """Return (3, 3, SIDE, SIDE) in 0..1: saturated stripes and squares, noise, and shapes on gradients."""
    random = np.random.default_rng(1)
    y, x = np.mgrid[:SIDE, :SIDE]
    squares = [((x // 2 ** (2 + c) + y // 2 ** (2 + c)) % 2) for c in range(3)]
    noise = (random.random((3, SIDE, SIDE)) > 0.5).astype(float)
    disc = (x - 60) ** 2 + (y - 70) ** 2 < 40**2
    shapes = [np.where(disc, 1 - ramp, ramp) for ramp in (x / SIDE, y / SIDE, (x + y) / (2 * SIDE))]
    return torch.from_numpy(np.stack([np.stack(squares), noise, np.stack(shapes)])).float()


@torch.no_grad()
def fraction_bits(model: FloatModel) -> Tensor:
    """Return the tensor ``synthesis.fraction_bits`` for a model, (5,) int8: of stem, streams and what is in blocks."""
    peaks = dict.fromkeys(("stem", "stream_16", "middle_16", "stream_8", "middle_8"), 0.0)

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def look(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            peaks[name] = max(peaks[name], float(inputs[0].abs().max()))

        return look

    synthesis = model.synthesis
    layers: list[tuple[str, nn.Module]] = [
        ("stem", synthesis.stem),
        ("stream_16", synthesis.up_8),
        ("stream_8", synthesis.head),
    ]
    for size, blocks in ((16, synthesis.blocks_16), (8, synthesis.blocks_8)):
        for block in blocks.children():
            layers += [(f"stream_{size}", block.get_submodule("conv1")), (f"middle_{size}", block.get_submodule("conv2"))]
    hooks = [layer.register_forward_pre_hook(note(name)) for name, layer in layers]
    try:
        picture = pictures().to(next(model.parameters()).device)
        for knot in range(KNOTS):
            position = picture.new_full((len(picture),), float(knot))
            y = (model.analysis(picture, position) * model.gain(position)).round()
            synthesis.unfiltered(y * model.inverse_gain(position), position)
    finally:
        for hook in hooks:
            hook.remove()
    bits = [np.floor(np.log2(INPUT_MAX / max(peak, 1e-4))) for peak in peaks.values()]
    return torch.tensor(bits).clamp(0, BITS_MAX).to(torch.int8)
