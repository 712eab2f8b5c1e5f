"""List the methods by name. Each is a module with three functions: ``fit``, ``steps`` and ``opened``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aecodec.anomaly import bits, distances, learned, reconstruction
from aecodec.anomaly.method import Fitted, Method, Options, Tensors
from aecodec.anomaly.pictures import Pixels


@dataclass(frozen=True)
class Fitter:
    """How a method is fitted to good pictures, and opened from its tensors and settings.

    steps: how many parts the work on so many pictures has, with these options; ``fit`` calls ``step`` after each of them.
    """

    fit: Callable[[Sequence[Pixels], Options, Callable[[], object]], Fitted]
    opened: Callable[[Tensors, dict[str, Any]], Method]
    steps: Callable[[int, Options], int]


METHODS = {
    "damage": Fitter(learned.fit, learned.opened, learned.steps),
    "neighbours": Fitter(distances.fit_neighbours, distances.opened, distances.steps),
    "gaussian": Fitter(distances.fit_gaussian, distances.opened, distances.steps),
    "bits": Fitter(bits.fit, bits.opened, bits.steps),
    "reconstruction": Fitter(reconstruction.fit, reconstruction.opened, reconstruction.steps),
}
