"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner, for the convolutions of a network.

(Vyas et al., "SOAP: improving and stabilizing Shampoo using Adam", ICLR 2025.)  A convolution's gradient
(O, I, k, k) has two covariances, (O, O) and (I, I), averaged over steps.  Adam's moments are kept in the basis of
their eigenvectors, where the coordinates of a gradient are nearly uncorrelated; the kernel's positions are not mixed.  The
bases are refreshed by one step of orthogonal iteration every few steps, their vectors in order of their eigenvalues.
A kernel that sees a whole patch is the matrix (O, I k k) that it multiplies patches by.  A side of more than
``LARGEST_SIDE`` keeps its own basis (SOAP's one-sided form).  Parameters that are no convolutions get Adam.
"""

from __future__ import annotations

import torch
from torch import Tensor


LARGEST_KERNEL = 5  # positions each way; larger ones are patches
LARGEST_SIDE = 800  # channels; what turning a side costs grows with the cube of them


class Soap(torch.optim.Optimizer):
    """Drop-in for ``torch.optim.Adam``; ``refresh`` is the number of steps between two updates of the bases.

    ``unit`` is what parameters of a group are measured in, a number or a tensor that broadcasts with each of them: a
    parameter p is trained as p / unit would be.
    """

    def __init__(self, params, lr: float = 5e-4, betas: tuple[float, float] = (0.9, 0.99), eps: float = 1e-8,
                 covariance_beta: float = 0.98, refresh: int = 10, unit: float | Tensor = 1.0) -> None:
        defaults = dict(lr=lr, betas=betas, eps=eps, covariance_beta=covariance_beta, refresh=refresh, unit=unit)
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state, unit = self.state[p], group["unit"]
                g = p.grad if isinstance(unit, float) and unit == 1 else p.grad * unit
                g = _rows(g).bfloat16() if p.ndim == 4 else g
                if not state:
                    state.update(self._start(p, g))
                state["step"] += 1
                if p.ndim == 4:
                    for key, covariance in _covariances(g, p.shape[0]).items():
                        state[f"{key}_covariance"].lerp_(covariance, 1 - group["covariance_beta"])
                    g = _rotate(g, state, p.shape[0])
                beta1, beta2 = group["betas"]
                n = int(state["step"])
                state["first"].lerp_(g, 1 - beta1)
                state["second"].mul_(beta2).addcmul_(g, g, value=1 - beta2)
                denominator = (state["second"] / (1 - beta2**n)).sqrt_().add_(group["eps"])
                update = (state["first"] / (1 - beta1**n)).div_(denominator)
                if p.ndim == 4:
                    update = _unrows(_rotate_back(update, state, p.shape[0]), p)
                p.sub_(update.to(p.dtype) * unit, alpha=group["lr"])
                if p.ndim == 4 and n % group["refresh"] == 0:
                    self._refresh(p, state)

    @staticmethod
    def _start(p: Tensor, g: Tensor) -> dict[str, Tensor]:
        state = {"step": torch.zeros(())}
        if p.ndim == 4:
            for key, covariance in _covariances(g, p.shape[0]).items():
                state[f"{key}_covariance"] = covariance
                # float64, or LAPACK gives up on the repeated zeros of channels that are not used yet
                state[key] = torch.linalg.eigh(covariance.double())[1].float().flip(1).contiguous()
        return {**state, **{key: torch.zeros_like(g, dtype=torch.float32) for key in ("first", "second")}}

    @staticmethod
    def _refresh(p: Tensor, state: dict) -> None:
        first = _rotate_back(state["first"], state, p.shape[0])
        second = state["second"].view(p.shape[0], -1, state["second"].shape[1])
        for key, dimension in (("out", 0), ("in", 2)):
            if key not in state:
                continue
            turned = state[f"{key}_covariance"] @ state[key]
            order = (state[key] * turned).sum(0).argsort(descending=True)  # by what the eigenvalues seem to be now
            second = second.index_select(dimension, order)  # the moment of a direction stays with it
            state[key] = torch.linalg.qr(turned[:, order])[0].contiguous()
        state.update(second=second.reshape(first.shape), first=_rotate(first, state, p.shape[0]))


def _rows(x: Tensor) -> Tensor:
    """(O, I, k, k) to (O k k, I), the order of channels-last memory, or of a patch to (O, I k k)."""
    if x.shape[2] > LARGEST_KERNEL:
        return x.flatten(1).float()
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).float()


def _unrows(x: Tensor, like: Tensor) -> Tensor:
    """The inverse of ``_rows``, for the shape of ``like``."""
    o, i, h, w = like.shape
    if h > LARGEST_KERNEL:
        return x.view(like.shape)
    return x.view(o, h, w, i).permute(0, 3, 1, 2)


def _multiply(a: Tensor, b: Tensor) -> Tensor:
    """In bfloat16, and so is the result: on CPUs that have it this is several times as fast."""
    return a.bfloat16() @ b.bfloat16()


def _covariances(g: Tensor, outputs: int) -> dict[str, Tensor]:
    """"out" (O, O) and "in" (I, I) from (O k k, I), without a side that is too large to turn."""
    left = g.view(outputs, -1)
    sides = {"out": (left, left.T), "in": (g.T, g)}
    return {key: _multiply(*pair).float() for key, pair in sides.items() if len(pair[0]) <= LARGEST_SIDE}


def _rotate(g: Tensor, state: dict, outputs: int) -> Tensor:
    """(O k k, I) into the bases that ``state`` has, whose vectors are the columns of "out" (O, O) and "in" (I, I)."""
    return _turn(g, state["out"].T if "out" in state else None, state.get("in"), outputs)


def _rotate_back(g: Tensor, state: dict, outputs: int) -> Tensor:
    """The inverse of ``_rotate``."""
    return _turn(g, state.get("out"), state["in"].T if "in" in state else None, outputs)


def _turn(g: Tensor, left: Tensor | None, right: Tensor | None, outputs: int) -> Tensor:
    """left @ g @ right, in float32, of g (O k k, I) with left (O, O) and right (I, I)."""
    if left is not None:
        g = _multiply(left, g.view(outputs, -1)).view(g.shape)
    return (g if right is None else _multiply(g, right)).float()
