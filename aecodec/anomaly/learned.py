"""The default: what a classifier learns from damage that is done to good pictures, and how much a layout is unexplained.

    patches at four scales -- classifier of damage, 3 of them ---- heat, its highest place ----------------.
    oriented gradients ------ principal components --------------- what they leave unexplained -----------+-- score

Each classifier learns from two thirds of the pictures and judges the third that it has not seen, which gives scores of good
pictures for the threshold; afterwards the mean of all three judges.  Places of good pictures that a classifier takes for
damaged ones are given to it again, as good ones.  Both parts are measured in the spread of their good scores, and the surer
one decides: a scratch hardly changes a layout, and a wrong digit has no damaged place.  A layout counts as far as it tells
good pictures from themselves turned and shifted (the idea of Golan and El-Yaniv, NeurIPS 2018): where it does not, good
pictures have no layout in common.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec.anomaly import layout, metrics
from aecodec.anomaly.classifier import Classifier
from aecodec.anomaly.damage import damaged
from aecodec.anomaly.layout import Layout
from aecodec.anomaly.method import FOLDS, Fitted, Judgement, Options, Tensors, folds
from aecodec.anomaly.patches import STRIDE, Patches
from aecodec.anomaly.pictures import Pixels, blurred

Floats = NDArray[np.float32]
Step = Callable[[], object]
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
WITHOUT = 0.75  # the quantile of a picture's places that has no heat: a defect stands out from the picture that it is in
USUAL = 0.95  # the quantile of good scores that is a unit of surprise


@dataclass(frozen=True)
class Scale:
    """The spread of good scores: their median, the distance from there to the quantile USUAL, and how much they count."""

    middle: float
    unit: float
    weight: float = 1.0

    @classmethod
    def of(cls, scores: NDArray[np.float64], weight: float = 1.0) -> Scale:
        middle, high = np.quantile(scores, [0.5, USUAL])
        return cls(float(middle), max(float(high - middle), 1e-6), weight)

    def surprise(self, score: float) -> float:
        """Return 0 for the median of good scores, and the weight for the quantile."""
        return self.weight * (score - self.middle) / self.unit


def surest(surprises: Sequence[float]) -> float:
    """Return one surprise for several: nearly the largest, and a little more where others are large, too."""
    return float(np.logaddexp.reduce(2 * np.asarray(surprises)) - np.log(len(surprises))) / 2


@dataclass(frozen=True, eq=False)
class Learned:
    """The fitted parts, and the spreads of the good scores of both."""

    patches: Patches
    classifiers: tuple[Classifier, ...]
    layout: Layout
    scales: tuple[Scale, Scale]

    def judge(self, picture: Pixels) -> Judgement:
        values = unit(picture)
        described = self.patches.describe(values)
        odds = [each.odds(described) for each in self.classifiers]
        # each peak by itself, as those that the threshold comes from: the mean of all odds would peak lower
        peak = float(np.mean([_peak(each, SHARP) for each in odds]))
        whole = float(self.layout.unexplained(layout.describe(values)).sum())
        damage, strange = self.scales
        return Judgement(
            surest([damage.surprise(peak), strange.surprise(whole)]), _heat(np.mean(odds, axis=0, dtype=np.float32), SMOOTH)
        )

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
    return Learned(
        Patches.from_tensors(tensors),
        tuple(parts),
        Layout(tensors["layout.mean"], tensors["layout.components"]),
        (Scale(*map(float, tensors["scales"][0])), Scale(*map(float, tensors["scales"][1]))),
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
    damage, peaks = np.zeros((2, len(values)))
    for kept, left in folds(values, CLASSIFIERS, options.seed):
        own = _learn([part for place in kept for part in lessons[place]], [good[place] for place in kept], rng)
        for place in left:
            odds = own.odds(good[place].astype(np.float32))
            damage[place], peaks[place] = _peak(odds, SHARP), _peak(odds, SMOOTH)
        classifiers.append(own)
        step()
    whole, strange, weight = _fit_layout(values, options.seed)
    scales = Scale.of(damage), Scale.of(strange, weight)
    scores = [
        surest([scale.surprise(score) for scale, score in zip(scales, pair, strict=True)])
        for pair in zip(damage, strange, strict=True)
    ]
    return Fitted(Learned(patches, tuple(classifiers), whole, scales), np.array(scores), peaks)


def steps(count: int, options: Options) -> int:
    """Return the parts of the work of fitting so many pictures."""
    return count + CLASSIFIERS


def unit(picture: Pixels) -> Floats:
    """Return levels as 0..1."""
    return picture.astype(np.float32) / 255


def _heat(odds: Floats, sigma: float) -> Floats:
    """Return how far odds (rows, columns), blurred, lie above what is usual in their picture."""
    smooth = blurred(odds, sigma)
    return smooth - np.quantile(smooth, WITHOUT).astype(np.float32)


def _peak(odds: Floats, sigma: float) -> float:
    return float(_heat(odds, sigma).max())


def _fit_layout(pictures: Sequence[Floats], seed: int) -> tuple[Layout, NDArray[np.float64], float]:
    """Return the layout of all good pictures, the scores (n,) of those by layouts of others, and its weight, 0..1."""
    described = [layout.describe(each) for each in pictures]
    scores, moved = np.zeros(len(pictures)), []
    for kept, left in folds(pictures, FOLDS, seed):
        own = Layout.fit([described[place] for place in kept])
        for place in left:
            scores[place] = own.unexplained(described[place]).sum()
            moved += [own.unexplained(layout.describe(each)).sum() for each in _moved(pictures[place])]
    told = metrics.auroc(np.append(scores, moved), np.arange(len(scores) + len(moved)) >= len(scores))
    return Layout.fit(described), scores, max(0.0, 2 * told - 1)


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
