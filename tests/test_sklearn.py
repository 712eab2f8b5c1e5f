"""``LatentFeatures`` as a part of scikit-learn's pipelines."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import aecodec
from aecodec.errors import PictureError

pytest.importorskip("sklearn")
from aecodec.sklearn import LatentFeatures

# check_estimator runs the first alone, since the others may not be given a table of numbers; these need none
CHECKS = (
    "check_estimator_cloneable", "check_no_attributes_set_in_init", "check_parameters_default_constructible",
    "check_get_params_invariance", "check_set_params",
    "check_estimator_repr", "check_estimator_tags_renamed", "check_valid_tag_types",
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:Can't test estimator")
def test_estimators_of_scikit_learn_agree_that_it_is_one():
    """A pipeline, a grid search or a clone would fail in some corner."""
    from sklearn.utils import estimator_checks

    estimator_checks.check_estimator(LatentFeatures())
    for name in CHECKS:
        getattr(estimator_checks, name)("LatentFeatures", LatentFeatures())


def test_all_kinds_of_pictures_are_rows(photo, file, tmp_path):
    """Data sets are lists of paths here and arrays there."""
    pictures = [photo(96, 64, seed=seed) for seed in range(2)]
    pictures[0].save(tmp_path / "x.png")
    wanted = np.stack([aecodec.features(picture) for picture in pictures])
    transformer = LatentFeatures()
    mixed = [str(tmp_path / "x.png"), pictures[1], file]
    assert np.array_equal(transformer.fit(mixed).transform(mixed)[:2], wanted)
    array = np.stack([np.asarray(picture) for picture in pictures])
    assert np.array_equal(transformer.transform(array), wanted)
    assert transformer.transform([]).shape == (0, 256)


def test_a_classifier_learns_from_it(photo):
    """The README's example."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    pictures = [photo(96, 64, seed=seed % 2).rotate(seed) for seed in range(6)]
    model = make_pipeline(LatentFeatures(), LogisticRegression()).fit(pictures, [0, 1] * 3)
    assert model.predict(pictures).tolist() == [0, 1] * 3


def test_names_and_tables_come_out(photo):
    """The columns of a table would have no names."""
    pandas = pytest.importorskip("pandas")
    transformer = LatentFeatures().set_output(transform="pandas")
    table = transformer.fit_transform([photo(96, 64)])
    assert isinstance(table, pandas.DataFrame)
    assert list(table.columns) == list(transformer.get_feature_names_out())
    assert table.columns[0] == "latentfeatures0"


def test_it_is_copied_and_pickled(photo):
    """Cross-validation over several processes needs both."""
    from sklearn.base import clone

    transformer = clone(LatentFeatures(max_pixels=10_000))
    again = pickle.loads(pickle.dumps(transformer))
    assert again.get_params() == {"device": "auto", "max_pixels": 10_000}
    picture = [photo(96, 64)]
    assert np.array_equal(again.transform(picture), transformer.transform(picture))


@pytest.mark.parametrize("wrong", [b"no picture", "missing.png", 3.5, np.zeros((4, 4), np.float32)], ids=repr)
def test_an_error_names_the_row(photo, wrong):
    """One of ten thousand pictures is damaged, and nobody knows which."""
    with pytest.raises(PictureError, match=r"^row 1: "):
        LatentFeatures().transform([photo(96, 64), wrong])
    with pytest.raises(TypeError, match="must be a list"):
        LatentFeatures().transform("one.png")
