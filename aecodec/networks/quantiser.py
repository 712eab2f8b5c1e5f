"""Dependent quantisation in torch: what the coder will do to the residuals of the latents, while a model is trained."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn

from aecodec.codec import tables, trellis
from aecodec.codec.gaussian import LEVELS, LEVELS_PER_NAT
from aecodec.codec.latents import DISTORTION, RESIDUAL_MAX

FORGET = 0.9997  # of the counts, each time that something is counted
REFRESH = 400  # counts between two updates of the costs


class DependentQuantiser(nn.Module):
    """Residuals to the values that the coder would choose.  It counts its symbols: the counts become the coding tables."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("counts", torch.zeros(tables.QUANTISERS, LEVELS, tables.COUNTED + 1, dtype=torch.float64))
        self.counting = True
        self._age = 0
        self._costs: np.ndarray | None = None

    def frequencies(self) -> np.ndarray:
        """The coding tables that the counts ask for; see ``tables.frequencies``."""
        return tables.frequencies(self.counts.cpu().numpy())

    def renew(self) -> None:
        """From now on symbols cost what the counts so far say, and are counted anew."""
        self._costs = tables.costs(self.frequencies())
        self.counts.zero_()
        self._age = 1

    def forward(self, residual: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
        """Quantised residuals and the bits that the tables charge for them, both of the shape of ``residual``.

        Where the level is 0 nothing is coded, value and bits are 0; elsewhere the gradient of the value is that of the
        residual (a straight-through estimator).  Symbols are counted where gradients are on, unless ``counting`` is off.
        """
        level = (log_scale.detach() * LEVELS_PER_NAT).round().clamp(0, LEVELS - 1).to(torch.uint8)
        coded = level > 0
        at = coded.flatten().nonzero()[:, 0]
        r, levels = residual.detach().flatten()[at], level.flatten()[at]
        multiple, cost = self._quantise(r, levels, self.counting and torch.is_grad_enabled())
        value, bits = (torch.zeros(residual.numel(), device=residual.device) for _ in range(2))
        value[at] = torch.from_numpy(multiple).to(value) * trellis.STEP_SIZE
        bits[at] = torch.from_numpy(cost).to(bits)
        value = value.view(residual.shape) + (residual - residual.detach())
        return torch.where(coded, value, 0), bits.view(residual.shape)

    def _quantise(self, residual: Tensor, level: Tensor, count: bool) -> tuple[np.ndarray, np.ndarray]:
        """(n,) multiples of the step and (n,) bits, from (n,) residuals and levels; a trellis for each thread."""
        if self._costs is None or (count and self._age % REFRESH == 0):
            self._costs = tables.costs(self.frequencies())
        r, at = np.nan_to_num(residual.float().cpu().numpy()).clip(-RESIDUAL_MAX, RESIDUAL_MAX), level.cpu().numpy()
        parts = torch.get_num_threads()
        with ThreadPoolExecutor(parts) as workers:
            found = list(workers.map(self._search, np.array_split(r, parts), np.array_split(at, parts)))
        symbols, quantisers = (np.concatenate(part) for part in zip(*found))
        magnitude = np.minimum(np.abs(symbols), tables.COUNTED)
        index = np.ravel_multi_index((quantisers, at, magnitude), self._costs.shape)
        if count:
            self._age += 1
            new = np.bincount(index, minlength=self._costs.size).reshape(self._costs.shape)
            self.counts.mul_(FORGET).add_(torch.from_numpy(new).to(self.counts.device))
        return trellis.multiples(symbols, quantisers), self._costs.ravel()[index]

    def _search(self, residual: np.ndarray, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return trellis.search(residual, level, self._costs, DISTORTION)
