"""Evaluations of a set, their page, and the layout of sets."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from aecodec.anomaly import evaluation, sets
from aecodec.errors import PictureError

PNG = {".png"}


@pytest.fixture
def copy(scratches, tmp_path):
    return shutil.copytree(scratches, tmp_path / "copy")


def test_samples_have_their_kinds_and_masks(copy):
    """Defects would be counted as good, or masks be missed."""
    (copy / "ground_truth" / "scratch" / "01_mask.png").rename(copy / "ground_truth" / "scratch" / "01.png")
    (copy / "ground_truth" / "scratch" / "02_mask.png").unlink()
    found = sets.testing(copy, PNG)
    assert [each.kind for each in found] == ["good"] * 6 + ["scratch"] * 6
    assert [each.mask is not None for each in found[6:]] == [True, True, False, True, True, True]
    assert not found[0].pixels(72, 72).any()
    assert found[6].pixels(72, 72).sum() == 36
    assert found[8].pixels(72, 72) is None


def test_a_mask_of_another_size_is_refused(copy):
    """Pixels would be compared with others."""
    Image.new("L", (10, 10)).save(copy / "ground_truth" / "scratch" / "00_mask.png")
    with pytest.raises(PictureError, match="10 x 10"):
        sets.testing(copy, PNG)[6].pixels(72, 72)


def test_a_set_without_both_kinds_is_refused(model, copy):
    """A rate of nothing is no rate."""
    shutil.rmtree(copy / "test" / "good")
    with pytest.raises(PictureError, match="both good and bad"):
        evaluation.evaluate(model, copy, PNG)
    shutil.rmtree(copy / "test")
    with pytest.raises(PictureError, match="no folder test"):
        evaluation.evaluate(model, copy, PNG)


def test_without_masks_only_pictures_are_measured(model, copy):
    """A set with labels alone could not be evaluated."""
    shutil.rmtree(copy / "ground_truth")
    found = evaluation.evaluate(model, copy, PNG, with_pictures=False)
    assert found.numbers["pixel_auroc"] is None
    assert found.numbers["image_auroc"] > 0.95
    assert json.dumps(found.numbers)


def test_the_worst_miss_comes_first(model, copy):
    """Who looks at the page wants to see what went wrong."""
    shutil.copy(copy / "test" / "good" / "00.png", copy / "test" / "scratch" / "05.png")  # a defect that nobody can see
    (copy / "ground_truth" / "scratch" / "05_mask.png").unlink()
    found = evaluation.evaluate(model, copy, PNG)
    assert found.rows[0].path == "test/scratch/05.png"
    assert found.numbers["missed"] == 1
    assert found.numbers["kinds"]["scratch"] == {
        "pictures": 6,
        "found": 5,
        "auroc": pytest.approx(found.numbers["image_auroc"]),
    }
    page = evaluation.render(found, {"Set": "</script>", "Command": "aecodec"})
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert data["rows"][0]["path"] == "test/scratch/05.png"
    assert len(data["pictures"]) == 12
    assert data["curves"]["all"][0] == [0, 0]
    assert data["curves"]["all"][-1] == [1, 1]
    assert "://" not in page.replace("http://www.w3.org", "")


def test_masks_follow_the_size_at_which_pixels_are_compared(monkeypatch):
    """Large pictures would be measured at other places than their masks show."""
    monkeypatch.setattr(evaluation, "MEASURED", 50)
    mask = np.zeros((100, 200), np.bool_)
    mask[:40, 100:] = True
    heat, small = evaluation._comparable(np.zeros((10, 20), np.float32), mask)
    assert heat.shape == small.shape == (25, 50)
    assert small[:10, 25:].all()
    assert small.sum() == 250
