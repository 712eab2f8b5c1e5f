"""Damage pictures on the fly, and again in the same way from a seed: noises on pictures, masks over them.

    rng = np.random.default_rng(7)
    noisy = Chain((Gaussian(25), Jpeg(40)))(picture, rng)       # (H, W, C) uint8, clipped and rounded
    soft = Chain((Blur("motion", 9, 30), Gaussian(2)))(picture, rng)
    missing = Union((Scratches(8), Text(4)))(512, 768, rng)     # (H, W) bool, True where nothing is known

A noise, a blur or a mask is a small object that holds its strength; all randomness comes from the generator in its call.
``draw_noise``, ``draw_jpeg``, ``draw_blur``, ``draw_downscale`` and ``draw_mask`` are the mixes that restoration is trained
on.
"""

from __future__ import annotations

import io
import math
import string
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

HEAVIEST_SIGMA = 50.0  # of the Gaussian noise in ``draw_noise``, in levels of 0..255
MAX_HOLE = 64  # pixels, the side of the largest hole in ``draw_mask``
JPEG_QUALITIES = (10, 60)
BLURS = {"gaussian": (0.5, 4.0), "disc": (1.0, 6.0), "motion": (3.0, 15.0)}  # pixels, the sizes that ``draw_blur`` draws
FACTORS = (1.5, 4.0)  # that ``draw_downscale`` draws
FILTERS = {
    "bicubic": Image.Resampling.BICUBIC, "area": Image.Resampling.BOX, "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
}  # fmt: skip
_SUPER = 8  # samples a pixel, each way, of a kernel that is drawn


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
        _image(picture).save(file, "JPEG", quality=self.quality)
        return np.asarray(Image.open(file)).reshape(picture.shape)


@dataclass(frozen=True)
class Camera:
    """Noise as a camera leaves it in its JPEG: of photons, in linear light, spread by demosaicing, then compressed.

    White is ``peak`` photons on average, reading adds normal errors of ``sigma`` levels of linear light, the sensor has one
    colour a pixel (RGGB), the others are interpolated, and the picture is written at Pillow's ``quality``. Only the noise
    goes through the mosaic, the picture itself stays as sharp as it is. (The model is that of Foi et al., "Practical
    Poissonian-Gaussian noise modeling and fitting for single-image raw-data", IEEE TIP 2008, before a plain pipeline.)
    """

    peak: float
    sigma: float
    quality: int

    def __call__(self, picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        linear = _TO_LINEAR[np.broadcast_to(picture, (*picture.shape[:2], 3))]
        counted = rng.poisson(linear * self.peak) / self.peak + self.sigma / 255 * rng.standard_normal(linear.shape)
        noisy = (linear + _demosaic(counted - linear)).clip(0, 1)
        levels = _to_levels(
            np.float64(255) * np.where(noisy > 0.0031308, 1.055 * noisy ** (1 / 2.4) - 0.055, 12.92 * noisy)
        )
        return Jpeg(self.quality)(levels if picture.shape[2] == 3 else levels[..., 1:2], rng)


@dataclass(frozen=True)
class Blur:
    """A picture out of focus or in motion, rounded to 8 bits. Beyond its edges it is mirrored.

    ``size`` in pixels: "gaussian", the standard deviation; "disc", the radius of a lens out of focus; "motion", the length
    of an even movement in the direction ``angle``, in degrees against the horizontal.
    """

    kind: Literal["gaussian", "disc", "motion"]
    size: float
    angle: float = 0.0

    @cached_property
    def kernel(self) -> NDArray[np.float64]:
        """Return the point spread function, (k, k), k odd, of sum 1."""
        reach = math.ceil({"gaussian": 4, "disc": 1, "motion": 0.5}[self.kind] * self.size)
        if self.kind == "gaussian":
            along = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * self.size**2))
            spread: NDArray[np.float64] = np.outer(along, along) / along.sum() ** 2
            return spread
        fine = (np.arange((2 * reach + 1) * _SUPER) + 0.5) / _SUPER - reach - 0.5
        y, x = fine[:, None], fine[None, :]
        if self.kind == "disc":
            inside = x**2 + y**2 <= self.size**2
        else:
            cos, sin = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
            inside = (np.abs(x * cos + y * sin) <= self.size / 2) & (np.abs(x * sin - y * cos) <= 0.5)
        weights: NDArray[np.float64] = (
            inside.reshape(2 * reach + 1, _SUPER, 2 * reach + 1, _SUPER).sum((1, 3)).astype(float)
        )
        weights /= weights.sum()
        return weights

    def __call__(self, picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        reach = len(self.kernel) // 2
        padded = np.pad(picture, ((reach, reach), (reach, reach), (0, 0)), "symmetric")
        shape = padded.shape[:2]
        spectrum = np.fft.rfft2(padded, axes=(0, 1)) * np.fft.rfft2(self.kernel, shape)[..., None]
        blurred = np.fft.irfft2(spectrum, shape, axes=(0, 1))[2 * reach :, 2 * reach :]
        return _to_levels(blurred)


@dataclass(frozen=True)
class Downscale:
    """A picture made smaller by ``factor``, damaged there by ``then``, and enlarged to its size again, bicubic.

    ``method`` is one of FILTERS. This is how a small picture looks to ``upscale`` when it has the size that is asked for.
    """

    factor: float
    method: str = "bicubic"
    then: Noise = Chain()

    def __call__(self, picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        height, width = picture.shape[:2]
        small = self.small(picture, rng)
        return np.asarray(_image(small).resize((width, height), Image.Resampling.BICUBIC)).reshape(picture.shape)

    def small(self, picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return the picture in its small size, damaged."""
        height, width, channels = picture.shape
        size = max(1, round(width / self.factor)), max(1, round(height / self.factor))
        small = np.asarray(_image(picture).resize(size, FILTERS[self.method])).reshape(*size[::-1], channels)
        return self.then(small, rng)


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

    50 % Gaussian, sigma to HEAVIEST_SIGMA; 8 % Poisson-Gaussian, of 1000 to 20 photons; 22 % a camera's, of 3000 to 30
    photons; 20 % salt and pepper on up to a fifth.
    """
    kind = rng.choice(4, p=(0.50, 0.08, 0.22, 0.20))
    if kind == 0:
        return Gaussian(rng.uniform(0, HEAVIEST_SIGMA * strength))
    if kind == 1:
        return PoissonGaussian(1000 * 50 ** -rng.uniform(0, strength), rng.uniform(0, 15 * strength))
    if kind == 2:
        return Camera(3000 * 100 ** -rng.uniform(0, strength), rng.uniform(0, 4 * strength), int(rng.integers(75, 99)))
    return SaltPepper(rng.uniform(0, 0.2 * strength))


def draw_jpeg(rng: np.random.Generator, strength: float = 1.0) -> Noise:
    """Return a JPEG that ``denoise`` is trained on, its quality uniform in JPEG_QUALITIES, or nothing, for 15 %.

    ``strength`` is as in ``draw_noise``. Without clean pictures, clean pictures would suffer.
    """
    if rng.random() < 0.15:
        return Chain()
    low, high = JPEG_QUALITIES
    return Jpeg(round(rng.uniform(high - (high - low) * strength, high)))


def draw_blur(rng: np.random.Generator, strength: float = 1.0) -> Noise:
    """Return one of the blurs that ``deblur`` is trained on; ``strength`` is as in ``draw_noise``.

    Half are Gaussian, the others discs and motions in equal parts, with sizes from BLURS. A third has slight noise or JPEG
    of a high quality on it.
    """
    kind = rng.choice(np.array(list(BLURS)), p=(0.5, 0.25, 0.25))
    low, high = BLURS[kind]
    blur = Blur(kind, rng.uniform(low, low + (high - low) * strength), rng.uniform(0, 180))
    return Chain((blur, _slight(rng, strength)))


def draw_downscale(rng: np.random.Generator, strength: float = 1.0) -> Downscale:
    """Return one of the shrinkages that ``upscale`` is trained on; ``strength`` is as in ``draw_noise``.

    The factor is 2, 3 or 4, or for a third any in FACTORS; 60 % are bicubic, 20 % by areas, 10 % nearest, 10 % Lanczos. A
    third has slight noise or JPEG of a high quality on it.
    """
    factor = float(rng.integers(2, 5)) if rng.random() < 2 / 3 else rng.uniform(*FACTORS)
    method = str(rng.choice(np.array(list(FILTERS)), p=(0.6, 0.2, 0.1, 0.1)))
    return Downscale(factor, method, _slight(rng, strength))


def _slight(rng: np.random.Generator, strength: float) -> Noise:
    """Return what a third of blurred or small pictures has on top: noise of up to 8 levels, or JPEG from quality 60 on."""
    kind = rng.choice(3, p=(2 / 3, 1 / 6, 1 / 6))
    if kind == 0:
        return Chain()
    return Gaussian(rng.uniform(0, 8 * strength)) if kind == 1 else Jpeg(round(rng.uniform(95 - 35 * strength, 95)))


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


def _image(picture: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)


def _demosaic(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (H, W, 3), of which only one colour a pixel was kept (RGGB), with the others interpolated linearly."""
    height, width = values.shape[:2]
    kept = np.zeros((height, width, 3))
    for row, column, colour in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        kept[row::2, column::2, colour] = 1
    padded = np.pad(np.concatenate([values * kept, kept], 2), ((1, 1), (1, 1), (0, 0)))
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    sums = rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]
    return np.where(kept > 0, values, sums[..., :3] / sums[..., 3:].clip(1e-9))


def _linear_light() -> NDArray[np.float64]:
    """Return the linear light, 0..1, of each level of sRGB (IEC 61966-2-1)."""
    level = np.arange(256) / 255
    return np.where(level > 0.04045, ((level + 0.055) / 1.055) ** 2.4, level / 12.92)


_TO_LINEAR = _linear_light()


def _to_levels(values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    levels: NDArray[np.uint8] = np.rint(values).clip(0, 255).astype(np.uint8)
    return levels
