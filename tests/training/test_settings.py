"""What a user hears about a configuration that cannot work."""

from __future__ import annotations

from pathlib import Path

import pytest

import aecodec
from aecodec.training.settings import SettingsError, configurations, locate, make, read
from aecodec.weights import cards


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "'data' is missing"),
        ({"data": "x"}, "one of 'steps' and 'minutes'"),
        ({"data": "x", "steps": 1, "stepps": 2}, "unknown key 'stepps'"),
        ({"data": "x", "steps": -1}, "steps must be a positive number"),
        ({"data": "x", "steps": True}, "steps must be a positive number"),
        ({"data": "x", "steps": 1, "crop": 100}, "multiple of 64"),
        ({"data": "x", "steps": 1, "held_out": 1}, "held_out"),
        ({"data": "x", "steps": 1, "linear_rate": -0.5}, "linear_rate"),
        ({"data": 5, "steps": 1}, "data must be a list of texts"),
        ({"data": "x", "steps": 1, "batch": 8.0}, "batch must be a whole number, not 8.0"),
        ({"data": "x", "steps": 1, "decay": "0.4"}, "decay must be a number, not '0.4'"),
        ({"data": "x", "steps": 1, "held_out": "x"}, "held_out must be a number"),
        ({"data": "x", "steps": 1, "quantise": 1}, "quantise must be true or false"),
        ({"data": "x", "steps": 1, "optimiser": "sgd"}, "optimiser must be one of soap, adam"),
        ({"data": "x", "steps": 1, "device": "gpu"}, "device must be auto, cpu or cuda"),
        ({"data": "x", "steps": 1, "threads": -1}, "threads"),
        ({"data": "x", "steps": 1, "name": 5}, "name must be a text, not 5"),
        ({"data": "x", "steps": 1, "init": 5}, "init must be a text, not 5"),
        ({"data": "x", "steps": 1, "distortion": "mse"}, "distortion must be a table of numbers, not 'mse'"),
        ({"data": "x", "steps": 1, "distortion": {"mse": "1"}}, "distortion must be a table of numbers"),
        ({"data": "x", "steps": 1, "distortion": {}}, "distortion must give each of its terms a weight above 0"),
        ({"data": "x", "steps": 1, "distortion": {"mse": 0}}, "distortion must give each of its terms a weight above 0"),
        (
            {"data": "x", "steps": 1, "distortion": {"mae": 1}},
            "unknown distortion 'mae'; the terms are mse, ms-ssim, ssimulacra2, cvvdp",
        ),
        ({"data": "x", "steps": 1, "architecture": 5}, "architecture must be a table, not 5"),
        ({"data": "x", "steps": 1, "architecture": {"latents": 1024}}, "latents must be at most 768"),
        ({"data": "x", "steps": 1, "task": "restore", "unet": 5}, "unet must be a table, not 5"),
        ({"data": "x", "steps": 1, "architecture": {"latents": 30}}, "multiple of 4"),
        ({"data": "x", "steps": 1, "architecture": {"width": 30}}, "width"),
    ],
)
def test_a_bad_setting_is_named(content, message):
    """A run that starts with a misspelt key would waste hours before anybody notices."""
    with pytest.raises(SettingsError, match=message):
        make(content)


def test_overrides_replace_what_the_file_says(tmp_path):
    """``--minutes 5`` on a shared configuration must win, or a quick trial runs for a day."""
    path = tmp_path / "run.toml"
    path.write_text('data = "pictures"\nsteps = 10\n[architecture]\nlatents = 64\n')
    settings = read(path, steps=3, data=("other",), init=None)
    assert (settings.steps, settings.data, settings.architecture.latents) == (3, ("other",), 64)


def test_an_unreadable_file_is_one_clear_line(tmp_path):
    """A typing error in a file name or in TOML must not be a traceback."""
    with pytest.raises(SettingsError, match="no such file"):
        read(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("data = [")
    with pytest.raises(SettingsError, match="is not TOML"):
        read(tmp_path / "bad.toml")


def test_every_installed_model_has_its_configuration():
    """A recipe that its own program refuses, or that is not there, is no record of how the weights were made."""
    installed = {*cards.names(), *cards.names(restoring=True)}
    assert configurations().keys() == installed
    for name in installed:
        assert read(locate(name)).name == cards.read_card(cards.folder_of(name))["training"]["config"] == name


def test_a_configuration_is_a_name_or_a_path(tmp_path, monkeypatch):
    """Who installed a wheel has no checkout to take the file from; who has a file of this name must still reach it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo").write_text("mine")
    assert locate("photo").is_relative_to(Path(aecodec.__file__).parent)
    assert locate("./photo").samefile(tmp_path / "photo")
    with pytest.raises(SettingsError, match="'phto'; there is no such file, and aecodec has denoise, inpaint, photo,"):
        locate("phto")
