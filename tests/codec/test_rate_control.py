"""The search for a quality: never past the target, near to it, and soon."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aecodec.codec.pipeline import Encoder, decode
from aecodec.codec.rate_control import PSNR_TOLERANCE, TOLERANCE, largest_below, smallest_above
from aecodec.errors import TargetError
from aecodec.metrics import psnr
from aecodec.quality import MAX_INDEX

CURVES = st.builds(
    lambda base, growth, bend: lambda rate: base + math.exp(growth * (rate / MAX_INDEX) ** bend),
    st.floats(20, 5000), st.floats(0.1, 14), st.floats(0.3, 4),
)  # fmt: skip


class Counted:
    """An encoder that is its own size, and knows how often it was asked."""

    def __init__(self, curve):
        self.curve = curve
        self.calls = 0

    def __call__(self, rate: int) -> tuple[int, float]:
        self.calls += 1
        assert 0 <= rate <= MAX_INDEX
        return rate, self.curve(rate)


def value(result: tuple[int, float]) -> float:
    return result[1]


@given(CURVES, st.floats(0, 1))
def test_size_is_met_closely_and_never_passed(curve, share):
    """Somebody's upload limit is not a suggestion, and unused bytes are unused quality."""
    target = curve(0) * (curve(MAX_INDEX) / curve(0)) ** share + 1e-6
    encode = Counted(curve)
    rate, size = largest_below(encode, value, target, "it")
    assert size <= target
    # the last curves are so steep that a single index is more than the tolerance
    assert rate == MAX_INDEX or size >= target * (1 - TOLERANCE) or curve(rate + 1) > target
    assert encode.calls <= 40


@given(CURVES, st.floats(0, 1))
def test_fidelity_is_reached_without_waste(curve, share):
    """--psnr 40 promises 40, for as few bytes as it takes."""
    target = curve(0) + (curve(MAX_INDEX) - curve(0)) * share - 1e-6
    encode = Counted(curve)
    rate, fidelity = smallest_above(encode, value, target, "it")
    assert fidelity >= target
    assert rate == 0 or fidelity <= target + PSNR_TOLERANCE or curve(rate - 1) < target
    assert encode.calls <= 40


@given(st.floats(0, 1), st.integers(0, 2**32))
def test_dents_do_no_harm(share, seed):
    """Real sizes do not rise at every single step; the promise holds all the same."""
    dents = np.random.default_rng(seed).uniform(0.98, 1, MAX_INDEX + 1)
    curve = lambda rate: math.exp(5 + rate / 300) * dents[rate]  # noqa: E731
    target = curve(0) + (curve(MAX_INDEX) - curve(0)) * share
    _, size = largest_below(Counted(curve), value, target, "it")
    assert 0.96 * target <= size <= target


def test_unreachable_targets_are_refused_with_what_can_be_had():
    """Without the number, a user can only guess what to ask for next."""
    with pytest.raises(TargetError, match="10 bytes cannot be reached: the lowest quality takes 50"):
        largest_below(lambda rate: 50 + rate, float, 49.9, "10 bytes")
    with pytest.raises(TargetError, match="99 dB cannot be reached: the highest quality gives 2048"):
        smallest_above(float, float, 2048.1, "99 dB")


def test_easy_targets_take_the_best_and_the_smallest():
    """A target beyond the scale's end is met by the end."""
    assert largest_below(lambda rate: 50 + rate, float, 1e9, "it") == 50 + MAX_INDEX
    assert smallest_above(lambda rate: 50 + rate, float, 3, "it") == 50


@pytest.mark.parametrize("share", [0.02, 0.3, 0.8])
def test_sizes_of_a_real_picture(photo, share):
    """The codec's own sizes, steps and dents and all, lie within 2 % under the target."""
    encoder = Encoder(photo(384, 288))  # streams grow by 4 bytes, with dents of 16: too much where they have 500
    smallest, largest = (len(encoder.encode(rate).data) for rate in (0, MAX_INDEX))
    target = smallest + share * (largest - smallest)
    size = len(largest_below(encoder.encode, lambda e: len(e.data), target, "it").data)
    assert 0.98 * target <= size <= target


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_psnr_of_a_real_picture(photo, share):
    """What the search measured is what the file shows."""
    encoder = Encoder(photo(384, 288))  # of 96x64 the PSNR moves by 0.1 dB from one rate to the next, up and down

    def measure(encoded):
        return psnr(encoder.array, encoder.reconstruct(encoded))

    lowest, highest = (measure(encoder.encode(rate)) for rate in (0, MAX_INDEX))
    target = lowest + share * (highest - lowest)
    best = smallest_above(encoder.encode, measure, target, "it")
    assert target <= psnr(encoder.array, np.asarray(decode(best.data))) <= target + 2 * PSNR_TOLERANCE
