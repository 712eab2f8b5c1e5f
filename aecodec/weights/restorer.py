"""Open the weights of a network that restores: a U-Net for one or more of noise, JPEG, blur, small pictures and holes.

Its folder has the same two files as that of a model. The card names the task, ``cards.RESTORE``, and the network's widths.
"""

from __future__ import annotations

import functools
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec.errors import NoRestoringWeightsError, WeightsError
from aecodec.weights.cards import folder_of, is_restoring
from aecodec.weights.store import Stamp, read_folder, stamp, tensors_of

SHUFFLE = 2  # pixels each way that are one position of the finest level
INPUTS = 6  # colour and the three planes of ``restore/hint.py``


@dataclass(frozen=True)
class UNetArchitecture:
    """Channels and residual blocks of the levels of a U-Net, from 1/2 of the resolution on, each half of the one before.

    There are so many blocks on the way down and, but for the last level, on the way up. Raises ValueError for lists that do
    not fit each other.
    """

    widths: tuple[int, ...] = (32, 64, 128, 192)
    blocks: tuple[int, ...] = (2, 2, 2, 2)

    def __post_init__(self) -> None:
        for name in ("widths", "blocks"):
            values = tuple(getattr(self, name))
            if not values or not all(isinstance(value, int) and 0 < value <= 1024 for value in values):
                raise ValueError(f"{name} must be integers in 1..1024, one for each level, not {values!r}")
            object.__setattr__(self, name, values)
        if len(self.widths) != len(self.blocks):
            raise ValueError("widths and blocks must have a number for each level")

    @property
    def stride(self) -> int:
        """Return the pixels each way that the sides of its input are multiples of."""
        return SHUFFLE << len(self.widths) - 1

    def to_dict(self) -> dict[str, Any]:
        return {name: list(values) for name, values in asdict(self).items()}


@dataclass(frozen=True)
class Restorer:
    """A restoring network, opened: its card, its identity and its tensors by name, in float32."""

    name: str
    folder: Path
    id: str
    card: dict[str, Any]
    arch: UNetArchitecture
    tensors: dict[str, NDArray[np.float32]]


RestorerSource = str | os.PathLike[str] | Restorer  # an installed name, the path of a folder, or one that is open


def load_restorer(source: RestorerSource) -> Restorer:
    """Open a restoring network and check it against its card; once, until the content of its folder changes.

    Raises NoRestoringWeightsError where it is missing, WeightsError where it is damaged or a codec's model.
    """
    if isinstance(source, Restorer):
        return source
    name = os.fspath(source)
    try:
        folder_of(name)
    except WeightsError:
        raise NoRestoringWeightsError(name) from None
    return _load(name, stamp(name))


@functools.lru_cache(maxsize=4)
def _load(name: str, stamp: Stamp) -> Restorer:
    found = read_folder(name)
    if not is_restoring(found.card):
        raise WeightsError(f"{name} is a codec's model, not a network that restores")
    try:
        arch = UNetArchitecture(**found.card["architecture"])
        tensors = {key: value.astype(np.float32) for key, value in tensors_of(found).items()}
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"cannot open the weights in {found.folder}: {error}") from None
    return Restorer(found.card["name"], found.folder, found.id, found.card, arch, tensors)
