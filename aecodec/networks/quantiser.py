"""Quantise residuals of latents in torch as the coder will, while a model is trained: dependent quantisation."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aecodec.entropy import tables, trellis
from aecodec.entropy.gaussian import LEVELS, LEVELS_PER_NAT
from aecodec.entropy.latents import DISTORTION, RESIDUAL_MAX
from aecodec.networks.fused import is_fused

FORGET = 0.9997  # of the counts, each time that something is counted
REFRESH = 400  # counts between two updates of the costs
UNCODED = 4096  # places for the counts of latents that are not coded


class DependentQuantiser(nn.Module):
    """Map residuals to the values that the coder would choose. Its counts of symbols become the coding tables.

    On a CUDA device with Triton it stays there (``trellis_triton.py``) and can be captured in a graph. The costs of symbols
    are then updated by ``refresh`` alone.
    """

    counts: Tensor
    costs: Tensor

    def __init__(self) -> None:
        super().__init__()
        shape = (tables.QUANTISERS, LEVELS, tables.COUNTED + 1)
        self.register_buffer("counts", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("costs", torch.zeros(shape), persistent=False)  # in bits
        self.counting = True
        self._age: int | None = None  # what was counted since the costs were first asked for

    def frequencies(self) -> NDArray[np.int32]:
        """Return the coding tables that fit the counts; see ``tables.frequencies``."""
        return tables.frequencies(self.counts.cpu().numpy())

    def refresh(self) -> None:
        """Set the costs of symbols by the counts so far."""
        self.costs.copy_(torch.from_numpy(tables.costs(self.frequencies())))

    def renew(self) -> None:
        """Refresh the costs, and start to count symbols from zero."""
        self.refresh()
        self.counts.zero_()
        self._age = 1

    def forward(self, residual: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
        """Return quantised residuals and the bits that the tables charge for them, both in the shape of ``residual``.

        Where the level is 0 nothing is coded, value and bits are 0. Elsewhere the gradient of the value is that of the
        residual (a straight-through estimator). Symbols are counted where gradients are on, unless ``counting`` is off.
        """
        level = (log_scale.detach() * LEVELS_PER_NAT).round().clamp(0, LEVELS - 1).to(torch.uint8)
        count = self.counting and torch.is_grad_enabled()
        fused = is_fused(residual)
        captured = fused and torch.cuda.is_current_stream_capturing()
        if not captured and (self._age is None or (count and self._age % REFRESH == 0)):
            self.refresh()
        self._age = (self._age or 0) + count
        r = residual.detach().float().nan_to_num().clamp(-RESIDUAL_MAX, RESIDUAL_MAX).flatten()
        search = self._on_device if fused else self._on_host
        value, bits = (part.view(residual.shape) for part in search(r, level.flatten(), count))
        value = value + (residual - residual.detach())
        return torch.where(level > 0, value, 0), bits

    def _on_host(self, residual: Tensor, level: Tensor, count: bool) -> tuple[Tensor, Tensor]:
        """Return (n,) values and (n,) bits, from (n,) residuals and levels; a trellis for each thread."""
        at = level.nonzero()[:, 0]
        r, levels, costs = (part.cpu().numpy() for part in (residual[at], level[at], self.costs))
        parts = torch.get_num_threads()
        with ThreadPoolExecutor(parts) as workers:
            pieces = zip(np.array_split(r, parts), np.array_split(levels, parts), strict=True)
            found = list(workers.map(lambda piece: trellis.search(piece[0], piece[1], costs, DISTORTION), pieces))
        symbols, quantisers = (np.concatenate(part) for part in zip(*found, strict=True))
        index = np.ravel_multi_index((quantisers, levels, np.minimum(np.abs(symbols), tables.COUNTED)), costs.shape)
        if count:
            self._count(torch.from_numpy(np.bincount(index, minlength=costs.size)).to(self.counts.device))
        value, bits = torch.zeros_like(residual), torch.zeros_like(residual)
        value[at] = torch.from_numpy(trellis.multiples(symbols, quantisers)).to(value) * trellis.STEP_SIZE
        bits[at] = torch.from_numpy(costs.ravel()[index]).to(bits)
        return value, bits

    def _on_device(self, residual: Tensor, level: Tensor, count: bool) -> tuple[Tensor, Tensor]:
        """Return what ``_on_host`` does, with a trellis for each piece."""
        from aecodec.networks import trellis_triton

        step = trellis.STEP_SIZE
        symbols, quantisers = trellis_triton.search(residual, level, self.costs, step, DISTORTION * step**2)
        coded = level > 0
        row = quantisers.long() * LEVELS + level
        index = row * (tables.COUNTED + 1) + symbols.abs().clamp_max(tables.COUNTED)
        if count:
            # what is not coded goes to places of its own, and to many: adding to one is slow
            elsewhere = self.counts.numel() + torch.arange(len(index), device=index.device) % UNCODED
            new = torch.zeros(self.counts.numel() + UNCODED, device=index.device)
            new.index_add_(0, torch.where(coded, index, elsewhere), torch.ones_like(residual))
            self._count(new[: self.counts.numel()])
        value = (2 * symbols - quantisers.int() * symbols.sign()) * step
        return value, torch.where(coded, self.costs.flatten()[index], 0)

    def _count(self, new: Tensor) -> None:
        self.counts.mul_(FORGET).add_(new.view(self.counts.shape))
