"""Score a model on held-out crops, the same ones in every run on the same pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aecodec.errors import TrainingError
from aecodec.metrics import PEAK
from aecodec.networks.model import Model
from aecodec.quality import KNOTS
from aecodec.training import data
from aecodec.training.loss import lambda_at, rate_and_distortion
from aecodec.training.tasks import Task

CROPS, CROP_SEED = 64, 9


def held_out_batch(
    files: list[Path], task: Task, size: int, seed: int, complain: Callable[[str], None]
) -> NDArray[np.uint8] | None:
    """Return a batch (B, H, W, C) of crops of these files, or None where none can be read."""
    if not files:
        return None
    try:
        pictures = data.load(files, complain)
    except TrainingError:
        complain("no held-out picture can be read, so nothing is validated")
        return None
    return task.batch(data.sample(pictures, CROPS, size, CROP_SEED), 1.0, np.random.default_rng(seed))


@torch.no_grad()
def validate(
    model: Model,
    crops: Tensor,
    measure: Callable[..., tuple[Tensor, Tensor]] = rate_and_distortion,
) -> tuple[float, list[tuple[float, float]]]:
    """Return the score, and for each knot the mean bits per pixel (estimated) and decibels of D below PEAK squared.

    The score is the mean of log(R + lambda D) over the knots, lower is better; 0.01 is about 1 % of rate. ``measure`` gives
    R and D.
    """
    score, curve = 0.0, []
    for knot in range(KNOTS):
        rates, distortions = [], []
        for part in crops.split(8):
            position = torch.full((len(part),), float(knot), device=part.device)
            rate, distortion = measure(model, part, position)
            rates.append(rate)
            distortions.append(distortion)
        rate, distortion = torch.cat(rates), torch.cat(distortions)
        factor = lambda_at(torch.tensor(float(knot)))
        score += (rate + factor * distortion).log().mean().item() / KNOTS
        curve.append((rate.mean().item(), (10 * torch.log10(PEAK**2 / distortion)).mean().item()))
    return score, curve
