"""Take for an anomaly what costs more bits than in good pictures, by the codec's own entropy model.

The heat of a position is the logarithm of its bits, in standard deviations of those of good pictures. Only what is more
than usual counts: a place that is plainer than all good ones is not found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec.anomaly.codec import Codec
from aecodec.anomaly.method import Fitted, Judgement, Options, Tensors, crossed
from aecodec.anomaly.pictures import Pixels, blurred

Floats = NDArray[np.float32]
SMOOTH = 0.7  # positions


@dataclass(frozen=True, eq=False)
class Bits:
    """The mean and the deviation of the logarithms of bits of good pictures, as one tensor (2,)."""

    codec: Codec
    usual: NDArray[np.float64]

    def judge(self, picture: Pixels) -> Judgement:
        return self.judge_logarithms(_logarithms(self.codec, picture))

    def judge_logarithms(self, logarithms: Floats) -> Judgement:
        """Judge the smoothed logarithms of a picture's bits."""
        heat = ((logarithms - self.usual[0]) / self.usual[1]).astype(np.float32)
        return Judgement(float(heat.max()), heat)

    def tensors(self) -> Tensors:
        return {"usual": self.usual}

    def settings(self) -> dict[str, Any]:
        return {"weights": self.codec.weights.id}


def _logarithms(codec: Codec, picture: Pixels) -> Floats:
    return blurred(np.log2(1 + codec.bits(picture)), SMOOTH)


def opened(tensors: Tensors, settings: dict[str, Any]) -> Bits:
    """Return the method of its tensors and settings."""
    return Bits(Codec(settings["weights"]), tensors["usual"])


def fit(pictures: Sequence[Pixels], options: Options, step: Callable[[], object] = lambda: None) -> Fitted:
    """Fit to good pictures."""
    codec = Codec(device=options.device)
    found = []
    for picture in pictures:
        found.append(_logarithms(codec, picture))
        step()

    def fit_to(some: Sequence[Floats]) -> Bits:
        values = np.concatenate([each.ravel() for each in some])
        return Bits(codec, np.array([values.mean(), max(float(values.std()), 1e-3)]))

    scores, peaks = crossed(lambda some: fit_to(some).judge_logarithms, found, options.seed)
    return Fitted(fit_to(found), scores, peaks)


def steps(count: int, options: Options) -> int:
    """Return the parts of the work of fitting so many pictures."""
    return count
