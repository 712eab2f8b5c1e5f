"""Damage batches, so that an autoencoder learns to undo it.

Vincent et al., "Extracting and composing robust features with denoising autoencoders", 2008.

A damage maps a batch of values in 0..1 and a strength in 0..1 to the same shape. Randomness is torch's.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Damage = Callable[[Tensor, float], Tensor]


def gaussian(x: Tensor, strength: float) -> Tensor:
    """Add normal errors with a standard deviation of ``strength``; values may leave 0..1."""
    return x + strength * torch.randn_like(x)


def salt_pepper(x: Tensor, strength: float) -> Tensor:
    """Make a share ``strength`` of values 0 or 1, with equal chances."""
    drawn = torch.rand_like(x)
    return torch.where(drawn < strength / 2, 0.0, torch.where(drawn > 1 - strength / 2, 1.0, x))


def masking(x: Tensor, strength: float) -> Tensor:
    """Make a share ``strength`` of values 0; a pixel loses all its channels."""
    return x * (torch.rand_like(x[:, :1] if x.ndim == 4 else x) >= strength)


DAMAGES: dict[str, Damage] = {"gaussian": gaussian, "salt-pepper": salt_pepper, "masking": masking}
