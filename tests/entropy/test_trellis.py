"""Dependent quantisation: the search is held against its definition, its twin and what the theory promises."""

from __future__ import annotations

import importlib
import itertools
import math
import os

import numpy as np
import pytest

from aecodec.entropy import _trellis_python, trellis
from aecodec.entropy.gaussian import LEVELS
from aecodec.entropy.trellis import STEP_SIZE, multiples, search

PURE_PYTHON = bool(os.environ.get("AECODEC_PURE_PYTHON"))
FREE = np.zeros((2, LEVELS, 2), np.float32)


@pytest.fixture(params=["c", "python"])
def searcher(request, monkeypatch):
    """Puts one implementation behind the public interface."""
    module = _trellis_python if request.param == "python" else importlib.import_module("aecodec.entropy._trellis")
    monkeypatch.setattr(trellis, "_searcher", module)


@pytest.mark.skipif(PURE_PYTHON, reason="AECODEC_PURE_PYTHON allows its absence")
def test_the_extension_is_built():
    """Without it everything still works, a hundred times slower, and nobody would notice why."""
    assert trellis.IMPLEMENTATION == "c"


def quantisers_of(symbols: np.ndarray) -> list[int]:
    """The quantiser of each symbol, written from the description alone."""
    state, result = 0, []
    for k in symbols.tolist():
        result.append(state % 2)
        state = (state // 2) ^ (232 if state % 2 else 0) ^ (120 if k % 2 else 0)
    return result


def random_task(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    bits = rng.uniform(0, 9, (2, LEVELS, 20)).astype(np.float32)
    return rng.laplace(0, 3, count).astype(np.float32), rng.integers(0, LEVELS, count).astype(np.uint8), bits


def cost_of(symbols, residual, level, bits, distortion) -> float:
    quantisers = np.array(quantisers_of(symbols))
    error = multiples(symbols, quantisers) * STEP_SIZE - residual
    return float((bits[quantisers, level, np.minimum(np.abs(symbols), 19)] + distortion * error**2).sum())


@pytest.mark.parametrize("seed", range(3))
def test_finds_the_cheapest_sequence(searcher, seed):
    """Against every sequence of symbols around the residuals: a wrong branch costs rate in every file, and no error."""
    residual, level, bits = random_task(7, seed)
    found, _ = search(residual, level, bits, 8.0)
    near = [sorted({0, *(math.floor(abs(r) / STEP_SIZE / 2) + d for d in (0, 1, 2))}) for r in residual]
    signs = np.where(residual < 0, -1, 1)
    every = (np.array(choice) * signs for choice in itertools.product(*near))
    best = min(cost_of(symbols, residual, level, bits, 8.0) for symbols in every)
    assert cost_of(found, residual, level, bits, 8.0) <= best + 1e-3


def test_quantisers_follow_the_states(searcher):
    """A decoder knows the quantisers only by this rule."""
    residual, level, bits = random_task(500)
    symbols, quantisers = search(residual, level, bits, 9.0)
    assert quantisers.tolist() == quantisers_of(symbols)
    assert 0 < quantisers.mean() < 1


def test_both_implementations_choose_the_same(monkeypatch):
    """A file must not depend on whether a compiler was at hand."""
    task = random_task(3000, 5)
    results = []
    for module in (_trellis_python, importlib.import_module("aecodec.entropy._trellis")):
        monkeypatch.setattr(trellis, "_searcher", module)
        results.append(search(*task, 9.0))
    assert np.array_equal(results[0], results[1])


def test_gains_what_trellis_coding_promises():
    """At high rate a symbol costs as in a scalar quantiser of twice the step; 256 states gain 1.33 dB over that."""
    residual = np.random.default_rng(1).uniform(-400, 400, 20000).astype(np.float32)
    symbols, quantisers = search(residual, np.zeros(20000, np.uint8), FREE, 1.0)
    error = np.mean((multiples(symbols, quantisers) * STEP_SIZE - residual) ** 2)
    assert 1.25 < 10 * math.log10((2 * STEP_SIZE) ** 2 / 12 / error) < 1.53  # the bound of all vector quantisers


def test_costs_weigh_against_errors(searcher):
    """With errors for nothing all is zero; with bits for nothing no value is further off than the coarser neighbour."""
    residual, level, bits = random_task(200)
    bits[:] = np.arange(20)
    assert not search(residual, level, bits, 0.0)[0].any()
    symbols, quantisers = search(residual, level, FREE, 1.0)
    assert np.abs(multiples(symbols, quantisers) * STEP_SIZE - residual).max() <= 2 * STEP_SIZE


def test_nothing_to_code(searcher):
    """A flat picture has no residual to code."""
    symbols, quantisers = search(np.empty(0, np.float32), np.empty(0, np.uint8), FREE, 1.0)
    assert symbols.shape == quantisers.shape == (0,)


@pytest.mark.parametrize(("residual", "level"), [(math.nan, 0), (math.inf, 0), (0.0, LEVELS)])
def test_what_has_no_cost_is_refused(searcher, residual, level):
    """The search in C indexes with both."""
    with pytest.raises(TypeError, match="fit"):
        search(np.full(3, residual, np.float32), np.full(3, level, np.uint8), FREE, 1.0)


def test_multiples_have_one_symbol_each():
    """What a file's latents cost could not be told from the file."""
    residual, level, bits = random_task(1003)
    symbols, quantisers = trellis.search(residual, level, bits, 6.0)
    again = trellis.symbols_of(trellis.multiples(symbols, quantisers))
    assert np.array_equal(again[0], symbols)
    assert np.array_equal(again[1], quantisers)
    assert np.array_equal(quantisers, quantisers_of(symbols))
    assert [len(part) for part in trellis.symbols_of(np.zeros(0, np.int32))] == [0, 0]
