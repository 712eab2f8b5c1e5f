"""Choose the optimiser of a run, and the groups of parameters that it trains at different rates."""

from __future__ import annotations

import torch
from torch import nn

from aecodec.networks.model import Model
from aecodec.training.settings import Settings
from aecodec.training.soap import Group, Soap

# Units of the linear paths' weights; in the synthesis times the spread of the latent that they multiply. In the
# networks' units they would move by many quantiser steps at once.
ANALYSIS_UNIT, SYNTHESIS_UNIT, LAPPING_UNIT = 5.0, 0.025, 5.0
REFRESH = {"cpu": 10, "cuda": 80}  # steps between two updates of SOAP's bases, which a GPU is slow at


def open_optimiser(groups: list[Group], settings: Settings, device: torch.device) -> torch.optim.Optimizer:
    """Return the optimiser that the settings name, for groups as ``parameter_groups`` gives them."""
    if settings.optimiser == "soap":
        return Soap(groups, refresh=REFRESH[device.type])
    return torch.optim.Adam(groups, betas=(0.9, 0.995), fused=True)


def parameter_groups(model: Model, settings: Settings) -> list[Group]:
    """Return the groups of parameters, each with its learning rate.

    They are the transforms, the entropy model, the tables that are indexed by quality, and the linear paths of the two
    transforms, which only SOAP can train.
    """
    linear = linear_paths(model)
    entropy = ("context.", "hyper_synthesis.", "hyper_analysis.")
    groups: dict[float, list[nn.Parameter]] = {1.0: [], settings.entropy_rate: [], settings.table_rate: []}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad or any(parameter is group["params"][0] for group in linear):
            continue
        if parameter.ndim == 2:
            groups[settings.table_rate].append(parameter)
        elif parameter.ndim == 4 and name.startswith(entropy):
            groups[settings.entropy_rate].append(parameter)
        else:
            groups[1.0].append(parameter)
    rated = [(factor, {"params": parameters}) for factor, parameters in groups.items()]
    rated += [(settings.linear_rate, group) for group in linear]
    rates = [settings.learning_rate * factor for factor, _ in rated]
    return [{**group, "lr": rate, "peak": rate} for rate, (_, group) in zip(rates, rated, strict=True)]


def linear_paths(model: Model) -> list[Group]:
    """Return one group each for the linear analysis and synthesis and the lapping of each, where both are trained."""
    analysis, synthesis = model.analysis.klt.weight, model.synthesis.klt.weight
    if not (analysis.requires_grad and synthesis.requires_grad):
        return []
    return [
        {"params": [analysis], "unit": ANALYSIS_UNIT},
        {"params": [synthesis], "unit": SYNTHESIS_UNIT / model.synthesis.spread},
        *({"params": [part.lap.weight], "unit": LAPPING_UNIT} for part in (model.analysis, model.synthesis)),
    ]
