"""Measures, compared with other implementations of their definitions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from aecodec.anomaly import metrics


def drawn(seed):
    rng = np.random.default_rng(seed)
    bad = rng.random(80) < 0.3
    return np.round(rng.normal(size=80) + bad, 1), bad  # rounded, so that many are equal


@pytest.mark.parametrize("seed", range(5))
def test_rates_are_those_of_scikit_learn(seed):
    """A wrong AUROC, precision or F1 would choose the wrong method."""
    reference = pytest.importorskip("sklearn.metrics")
    scores, bad = drawn(seed)
    assert metrics.auroc(scores, bad) == pytest.approx(reference.roc_auc_score(bad, scores))
    curve, (false, true, _) = metrics.roc(scores, bad), reference.roc_curve(bad, scores, drop_intermediate=False)
    assert np.allclose(curve.false, false)
    assert np.allclose(curve.true, true)
    assert metrics.average_precision(scores, bad) == pytest.approx(reference.average_precision_score(bad, scores))
    assert metrics.f1(scores, bad, 0.4) == pytest.approx(reference.f1_score(bad, scores >= 0.4))


@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_has_a_higher_f1_than_the_best(seed):
    """A model with labelled pictures would judge worse than it can."""
    scores, bad = drawn(seed)
    best = metrics.f1(scores, bad, metrics.best_threshold(scores, bad))
    assert best == max(metrics.f1(scores, bad, threshold) for threshold in scores)


def test_a_set_without_bad_pictures_has_no_rate():
    """A division by zero would look like a perfect model."""
    for measure in (metrics.auroc, metrics.average_precision):
        with pytest.raises(ValueError, match="needs"):
            measure(np.arange(3.0), np.zeros(3, np.bool_))
    with pytest.raises(ValueError, match="needs"):
        metrics.aupro([np.zeros((2, 2))], [np.zeros((2, 2), np.bool_)])


def regions(seed, size=24):
    """Maps and masks with regions of many shapes; the maps know a little of the masks."""
    ndimage = pytest.importorskip("scipy.ndimage")
    rng = np.random.default_rng(seed)
    masks = [ndimage.gaussian_filter(rng.normal(size=(size, size + 6)), 1.5) > 0.25 for _ in range(3)]
    maps = [np.round(rng.normal(size=mask.shape) + mask, 2).astype(np.float32) for mask in masks]
    return maps, masks


def plain_aupro(maps, masks, limit):
    """The definition, word for word: at each threshold the mean overlap of all regions, and the area under it."""
    ndimage = pytest.importorskip("scipy.ndimage")
    points = [(0.0, 0.0)]
    for threshold in sorted({float(value) for values in maps for value in values.ravel()}, reverse=True):
        overlaps = []
        for values, mask in zip(maps, masks, strict=True):
            labels, count = ndimage.label(mask, np.ones((3, 3)))
            overlaps += [np.mean(values[labels == number] >= threshold) for number in range(1, count + 1)]
        good = np.concatenate([values[~mask] for values, mask in zip(maps, masks, strict=True)])
        points.append((float(np.mean(good >= threshold)), float(np.mean(overlaps))))
    area = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x0 >= limit:
            break
        end = min(x1, limit)
        share = 1 if x1 == x0 else (end - x0) / (x1 - x0)
        area += (end - x0) * (y0 + y0 + share * (y1 - y0)) / 2
    return area / limit


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("limit", [0.05, 0.3])
def test_aupro_is_that_of_its_definition(seed, limit):
    """Figures could not be compared with published ones."""
    maps, masks = regions(seed)
    assert metrics.aupro(maps, masks, limit) == pytest.approx(plain_aupro(maps, masks, limit), abs=0.004)


def test_aupro_counts_a_small_region_as_much_as_a_large_one():
    """A model that misses all small defects would look good by pixels alone."""
    mask = np.zeros((20, 20), np.bool_)
    mask[2:12, 2:12] = mask[17, 17] = True
    found = np.zeros((20, 20), np.float32)
    found[2:12, 2:12] = 1
    assert metrics.auroc(found, mask) > 0.99
    assert 0.5 < metrics.aupro([found], [mask]) < 0.7


@pytest.mark.parametrize("seed", range(20))
def test_parts_of_a_mask_are_those_of_scipy(seed):
    """Two defects would become one, or one many."""
    ndimage = pytest.importorskip("scipy.ndimage")
    rng = np.random.default_rng(seed)
    mask = rng.random((30, 17)) < rng.uniform(0.2, 0.7)
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    found = metrics.label(mask)
    assert found.max() == count
    assert len(set(zip(found.ravel().tolist(), labels.ravel().tolist(), strict=True))) == len(np.unique(labels))
