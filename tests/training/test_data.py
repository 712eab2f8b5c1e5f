"""The pictures of a training run."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from PIL import Image

from aecodec.errors import AecodecError
from aecodec.training import data


def test_a_bad_picture_is_named_and_the_rest_is_used(tmp_path):
    """One broken file among thousands must not end a run, nor vanish without a word."""
    Image.new("RGB", (8, 8), "red").save(tmp_path / "good.png")
    (tmp_path / "bad.jpg").write_text("not a picture")
    (tmp_path / "notes.txt").write_text("not meant as one")
    said = []
    pictures = data.load(data.find([str(tmp_path)], said.append), said.append)
    assert pictures.names == ["good.png"]
    assert len(said) == 1
    assert "bad.jpg" in said[0]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["png", "tif"])
def test_pictures_are_what_the_encoder_sees(tmp_path, kind):
    """16-bit gray came out white; and what is under an alpha of 0 is never coded."""
    ramp = np.linspace(300, 63300, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / f"a.{kind}")
    hidden = np.full((8, 8, 4), 200, np.uint8)
    hidden[4:] = (255, 0, 0, 0)
    Image.fromarray(hidden).save(tmp_path / f"b.{kind}")
    deep, masked = data.load(data.find([str(tmp_path)], pytest.fail), pytest.fail).arrays
    assert np.abs(deep - ramp[..., None] / 257.0).max() <= 0.51
    assert np.abs(masked - 200.0).max() <= 2


def test_an_empty_or_missing_folder_is_refused(tmp_path):
    """Training on nothing is a mistake in a path, and should say so."""
    with pytest.raises(AecodecError, match="no pictures"):
        data.find([str(tmp_path)], pytest.fail)
    with pytest.raises(AecodecError, match="no folder"):
        data.find([str(tmp_path / "none")], pytest.fail)


def test_an_unreadable_folder_is_named_and_the_rest_is_used(tmp_path, monkeypatch):
    """A share that is not mounted as it should be would cost half of the pictures without a word."""
    Image.new("RGB", (8, 8)).save(tmp_path / "good.png")
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def denied(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    said = []
    assert [path.name for path in data.find([str(tmp_path)], said.append)] == ["good.png"]
    assert said == [f"{tmp_path / 'locked'}: skipped: cannot read the folder: permission denied"]


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_names_need_not_be_text():
    """A name in Latin-1 ended the run before its first step."""
    assert data.is_held_out("caf\udce9.png", 1.0)


def test_the_held_out_share_does_not_depend_on_other_files():
    """Validation pictures that move into training when a folder grows would make its figures meaningless."""
    names = [f"picture-{i}.png" for i in range(4000)]
    held = [name for name in names if data.is_held_out(name, 0.05)]
    assert 150 < len(held) < 250
    assert not any(data.is_held_out(name, 0) for name in names)


@pytest.mark.parametrize("shape", [(5, 7), (64, 64), (30, 200), (200, 30)])
def test_crops_have_their_size_even_from_small_pictures(shape):
    """Thumbnails in a folder must not stop a run."""
    array = np.arange(shape[0] * shape[1] * 3, dtype=np.uint8).reshape(*shape, 3)
    part = data.crop(array, 64, 0, 0)
    assert part.shape == (64, 64, 3)
    h, w = min(64, shape[0]), min(64, shape[1])
    assert (part[:h, :w] == array[:h, :w]).all()


def test_batches_come_from_inside_the_pictures():
    """A wrong stride would train on torn pictures, and nothing but the quality would tell."""
    ramp = np.add.outer(np.arange(90), np.arange(120))[..., None] + np.zeros(3, int)
    out = data.batch(data.Pictures([ramp.astype(np.uint8)], ["a"]), 8, 64, np.random.default_rng(0)).astype(int)
    assert out.shape == (8, 64, 64, 3)
    for part in out:
        steps = {int(abs(d)) for d in np.unique(np.diff(part[..., 0], axis=0))}
        assert steps == {1}


def test_pictures_are_drawn_by_their_area():
    """Photographs are larger than the thumbnails around them, and photographs are stored."""
    pictures = data.Pictures([np.zeros((32, 32, 3), np.uint8), np.full((64, 96, 3), 255, np.uint8)], ["small", "large"])
    out = data.batch(pictures, 1400, 16, np.random.default_rng(0))
    assert 0.83 < out.mean() / 255 < 0.88  # 6 of 7


def test_runs_are_judged_on_the_same_crops():
    """Two runs compare only on the same crops; a folder of few pixels must not be looked at again and again."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 100, 3), np.uint8)
    pictures = data.Pictures([noise, noise[:, ::-1]], ["a", "b"])
    first, again = (data.sample(pictures, 64, 32, seed=1) for _ in range(2))
    assert first.shape == (12, 32, 32, 3)  # 12 800 pixels
    assert (first == again).all()
    assert len(data.sample(pictures, 3, 32, seed=1)) == 3
    assert len(data.sample(data.Pictures([noise[:8]], ["a"]), 64, 32, seed=1)) == 1


def test_a_device_draws_the_same_crops():
    """Its indices are its own; a picture whose pixels say where they are tells whether they are right."""
    rows, columns = np.mgrid[:200, :170].astype(np.uint8)
    arrays = [np.stack([rows, columns, np.full_like(rows, 1)], -1), np.stack([rows, columns, rows * 0], -1)[:40, :90]]
    torch.manual_seed(0)
    out = data.DeviceCrops(data.Pictures(arrays, ["large", "small"]), 64, torch.device("cpu")).batch(400).numpy()
    assert out.shape == (400, 64, 64, 3)
    assert out.dtype == np.uint8
    kinds, corners = set(), set()
    for drawn in out:
        transposed = bool(drawn[1, 0, 1] != drawn[0, 0, 1])
        part = drawn.transpose(1, 0, 2) if transposed else drawn
        y, x = part[..., 0].astype(int), part[..., 1].astype(int)
        mirrored = bool(x[0, 1] < x[0, 0])
        large = int(part[0, 0, 2])
        kinds.add((transposed, mirrored, large))
        expected = data.crop(arrays[0 if large else 1], 64, int(y[0, 0]), int(x[0].min()))
        assert np.array_equal(part, expected[:, ::-1] if mirrored else expected)
        corners.add((int(y[0, 0]), int(x[0].min()), large))
    assert len(kinds) == 8
    assert max(c[0] for c in corners) > 120
    assert max(c[1] for c in corners if c[2]) > 95
    assert 0.04 < 1 - out[:, 0, 0, 2].mean() < 0.17  # by area, 3600 of 37 600 pixels
