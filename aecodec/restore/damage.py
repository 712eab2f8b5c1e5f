"""Damage pictures on the fly, and again in the same way from a seed: noises on pictures, masks over them.

    rng = np.random.default_rng(7)
    noisy = Chain((Gaussian(25), Jpeg(40)))(picture, rng)       # (H, W, C) uint8, clipped and rounded
    missing = Union((Scratches(8), Text(4)))(512, 768, rng)     # (H, W) bool, True where nothing is known

A noise or a mask is a small object that holds its strength; all randomness comes from the generator in its call.
``draw_noise`` and ``draw_mask`` are the mixes that restoration is trained on.
"""

from __future__ import annotations

import io
import string
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

HEAVIEST_SIGMA = 50.0  # of the Gaussian noise in ``draw_noise``, in levels of 0..255
MAX_HOLE = 64  # pixels, the side of the largest hole in ``draw_mask``
JPEG_QUALITIES = (10, 60)


class Noise(Protocol):
    """A change of every sample of a picture."""

    def __call__(self, picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return uint8 (H, W, C) in the same shape.

        C is 3, or 1 for a gray picture, whose noise is the same in all colours.
        """


class Mask(Protocol):
    """A choice of the pixels of a picture that are lost."""

    def __call__(self, height: int, width: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Return (H, W) bool, True where a pixel is missing."""


@dataclass(frozen=True)
class Chain:
    """One noise after another; without any, the picture stays as it is."""

    parts: tuple[Noise, ...] = ()

    def __call__(self, picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        for part in self.parts:
            picture = part(picture, rng)
        return picture


@dataclass(frozen=True)
class Gaussian:
    """Independent normal errors with a standard deviation of ``sigma`` levels."""

    sigma: float

    def __call__(self, picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        return _to_levels(picture + np.float32(self.sigma) * rng.standard_normal(picture.shape, np.float32))


@dataclass(frozen=True)
class PoissonGaussian:
    """A sensor: white is ``peak`` photons on average, counted one by one, and reading adds normal errors of ``sigma``."""

    peak: float
    sigma: float

    def __call__(self, picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        counted = rng.poisson(picture * (self.peak / 255)) * (255 / self.peak)
        return _to_levels(counted + self.sigma * rng.standard_normal(picture.shape, np.float32))


@dataclass(frozen=True)
class SaltPepper:
    """A ``share`` of the samples is black or white, with equal chances."""

    share: float

    def __call__(self, picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        drawn = rng.random(picture.shape, np.float32)
        dark, light = drawn < self.share / 2, drawn >= 1 - self.share / 2
        return np.where(light, np.uint8(255), np.where(dark, np.uint8(0), picture))


@dataclass(frozen=True)
class Jpeg:
    """A picture written and read as JPEG, 4:2:0, at Pillow's ``quality``."""

    quality: int

    def __call__(self, picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        file = io.BytesIO()
        Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(file, "JPEG", quality=self.quality)
        return np.asarray(Image.open(file)).reshape(picture.shape)


@dataclass(frozen=True)
class Union:
    """Missing where one of the masks says so."""

    parts: tuple[Mask, ...]

    def __call__(self, height: int, width: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        missing: NDArray[np.bool_] = np.logical_or.reduce([part(height, width, rng) for part in self.parts])
        return missing


@dataclass(frozen=True)
class RandomPixels:
    """Every pixel is missing with the probability ``share``."""

    share: float

    def __call__(self, height: int, width: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        return rng.random((height, width), np.float32) < self.share


@dataclass(frozen=True)
class Scratches:
    """``count`` bent lines, 1 to ``thickness`` pixels thick, up to as long as the picture."""

    count: int
    thickness: int = 3

    def __call__(self, height: int, width: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        canvas = Image.new("L", (width, height))
        draw = ImageDraw.Draw(canvas)
        for _ in range(self.count):
            angles = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.3, 4))
            lengths = rng.uniform(0.05, 0.25, (4, 1)) * max(height, width)
            steps = lengths * np.stack([np.cos(angles), np.sin(angles)], -1)
            points = np.cumsum([rng.uniform(0, (width, height)), *steps], 0)
            draw.line([tuple(point) for point in points], 255, int(rng.integers(1, self.thickness + 1)), "curve")
        return np.asarray(canvas) > 0


@dataclass(frozen=True)
class Text:
    """``lines`` of random letters, ``size`` pixels high, anywhere."""

    lines: int
    size: int = 16

    def __call__(self, height: int, width: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        canvas = Image.new("L", (width, height))
        draw = ImageDraw.Draw(canvas)
        font = ImageFont.load_default(self.size)
        for _ in range(self.lines):
            text = "".join(rng.choice(list(string.ascii_letters + "   "), rng.integers(8, 40)))
            draw.text(tuple(rng.uniform((-self.size, 0), (width / 2, height))), text, 255, font)
        return np.asarray(canvas) >= 128


@dataclass(frozen=True)
class Hole:
    """One rectangle, or the ellipse in it, of this size; as much of the picture where that is smaller, less one line."""

    height: int
    width: int
    elliptic: bool = False

    def __call__(self, height: int, width: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        rows, columns = min(self.height, max(1, height - 1)), min(self.width, max(1, width - 1))
        top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
        inside = np.ones((rows, columns), bool)
        if self.elliptic:
            y, x = np.ogrid[:rows, :columns]
            inside = ((2 * y + 1) / rows - 1) ** 2 + ((2 * x + 1) / columns - 1) ** 2 <= 1
        missing = np.zeros((height, width), bool)
        missing[top : top + rows, left : left + columns] = inside
        return missing


def draw_noise(rng: np.random.Generator, strength: float = 1.0) -> Noise:
    """Return one of the noises that ``denoise`` is trained on; ``strength`` in 0..1 scales the heaviest.

    15 % nothing, or clean pictures would suffer; 45 % Gaussian, sigma to HEAVIEST_SIGMA; 10 % Poisson-Gaussian, of 1000 to
    20 photons; 10 % salt and pepper on up to a fifth; 20 % JPEG, the quality uniform in JPEG_QUALITIES.
    """
    kind = rng.choice(5, p=(0.15, 0.45, 0.1, 0.1, 0.2))
    if kind == 0:
        return Chain()
    if kind == 1:
        return Gaussian(rng.uniform(0, HEAVIEST_SIGMA * strength))
    if kind == 2:
        return PoissonGaussian(1000 * 50 ** -rng.uniform(0, strength), rng.uniform(0, 15 * strength))
    if kind == 3:
        return SaltPepper(rng.uniform(0, 0.2 * strength))
    low, high = JPEG_QUALITIES
    return Jpeg(round(rng.uniform(high - (high - low) * strength, high)))


def draw_mask(rng: np.random.Generator, height: int, width: int, strength: float = 1.0) -> Mask:
    """Return one of the masks that ``inpaint`` is trained on, for a picture of this size.

    ``strength`` is as in ``draw_noise``. In equal parts: scratches to 6 pixels thick, text of 8 to 40 pixels, 5 to 50 %
    random pixels, holes with sides of 8 to MAX_HOLE, and scratches with text.
    """
    areas = height * width / 128**2
    scratches = Scratches(1 + int(rng.uniform(1, 4) * areas**0.5), 2 + round(4 * strength * rng.random()))
    text = Text(1 + int(rng.uniform(1, 3) * areas**0.5), int(rng.uniform(8, 12 + 28 * strength)))
    kind = rng.integers(5)
    if kind == 0:
        return scratches
    if kind == 1:
        return text
    if kind == 2:
        return RandomPixels(rng.uniform(0.05, 0.1 + 0.4 * strength))
    if kind == 3:
        sides = rng.integers(8, 9 + int((MAX_HOLE - 8) * strength), (1 + int(areas * rng.uniform(0, 2)), 2))
        return Union(tuple(Hole(int(rows), int(columns), bool(rng.integers(2))) for rows, columns in sides))
    return Union((scratches, text))


def _to_levels(values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    levels: NDArray[np.uint8] = np.rint(values).clip(0, 255).astype(np.uint8)
    return levels
