"""Models: what they find, their thresholds, and their file."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load, save

from aecodec.anomaly import evaluation, methods
from aecodec.anomaly.model import CARD, Model, Threshold
from aecodec.errors import PictureError, WeightsError

PNG = {".png"}


@pytest.fixture(scope="module")
def found(model, scratches):
    return evaluation.evaluate(model, scratches, PNG)


def test_scratches_are_found(found):
    """What the room is for."""
    assert found.numbers["image_auroc"] > 0.95
    assert found.numbers["pixel_auroc"] > 0.95
    assert found.numbers["pixel_aupro"] > 0.8
    assert found.numbers["image_f1"] > 0.8


def test_regions_lie_where_the_scratch_is(model, scratches):
    """A user would look at the wrong place."""
    for path in sorted((scratches / "test" / "scratch").iterdir()):
        mask = np.asarray(Image.open(scratches / "ground_truth" / "scratch" / f"{path.stem}_mask.png"))
        rows, columns = np.nonzero(mask)
        verdict = model.judge(path)
        first = verdict.regions[0]
        assert verdict.bad
        assert first.left <= columns.mean() <= first.left + first.width
        assert first.top <= rows.mean() <= first.top + first.height
        assert first.left >= 0
        assert first.left + first.width <= verdict.width
        assert verdict.heat_map().shape == (verdict.height, verdict.width)


def test_most_good_pictures_pass(model, scratches):
    """The threshold is of good pictures that the judge had not seen; else all new ones would raise an alarm."""
    alarms = [model.judge(path).bad for path in (scratches / "test" / "good").iterdir()]
    assert sum(alarms) <= 2


def test_a_lower_quantile_lets_fewer_pass(fit):
    """--quantile would do nothing."""
    strict, lenient = (fit("gaussian", methods.Options(features="patches"), quantile=each) for each in (0.5, 1.0))
    assert strict.threshold.score < lenient.threshold.score
    assert "0.5" in strict.threshold.source


@pytest.mark.parametrize("name", ["gaussian", "neighbours", "bits"])
def test_every_method_survives_its_file(fit, scratches, tmp_path, name):
    """A saved model would judge differently from the one that was measured."""
    fitted = fit(name)
    fitted.save(tmp_path / "model")
    again = Model.load(tmp_path / "model")
    path = scratches / "test" / "scratch" / "00.png"
    first, second = fitted.judge(path), again.judge(path)
    assert first.score == pytest.approx(second.score, rel=1e-5)
    assert np.allclose(first.heat, second.heat, rtol=1e-4, atol=1e-4)
    assert again.threshold == fitted.threshold
    good = np.mean([fitted.judge(each).score for each in (scratches / "test" / "good").iterdir()])
    assert first.score > good


@pytest.mark.slow
@pytest.mark.parametrize("error", ["pixel", "ssim", "feature"])
def test_an_autoencoder_survives_its_file(fit, scratches, tmp_path, error):
    """As above; torch and scikit-learn are needed for this one alone."""
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    fitted = fit("reconstruction", methods.Options(kind="linear", latent=4, epochs=20, error=error, square=48))
    fitted.save(tmp_path / "model")
    again = Model.load(tmp_path / "model")
    bad, good = (
        [fitted.judge(path).score for path in sorted((scratches / "test" / kind).iterdir())] for kind in ("scratch", "good")
    )
    assert np.mean(bad) > np.mean(good)
    path = scratches / "test" / "scratch" / "00.png"
    assert again.judge(path).score == pytest.approx(bad[0], rel=1e-4)


def test_the_default_survives_its_file(model, scratches, tmp_path):
    """As above, and the file is small and holds no code."""
    model.save(tmp_path / "model")
    assert (tmp_path / "model").stat().st_size < 2_000_000
    again = Model.load(tmp_path / "model")
    path = scratches / "test" / "scratch" / "01.png"
    assert again.judge(path).score == model.judge(path).score
    assert again.facts["pictures"] == 14


def test_the_same_pictures_give_the_same_model(fit, model, scratches):
    """A figure could not be measured again."""
    path = scratches / "test" / "scratch" / "02.png"
    assert fit().judge(path).score == model.judge(path).score


def test_a_labelled_threshold_separates(model, scratches):
    """--labelled would be worse than the quantile."""
    scores, bad = evaluation.labelled_scores(model, scratches, PNG)
    own = model.with_threshold(scores, bad)
    assert [own.judge(path).bad for path in sorted((scratches / "test").glob("*/*.png"))] == bad.tolist()
    assert "labelled" in own.threshold.source


def test_the_normalised_score_has_its_fixed_points():
    """A script would have to know each model's scale."""
    threshold = Threshold(5.0, 0.0, 1.0, 0.0, "")
    assert threshold.normalised(5) == 0.5
    assert threshold.normalised(1) == pytest.approx(0.018, abs=0.001)
    assert threshold.normalised(6) < threshold.normalised(7) < 1
    assert Threshold(1.0, 0.0, 1.0, 0.0, "").normalised(3) == pytest.approx(1)


def test_a_picture_may_have_any_size_and_mode(model):
    """Parts are photographed by more than one camera."""
    for image in (Image.new("L", (31, 200)), Image.new("RGBA", (9, 9)), Image.new("I;16", (500, 40))):
        verdict = model.judge(image)
        assert (verdict.width, verdict.height) == image.size
        assert np.isfinite(verdict.score)


def test_too_few_pictures_and_other_names_are_refused(fit, scratches):
    """An error of numpy would come in their place."""
    with pytest.raises(PictureError, match="at least 4"):
        Model.fit([Image.new("L", (64, 64))] * 3)
    with pytest.raises(ValueError, match="must be one of damage"):
        fit("magic")
    with pytest.raises(PictureError, match=r"conftest\.py"):
        Model.fit([__file__.replace("test_model", "conftest")] * 4)


def test_equal_pictures_can_be_learned_from():
    """A belt that stands still would end the fit with a division by zero."""
    own = Model.fit([np.full((64, 64, 3), 90, np.uint8)] * 5, "gaussian", methods.Options(features="patches"))
    assert np.isfinite(own.judge(np.full((64, 64, 3), 200, np.uint8)).score)


def test_other_files_are_no_models(model, tmp_path):
    """A user would see a traceback."""
    path = tmp_path / "model"
    data = model.to_bytes()
    card = {"format": 2, "method": "damage"}
    for broken in (b"", b"no model", data[:100], data[:-1], save(load(data)), save(load(data), {CARD: json.dumps(card)})):
        path.write_bytes(broken)
        with pytest.raises(WeightsError):
            Model.load(path)
    with pytest.raises(WeightsError, match="cannot open"):
        Model.load(tmp_path / "missing")
