"""Score a model on held-out crops, the same ones in every run on the same pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from aecodec.metrics import PEAK
from aecodec.networks.model import Model
from aecodec.quality import KNOTS
from aecodec.training.distortion import Mix, mse
from aecodec.training.loss import lambda_at, rate_and_distortion

CROPS, CROP_SEED = 64, 9


@torch.no_grad()
def validate(model: Model, crops: Tensor, distortion: Mix | None = None) -> tuple[float, list[tuple[float, float]]]:
    """Return the score, and for each knot the mean bits per pixel (estimated) and decibels of D below PEAK squared.

    The score is the mean of log(R + lambda D) over the knots, lower is better; 0.01 is about 1 % of rate. ``distortion``
    is D, the mean squared error if None.
    """
    score, curve = 0.0, []
    for knot in range(KNOTS):
        rates, errors = [], []
        for part in crops.split(8):
            position = torch.full((len(part),), float(knot), device=part.device)
            found = rate_and_distortion(model, part, position, distortion=distortion or mse)
            rates.append(found[0])
            errors.append(found[1])
        rate, error = torch.cat(rates), torch.cat(errors)
        factor = lambda_at(torch.tensor(float(knot)))
        score += (rate + factor * error).log().mean().item() / KNOTS
        curve.append((rate.mean().item(), (10 * torch.log10(PEAK**2 / error)).mean().item()))
    return score, curve
