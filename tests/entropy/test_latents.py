"""Latents to bytes and back, with the installed entropy model."""

from __future__ import annotations

import numpy as np
import pytest

from aecodec import weights
from aecodec.entropy import latents, rans, tables, trellis
from aecodec.entropy.entropy_model import EntropyModel
from aecodec.entropy.gaussian import LEVELS
from aecodec.entropy.integer import COMPAND_MAX, MEAN_FRAC
from aecodec.errors import BitstreamError
from aecodec.quality import MAX_INDEX, index_of_quality


@pytest.fixture(scope="module")
def model():
    return weights.load().entropy_model


def random_latents(model, height: int, width: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(height * width)
    shape = (height // 4, width // 4, model.hyper_scale.shape[1])
    y = random.laplace(0, spread, (height, width, model.mean_gain.shape[1]))
    return y.astype(np.float32), random.normal(0, 6, shape).astype(np.float32)


def altered(model: EntropyModel, change) -> EntropyModel:
    """The model with change(means, levels) in place of its predictions."""

    class Altered(EntropyModel):
        def predict(self, *args):
            return change(*super().predict(*args))

    return Altered(model.layers, model.mean_gain, model.hyper_scale, model.symbol_frequency)


@pytest.mark.parametrize("rate", [0, 1000, MAX_INDEX])
@pytest.mark.parametrize(("height", "width", "spread"), [(4, 4, 0.1), (4, 12, 3), (8, 4, 60), (12, 8, 3)])
def test_round_trip_is_exact(model, height, width, spread, rate):
    """One latent that differs changes the context of all that follow: the rest of the picture is noise."""
    y, z = random_latents(model, height, width, spread)
    coded = latents.encode(model, y, z, rate)
    assert coded.latents.any()
    assert np.array_equal(latents.decode(model, coded.payload, y.shape[:2], rate), coded.latents)


@pytest.mark.parametrize("spread", [0.1, 3, 1e5])
def test_a_trace_is_what_the_encoder_wrote(model, spread):
    """Bits would be counted by tables that the file was not written with."""
    y, z = random_latents(model, 8, 12, spread)
    coded = latents.encode(model, y, z, 700)
    again = latents.trace(model, coded.payload, y.shape[:2], 700)
    for name in ("latents", "symbols", "rows"):
        assert np.array_equal(getattr(again, name), getattr(coded, name)), name
    assert all(map(np.array_equal, again.coded, coded.coded))
    assert latents.symbol_bits(model, again).sum() == latents.symbol_bits(model, coded).sum()


def test_symbols_come_back_to_their_places(model):
    """Bits of one channel would be drawn as those of another, or of another place."""
    y, z = random_latents(model, 8, 4, 3)
    coded = latents.encode(model, y, z, 700)
    hyper, multiples = latents.place(coded, trellis.multiples(coded.symbols, latents.quantiser_of(coded.rows)))
    rounded = latents.place(coded, coded.symbols)[0]
    assert np.array_equal(rounded, np.clip(np.rint(z), -COMPAND_MAX, COMPAND_MAX))
    assert hyper.shape == rounded.shape
    level = latents.place(coded, coded.rows % LEVELS)[1]
    assert not multiples[level == 0].any()
    near = np.abs(y - coded.latents * 2.0**-MEAN_FRAC)[multiples != 0]
    assert near.max() <= 2 * trellis.STEP_SIZE


def test_a_guess_knows_the_steps_that_were_read(model):
    """Pictures of how a file grows would show another file."""
    y, z = random_latents(model, 8, 8, 3)
    coded = latents.encode(model, y, z, 700)
    errors = [np.square(latents.guess(model, coded, 700, steps) - coded.latents).sum() for steps in range(5)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > errors[3] > errors[4] == 0


def test_extreme_latents_survive(model):
    """Latents far outside of what the model knows, as an adversarial picture makes them, are clamped but consistent."""
    y, z = random_latents(model, 4, 4, 1e7)
    coded = latents.encode(model, y, z * 1000, 500)
    assert np.abs(coded.latents).max() >= latents.RESIDUAL_MAX * 2**MEAN_FRAC / 2
    assert np.array_equal(latents.decode(model, coded.payload, y.shape[:2], 500), coded.latents)


def test_quantisation_error_is_bounded(model):
    """Whatever is coded is coded to one step of the coarser quantiser, however wrong the prediction is."""
    y, z = random_latents(model, 8, 8, 5)
    wrong = altered(model, lambda mean, level: (mean - 50, np.maximum(level, 1)))
    coded = latents.encode(wrong, y, z, 1500, distortion=1e6)
    assert np.abs(coded.latents * 2.0**-MEAN_FRAC - y).max() <= 2 * trellis.STEP_SIZE


def test_latents_of_level_zero_cost_nothing(model):
    """Most latents of a small file are skipped; a thousandth of a bit for each would be seen in its size."""
    skipping = altered(model, lambda mean, level: (mean + 3, np.zeros_like(level)))
    y, z = random_latents(model, 8, 8, 5)
    coded = latents.encode(skipping, y, z, 1000)
    symbols = np.clip(np.rint(z), -COMPAND_MAX, COMPAND_MAX).astype(np.int32).ravel()
    levels = np.ascontiguousarray(model.hyper_levels(z.shape[:2], 1000)).ravel()
    assert coded.payload == rans.encode(symbols, levels, model.tables)
    assert coded.latents.any()
    assert np.array_equal(latents.decode(skipping, coded.payload, y.shape[:2], 1000), coded.latents)


@pytest.mark.parametrize("quality", [10, 50, 100])
def test_payload_is_as_long_as_the_model_says(encoder, quality):
    """What the coder adds to the model's own estimate is pure loss; training minimises the estimate."""
    _, (coded,) = encoder._code(encoder.array, index_of_quality(quality), 0, lambda coded: coded)
    estimate = latents.symbol_bits(encoder.weights.entropy_model, coded).sum()
    assert len(coded.payload) == pytest.approx(estimate / 8, rel=0.01, abs=100)


def test_estimate_is_the_information_of_the_symbols(model):
    """The coder is judged by this number; if it is wrong, so is the verdict."""
    rows = np.array([0, LEVELS + 20, 2 * LEVELS + 20, 2 * LEVELS + 20], np.uint8)
    coded = latents.CodedLatents(None, b"", np.array([0, -1, 2, 10**4], np.int32), rows)
    escape = 16 - np.log2(tables.split(model.symbol_frequency)[LEVELS + 20][-1])
    radius = tables.radius_of_level(20)
    digits = 4 * len(f"{2 * (10**4 - radius - 1):o}")
    expected = model.costs[0, 20, 1] + model.costs[1, 20, 2] + escape + digits  # and level 0 is certain
    assert latents.symbol_bits(model, coded).sum() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("multiple", [latents.MULTIPLE_MAX + 4, -(2**20)])
def test_latents_out_of_range_are_refused(model, multiple):
    """They would carry int32 arithmetic and the companding table beyond what they hold."""
    always = altered(model, lambda mean, level: (mean, np.full_like(level, 9)))
    z = np.zeros((1, 1, model.hyper_scale.shape[1]), np.float32)
    rows = latents.encode(always, np.zeros((4, 4, model.mean_gain.shape[1]), np.float32), z, 0).rows
    symbols = np.zeros(len(rows), np.int32)
    symbols[z.size] = multiple // 2  # even, as the others are: the state stays 0
    rows[z.size :] = LEVELS + 9
    payload = rans.encode(symbols, rows, model.tables)
    with pytest.raises(BitstreamError, match="latents out of range"):
        latents.decode(always, payload, (4, 4), 0)


def test_payload_of_another_size_is_refused(model):
    """A payload that was swapped with another picture's, checksum and all, must not be shown as a picture."""
    y, z = random_latents(model, 8, 8, 3)
    payload = latents.encode(model, y, z, 1000).payload
    for shape in ((8, 4), (8, 12), (64, 64)):
        with pytest.raises(BitstreamError, match="damaged"):
            latents.decode(model, payload, shape, 1000)
    for wrong in (payload[:-4], payload + bytes(4), b"", payload[:7]):
        with pytest.raises(BitstreamError, match="damaged"):
            latents.decode(model, wrong, y.shape[:2], 1000)


@pytest.mark.parametrize("value", [COMPAND_MAX + 1, -(2**20)])
def test_hyper_latents_out_of_range_are_refused(model, value):
    """They would carry the integer networks beyond the sums that are certified to be exact."""
    levels = np.ascontiguousarray(model.hyper_levels((1, 1), 0)).ravel()
    symbols = np.zeros(levels.shape, np.int32)
    symbols[3] = value
    with pytest.raises(BitstreamError, match="hyper-latents out of range"):
        latents.decode(model, rans.encode(symbols, levels, model.tables), (4, 4), 0)
