"""Add latents or residual blocks to a trained model.

**Latents of a model.** A linear path of few components has a ceiling: the part of a picture's blocks outside of them is
lost at any rate, except for what the networks guess. The new latents are the principal components of just that part. Each
group of the context model (``entropy/partition.py``) gets its share of them behind its own, so every old latent is decoded
in the same step as before. The networks begin with zeros for the new latents and treat the old ones unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aecodec.entropy.architecture import LATENT_STRIDE, Architecture
from aecodec.entropy.gaussian import SCALE_MIN
from aecodec.entropy.partition import CONTEXT_STEPS, group_of
from aecodec.errors import TrainingError
from aecodec.networks.model import Model
from aecodec.networks.transforms import KLT_STEP, spread_of
from aecodec.quality import KNOTS
from aecodec.training.klt import further_components

SCALE_FLOOR = 0.01  # of new latents; nothing below SCALE_MIN is coded
LARGE, SMALL = 1 / 2, 1 / 8  # shares of the old latents, of most and of least variance, that new ones copy


def beside(old: Tensor, new: Tensor, dimension: int) -> Tensor:
    """Join both along a dimension of channels, each group's new ones behind its old ones."""
    pairs = zip(old.chunk(CONTEXT_STEPS, dimension), new.chunk(CONTEXT_STEPS, dimension), strict=True)
    return torch.cat([part for pair in pairs for part in pair], dimension)


def with_more_latents(
    state: dict[str, Tensor], old: Architecture, new: Architecture, covariance: NDArray[np.float64]
) -> dict[str, Tensor]:
    """Return a model's state with the latents of ``new``, from that of ``old``.

    covariance: (768, 768), ``klt.block_covariance`` of blocks that do not lap, which is close enough to start from. The new
    latents' gains are the median of those of the old ones of most variance, which are in use at every quality. Their scales
    depend on the features as the old ones of least variance do on average; ``fit_scales`` sets their size. Raises
    TrainingError where the architectures differ in anything but the latents, or the new one has no more latents.
    """
    added = new.latents - old.latents
    if added <= 0 or new != replace(old, latents=new.latents):
        raise TrainingError("architecture: it must be that of the weights to start from, or have more latents")
    basis = state["analysis.klt.weight"].flatten(1).double().numpy() * KLT_STEP
    orthonormal = np.linalg.qr(basis.T)[0].T  # training has moved the basis
    further, variance = (torch.from_numpy(a).float() for a in further_components(covariance, orthonormal, added))
    order = torch.from_numpy(((basis @ covariance) * basis).sum(1)).argsort(descending=True)
    large, small = order[: round(LARGE * old.latents)], order[-round(SMALL * old.latents) :]

    def zeros(values: Tensor, dimension: int) -> Tensor:
        return torch.zeros_like(values.narrow(dimension, 0, 1))

    def mean_of_small(values: Tensor, dimension: int) -> Tensor:
        return values.index_select(dimension, small).mean(dimension, keepdim=True)

    def median_of_large(values: Tensor, dimension: int) -> Tensor:
        return values.index_select(dimension, large).median(dimension, keepdim=True).values

    def grown(values: Tensor, dimension: int, new_one: Callable[[Tensor, int], Tensor]) -> Tensor:
        return beside(values, new_one(values, dimension).repeat_interleave(added, dimension), dimension)

    linear = further.reshape(added, 3, LATENT_STRIDE, LATENT_STRIDE) / KLT_STEP, further.T[:, :, None, None] * KLT_STEP
    result = state | {
        "analysis.klt.weight": beside(state["analysis.klt.weight"], linear[0], 0),
        "synthesis.klt.weight": beside(state["synthesis.klt.weight"], linear[1], 1),
        "synthesis.spread": beside(state["synthesis.spread"], spread_of(variance), 1),
    }
    for name, dimension, new_one in (
        ("gain.log", 1, median_of_large), ("inverse_gain.log", 1, median_of_large),
        ("analysis.head.weight", 0, zeros), ("analysis.head.bias", 0, zeros),
        ("hyper_analysis.conv1.weight", 1, zeros), ("synthesis.stem.weight", 1, zeros),
    ):  # fmt: skip
        result[name] = grown(state[name], dimension, new_one)
    for step in range(CONTEXT_STEPS):
        mix, *out = (f"context.{step}.{name}" for name in ("mix.weight", "out.weight", "out.bias"))
        if step:
            features, latents = state[mix].tensor_split([old.hyper_width], 1)
            result[mix] = torch.cat([features, grown(latents, 1, zeros)], 1)
        for name, dimension in zip(out, (0, 1), strict=True):
            mean, scale = state[name].chunk(2, dimension)
            result[name] = torch.cat([grown(mean, dimension, zeros), grown(scale, dimension, mean_of_small)], dimension)
    return result


@torch.no_grad()
def fit_scales(model: Model, added: int, x: Tensor) -> None:
    """Set the biases of the last ``added`` latents' scales (each group's share of them, behind its own).

    At each quality knot their mean square becomes that of the residuals of pictures x (B, 3, H, W). The model must be in
    evaluation mode.
    """
    m, counting = model.arch.latents, model.quantiser.counting
    is_new = beside(torch.zeros(m - added), torch.ones(added), 0).bool().view(CONTEXT_STEPS, -1)
    given: list[tuple[Tensor, Tensor]] = []
    hook = model.quantiser.register_forward_hook(lambda module, inputs, output: given.append(inputs))
    model.quantiser.counting = False
    for knot in range(KNOTS):
        given.clear()
        model(x, torch.full((len(x),), float(knot), device=x.device))
        for step, (residual, log_scale) in enumerate(given):
            groups = [group_of(step, phase) for phase in range(4)]
            wanted, had = residual.square().mean((1, 3, 4)), (2 * log_scale).exp().mean((1, 3, 4)) * SCALE_MIN**2
            correction = 0.5 * (wanted.clamp_min(SCALE_FLOOR**2) / had).log()  # (4, M/4), by phase
            bias = model.context_steps[step].out.bias[knot, m:].view(CONTEXT_STEPS, -1)
            bias[groups] += torch.where(is_new[groups], correction, 0)
    hook.remove()
    model.quantiser.counting = counting


def with_more_blocks(state: dict[str, Tensor], model: Model) -> dict[str, Tensor]:
    """Return a whole model's ``state`` for a ``model`` with more residual blocks.

    The new ones change nothing yet. Raises TrainingError where the model differs in anything else.
    """
    result = {}
    for name, own in model.state_dict().items():
        value = state.get(name)
        if value is None:
            value = torch.zeros_like(own) if ".conv2." in name else own
        if value.shape != own.shape:
            raise TrainingError(f"architecture: {name} has another width than in the weights to start from")
        result[name] = value
    if lost := sorted(state.keys() - result.keys()):
        raise TrainingError(
            f"architecture: there is no place for {lost[0]} of the weights to start from; give it as many blocks"
        )
    return result
