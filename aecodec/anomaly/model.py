"""A model: a method fitted to good pictures, the size that it looks at, and the thresholds; one file holds it all.

model = Model.fit(good)                    pictures: paths, Pillow images or arrays
verdict = model.judge("part.png")          verdict.bad, verdict.score, verdict.normalised, verdict.regions
model.save("parts.model"); Model.load("parts.model")
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as as_bytes

from aecodec.anomaly import methods, metrics
from aecodec.anomaly.method import Method, Options
from aecodec.anomaly.pictures import UNIT, Pixels, Source, opened, resized, scaled
from aecodec.defaults import MAX_PIXELS
from aecodec.errors import AecodecError, PictureError, WeightsError

Floats = NDArray[np.float32]
DEFAULT_METHOD = "damage"
DEFAULT_SIDE = 320  # pixels, the longer side that methods look at; smaller pictures stay as they are
LEAST_SIDE = 64  # pixels; smaller pictures are enlarged
DEFAULT_QUANTILE = 0.9  # of the good pictures are below the threshold
LEAST_PICTURES = 4
CARD = "card"  # the key of the file's metadata that holds everything but tensors, as JSON
FORMAT = 1
REGIONS = 50  # of a picture, the hottest ones
HOTTEST = 0.2  # of the range of a bad picture's heat: what is within it from the highest is a region


@dataclass(frozen=True)
class Threshold:
    """Where bad begins: the least score of a bad picture, and the least heat of a bad place.

    middle and usual: the medians of the scores and of the highest heats of good pictures; source: what the thresholds come
    from, such as "quantile 0.9 of 220 good pictures".
    """

    score: float
    heat: float
    middle: float
    usual: float
    source: str

    def normalised(self, score: float) -> float:
        """Return 0..1 for a score: 0.5 at the threshold, 0.018 at the median of good pictures; a logistic curve."""
        unit = max(abs(self.score - self.middle), 1e-9)
        return float(1 / (1 + np.exp(-np.clip(4 * (score - self.score) / unit, -50, 50))))


@dataclass(frozen=True)
class Region:
    """A part of a picture that is too hot: its box in pixels, its area in pixels, and its highest heat."""

    left: int
    top: int
    width: int
    height: int
    area: int
    heat: float


@dataclass(frozen=True, eq=False)
class Verdict:
    """What a model says of a picture of ``width`` x ``height`` pixels.

    score: as the method gives it; normalised: 0.5 at the threshold; heat: (rows, columns) over the whole picture, as coarse
    as the method sees; regions: those above the threshold of heat, and in a bad picture the hottest one; the hottest first.
    """

    width: int
    height: int
    score: float
    normalised: float
    bad: bool
    heat: Floats
    regions: tuple[Region, ...]

    def heat_map(self) -> Floats:
        """Return the heat of each pixel, (height, width)."""
        return resized(self.heat, self.height, self.width)


@dataclass(frozen=True, eq=False)
class Model:
    """A fitted method with its thresholds. ``facts`` say how it was made, and JSON can hold them."""

    name: str
    method: Method
    side: int
    threshold: Threshold
    facts: Mapping[str, Any]

    @classmethod
    def fit(
        cls,
        pictures: Sequence[Source],
        method: str = DEFAULT_METHOD,
        options: Options | None = None,
        *,
        side: int = DEFAULT_SIDE,
        quantile: float = DEFAULT_QUANTILE,
        max_pixels: int | None = MAX_PIXELS,
        progress: Callable[[int, int], object] = lambda done, total: None,
    ) -> Model:
        """Fit a method of ``methods.METHODS`` to good pictures.

        side: the longer side in pixels at which pictures are looked at, at most; quantile: the share of good pictures below
        the threshold, each judged by what was fitted without it; progress: is called with the parts of the work that are
        done, and all. Raises PictureError for too few pictures or one that cannot be read.
        """
        options = options or Options()
        if method not in methods.METHODS:
            raise ValueError(f"method must be one of {', '.join(methods.METHODS)}, not {method!r}")
        if len(pictures) < LEAST_PICTURES:
            raise PictureError(f"at least {LEAST_PICTURES} good pictures are needed, not {len(pictures)}")
        fitter = methods.METHODS[method]
        total = len(pictures) + fitter.steps(len(pictures), options)
        done = 0

        def step() -> None:
            nonlocal done
            done += 1
            progress(done, total)

        read: list[Pixels] = []
        for number, source in enumerate(pictures, 1):
            try:
                pixels = opened(source, device=options.device, max_pixels=max_pixels)
            except (AecodecError, OSError) as error:
                name = source if isinstance(source, (str, os.PathLike)) else f"picture {number}"
                raise PictureError(f"{name}: {error}") from error
            read.append(_reduced(pixels, side))
            step()
        side = min(side, max(LEAST_SIDE, round(float(np.median([max(each.shape) for each in read])) / UNIT) * UNIT))
        fitted = fitter.fit([_levels(scaled(each, side)) for each in read], options, step)
        threshold = Threshold(
            float(np.quantile(fitted.scores, quantile)),
            float(np.quantile(fitted.peaks, quantile)),
            float(np.median(fitted.scores)),
            float(np.median(fitted.peaks)),
            f"quantile {quantile:g} of {len(read)} good pictures",
        )
        facts = {"pictures": len(read), "quantile": quantile, "options": asdict(options)}
        return cls(method, fitted.method, side, threshold, facts)

    def judge(self, source: Source, *, device: str = "auto", max_pixels: int | None = MAX_PIXELS) -> Verdict:
        """Judge a picture. Raises as ``pictures.opened`` does."""
        pixels = opened(source, device=device, max_pixels=max_pixels)
        found = self.method.judge(_levels(scaled(pixels, self.side)))
        height, width = pixels.shape[:2]
        score, threshold = found.score, self.threshold
        level, bad = threshold.heat, score >= threshold.score
        if bad:  # its hottest place is shown, whatever made it bad
            level = min(level, float(found.heat.max() - HOTTEST * np.ptp(found.heat)))
        regions = _regions(found.heat, level, height, width)
        return Verdict(width, height, score, threshold.normalised(score), bad, found.heat, regions)

    def with_threshold(self, scores: NDArray[np.floating[Any]], bad: NDArray[np.bool_]) -> Model:
        """Return the model with the threshold of the best F1 of labelled pictures: their scores (n,), and which are bad."""
        found = metrics.best_threshold(scores, bad)
        source = f"best F1 of {len(bad)} labelled pictures"
        return replace(self, threshold=replace(self.threshold, score=found, source=source))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model into one file."""
        Path(path).write_bytes(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the file: safetensors, whose metadata hold a card as JSON."""
        card = {
            "format": FORMAT, "method": self.name, "settings": self.method.settings(), "side": self.side,
            "threshold": asdict(self.threshold), "facts": dict(self.facts),
        }  # fmt: skip
        tensors = {name: np.ascontiguousarray(tensor) for name, tensor in self.method.tensors().items()}
        return as_bytes(tensors, {CARD: json.dumps(card)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Model:
        """Read the file of a model. Raises WeightsError where it is missing, damaged or something else."""
        try:
            with safe_open(os.fspath(path), "np") as file:
                card = json.loads((file.metadata() or {})[CARD])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no dictionary
            if card["format"] != FORMAT:
                raise WeightsError(f"{path} is a model of format {card['format']}, and this version reads {FORMAT}")
            method = methods.METHODS[card["method"]].opened(tensors, card["settings"])
            return cls(card["method"], method, int(card["side"]), Threshold(**card["threshold"]), card["facts"])
        except OSError as error:
            raise WeightsError(f"cannot open the model {path}: {error}") from None
        except (SafetensorError, KeyError, IndexError, TypeError, ValueError) as error:
            raise WeightsError(f"{path} is not a model of aecodec anomaly: {error}") from None


def _reduced(pixels: Pixels, side: int) -> Pixels:
    """Return a picture whose longer side is at most ``side``, so that many fit in memory."""
    return _levels(scaled(pixels, side)) if max(pixels.shape) > side else pixels


def _levels(values: Floats) -> Pixels:
    found: Pixels = np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)
    return found


def _regions(heat: Floats, threshold: float, height: int, width: int) -> tuple[Region, ...]:
    """Return the connected places that reach a threshold, in pixels of the picture."""
    down, right = height / heat.shape[0], width / heat.shape[1]
    found = []
    for rows, columns in metrics.components(heat >= threshold):
        left, top = round(int(columns.min()) * right), round(int(rows.min()) * down)
        size = round((int(columns.max()) + 1) * right) - left, round((int(rows.max()) + 1) * down) - top
        hottest = float(heat[rows, columns].max())
        found.append(Region(left, top, *size, round(len(rows) * down * right), hottest))
    return tuple(sorted(found, key=lambda region: -region.heat)[:REGIONS])
