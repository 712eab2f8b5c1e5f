"""Run a training step as one CUDA graph: crops, loss, gradients, optimiser and averaged weights, launched at once.

A step of these networks is some two thousand small kernels, which take a GPU less time than their launches take a CPU.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from aecodec.training.soap import Soap

WARM_UP = 3  # steps that are taken as they are before one is captured
STREAMS = 6  # that the optimiser's kernels are spread over
AHEAD = 32  # steps; no more than twice as many are launched and not yet done
LARGEST_LIMIT = 1e30


class CapturedStep:
    """One step of a model on a CUDA device with SOAP, again and again.

    The learning rates are the groups' "peak" times a factor. Gradients larger than ``limit`` move only the moments, which
    shrink. A NaN gradient cannot be recovered.
    """

    def __init__(self, loss: Callable[[], tuple[Tensor, Tensor]], optimiser: Soap, model: nn.Module, average: nn.Module,
                 clipped: list[Tensor], clip: float) -> None:  # fmt: skip
        """Capture the step.

        ``loss`` draws a batch and returns its loss () and its rates (B,), by the same kernels each time.
        """
        self.loss, self.optimiser, self.clipped, self.clip = loss, optimiser, clipped, clip
        pairs = [pair for pair in zip(model.parameters(), average.parameters(), strict=True) if pair[0].requires_grad]
        self.weights: list[Tensor] = [weight for weight, _ in pairs]
        self.averages: list[Tensor] = [mean for _, mean in pairs]
        known = {id(p) for p in clipped}
        self.others = [p for p in self.weights if id(p) not in known]
        device = self.weights[0].device
        self.taken = max((int(state["step"]) for state in optimiser.state.values()), default=0)  # steps, of the optimiser
        self.count = 0
        self.stream = torch.cuda.Stream(device)
        self.side = [torch.cuda.Stream(device) for _ in range(STREAMS)]
        self.now = torch.zeros(5, device=device)  # factor, two corrections, decay of the average, limit
        self.ahead = torch.zeros(2 * AHEAD, 5).pin_memory()  # the same of steps that are not yet begun
        self.behind: torch.cuda.Event | None = None
        self.result = torch.zeros(3, device=device)
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, factor: float, decay: float, limit: float) -> Tensor:
        """Take a step and return (3,), on the device: loss, mean rate, norm of the clipped gradients."""
        if self.count % AHEAD == 0:
            if self.behind is not None:
                self.behind.synchronize()
            self.behind = torch.cuda.Event()
            self.behind.record()
        row = self.ahead[self.count % len(self.ahead)]
        self.count += 1
        corrections = [1 - beta ** (self.taken + self.count) for beta in self.optimiser.defaults["betas"]]
        row.copy_(torch.tensor([factor, *corrections, decay, min(limit, LARGEST_LIMIT)]))
        self.now.copy_(row, non_blocking=True)
        if self.count <= WARM_UP:
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                self._step()
            torch.cuda.current_stream().wait_stream(self.stream)
        else:
            if self.graph is None:
                self._zero_grad()
                torch.cuda.synchronize()
                self.graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(self.graph, stream=self.stream):
                    self._step()
            self.graph.replay()
        self.optimiser.passed(1)
        self.optimiser.refresh()
        return self.result.clone()

    def _zero_grad(self) -> None:
        for weight in self.weights:
            weight.grad = None

    def _step(self) -> None:
        factor, corrections, decay, limit = self.now[0], self.now[1:3], self.now[3], self.now[4]
        self._zero_grad()
        loss, rate = self.loss()
        loss.backward()
        with torch.no_grad():
            clipped, others = ([p.grad for p in part if p.grad is not None] for part in (self.clipped, self.others))
            norm = torch.stack(torch._foreach_norm(clipped)).norm()
            fine = norm <= limit
            torch._foreach_mul_(clipped, (self.clip / (norm + 1e-6)).clamp_max(1) * fine)
            if others:
                torch._foreach_mul_(others, fine.float())
            self.optimiser.captured(factor * fine, corrections, self.side)
            moves = torch._foreach_sub(self.weights, self.averages)
            torch._foreach_mul_(moves, 1 - decay)
            torch._foreach_add_(self.averages, moves)
            self.result.copy_(torch.stack([loss.detach(), rate.detach().mean(), norm]))
