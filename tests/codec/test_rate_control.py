"""The search for a quality: never past the target, near to it, and soon."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given, strategies as st

from aecodec.codec.decoder import decode
from aecodec.codec.encoder import Encoder
from aecodec.codec.rate_control import BitsPerPixel, Psnr, Size, Ssimulacra2, meet, search
from aecodec.entropy import latents
from aecodec.errors import AecodecError, TargetError
from aecodec.metrics import psnr, ssimulacra2
from aecodec.quality import MAX_INDEX

SHAPES = st.builds(  # how a value rises from 0 to 1 with the rate index
    lambda growth, bend: lambda rate: math.expm1(growth * (rate / MAX_INDEX) ** bend) / math.expm1(growth),
    st.floats(0.1, 14), st.floats(0.3, 4),
)  # fmt: skip
PIXELS = 96 * 64


class Counted:
    """An encoder that is its own value, and knows how often it was asked."""

    def __init__(self, curve):
        self.curve = curve
        self.calls = 0

    def __call__(self, rate: int) -> tuple[int, float]:
        self.calls += 1
        assert 0 <= rate <= MAX_INDEX
        return rate, self.curve(rate)


@given(SHAPES, st.floats(20, 5000), st.floats(1, 1e6), st.floats(0, 1))
def test_size_is_met_closely_and_never_passed(shape, base, span, share):
    """Somebody's upload limit is not a suggestion, and unused bytes are unused quality."""

    def curve(rate):
        return base + span * shape(rate)

    target = Size(curve(0) * (curve(MAX_INDEX) / curve(0)) ** share + 1e-6)
    encode = Counted(curve)
    rate, size = search(target, encode, PIXELS)
    assert size <= target.value
    # the last curves are so steep that a single index is more than the tolerance
    assert rate == MAX_INDEX or size >= target.value - target.tolerance or curve(rate + 1) > target.value
    assert encode.calls <= 30


METRICS = st.sampled_from([(Psnr, 0.1, 60), (Ssimulacra2, 0.1, 99)])


@given(SHAPES, METRICS, st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_fidelity_is_reached_without_waste(shape, kind, low, high, share):
    """A target of 40 dB promises 40, for as few bytes as it takes."""
    metric, least, most = kind
    low = least + (most - least) * low

    def curve(rate):
        return low + (most - low) * high * shape(rate)

    target = metric(curve(0) + (curve(MAX_INDEX) - curve(0)) * share - 1e-6)
    encode = Counted(curve)
    rate, fidelity = search(target, encode, PIXELS)
    assert fidelity >= target.value
    assert rate == 0 or fidelity <= target.value + target.tolerance or curve(rate - 1) < target.value
    assert encode.calls <= 30


@given(st.floats(0, 1), st.integers(0, 2**32))
def test_dents_do_no_harm(share, seed):
    """Real sizes do not rise at every single step; the promise holds all the same."""
    dents = np.random.default_rng(seed).uniform(0.98, 1, MAX_INDEX + 1)

    def curve(rate):
        return math.exp(5 + rate / 300) * dents[rate]

    target = curve(0) + (curve(MAX_INDEX) - curve(0)) * share
    _, size = search(Size(target), Counted(curve), PIXELS)
    assert 0.96 * target <= size <= target


@given(st.floats(60, 88), st.integers(0, 2**32))
def test_a_metric_that_jumps_is_still_reached(target, seed):
    """SSIMULACRA2 of a small picture moves by half a point from one rate index to the next, up and down."""
    jumps = np.random.default_rng(seed).uniform(-0.5, 0.5, MAX_INDEX + 1)

    def curve(rate):
        return 100 - 80 * math.exp(-rate / 900) + jumps[rate]

    encode = Counted(curve)
    _, score = search(Ssimulacra2(target), encode, PIXELS)
    assert score >= target
    assert score <= target + 1.5
    assert encode.calls <= 15


@pytest.mark.parametrize(
    ("target", "curve"),
    [
        (Psnr(34), lambda rate: 27 + 16.5 * rate / MAX_INDEX),
        (Psnr(40), lambda rate: 24 + 19 * rate / MAX_INDEX),
        (Ssimulacra2(80), lambda rate: 100 - 100 * math.exp(-2.6 * rate / MAX_INDEX)),
        (BitsPerPixel(0.5), lambda rate: 0.2 * math.exp(2.9 * rate / MAX_INDEX)),
    ],
)
def test_a_usual_picture_takes_few_attempts(target, curve):
    """Each attempt costs as much as encoding and decoding the picture; a user waits for it."""
    encode = Counted(curve)
    search(target, encode, PIXELS)
    assert encode.calls <= 4


def test_unreachable_targets_are_refused_with_what_can_be_had():
    """Without the number, a user can only guess what to ask for next."""
    for target, line in (
        (Size(49.9), "50 bytes cannot be reached: the lowest quality takes 50 bytes"),
        (BitsPerPixel(0.25), "0.25 bits per pixel cannot be reached: the lowest quality takes 50 bits per pixel"),
    ):
        with pytest.raises(TargetError, match=line):
            search(target, Counted(lambda rate: 50 + rate), PIXELS)
    for target, line in (
        (Psnr(90), "a PSNR of 90 dB cannot be reached: the highest quality gives 48"),
        (Ssimulacra2(95.5), "SSIMULACRA2 95.5 cannot be reached: the highest quality gives 48"),
    ):
        with pytest.raises(TargetError, match=line):
            search(target, Counted(lambda rate: rate * 48 / MAX_INDEX), PIXELS)


def test_easy_targets_take_the_best_and_the_smallest():
    """A target beyond the scale's end is met by the end."""
    assert search(Size(1e9), Counted(lambda rate: 50 + rate), PIXELS) == (MAX_INDEX, 50 + MAX_INDEX)
    assert search(Psnr(3), Counted(lambda rate: 50 + rate), PIXELS) == (0, 50)


def test_a_picture_that_comes_back_whole_is_no_trouble():
    """The PSNR of a picture of one colour is infinite, at most qualities or at all."""
    for first in (0, 5, 1000, MAX_INDEX):
        encode = Counted(lambda rate, first=first: math.inf if rate >= first else 60 + rate / 1e4)
        assert search(Psnr(150), encode, PIXELS) == (first, math.inf)


@pytest.mark.parametrize("kind", [Size, BitsPerPixel, Psnr, Ssimulacra2])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_values_that_mean_nothing_are_refused(kind, value):
    """They would end in a search that goes nowhere, far from where they were written."""
    with pytest.raises(ValueError, match=kind.__name__):
        kind(value)


def test_a_score_above_the_scale_is_refused():
    """Nothing scores more than 100."""
    with pytest.raises(ValueError, match="at most 100"):
        Ssimulacra2(100.5)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.02, 0.3, 0.8])
def test_sizes_of_a_real_picture(photo, share):
    """The codec's own sizes, steps and dents and all, lie within 2 % under the target."""
    encoder = Encoder(photo(384, 288))  # streams grow by 4 bytes, with dents of 16: too much where they have 500
    smallest, largest = (len(encoder.encode(rate).data) for rate in (0, MAX_INDEX))
    target = smallest + share * (largest - smallest)
    encoded, size = meet(encoder, Size(target))
    assert len(encoded.data) == size
    assert 0.98 * target <= size <= target
    encoded, bits = meet(encoder, BitsPerPixel(target * 8 / 384 / 288))
    assert bits == pytest.approx(len(encoded.data) * 8 / 384 / 288)
    assert 0.98 * target <= len(encoded.data) <= target


@pytest.mark.slow
@pytest.mark.parametrize(("share", "mode"), [(0.2, "RGB"), (0.6, "LA")])
@pytest.mark.parametrize(("kind", "measure"), [(Psnr, psnr), (Ssimulacra2, ssimulacra2)])
def test_fidelity_of_a_real_picture(photo, monkeypatch, kind, measure, share, mode):
    """What the search measured is what the file shows; and it decodes no latents to know that."""
    encoder = Encoder(photo(384, 288).convert(mode))  # of 96x64 a metric moves too much from one rate to the next

    def value(rate):
        return measure(encoder.array, encoder.reconstruct(encoder.quantise(rate)))

    lowest, highest = value(0), value(MAX_INDEX)
    target = kind(max(lowest, 0) + share * (highest - max(lowest, 0)))
    with monkeypatch.context() as patch:
        patch.setattr(latents, "decode", None)
        encoded, reached = meet(encoder, target)
    shown = np.asarray(decode(encoded.data).convert("RGB"))
    assert measure(encoder.array, shown) == reached
    assert target.value <= reached <= target.value + 4 * target.tolerance


def test_a_picture_too_small_for_a_metric_is_told(photo):
    """SSIMULACRA2 is not defined for a line of pixels, which is no fault of ours to report."""
    with pytest.raises(TargetError, match=r"SSIMULACRA2 80 cannot be reached: .* at least 8 pixels"):
        meet(Encoder(photo(40, 5)), Ssimulacra2(80))


def test_a_missing_package_is_told_before_the_work(encoder, monkeypatch):
    """The core install does not measure SSIMULACRA2; the message says what does."""
    monkeypatch.setitem(sys.modules, "ssimulacra2", None)
    monkeypatch.setattr(encoder, "quantise", None)
    with pytest.raises(AecodecError, match=r"ssimulacra2: pip install 'aecodec\[eval\]'"):
        meet(encoder, Ssimulacra2(80))
