"""The command ``aecodec autoencoder``."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path, photo):
    """A folder of two classes, 12 pictures each."""
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for seed in range(12):
            picture = photo(40, 32, seed=seed + 20 * (name == "b"))
            picture.save(tmp_path / "photos" / name / f"{seed}.png")
    return "photos"


@pytest.fixture
def model(cli, folder):
    """The folder of a fitted model."""
    result = cli("autoencoder", "fit", "-r", folder, "--size", 16, "--latent", 4, "--epochs", 2, "-o", "model")
    assert result.exit_code == 0, result.stderr
    return "model"


def test_fit_writes_a_model_that_python_opens(model, tmp_path):
    """Whoever fits on the command line wants the codes in a program."""
    from aecodec.autoencoders import load

    opened = load(tmp_path / model)
    assert opened.transform([tmp_path / "photos" / "a" / "0.png"]).shape == (1, 4)
    assert sorted(path.name for path in (tmp_path / model).iterdir()) == ["card.toml", "log.csv", "model.safetensors"]
    log = (tmp_path / model / "log.csv").read_text().splitlines()
    assert len(log) == 3
    assert log[2].split(",")[2]  # the score of held-out pictures


def test_fit_replaces_only_with_force_and_says_what_it_did(cli, fails, model):
    """A night's model could be overwritten by a slip."""
    arguments = ("autoencoder", "fit", "-r", "photos", "--size", 16, "--epochs", 1, "-o", model)
    assert "exists; --force" in fails(1, *arguments)
    report = json.loads(cli(*arguments, "--force", "--kind", "vae", "--set", "beta=2", "--json").stdout)
    assert report["kind"] == "vae"
    assert report["pictures"] == 24
    assert report["numbers"] == 32


def test_fit_goes_on_after_an_interruption(cli, folder, monkeypatch):
    """Hours of training would be lost with a connection."""
    monkeypatch.setattr("aecodec.autoencoders.fitting.SAVE_EVERY", 0)
    arguments = ("autoencoder", "fit", "-r", folder, "--size", 16, "--kind", "deep", "--epochs", 3)
    from aecodec.autoencoders import fitting

    whole, count = fitting._epoch, []

    def interrupted(*given):
        if len(count) == 2:
            raise KeyboardInterrupt
        count.append(1)
        return whole(*given)

    monkeypatch.setattr(fitting, "_epoch", interrupted)
    assert cli(*arguments, "-o", "one").exit_code == 130
    monkeypatch.setattr(fitting, "_epoch", whole)
    assert cli(*arguments, "-o", "one").exit_code == 0
    assert cli(*arguments, "-o", "two").exit_code == 0
    from pathlib import Path

    assert Path("one/model.safetensors").read_bytes() == Path("two/model.safetensors").read_bytes()


def test_a_bad_picture_is_named_and_costs_no_other(cli, folder, tmp_path):
    """One damaged file among ten thousand."""
    (tmp_path / folder / "a" / "bad.png").write_bytes(b"no picture")
    result = cli("autoencoder", "fit", "-r", folder, "--size", 16, "--epochs", 1, "-o", "model", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["pictures"] == 24
    assert "bad.png" in result.stderr


def test_sheets_are_written(cli, model, tmp_path):
    """What a model has learned is seen, not read."""
    for arguments, size in (
        (("sample", model, "-n", 9), (3 * 98 - 2, 3 * 98 - 2)),
        (("interpolate", model, "photos/a/0.png", "photos/b/1.png", "--steps", 3), (5 * 98 - 2, 96)),
        (("traverse", model, "--numbers", 2, "--steps", 3), (76 + 3 * 98 - 2, 2 * 98 - 2)),
    ):
        result = cli("autoencoder", *arguments, "-o", "sheet.png", "-f")
        assert result.exit_code == 0, result.stderr
        assert Image.open(tmp_path / "sheet.png").size == size


def test_compare_prints_a_table_and_writes_a_page(cli, folder, tmp_path):
    """The kinds are chosen by it."""
    arguments = ("autoencoder", "compare", "-r", folder, "--kinds", "tied,vae", "--size", 16, "--latent", 4, "--epochs", 2)
    result = cli(*arguments, "-o", "page.html")
    assert result.exit_code == 0, result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["kind", "tied", "vae"]
    assert "Autoencoders on photos" in (tmp_path / "page.html").read_text("utf-8")
    numbers = json.loads(cli(*arguments, "--json").stdout)
    assert numbers["classes"] == 2
    assert {row["kind"] for row in numbers["rows"]} == {"tied", "vae"}


def test_tables_and_maps_take_the_codes_of_a_model(cli, fails, model, tmp_path):
    """A model of one kind of picture tells more of them apart than the codec's vectors do."""
    from aecodec.autoencoders import load

    assert cli("features", "--model", model, "-r", "photos", "-o", "x.npz").exit_code == 0
    with np.load(tmp_path / "x.npz") as table:
        wanted = load(tmp_path / model).transform(table["path"].tolist())
        assert np.allclose(table["vector"], wanted, atol=2e-3 * np.abs(wanted).max())
        assert table["width"].tolist() == [40] * 24
    assert cli("map", "--model", model, "-r", "photos", "--layout", "pca", "-o", "map.html").exit_code == 0
    assert '"length":4,' in (tmp_path / "map.html").read_text("utf-8")
    assert "not an autoencoder" in fails(1, "features", "--model", "photos", "photos/a", "-o", "y.csv")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fit", "photos", "-o", "model"), "-r descends"),
        (("fit", "-r", "photos", "--set", "beta", "-o", "model"), "KEY=VALUE"),
        (("fit", "-r", "photos", "--set", "beta=1", "-o", "model"), "unknown option 'beta' of conv"),
        (("compare", "-r", "photos"), "give -o PAGE"),
        (("compare", "-r", "photos", "--kinds", "vea", "--json"), "unknown kind 'vea'"),
        (("sample", "photos", "-o", "x.png"), "not an autoencoder"),
        (("sample", "photos", "-o", "x.abc"), "cannot write pictures"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_work_is_one_line(cli, folder, arguments, message):
    """A traceback tells a user nothing."""
    result = cli("autoencoder", *arguments)
    assert result.exit_code in (1, 2)
    assert message in result.stderr


def test_the_command_knows_what_the_room_has():
    """A new kind or loss would be missing in the help."""
    from aecodec.autoencoders import KINDS
    from aecodec.autoencoders.losses import LOSSES
    from aecodec.cli import autoencoder

    assert tuple(KINDS) == autoencoder.KINDS
    assert LOSSES == autoencoder.LOSSES
