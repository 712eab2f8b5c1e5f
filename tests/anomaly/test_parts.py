"""The parts that methods are made of."""

from __future__ import annotations

import numpy as np
import pytest

from aecodec.anomaly import distances, layout, method
from aecodec.anomaly.classifier import Classifier, _slopes
from aecodec.anomaly.learned import Scale, _fit_layout, _heat
from aecodec.anomaly.patches import SCALES, STRIDE, Patches
from aecodec.anomaly.pictures import blurred, scaled


def test_descriptors_of_single_places_are_those_of_the_whole(photo):
    """The classifier would judge other numbers than it learned from."""
    picture = np.asarray(photo(88, 64), np.float32) / 255
    patches = Patches.fit([picture], np.random.default_rng(0))
    whole = patches.describe(picture)
    assert whole.shape[:2] == (64 // STRIDE, 88 // STRIDE)
    rows, columns = np.array([0, 3, 15, 9]), np.array([21, 0, 11, 5])
    assert np.allclose(patches.describe_at(picture, rows, columns), whole[rows, columns], atol=1e-4)
    again = Patches.from_tensors(patches.tensors())
    assert len(again.means) == SCALES
    assert np.array_equal(again.describe(picture), whole)


def test_a_change_moves_the_descriptors_near_it_and_no_others(photo):
    """Heat would lie beside the defect."""
    picture = np.asarray(photo(128, 128), np.float32) / 255
    patches = Patches.fit([picture], np.random.default_rng(0))
    changed = picture.copy()
    changed[60:64, 60:64] = 1
    moved = np.abs(patches.describe(changed) - patches.describe(picture)).sum(-1)
    assert moved.argmax() == 15 * 32 + 15
    assert moved[:4].max() < 1e-3
    assert moved[-4:].max() < 1e-3


def test_the_classifier_goes_down_its_true_slope():
    """It would learn nothing, or something else."""
    rng = np.random.default_rng(0)
    layers = [layer + 0.1 * rng.normal(size=layer.shape) for layer in Classifier.initial(5, rng).layers]
    x, bad = rng.normal(size=(9, 5)), (rng.random(9) < 0.5).astype(np.float64)

    def loss():
        odds = Classifier(tuple(layers)).odds(x)
        return float(np.mean(np.logaddexp(0, odds) - bad * odds))

    for layer, slope in zip(layers, _slopes(layers, x, bad), strict=True):
        place = tuple(rng.integers(size) for size in layer.shape)
        layer[place] += 1e-5
        above = loss()
        layer[place] -= 2e-5
        assert (above - loss()) / 2e-5 == pytest.approx(slope[place], rel=1e-3, abs=1e-7)
        layer[place] += 1e-5


def test_the_classifier_learns_what_no_line_separates():
    """Damage lies on all sides of good places."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6000, 4)).astype(np.float32)
    bad = (x[:, 0] * x[:, 1] > 0).astype(np.float32)
    own = Classifier.initial(4, rng).trained(x[:5000], bad[:5000], 15, rng)
    assert np.mean((own.odds(x[5000:]) > 0) == (bad[5000:] > 0)) > 0.93
    same = Classifier.from_tensors(own.tensors())
    assert np.array_equal(same.odds(x), own.odds(x))


def test_surprise_is_measured_in_the_spread_of_good_scores():
    """A part with large numbers would decide alone."""
    scale = Scale.of(np.arange(101.0))
    assert scale.surprise(50) == 0
    assert scale.surprise(95) == pytest.approx(1)
    assert Scale.of(np.arange(101.0), 0.5).surprise(np.array([50.0, 95.0])) == pytest.approx([0, 0.5])
    assert Scale.of(np.ones(9)).surprise(1.0) == 0


def test_a_layout_explains_what_it_learned_from(photo):
    """Every good picture would be strange."""
    good = [layout.describe(np.asarray(photo(64, 64, seed=seed), np.float32) / 255) for seed in range(12)]
    own = layout.Layout.fit(good)
    turned = layout.describe(np.asarray(photo(64, 64, seed=3).rotate(90), np.float32) / 255)
    assert own.unexplained(turned).sum() > 3 * np.mean([own.unexplained(each).sum() for each in good])
    flat = layout.describe(np.zeros((16, 16, 3), np.float32))
    assert np.isfinite(flat).all()


def test_a_layout_counts_only_where_good_pictures_share_one():
    """Boards of any pattern would raise alarms for their pattern, or a wrong digit would pass."""
    rng = np.random.default_rng(0)

    def picture(place):
        pixels = rng.normal(0.4, 0.05, (64, 64, 3)).astype(np.float32)
        pixels[place[0] : place[0] + 20, place[1] : place[1] + 12] += 0.4
        return pixels

    shared = _fit_layout([picture((8, 40)) for _ in range(20)], seed=0)[2]
    scattered = _fit_layout([picture(rng.integers(0, 44, 2)) for _ in range(20)], seed=0)[2]
    assert shared > 0.9
    assert scattered < 0.5


def test_the_covariance_is_that_of_ledoit_and_wolf():
    """Too little shrinkage, and every new place is far away."""
    reference = pytest.importorskip("sklearn.covariance")
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(40, 25)) @ rng.normal(size=(25, 25))).astype(np.float32)
    values -= values.mean(0)
    expected = reference.ledoit_wolf(values.astype(np.float64), assume_centered=True)[0]
    assert np.allclose(distances.shrunken(values), expected, rtol=1e-4, atol=1e-6)


def test_a_coreset_leaves_no_place_far_away():
    """A rare good place would be an anomaly."""
    rng = np.random.default_rng(0)
    places = np.concatenate([rng.normal(size=(500, 3)), rng.normal(size=(3, 3)) + 30]).astype(np.float32)
    chosen = distances.coreset(places, 40)
    assert len(np.unique(chosen, axis=0)) == 40
    assert np.sqrt(distances.nearest(places, chosen)).max() < 1.5
    drawn = places[rng.permutation(500)[:40]]
    assert np.sqrt(distances.nearest(places, drawn)).max() > 20


def test_distances_are_those_to_the_nearest(photo):
    """The expanded square would lose small distances, or blocks their order."""
    rng = np.random.default_rng(0)
    places, centres = rng.normal(size=(2500, 6)).astype(np.float32), rng.normal(size=(70, 6)).astype(np.float32)
    plain = np.square(places[:, None] - centres).sum(-1).min(1)
    assert np.allclose(distances.nearest(places, centres), plain, atol=1e-4)


def test_every_item_is_left_out_once():
    """A threshold from pictures that the method knows would be too low."""
    seen = []
    for kept, left in method.folds(range(13), 5, seed=0):
        assert not set(kept) & set(left)
        assert len(kept) + len(left) == 13
        seen += left.tolist()
    assert sorted(seen) == list(range(13))


def test_pictures_keep_their_shape(photo):
    """A long picture would be squeezed, and a small one vanish."""
    assert scaled(np.zeros((100, 400, 3), np.uint8), 320).shape == (80, 320, 3)
    assert scaled(np.zeros((3, 700, 3), np.uint8), 320).shape == (8, 320, 3)
    assert scaled(np.full((28, 28, 3), 255, np.uint8), 64).min() == 1


def test_a_blur_keeps_the_sum_and_the_edges():
    """Heat at the edge of a picture would be lower than elsewhere."""
    assert np.allclose(blurred(np.ones((5, 7), np.float32), 1.5), 1)
    spot = np.zeros((31, 31), np.float32)
    spot[15, 15] = 1
    found = blurred(spot, 2)
    assert found.sum() == pytest.approx(1, rel=1e-5)
    assert found[15, 17] / found[15, 15] == pytest.approx(np.exp(-0.5), rel=0.01)


def test_heat_shows_where_a_layout_is_strange():
    """A wrong thing in its place would be found, and nobody would see where."""
    surprises = np.zeros((6, 6), np.float32)
    surprises[1, 4] = 5
    heat = _heat(np.zeros((40, 80), np.float32), surprises)
    assert heat.shape == (40, 80)
    rows, columns = (np.average(np.arange(size) + 0.5, weights=heat.sum(axis)) for axis, size in ((1, 40), (0, 80)))
    assert rows == pytest.approx(40 * 2 / 7, abs=0.2)
    assert columns == pytest.approx(80 * 5 / 7, abs=0.2)
