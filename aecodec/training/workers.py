"""Train one run in several processes: each takes steps on crops of its own, all with the mean of their gradients.

torch's launcher starts them, on one host or on many, and names each process in the environment:

    torchrun --nproc-per-node 8 -m aecodec train photo --data pictures -o runs/photo

All begin with the same weights and get the same gradients. Differences that come from rounding are removed at every
checkpoint. The first worker writes the logs and checkpoints, and decides when a step is left out and when it is time to
stop. Without a launcher there is one worker, and nothing here does anything.

Hosts need no shared folder: a run that is resumed goes on from the newest checkpoint that any worker has, since the
launcher may make another one the first when it starts them again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

import torch
from torch import Tensor, distributed

from aecodec.errors import TrainingError

SEPARATE_STORES = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"
Value = TypeVar("Value")


def is_first() -> bool:
    """Return whether this process is the one that reports and writes."""
    return os.environ.get("RANK", "0") == "0"


def _check_restarts() -> None:
    """Raise TrainingError where workers that are started again would meet the addresses of those that have died.

    The launcher keeps the store of addresses for all attempts, unless its environment says otherwise.
    """
    keeps = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    if keeps and int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")):
        raise TrainingError(f"torchrun restarts workers only with {SEPARATE_STORES}=1 in its environment")


class Workers:
    """The processes of a run, as one of them sees them: its ``rank`` among ``size``."""

    def __init__(self, device: str) -> None:
        """Join the others. ``device`` is "cpu" or "cuda"; ``self.device`` is this worker's own."""
        self.rank, self.size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        self.device = torch.device(device)
        if self.size > 1:
            _check_restarts()
            if device == "cuda":
                self.device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
                torch.cuda.set_device(self.device)
            if not distributed.is_initialized():
                distributed.init_process_group("nccl" if device == "cuda" else "gloo")

    @property
    def first(self) -> bool:
        """Return whether this is the worker that reports and writes."""
        return self.rank == 0

    @torch.no_grad()
    def follow(self, tensors: Iterable[Tensor]) -> None:
        """Give all workers the tensors of the first."""
        if self.size > 1:
            for tensor in tensors:
                dense = tensor.contiguous()
                distributed.broadcast(dense, 0)
                tensor.copy_(dense)

    @torch.no_grad()
    def average(self, tensors: list[Tensor]) -> None:
        """Give all workers the means of their tensors."""
        if self.size > 1:
            flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
            distributed.all_reduce(flat)
            for tensor, mean in zip(
                tensors, flat.div_(self.size).split([tensor.numel() for tensor in tensors]), strict=True
            ):
                tensor.copy_(mean.view(tensor.shape))

    def agree(self, *values: float) -> list[float]:
        """Return the first worker's values, on all."""
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.broadcast(tensor, 0)
        return tensor.tolist()

    def newest(self, step: int, value: Value) -> Value:
        """Return the value of the worker of the highest step, on all; of the first of these."""
        if self.size == 1:
            return value
        steps = [torch.zeros(1, dtype=torch.int64, device=self.device) for _ in range(self.size)]
        distributed.all_gather(steps, torch.tensor([step], device=self.device))
        source = int(torch.cat(steps).argmax())
        box = [value if self.rank == source else None]
        distributed.broadcast_object_list(box, source, device=self.device)
        return box[0]  # type: ignore[return-value]

    def leave(self) -> None:
        """Leave the group, once all workers have come to this point."""
        if self.size > 1:
            distributed.barrier()
            distributed.destroy_process_group()
