"""``aecodec anomaly``."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def parts(tmp_path):
    """Noisy gray pictures; a bad one has a white square."""
    rng = np.random.default_rng(0)
    for name in ("train/good", "test/good", "test/square", "ground_truth/square"):
        (tmp_path / "set" / name).mkdir(parents=True)
    for number in range(8):
        for place in ("train/good", "test/good", "test/square"):
            pixels = rng.integers(90, 130, (64, 64)).astype(np.uint8)
            mask = np.zeros((64, 64), np.bool_)
            if place == "test/square":
                mask[20:30, 36:44] = True
                pixels[mask] = 250
                Image.fromarray(mask).save(tmp_path / f"set/ground_truth/square/{number}_mask.png")
            Image.fromarray(pixels).save(tmp_path / f"set/{place}/{number}.png")
    return tmp_path / "set"


@pytest.fixture
def fitted(cli, parts):
    result = cli("anomaly", "fit", "set", "-o", "model", "--method", "gaussian", "--features", "patches")
    assert result.exit_code == 0, result.stderr
    return result


def test_a_model_is_fitted_to_the_good_pictures_alone(fitted):
    """Bad pictures of the set would be learned as good ones."""
    assert "8 pictures at 64 pixels" in fitted.stderr


def test_bad_pictures_are_named_with_the_boxes_of_their_regions(cli, fitted, parts):
    """What the command is for."""
    result = cli("anomaly", "score", "model", "set/test/square/3.png", "set/test/good/3.png", "--json")
    bad, good = map(json.loads, result.stdout.splitlines())
    assert bad["bad"]
    assert bad["normalised"] > 0.5
    assert bad["score"] > bad["threshold"]
    box = bad["regions"][0]
    assert box["left"] <= 40 <= box["left"] + box["width"]
    assert box["top"] <= 25 <= box["top"] + box["height"]
    assert good["score"] < bad["score"]
    lines = cli("anomaly", "score", "model", "set/test/square/3.png").stdout
    assert lines.startswith("bad ")
    assert lines.rstrip().endswith("set/test/square/3.png")


def test_csv_has_a_row_for_each_picture(cli, fitted):
    """A spreadsheet would not open it."""
    rows = list(csv.DictReader(io.StringIO(cli("anomaly", "score", "model", "set/test/square", "--csv").stdout)))
    assert len(rows) == 8
    assert all(row["bad"] == "True" and float(row["score"]) > float(row["threshold"]) for row in rows)


def test_heat_is_drawn_at_full_size_where_the_defect_is(cli, fitted, tmp_path):
    """A map of another size cannot be laid over the picture."""
    assert cli("anomaly", "score", "model", "set/test/square/0.png", "--heatmap", "heat").exit_code == 0
    before, after = (
        np.asarray(Image.open(tmp_path / name).convert("RGB"), np.int32) for name in ("set/test/square/0.png", "heat/0.png")
    )
    assert after.shape == before.shape
    change = np.abs(after - before).sum(-1)
    assert change[22:28, 38:42].mean() > 100
    assert change[22:28, 38:42].mean() > 1.3 * change[48:, :16].mean()


def test_an_existing_output_is_kept(cli, fails, fitted):
    """A model of last week would be lost."""
    assert "exists" in fails(1, "anomaly", "fit", "set", "-o", "model")
    assert cli("anomaly", "score", "model", "set/test/good/0.png", "--heatmap", "heat").exit_code == 0
    assert "exists" in fails(1, "anomaly", "score", "model", "set/test/good/0.png", "--heatmap", "heat")


def test_a_set_is_measured(cli, fitted, tmp_path):
    """The keys that scripts read, and the page and the table."""
    result = cli("anomaly", "evaluate", "model", "set", "--json", "-o", "page.html", "--csv", "table.csv")
    numbers = json.loads(result.stdout)
    assert {"image_auroc", "image_f1", "pixel_auroc", "pixel_aupro"} <= numbers.keys()
    assert numbers["image_auroc"] == 1
    assert "Worst misses first" in (tmp_path / "page.html").read_text("utf-8")
    rows = list(csv.DictReader((tmp_path / "table.csv").open()))
    assert len(rows) == 16
    assert {row["kind"] for row in rows} == {"good", "square"}
    assert "square: AUROC 1.000, " in cli("anomaly", "evaluate", "model", "set").stdout


def test_a_threshold_of_labelled_pictures_is_kept_in_the_model(cli, parts, tmp_path):
    """The model would judge by another threshold than was asked for."""
    options = ("--method", "gaussian", "--features", "patches", "--labelled", "set")
    assert "best F1 of 16 labelled pictures" in cli("anomaly", "fit", "set", "-o", "model", *options).stderr
    assert json.loads(cli("anomaly", "evaluate", "model", "set", "--json").stdout)["image_f1"] == 1


def test_what_is_wrong_is_said_in_one_line(cli, fails, parts, fitted, tmp_path):
    """A traceback helps nobody at a belt."""
    (tmp_path / "broken").write_bytes(b"something")
    assert "is not a model" in fails(1, "anomaly", "score", "broken", "set/test/good/0.png")
    assert "no folder test" in fails(1, "anomaly", "evaluate", "model", "set/train")
    (parts / "train/good/bad.png").write_bytes(b"no picture")
    assert "bad.png: not a picture" in fails(1, "anomaly", "fit", "set", "-o", "other")
    assert "exclude each other" in cli("anomaly", "score", "model", "set/test/good/0.png", "--json", "--csv").stderr
    result = cli("anomaly", "score", "model", "set/train/good/bad.png", "set/test/good/0.png")
    assert result.exit_code == 1
    assert "set/test/good/0.png" in result.stdout
