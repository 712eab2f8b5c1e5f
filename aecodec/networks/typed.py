"""What torch's own annotations leave out: of autograd functions, and of the memory format that a module gets."""

from __future__ import annotations

from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


class Context(Protocol):
    """What ``forward`` of a ``torch.autograd.Function`` keeps for its ``backward``."""

    @property
    def saved_tensors(self) -> tuple[Tensor, ...]: ...

    def save_for_backward(self, *tensors: Tensor) -> None: ...


def apply(function: type[torch.autograd.Function], *arguments: object) -> Tensor:
    """Return what ``function`` computes of its arguments, with its gradient."""
    result: Tensor = function.apply(*arguments)
    return result


def channels_last(module: Module) -> Module:
    """Return a module after its convolutions' weights are laid out with channels last in memory."""
    laid_out: Module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    return laid_out
