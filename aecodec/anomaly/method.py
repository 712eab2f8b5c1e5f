"""Say what a method is: something fitted to good pictures that judges any picture, as a whole and place by place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from aecodec.anomaly.pictures import Pixels

Floats = NDArray[np.float32]
Tensors = Mapping[str, NDArray[Any]]
Item = TypeVar("Item")
FOLDS = 5  # of cross-validation where fitting is cheap


@dataclass(frozen=True, eq=False)
class Judgement:
    """What a method thinks of a picture: its score, and the heat (rows, columns) of its places; higher is worse.

    Rows and columns lie over the whole picture at equal distances, from edge to edge.
    """

    score: float
    heat: Floats


class Method(Protocol):
    """A fitted method. All that it knows is in its tensors, and in settings that JSON can hold."""

    def judge(self, picture: Pixels) -> Judgement:
        """Judge a picture (h, w, 3) of the size that the method was fitted to."""

    def tensors(self) -> Tensors: ...

    def settings(self) -> dict[str, Any]: ...


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted method, and its judgements of the good pictures, each by one that was fitted without this picture.

    scores: (n,); peaks: (n,), the highest heat of each picture.
    """

    method: Method
    scores: NDArray[np.float64]
    peaks: NDArray[np.float64]


@dataclass(frozen=True)
class Options:
    """What a caller may choose for a method; each method takes what concerns it.

    features: "patches" or "codec", of ``gaussian`` and ``neighbours``; kind, latent, epochs and square, the side of its
    pictures: of the autoencoder of ``reconstruction``; error: "pixel", "ssim" or "feature", of that, too; seed: of all that
    is drawn; device: where networks run.
    """

    features: str = "codec"
    kind: str = "conv"
    latent: int = 64
    error: str = "pixel"
    epochs: int = 50
    square: int = 64
    seed: int = 0
    device: str = "auto"


def folds(items: Sequence[Item], count: int, seed: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield the places of items to fit to, and of those left out, in turn: each is left out once."""
    order = np.random.default_rng(seed).permutation(len(items))
    for left in np.array_split(order, min(count, len(items))):
        yield np.setdiff1d(order, left), left


def crossed(
    fit: Callable[[Sequence[Item]], Callable[[Item], Judgement]], items: Sequence[Item], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return scores and peaks (n,) of items by cross-validation. ``fit`` returns what judges an item."""
    found = np.zeros((2, len(items)))
    for kept, left in folds(items, FOLDS, seed):
        judge = fit([items[place] for place in kept])
        for place in left:
            judgement = judge(items[place])
            found[:, place] = judgement.score, judgement.heat.max()
    return found[0], found[1]
