"""The coding tables of the latents' symbols, from counts to the coder."""

from __future__ import annotations

import numpy as np
import pytest

from aecodec import weights
from aecodec.entropy import tables
from aecodec.entropy.gaussian import LEVELS, cdf_of_level, scale_of_level
from aecodec.entropy.tables import COUNTED, QUANTISERS

NOTHING = np.zeros((QUANTISERS, LEVELS, COUNTED + 1))


@pytest.fixture(scope="module")
def counts():
    """Many symbols at some levels, few or none at others, as pictures give them."""
    rng = np.random.default_rng(0)
    result = NOTHING.copy()
    for quantiser in range(QUANTISERS):
        for level in range(0, 45, 2):
            symbols = np.abs(np.rint(rng.laplace(0, scale_of_level(level) / 2, 10 ** (1 + level % 5)))).astype(int)
            result[quantiser, level] = np.bincount(np.minimum(symbols, COUNTED), minlength=COUNTED + 1)
    return result


@pytest.mark.parametrize("quantiser", range(QUANTISERS))
@pytest.mark.parametrize("level", [0, 1, 20, 40, 63])
def test_gaussian_cells_fill_the_line(quantiser, level):
    """Mass that is in no cell would be lost from every table."""
    p = tables.gaussian_magnitudes(quantiser, level, 900)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert p.min() >= 0


def test_every_table_is_complete(counts):
    """A frequency of 0 could not be coded; a sum other than 65536 would be refused."""
    for source in (counts, NOTHING, counts * 1e9):
        for frequency in tables.split(tables.frequencies(source)):
            assert frequency.min() >= 1
            assert frequency[0] + 2 * frequency[1:-1].sum() + frequency[-1] == tables.TOTAL


def test_tables_say_what_was_counted(counts):
    """Bits under the tables are the entropy of the counted symbols, but for what the few leave uncertain."""
    bits = tables.costs(tables.frequencies(counts))[1, 24]
    h = counts[1, 24]
    h = h / h.sum()
    signed = bits - (np.arange(len(bits)) > 0)  # the sign's bit
    assert (h * signed)[:-1].sum() == pytest.approx(-(h[h > 0] * np.log2(h[h > 0])).sum(), abs=0.02)


def test_counts_go_to_tables_and_back(counts):
    """Training that goes on from weights must not start by forgetting their tables."""
    frequency = tables.frequencies(counts)
    again = tables.frequencies(tables.counts_of(frequency, 1e7))
    assert np.abs(again - frequency).max() <= 0.01 * tables.TOTAL / 4
    assert np.mean(np.abs(again - frequency)) < 2


def test_coder_gets_the_tables_of_hyper_latents_first(counts):
    """Quantiser q has the rows from 64 (1 + q) on; the decoder counts on it."""
    frequency = tables.frequencies(counts)
    coder = tables.coder_tables(frequency)
    assert len(coder.radius) == LEVELS * (1 + QUANTISERS)
    assert np.array_equal(coder.cdf[coder.start[5] : coder.start[6]], cdf_of_level(5))
    own = tables.split(frequency)[LEVELS + 7]
    row = 2 * LEVELS + 7
    cdf = coder.cdf[coder.start[row] : coder.start[row] + 2 * len(own) - 1].astype(int)
    assert np.array_equal(np.diff(cdf), [*own[-2:0:-1], *own])


def test_shipped_tables_know_more_than_a_gaussian():
    """They were counted: tables of the mere density would pass every other test, and cost 2 % of each file."""
    shipped = weights.load().tensors["symbol_frequency"]
    gaussian = tables.costs(tables.frequencies(NOTHING))
    h = tables.counts_of(shipped, 1.0)
    difference = ((gaussian - tables.costs(shipped)) * h).sum(2)[:, 8:32]
    assert difference.min() > 0
    assert difference.mean() > 0.01


def test_tables_of_another_shape_are_refused():
    """Weights of another version, say."""
    frequency = tables.frequencies(NOTHING)
    with pytest.raises(ValueError, match="coding tables"):
        tables.split(frequency[:-1])
    frequency[100] += 1
    with pytest.raises(ValueError, match="65536"):
        tables.coder_tables(frequency)
