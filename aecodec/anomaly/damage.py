"""Damage good pictures, so that a classifier can learn what damage looks like: no bad picture is needed.

A defect is a shape (a blob or a line), filled from somewhere (another place, a colour, other light, blur, a shift), and
laid over the picture with hard or soft edges. The idea is that of CutPaste (Li et al., CVPR 2021), DRAEM (Zavrtanik et
al., ICCV 2021) and NSA (Schlüter et al., ECCV 2022); here every filling comes from the good pictures themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aecodec.anomaly.pictures import blurred, resized

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Generator = np.random.Generator
VISIBLE = 0.25  # of the deviation of a picture's levels, and within LEAST: a smaller change is no defect
LEAST = (0.02, 0.06)  # levels of 0..1
LINES = 0.4  # of all defects are lines
SOFT = 0.25  # of all defects have a blurred edge
SHEER = 0.5  # of all defects let some of the picture through
FAINTEST = 0.15  # of a defect is left in the sheerest
MARGIN = 4  # pixels around a shape, for its soft edge


@dataclass(frozen=True, eq=False)
class Scene:
    """What a defect is made from: a picture (h, w, c), others to take from, and the window (top, left, rows, columns)."""

    picture: Floats
    others: Sequence[Floats]
    window: tuple[int, int, int, int]

    @property
    def size(self) -> int:
        """Return the longer side in pixels."""
        return max(self.picture.shape[:2])

    def part(self, source: Floats, down: int = 0, right: int = 0) -> Floats:
        """Return the window of a picture, moved; a picture goes on behind its edges from the other side."""
        top, left, rows, columns = self.window
        found: Floats = source.take(range(top + down, top + down + rows), 0, mode="wrap")
        return found.take(range(left + right, left + right + columns), 1, mode="wrap")


def damaged(picture: Floats, others: Sequence[Floats], rng: Generator, count: int) -> tuple[Floats, Bools]:
    """Return a picture (h, w, c) in 0..1 with ``count`` defects, and which of its pixels (h, w) they change visibly.

    others: pictures to take from; they may be of other sizes.
    """
    visible = float(np.clip(VISIBLE * picture.std(), *LEAST))
    picture, mask = picture.copy(), np.zeros(picture.shape[:2], np.bool_)
    for _ in range(count):
        shape, top, left = (line if rng.random() < LINES else blob)(picture.shape[:2], rng)
        scene = Scene(picture, others, (top, left, shape.shape[0], shape.shape[1]))
        filling = FILLINGS[rng.choice(len(FILLINGS), p=CHANCES)](scene, rng)
        if rng.random() < SHEER:
            shape = shape * np.float32(FAINTEST ** rng.uniform(0, 1))
        if rng.random() < SOFT:
            shape = blurred(shape, rng.uniform(0.5, MARGIN / 2))
        rows, columns = slice(top, top + shape.shape[0]), slice(left, left + shape.shape[1])
        before = picture[rows, columns].copy()
        picture[rows, columns] = np.clip(before + shape[..., None] * (filling - before), 0, 1)
        mask[rows, columns] |= np.abs(picture[rows, columns] - before).max(-1) > visible
    return picture, mask


def blob(size: tuple[int, ...], rng: Generator) -> tuple[Floats, int, int]:
    """Return an ellipse with a ragged edge, 0.6 to 16 % of the picture's size in radius: 1 inside, 0 outside.

    size: of the picture (h, w). It comes as the window that it fills, and the row and column of the window's corner.
    """
    radius = float(np.exp(rng.uniform(np.log(0.006), np.log(0.16)))) * max(size)
    stretch, turn = float(np.exp(rng.uniform(0, 1.2))), rng.uniform(0, np.pi)
    middle = rng.uniform(0, size[0]), rng.uniform(0, size[1])
    reach = 1.5 * radius * stretch
    rows, columns, top, left = _window(size, [middle], reach)
    y, x = rows - middle[0], columns - middle[1]
    along, across = y * np.cos(turn) + x * np.sin(turn), x * np.cos(turn) - y * np.sin(turn)
    distance = np.hypot(along / (radius * stretch), across / radius)
    distance += rng.uniform(0, 0.5) * _noise(distance.shape, max(3, 0.7 * radius), rng)
    return np.clip((1 - distance) * radius + 0.5, 0, 1).astype(np.float32), top, left


def line(size: tuple[int, ...], rng: Generator) -> tuple[Floats, int, int]:
    """Return a bent line, 2 to 28 % of the picture's size long: 1 on it, 0 off it. It comes as ``blob`` does."""
    joints = int(rng.integers(1, 5))
    length = float(np.exp(rng.uniform(np.log(0.02), np.log(0.28)))) * max(size) / joints
    width = float(np.exp(rng.uniform(np.log(0.6), np.log(3.5)))) * max(1, max(size) / 256)
    turns = rng.uniform(0, 2 * np.pi) + np.cumsum(0.5 * rng.normal(size=joints))
    steps = [(float(np.sin(turn)), float(np.cos(turn))) for turn in turns]
    points = [(rng.uniform(0, size[0]), rng.uniform(0, size[1]))]
    for dy, dx in steps:
        points.append((points[-1][0] + length * dy, points[-1][1] + length * dx))
    rows, columns, top, left = _window(size, points, width)
    distance = np.full((rows.size, columns.size), np.inf, np.float32)
    for (y, x), (dy, dx) in zip(points, steps, strict=False):  # the last point begins no part
        along = np.clip((rows - y) * dy + (columns - x) * dx, 0, length)
        distance = np.minimum(distance, np.hypot(rows - y - along * dy, columns - x - along * dx))
    return np.clip(width - distance + 0.5, 0, 1).astype(np.float32), top, left


def _window(size: tuple[int, ...], points: Sequence[tuple[float, float]], reach: float) -> tuple[Floats, Floats, int, int]:
    """Return rows (h, 1) and columns (1, w) of the part of a picture around points, and its corner."""
    spans = []
    for axis in (0, 1):
        places = [point[axis] for point in points]
        low = int(np.clip(min(places) - reach - MARGIN, 0, size[axis] - 1))
        high = int(np.clip(max(places) + reach + MARGIN + 1, low + 1, size[axis]))
        spans.append(np.arange(low, high, dtype=np.float32))
    return spans[0][:, None], spans[1][None], int(spans[0][0]), int(spans[1][0])


def _elsewhere(scene: Scene, rng: Generator) -> Floats:
    """Return another place of the picture or of another one, turned, at times in other light."""
    source = scene.picture if rng.random() < 0.3 else scene.others[rng.integers(len(scene.others))]
    source = np.rot90(source, rng.integers(4))
    found = scene.part(source, int(rng.integers(source.shape[0])), int(rng.integers(source.shape[1])))
    if rng.random() < 0.3:
        found = found * np.float32(rng.uniform(0.7, 1.3)) + np.float32(rng.uniform(-0.15, 0.15))
    return found


def _coloured(scene: Scene, rng: Generator) -> Floats:
    """Return one colour of the good pictures, at times among their lightest or darkest, and with the texture below."""
    other = scene.others[rng.integers(len(scene.others))]
    drawn = other.reshape(-1, other.shape[2])[rng.integers(0, other.shape[0] * other.shape[1], 200)]
    order = np.argsort(drawn.sum(1))
    colour = drawn[order[rng.choice([1, -2])]] if rng.random() < 0.4 else drawn[0]
    own = scene.part(scene.picture)
    found: Floats = np.broadcast_to(colour, own.shape)
    if rng.random() < 0.3:
        found = found + np.float32(rng.uniform(0.3, 1)) * (own - blurred(own, 3))
    return found


def _lit(scene: Scene, rng: Generator) -> Floats:
    """Return the picture lighter or darker."""
    strength = rng.uniform(0.1, 0.6)
    return scene.part(scene.picture) * np.float32(np.exp(strength * rng.normal())) + np.float32(0.05 * rng.normal())


def _unsharp(scene: Scene, rng: Generator) -> Floats:
    """Return the picture blurred."""
    return blurred(scene.part(scene.picture), rng.uniform(1, 4))


def _moved(scene: Scene, rng: Generator) -> Floats:
    """Return the picture moved by up to 3 % of its size."""
    reach = max(2, round(0.03 * scene.size))
    down, right = (int(each) for each in rng.integers(-reach, reach + 1, 2))
    return scene.part(scene.picture, down, right)


FILLINGS: tuple[Callable[[Scene, Generator], Floats], ...] = (_elsewhere, _coloured, _lit, _unsharp, _moved)
CHANCES = (0.35, 0.3, 0.2, 0.075, 0.075)


def _noise(shape: tuple[int, ...], period: float, rng: Generator) -> Floats:
    """Return smooth Gaussian noise (h, w) whose values are independent about ``period`` pixels apart."""
    coarse = [max(2, round(length / period) + 1) for length in shape]
    return resized(rng.normal(size=coarse).astype(np.float32), shape[0], shape[1])
