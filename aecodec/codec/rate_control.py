"""Define targets for a file, and search for the quality that meets one.

    encoded, reached = meet(Encoder(image), Ssimulacra2(80))

A target limits one value of the file: at most so many bytes, at least so many decibels. Another metric of ``metrics.py``
becomes a target with a class of its own; the search is the same for all.
"""

from __future__ import annotations

import functools
import importlib.util
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from aecodec.errors import MissingPackageError, TargetError
from aecodec.quality import MAX_INDEX

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aecodec.codec.encoder import Encoded, Encoder

Result = TypeVar("Result")
MARGIN = 0.03  # share of a bracket, for each attempt, that the next one keeps from its ends: interpolation alone can creep
BEND = 4  # by which the picture's own slope is taken to differ from the one that was expected, at most


@dataclass(frozen=True)
class Target(ABC):
    """A limit that a file must keep. Raises ValueError where ``value`` is not finite, not positive or too high.

    The file that ``meet`` finds keeps the limit. It also lies within ``tolerance`` of it, or the next rate index was
    measured and does not keep it. Real sizes and metrics have dents, so a slightly better file may exist.
    """

    value: float

    at_least: ClassVar[bool]  # whether the limit is one from below
    words: ClassVar[str]  # the value with its unit, for messages
    unit: ClassVar[str] = ""  # what stands behind a value that was reached
    highest: ClassVar[float] = math.inf

    def __post_init__(self) -> None:
        if not 0 < self.value <= self.highest or math.isinf(self.value):  # also refuses NaN
            limit = "positive and finite" if math.isinf(self.highest) else f"above 0 and at most {self.highest:g}"
            raise ValueError(f"the value of {type(self).__name__} must be {limit}, not {self.value}")

    def __str__(self) -> str:
        return self.words.format(self.value)

    @property
    @abstractmethod
    def tolerance(self) -> float:
        """Return how far from the limit a search may end, in the unit of ``value``."""

    @abstractmethod
    def straighten(self, value: float) -> float:
        """Return a value on a scale on which it rises nearly in a straight line with the rate index."""

    @abstractmethod
    def typical(self, pixels: int) -> tuple[float, float]:
        """Return the values of a typical photograph at the lowest and the highest quality, where a search starts from."""

    @abstractmethod
    def attempt(self, encoder: Encoder, rate: int) -> tuple[Encoded, float]:
        """Return the file at a rate index, and its value."""

    @abstractmethod
    def attempt_lossless(self, encoder: Encoder) -> tuple[Encoded, float]:
        """Return the file without loss, which is beyond the highest quality, and its value."""

    def met_by(self, value: float) -> bool:
        """Return whether a file of this value keeps the limit."""
        return value >= self.value if self.at_least else value <= self.value


class Size(Target):
    """At most this many bytes. The whole file counts, with its metadata."""

    at_least = False
    words = "{:.0f} bytes"
    unit = " bytes"

    @property
    def tolerance(self) -> float:
        return 0.01 * self.value

    def straighten(self, value: float) -> float:
        return math.log(value)

    def typical(self, pixels: int) -> tuple[float, float]:
        return 0.016 * pixels, 0.37 * pixels

    def attempt(self, encoder: Encoder, rate: int) -> tuple[Encoded, float]:
        encoded = encoder.encode(rate)
        return encoded, len(encoded.data)

    def attempt_lossless(self, encoder: Encoder) -> tuple[Encoded, float]:
        encoded = encoder.original.encode()
        return encoded, len(encoded.data)


class BitsPerPixel(Size):
    """At most this many bits per pixel. The whole file counts, with its metadata."""

    words = "{:g} bits per pixel"
    unit = " bits per pixel"

    def typical(self, pixels: int) -> tuple[float, float]:
        low, high = super().typical(pixels)
        return low * 8 / pixels, high * 8 / pixels

    def attempt(self, encoder: Encoder, rate: int) -> tuple[Encoded, float]:
        encoded, size = super().attempt(encoder, rate)
        return encoded, size * 8 / encoder.pixels

    def attempt_lossless(self, encoder: Encoder) -> tuple[Encoded, float]:
        encoded, size = super().attempt_lossless(encoder)
        return encoded, size * 8 / encoder.pixels


class Fidelity(Target):
    """At least this much by a metric, of the decoded picture against the given one.

    Both are RGB as it is stored, at its depth for PSNR and in 8 bits for other metrics. Alpha does not count, and colour
    that it hides is as the encoder fills it.
    """

    at_least = True
    metric: ClassVar[str]  # its name in ``metrics.METRICS``
    package: ClassVar[str | None] = None  # that measures it, of the extra ``eval``
    near: ClassVar[float]  # the tolerance
    ends: ClassVar[tuple[float, float]]  # the typical values

    @property
    def tolerance(self) -> float:
        return self.near

    def typical(self, pixels: int) -> tuple[float, float]:
        return self.ends

    def check_installed(self) -> None:
        """Raise MissingPackageError where the package that measures is missing."""
        if self.package is not None and importlib.util.find_spec(self.package) is None:
            raise MissingPackageError(str(self), self.package, "'aecodec[eval]'")

    def attempt(self, encoder: Encoder, rate: int) -> tuple[Encoded, float]:
        quantised = encoder.quantise(rate)
        shown, encoded = encoder.reconstruct_deep(quantised), encoder.write(quantised)
        del quantised  # a metric of a large picture needs the memory
        return encoded, self._measure(encoder.original.colour(), shown, encoder.depth)

    def attempt_lossless(self, encoder: Encoder) -> tuple[Encoded, float]:
        value = self._measure(encoder.array, encoder.array, 8)
        return encoder.original.encode(), value

    def _measure(self, given: NDArray[Any], shown: NDArray[Any], depth: int) -> float:
        from aecodec.images import deep
        from aecodec.metrics import METRICS, deep_psnr

        if depth > 8 and self.metric == Psnr.metric:
            return deep_psnr(given, shown, depth)
        if depth > 8:
            given, shown = deep.to_bytes(given, depth), deep.to_bytes(shown, depth)
        try:
            return METRICS[self.metric].measure(given, shown)
        except ValueError as error:  # the picture is too small for the metric
            raise TargetError(f"{self} cannot be reached: {error}") from None


class Psnr(Fidelity):
    """At least this PSNR-RGB, in dB."""

    metric = "psnr_rgb"
    words = "a PSNR of {:g} dB"
    unit = " dB"
    near = 0.03
    ends = (27.0, 43.5)

    def straighten(self, value: float) -> float:
        return min(value, 200.0)  # equal pictures have infinitely much


class Ssimulacra2(Fidelity):
    """At least this SSIMULACRA2: 90 is visually lossless, 80 very high, 70 high, 50 medium quality.

    Needs the package ``ssimulacra2``, which the extra ``eval`` installs.
    """

    metric = "ssimulacra2"
    package = "ssimulacra2"
    words = "SSIMULACRA2 {:g}"
    highest = 100.0
    near = 0.25
    ends = (10.0, 91.0)

    def straighten(self, value: float) -> float:
        return -math.log(max(self.highest - value, 0.01))


def meet(encoder: Encoder, target: Target) -> tuple[Encoded, float]:
    """Return the file that meets a target, and its value in the target's unit.

    Of the qualities that meet it, the file has the highest where bytes are limited, else the lowest. Beyond the highest
    there is the file without loss. Raises TargetError where no quality meets the target, MissingPackageError where the
    package that measures it is missing.
    """
    from aecodec.container import exact  # here, because the command line imports this module for its targets alone

    if isinstance(target, Fidelity):
        target.check_installed()
    may_be_lossless = encoder.depth == 8 and exact.is_installed()
    try:
        best = search(target, functools.partial(target.attempt, encoder), encoder.pixels)
    except TargetError:
        if not (may_be_lossless and target.at_least):
            raise
        lossless = target.attempt_lossless(encoder)
        if not target.met_by(lossless[1]):
            raise
        return lossless
    if may_be_lossless and not target.at_least and best[0].rate == MAX_INDEX and best[0].exact < 1:
        lossless = target.attempt_lossless(encoder)
        if target.met_by(lossless[1]):
            return lossless
    return best


def search(target: Target, attempt: Callable[[int], tuple[Result, float]], pixels: int) -> tuple[Result, float]:
    """Return the attempt that ``meet`` promises; ``attempt`` maps a rate index to a result and its value.

    Values rise with the rate index; dents do no harm. The search follows the slope of a typical photograph until one
    attempt meets the target and another one misses it, and then interpolates between the two. Raises TargetError where
    the end of the scale misses the target.
    """
    low, high = map(target.straighten, target.typical(pixels))
    slope = (high - low) / MAX_INDEX
    aim = target.straighten(target.value + (target.tolerance if target.at_least else -target.tolerance) / 2)
    met, missed = (MAX_INDEX + 1, -1) if target.at_least else (-1, MAX_INDEX + 1)  # beyond the scale: not measured yet
    values: dict[int, float] = {}  # on the straight scale, by rate index
    best: tuple[Result, float] | None = None
    rate = (aim - low) / slope
    while abs(met - missed) > 1:
        rate = round(min(max(rate, min(met, missed) + 1), max(met, missed) - 1))
        result, value = attempt(rate)
        values[rate] = target.straighten(value)
        if target.met_by(value):
            met, best = rate, (result, value)
            if abs(value - target.value) <= target.tolerance:
                break
        else:
            missed = rate
        if met in values and missed in values:
            gap = values[missed] - values[met]
            share = (aim - values[met]) / gap if gap else 0.5
            margin = min(MARGIN * len(values), 0.5)
            rate = met + (missed - met) * min(max(share, margin), 1 - margin)
        else:
            if len(values) > 1:
                last, before = list(values)[-1:-3:-1]
                own = (values[last] - values[before]) / (last - before)
                slope = min(max(own, slope / BEND), slope * BEND)  # dents can turn that of two neighbours round
            step = max(abs(aim - values[rate]) / slope, 4.0 ** (len(values) - 1))  # even a flat curve ends soon
            rate += math.copysign(step, (met if missed in values else missed) - rate)
    if best is None:
        end = "the highest quality gives" if target.at_least else "the lowest quality takes"
        raise TargetError(f"{target} cannot be reached: {end} {value:.6g}{target.unit}")
    return best
