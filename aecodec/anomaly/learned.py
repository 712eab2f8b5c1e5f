"""The default: what a classifier learns from damage that is done to good pictures, and how much a layout is unexplained.

    patches at four scales -- classifiers of damage, 3 of them -- odds, their highest place ---------------.
    oriented gradients ------ principal components -------------- what they leave unexplained ------------+-- score
                                                                   both together: heat

Each classifier learns from two thirds of the pictures and judges the third that it has not seen, which gives scores of good
pictures for the threshold; afterwards the mean of all three judges. Places of good pictures that a classifier takes for
damaged ones are given to it again, as good ones. Both parts are measured in the spread of their good scores and added, as
independent evidence is: a scratch hardly changes a layout, and a wrong digit has no damaged place. A layout counts as far
as it tells good pictures from themselves turned and shifted (the idea of Golan and El-Yaniv, NeurIPS 2018): where it does
not, good pictures have no layout in common.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from aecodec.anomaly import layout, metrics
from aecodec.anomaly.classifier import Classifier
from aecodec.anomaly.damage import damaged
from aecodec.anomaly.layout import Layout
from aecodec.anomaly.method import FOLDS, Fitted, Judgement, Options, Tensors, folds
from aecodec.anomaly.patches import STRIDE, Patches
from aecodec.anomaly.pictures import Pixels, blurred, resized

Floats = NDArray[np.float32]
Step = Callable[[], object]
Score = TypeVar("Score", float, Floats, NDArray[np.float64])
CLASSIFIERS = 3
DAMAGED = 480  # pictures that are damaged: each good one as often as makes this many, once at least
DEFECTS = 8  # in a damaged picture
PLACES = (250, 150)  # of a damaged picture that are learned from: damaged ones, and good ones
HARD = 60  # places of each good picture that are given to a classifier again, in each round
LOOKED = 2000  # places of each good picture, drawn again in each round, among which they are found
EPOCHS, ROUNDS, MORE = 4, 2, 2  # passes at first, rounds with hard places, passes of each
TOUCHED = 0.2  # of a place's pixels are changed: it is damaged
NEAR = 2  # places around damage that are neither
SHARP, SMOOTH = 0.5, 1.0  # places, the deviations of the blurs of the heat that is scored, and of that which is shown
WITHOUT = 0.75  # the quantile of a picture's places from which its peak counts: a defect stands out from its picture
USUAL = 0.95  # the quantile of good scores that is a unit of surprise


@dataclass(frozen=True)
class Scale:
    """The spread of good scores: their median, the distance from there to the quantile USUAL, and how much they count.

    A score may be an array of several.
    """

    middle: float
    unit: float
    weight: float = 1.0

    @classmethod
    def of(cls, scores: NDArray[np.floating[Any]], weight: float = 1.0) -> Scale:
        middle, high = np.quantile(scores, [0.5, USUAL])
        return cls(float(middle), max(float(high - middle), 1e-6), weight)

    def surprise(self, score: Score) -> Score:
        """Return 0 for the median of good scores, and the weight for the quantile."""
        return self.weight * (score - self.middle) / self.unit


@dataclass(frozen=True, eq=False)
class Learned:
    """The fitted parts, and the spreads of good scores: of damage, of layouts, and of their blocks."""

    patches: Patches
    classifiers: tuple[Classifier, ...]
    layout: Layout
    scales: tuple[Scale, Scale, Scale]

    def judge(self, picture: Pixels) -> Judgement:
        values = unit(picture)
        described = self.patches.describe(values)
        odds = [each.odds(described) for each in self.classifiers]
        # each peak by itself, as those that the threshold comes from: the mean of all odds would peak lower
        peak = float(np.mean([_peak(each) for each in odds]))
        blocks = self.layout.unexplained(layout.describe(values))
        damage, strange, block = self.scales
        score = damage.surprise(peak) + strange.surprise(float(blocks.sum()))
        return Judgement(score, _heat(np.mean(odds, axis=0, dtype=np.float32), block.surprise(blocks)))

    def tensors(self) -> Tensors:
        found: dict[str, NDArray[Any]] = {"layout.mean": self.layout.mean, "layout.components": self.layout.components}
        found |= self.patches.tensors()
        for number, each in enumerate(self.classifiers):
            found |= {f"classifier.{number}.{name}": tensor for name, tensor in each.tensors().items()}
        found["scales"] = np.array([[each.middle, each.unit, each.weight] for each in self.scales])
        return found

    def settings(self) -> dict[str, Any]:
        return {}


def opened(tensors: Tensors, settings: dict[str, Any]) -> Learned:
    """Return the method of its tensors."""
    parts = [
        Classifier.from_tensors({name.split(".", 2)[2]: tensors[name] for name in tensors if name.startswith(prefix)})
        for prefix in (f"classifier.{number}." for number in range(CLASSIFIERS))
    ]
    scales = [Scale(*map(float, row)) for row in tensors["scales"]]
    return Learned(
        Patches.from_tensors(tensors),
        tuple(parts),
        Layout(tensors["layout.mean"], tensors["layout.components"]),
        (scales[0], scales[1], scales[2]),
    )


def fit(pictures: Sequence[Pixels], options: Options, step: Step = lambda: None) -> Fitted:
    """Fit to good pictures (h, w, 3); ``step`` is called after each of the ``steps`` parts of the work."""
    rng = np.random.default_rng(options.seed)
    values = [unit(picture) for picture in pictures]
    patches = Patches.fit(values, rng)
    good = [patches.describe(each).astype(np.float16) for each in values]
    copies = max(1, round(DAMAGED / len(values)))
    lessons = []
    for each in values:
        lessons.append([_lesson(each, values, patches, rng) for _ in range(copies)])
        step()
    classifiers: list[Classifier] = []
    damage, unseen = np.zeros(len(values)), {}  # the odds of each picture, by the classifier that has not seen it
    for kept, left in folds(values, CLASSIFIERS, options.seed):
        own = _learn([part for place in kept for part in lessons[place]], [good[place] for place in kept], rng)
        for place in left:
            unseen[place] = own.odds(good[place].astype(np.float32))
            damage[place] = _peak(unseen[place])
        classifiers.append(own)
        step()
    whole, blocks, weight = _fit_layout(values, options.seed)
    strange = blocks.sum((1, 2), dtype=np.float64)
    scales = Scale.of(damage), Scale.of(strange, weight), Scale.of(blocks, weight)
    scores = scales[0].surprise(damage) + scales[1].surprise(strange)
    peaks = [_heat(unseen[place], scales[2].surprise(own)).max() for place, own in enumerate(blocks)]
    return Fitted(Learned(patches, tuple(classifiers), whole, scales), scores, np.array(peaks, np.float64))


def steps(count: int, options: Options) -> int:
    """Return the parts of the work of fitting so many pictures."""
    return count + CLASSIFIERS


def unit(picture: Pixels) -> Floats:
    """Return levels as 0..1."""
    return picture.astype(np.float32) / 255


def _peak(odds: Floats) -> float:
    """Return how far the highest of odds (rows, columns), a little blurred, lies above what is usual in their picture."""
    smooth = blurred(odds, SHARP)
    return float(smooth.max() - np.quantile(smooth, WITHOUT))


def _heat(odds: Floats, surprises: Floats) -> Floats:
    """Return the heat of odds (rows, columns) and of the surprises of a layout's blocks, which are two cells wide."""
    halves = np.pad(surprises.repeat(2, 0).repeat(2, 1), 1, "edge")
    return blurred(odds, SMOOTH) + resized(halves, *odds.shape)


def _fit_layout(pictures: Sequence[Floats], seed: int) -> tuple[Layout, Floats, float]:
    """Return the layout of all good pictures, what layouts of others leave of the blocks of each (n, h, w), and its weight.

    The weight is 0..1: how well it distinguishes good pictures from themselves turned and shifted.
    """
    described = [layout.describe(each) for each in pictures]
    blocks, moved = np.zeros((len(pictures), *described[0].shape[:2]), np.float32), []
    for kept, left in folds(pictures, FOLDS, seed):
        own = Layout.fit([described[place] for place in kept])
        for place in left:
            blocks[place] = own.unexplained(described[place])
            moved += [own.unexplained(layout.describe(each)).sum() for each in _moved(pictures[place])]
    scores = np.append(blocks.sum((1, 2)), moved)
    area = metrics.auroc(scores, np.arange(len(scores)) >= len(blocks))
    return Layout.fit(described), blocks, max(0.0, 2 * area - 1)


def _moved(picture: Floats) -> Iterator[Floats]:
    """Yield a picture turned by a quarter and by a half, and shifted by a half each way."""
    yield np.rot90(picture)
    yield np.rot90(picture, 2)
    yield np.roll(picture, (picture.shape[0] // 2, picture.shape[1] // 2), (0, 1))


def _lesson(picture: Floats, others: Sequence[Floats], patches: Patches, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return descriptors (n, d) of places of a damaged copy, as float16, and which of them are damaged, (n,)."""
    copy, mask = damaged(picture, others, rng, DEFECTS)
    rows, columns = (side // STRIDE for side in mask.shape)
    share = mask[: rows * STRIDE, : columns * STRIDE].reshape(rows, STRIDE, columns, STRIDE).mean((1, 3))
    chosen = [
        rng.permutation(np.flatnonzero(which))[:count]
        for which, count in zip((share > TOUCHED, ~_grown(share > 0, NEAR)), PLACES, strict=True)
    ]
    described = patches.describe_at(copy, *np.divmod(np.concatenate(chosen), columns))
    return described.astype(np.float16), np.repeat(np.array([1, 0], np.float32), [len(each) for each in chosen])


def _learn(lessons: Sequence[tuple[Floats, Floats]], good: Sequence[Floats], rng: np.random.Generator) -> Classifier:
    """Return a classifier of damage; hard places of good pictures come to the lessons in each round."""
    described = np.concatenate([each for each, _ in lessons]).astype(np.float32)
    bad = np.concatenate([labels for _, labels in lessons])
    own = Classifier.initial(described.shape[1], rng).trained(described, bad, EPOCHS, rng)
    for _ in range(ROUNDS):
        hard = [_hardest(own, each.reshape(-1, each.shape[-1]), rng) for each in good]
        described, bad = np.concatenate([described, *hard]), np.append(bad, np.zeros(sum(map(len, hard)), np.float32))
        own = own.trained(described, bad, MORE, rng)
    return own


def _hardest(classifier: Classifier, described: Floats, rng: np.random.Generator) -> Floats:
    """Return those of the descriptors (n, d) of a good picture's places that look most damaged."""
    some = described[rng.permutation(len(described))[:LOOKED]].astype(np.float32)
    found: Floats = some[np.argsort(classifier.odds(some))[-HARD:]]
    return found


def _grown(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Return a mask (h, w) grown by so many places each way."""
    for axis in (0, 1):
        padded = np.pad(mask, [(reach, reach) if each == axis else (0, 0) for each in (0, 1)])
        length = mask.shape[axis]
        mask = np.any([padded.take(range(at, at + length), axis) for at in range(2 * reach + 1)], 0)
    return mask
