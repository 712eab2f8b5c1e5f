"""Guard a run against divergence: skip a step with a gradient of unusual size; after many of them, go back."""

from __future__ import annotations

import copy
import math
import statistics
from collections.abc import Sequence

from torch import Tensor, nn

from aecodec.errors import TrainingError

SPIKE = 8.0  # a gradient this many times its running median is not applied
RECENT, ENOUGH = 200, 30  # norms that the median is of, at most and at least
KEEP_EVERY = 200  # steps without a spike before the weights are taken for good ones
ROLLBACK_WINDOW, ROLLBACK_COUNT, ROLLBACK_DAMPING = 60, 30, 0.7
LEAST_DAMPING = 0.01


class DivergenceGuard:
    """Judge the steps of a run by the norms of their gradients.

    ``damping`` is a factor of the learning rate, lowered with each return. ``norms`` are those of gradients so far, with
    spikes cut. ``skipped`` are the recent steps that were left out.
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        """Guard ``models``, which go back together. Call ``keep_state`` when they are ready for the first step."""
        self.models = models
        self.damping = 1.0
        self.norms: list[float] = []
        self.skipped: list[int] = []
        self.good: list[dict[str, Tensor]] = []

    @property
    def usual_norm(self) -> float:
        """Return the median of recent norms; infinite while there are too few."""
        return statistics.median(self.norms[-RECENT:]) if len(self.norms) > ENOUGH else math.inf

    @property
    def limit(self) -> float:
        """Return the norm above which a gradient is not applied."""
        return SPIKE * self.usual_norm

    def accepts(self, norm: float) -> bool:
        """Return whether a gradient of this norm may be applied."""
        return math.isfinite(norm) and norm <= self.limit

    def record(self, norms: Sequence[float], step: int) -> bool:
        """Take note of the norms of the steps up to ``step``, and return whether the models went back to a good state.

        Raises TrainingError where they have gone back too often.
        """
        limit, went_back = self.limit, False
        for norm in norms:
            if math.isfinite(norm) and norm <= limit:
                self.norms.append(norm)
                continue
            if math.isfinite(limit):
                self.norms.append(limit)
            self.skipped = [skipped for skipped in self.skipped if skipped > step - ROLLBACK_WINDOW] + [step]
            if len(self.skipped) > ROLLBACK_COUNT:
                self.restore_state()
                went_back = True
        if step % KEEP_EVERY == 0 and not any(skipped > step - KEEP_EVERY for skipped in self.skipped):
            self.keep_state()
        return went_back

    def keep_state(self) -> None:
        """Keep the models as they are now, as the state to return to."""
        self.good = [copy.deepcopy(model.state_dict()) for model in self.models]

    def restore_state(self) -> None:
        """Put the models back to the last good state, and lower the learning rate.

        Raises TrainingError where that has happened too often.
        """
        for model, state in zip(self.models, self.good, strict=True):
            model.load_state_dict(state)
        self.skipped.clear()
        self.damping *= ROLLBACK_DAMPING
        if self.damping < LEAST_DAMPING:
            raise TrainingError("training diverges again and again; lower learning_rate")
