"""Run SOAP: Adam in the eigenbasis of Shampoo's preconditioner, for the convolutions of a network.

(Vyas et al., "SOAP: improving and stabilizing Shampoo using Adam", ICLR 2025.) A convolution's gradient (O, I, k, k) has
two covariances, (O, O) and (I, I), averaged over steps. Adam's moments are kept in the basis of their eigenvectors, where
the coordinates of a gradient are nearly uncorrelated; the kernel's positions are not mixed. The bases are refreshed by one
step of orthogonal iteration every few steps, their vectors in order of their eigenvalues. A kernel that sees a whole patch
is the matrix (O, I k k) that it multiplies patches by. A side of more than ``LARGEST_SIDE`` keeps its own basis (SOAP's
one-sided form). Parameters that are no convolutions get Adam.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from aecodec.networks.precision import fast_dtype

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT

Group = dict[str, Any]  # of parameters, with what applies to them, as torch has it
State = dict[str, Tensor]  # of what parameters have in common, by name
LARGEST_KERNEL = 5  # positions each way; larger ones are patches
LARGEST_SIDE = 800  # channels; what turning a side costs grows with the cube of them


class Soap(torch.optim.Optimizer):
    """Replace ``torch.optim.Adam``; ``refresh`` is the number of steps between two updates of the bases.

    ``unit`` is the unit of a group's parameters, a number or a tensor that broadcasts with each of them: a parameter p is
    trained as p / unit would be.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 5e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
        covariance_beta: float = 0.98,
        refresh: int = 10,
        unit: float | Tensor = 1.0,
    ) -> None:
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "covariance_beta": covariance_beta, "refresh": refresh, "unit": unit,
        }  # fmt: skip
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # one that computes the loss is not called
        for group, parameters in self._alike():
            state = self.state[parameters[0]]
            self._count(parameters, 1)
            corrections = [1 - beta ** int(state["step"]) for beta in group["betas"]]
            self._update(group, parameters, group["lr"], corrections)
        self.refresh()

    @torch.no_grad()
    def captured(self, factor: Tensor, corrections: Tensor, streams: list[torch.cuda.Stream]) -> None:
        """Take a step without anything that a CUDA graph cannot hold.

        ``passed`` counts the step, and ``refresh`` is left to the caller. factor: (), of the groups' "peak" rates;
        corrections: (2,), 1 - beta**n at the n-th step. Small kernels hardly fill a GPU, so parameters are spread over
        ``streams``.
        """
        here, alike = torch.cuda.current_stream(), list(self._alike())  # their first states are made on this stream
        for stream in streams:
            stream.wait_stream(here)
        for i, (group, parameters) in enumerate(alike):
            with torch.cuda.stream(streams[i % len(streams)]):
                self._update(group, parameters, group["peak"] * factor, corrections)
        for stream in streams:
            here.wait_stream(stream)

    def passed(self, steps: int) -> None:
        """Count steps that ``captured`` took."""
        for _, parameters in self._alike():
            self._count(parameters, steps)

    @torch.no_grad()
    def refresh(self) -> None:
        """Update the bases, in place, where that is due."""
        for group, parameters in self._alike():
            state = self.state[parameters[0]]
            if parameters[0].ndim == 4 and int(state["step"]) % group["refresh"] == 0:
                self._refresh(parameters[0], state)

    def _alike(self) -> Iterator[tuple[Group, list[Tensor]]]:
        """Yield groups, and parameters with a gradient that are treated as one, and create their state.

        Parameters that are no convolutions come all together, each with its own state. On a GPU, where it is faster, so do
        convolutions of one shape, with the state of the first.
        """
        for group in self.param_groups:
            found: dict[object, list[Tensor]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    key = "others" if p.ndim != 4 else p.shape if self._stacks(p) else p
                    found.setdefault(key, []).append(p)
            for parameters in found.values():
                if parameters[0] not in self.state:
                    self._start(group, parameters)
                yield group, parameters

    @staticmethod
    def _stacks(p: Tensor) -> bool:
        return p.is_cuda

    def _start(self, group: Group, parameters: list[Tensor]) -> None:
        if parameters[0].ndim != 4:
            for p in parameters:
                self.state[p].update({"step": torch.zeros(()), "first": torch.zeros_like(p), "second": torch.zeros_like(p)})
            return
        g = _gradients(group, parameters)
        state = self.state[parameters[0]]
        state.update(step=torch.zeros(()), first=torch.zeros_like(g, dtype=torch.float32))
        state["second"] = state["first"].clone()
        for key, covariance in _covariances(g, parameters[0].shape[0]).items():
            state[f"{key}_covariance"] = covariance
            # float64, or LAPACK gives up on the repeated zeros of channels that are not used yet
            state[key] = torch.linalg.eigh(covariance.double())[1].float().flip(-1).contiguous()

    def _count(self, parameters: list[Tensor], steps: int) -> None:
        for p in parameters:
            if p in self.state:
                self.state[p]["step"] += steps

    def _update(
        self, group: Group, parameters: list[Tensor], lr: float | Tensor, corrections: list[float] | Tensor
    ) -> None:
        if parameters[0].ndim != 4:
            self._update_as_adam(group, parameters, lr, corrections)
            return
        outputs, state, g = parameters[0].shape[0], self.state[parameters[0]], _gradients(group, parameters)
        for key, covariance in _covariances(g, outputs).items():
            state[f"{key}_covariance"].lerp_(covariance, 1 - group["covariance_beta"])
        g = _rotate(g, state, outputs)
        beta1, beta2 = group["betas"]
        state["first"].lerp_(g, 1 - beta1)
        state["second"].mul_(beta2).addcmul_(g, g, value=1 - beta2)
        denominator = (state["second"] / corrections[1]).sqrt_().add_(group["eps"])
        update = _rotate_back((state["first"] / corrections[0]).div_(denominator), state, outputs)
        updates = update.unbind() if len(parameters) > 1 else [update]
        for p, update in zip(parameters, updates, strict=True):
            p.sub_(_unrows(update, p).to(p.dtype) * (group["unit"] * lr))

    def _update_as_adam(
        self, group: Group, parameters: list[Tensor], lr: float | Tensor, corrections: list[float] | Tensor
    ) -> None:
        first, second = ([self.state[p][key] for p in parameters] for key in ("first", "second"))
        unit, (beta1, beta2) = group["unit"], group["betas"]
        g = [_measured(p, unit) for p in parameters]
        torch._foreach_lerp_(first, g, 1 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, g, g, value=1 - beta2)
        denominator = torch._foreach_div(second, corrections[1])
        torch._foreach_sqrt_(denominator)
        torch._foreach_add_(denominator, group["eps"])
        update = torch._foreach_div(first, corrections[0])
        torch._foreach_div_(update, denominator)
        torch._foreach_mul_(update, unit * lr)
        torch._foreach_sub_(parameters, update)

    @staticmethod
    def _refresh(p: Tensor, state: State) -> None:
        first = _rotate_back(state["first"], state, p.shape[0])
        second = state["second"]
        second = second.view(*second.shape[:-2], p.shape[0], -1, second.shape[-1])
        for key in ("out", "in"):
            if key not in state:
                continue
            turned = state[f"{key}_covariance"] @ state[key]
            order = (state[key] * turned).sum(-2).argsort(descending=True)  # by what the eigenvalues seem to be now
            # the moment of a direction stays with it
            if key == "out":
                second = second.take_along_dim(order[..., :, None, None], -3)
            else:
                second = second.take_along_dim(order[..., None, None, :], -1)
            state[key].copy_(torch.linalg.qr(turned.take_along_dim(order[..., None, :], -1))[0])
        state["second"].copy_(second.reshape(first.shape))
        state["first"].copy_(_rotate(first, state, p.shape[0]))


def _measured(p: Tensor, unit: float | Tensor) -> Tensor:
    """Return the gradient of p / unit."""
    if p.grad is None:
        raise ValueError("a parameter without a gradient cannot be updated")
    return p.grad if isinstance(unit, float) and unit == 1 else p.grad * unit


def _gradients(group: Group, parameters: list[Tensor]) -> Tensor:
    """Return the gradients of convolutions of one shape in their group's unit, in ``fast_dtype``.

    They are ``_rows`` of each, stacked if there are several.
    """
    rows = [_rows(_measured(p, group["unit"])) for p in parameters]
    return (rows[0] if len(rows) == 1 else torch.stack(rows)).to(fast_dtype(rows[0].device.type))


def _rows(x: Tensor) -> Tensor:
    """Rearrange (O, I, k, k) to (O k k, I), the order of channels-last memory, or of a patch to (O, I k k)."""
    if x.shape[2] > LARGEST_KERNEL:
        return x.flatten(1).float()
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).float()


def _unrows(x: Tensor, like: Tensor) -> Tensor:
    """Invert ``_rows``, for the shape of ``like``."""
    o, i, h, w = like.shape
    if h > LARGEST_KERNEL:
        return x.view(like.shape)
    return x.view(o, h, w, i).permute(0, 3, 1, 2)


def _multiply(a: Tensor, b: Tensor) -> Tensor:
    """Multiply in ``fast_dtype`` to a result in it: bfloat16, with hardware for it, is several times as fast."""
    dtype = fast_dtype(a.device.type)
    return a.to(dtype) @ b.to(dtype)


def _covariances(g: Tensor, outputs: int) -> dict[str, Tensor]:
    """Return "out" (.., O, O) and "in" (.., I, I) from (.., O k k, I), without a side that is too large to turn."""
    left = _by_outputs(g, outputs)
    sides = {"out": (left, left.mT), "in": (g.mT, g)}
    return {key: _multiply(*pair).float() for key, pair in sides.items() if pair[0].shape[-2] <= LARGEST_SIDE}


def _by_outputs(g: Tensor, outputs: int) -> Tensor:
    """Rearrange (.., O k k, I) to (.., O, k k I)."""
    return g.reshape(*g.shape[:-2], outputs, -1)


def _rotate(g: Tensor, state: State, outputs: int) -> Tensor:
    """Rotate (.., O k k, I) into the bases of ``state``.

    Their vectors are the columns of "out" (.., O, O) and "in" (.., I, I).
    """
    return _turn(g, state["out"].mT if "out" in state else None, state.get("in"), outputs)


def _rotate_back(g: Tensor, state: State, outputs: int) -> Tensor:
    """Invert ``_rotate``."""
    return _turn(g, state.get("out"), state["in"].mT if "in" in state else None, outputs)


def _turn(g: Tensor, left: Tensor | None, right: Tensor | None, outputs: int) -> Tensor:
    """Return left @ g @ right, in float32, of g (.., O k k, I) with left (.., O, O) and right (.., I, I)."""
    if left is not None:
        g = _multiply(left, _by_outputs(g, outputs)).view(g.shape)
    return (g if right is None else _multiply(g, right)).float()
