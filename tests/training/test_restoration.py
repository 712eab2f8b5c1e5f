"""Training for restoration: the network learns, and what is written is opened."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from aecodec.errors import AecodecError
from aecodec.networks.export import load_unet
from aecodec.networks.unet import UNet
from aecodec.restore import hint
from aecodec.training.checkpoint import CHECKPOINT
from aecodec.training.restoration import damaged, squared_error
from aecodec.training.run import Run
from aecodec.training.settings import DAMAGES, SettingsError, make
from aecodec.weights.restorer import INPUTS, UNetArchitecture, load_restorer

SMALL = {"widths": [8, 12, 16], "blocks": [1, 1, 1]}


@pytest.fixture
def pictures(tmp_path):
    """A folder of smooth pictures, from which noise can be told apart."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for i in range(16):
        coarse = Image.fromarray(rng.integers(60, 200, (5, 5, 3), np.uint8))
        coarse.resize((96, 96), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def run(pictures, tmp_path):
    """run(**settings) is a run that restores."""

    def make_run(**more):
        content = {
            "data": str(pictures), "task": "restore", "name": "restore", "steps": 80, "crop": 64, "batch": 8,
            "held_out": 0.2, "warm_up": 3, "ema": 0.8, "optimiser": "adam", "learning_rate": 5e-3, "device": "cpu",
            "unet": SMALL,
        }  # fmt: skip
        return Run(make({**content, **more}), tmp_path, fail)

    return make_run


def fail(message):
    raise AssertionError(message)


def test_an_untrained_network_changes_nothing():
    """Training starts at the given picture and not at noise."""
    x = torch.rand(1, 6, 32, 48)
    assert torch.equal(UNet(UNetArchitecture((8, 12), (1, 1)))(x), x[:, :3])


@pytest.mark.slow
@pytest.mark.parametrize("optimiser", ["adam", "soap"])
def test_training_restores_better(all_crops, run, optimiser):
    """All else would be in vain."""
    trained = run(
        optimiser=optimiser, steps=150, learning_rate=2e-3, damage={"noise": 2, "mask": 1},
        unet={"widths": [16, 24], "blocks": [1, 1]},
    )  # fmt: skip

    def error() -> float:
        x = trained.validation
        with torch.no_grad():
            return squared_error(trained.average(x[:, :INPUTS]), x).mean().item()

    before = error()
    list(trained.progress())
    assert error() < 0.9 * before
    with torch.no_grad():
        assert len(trained.task.validate(trained.average, trained.validation)[1]) == 2


@pytest.mark.slow
def test_weights_that_were_trained_are_opened_and_trained_on(run, tmp_path):
    """Hours of training must end in a folder that the command line takes, and must not be lost on the next run."""
    trained = run(steps=3)
    list(trained.progress())
    folder = str(tmp_path / "weights")
    identity = trained.task.save(trained.average, tmp_path / "weights", {})
    restorer = load_restorer(folder)
    assert (restorer.id, restorer.arch) == (identity, UNetArchitecture(**SMALL))
    x = trained.validation[:2, :6]
    with torch.no_grad():
        kept, stored = trained.average(x), load_unet(restorer)(x)
    assert (kept - stored).abs().max() < 1 / 255  # int8
    (tmp_path / CHECKPOINT).rename(tmp_path / "kept.pt")
    for init in (folder, str(tmp_path / "kept.pt")):
        again = run(steps=1, init=init)
        with torch.no_grad():
            assert (again.average(x) - kept).abs().max() < 1 / 255


@pytest.mark.slow
def test_a_run_is_not_resumed_as_another_one(run):
    """A codec that goes on as a network that restores, or one of other widths, would be neither."""
    list(run(steps=1).progress())
    with pytest.raises(AecodecError, match="the task restore"):
        run(steps=2, task="compress")
    with pytest.raises(AecodecError, match="another architecture"):
        run(steps=2, unet={"widths": [8, 12], "blocks": [1, 1]})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"task": "colourise"}, "task must be one of"),
        ({"unet": {"widths": [8, 16]}}, "a number for each level"),
        ({"unet": {"depth": 3}}, "architecture: "),
        ({"curriculum": 2}, "curriculum must be a share"),
        ({"damage": {"rain": 1}}, "unknown damage 'rain'"),
        ({"damage": {"blur": 0}}, "a share above 0"),
    ],
)
def test_bad_settings_are_named(more, message):
    """As for the codec: before the pictures are loaded, not after."""
    with pytest.raises(SettingsError, match=message):
        make({"data": "x", "steps": 1, "task": "restore", **more})


@pytest.mark.parametrize("kind", DAMAGES)
def test_batches_hold_the_damaged_picture_its_hint_and_the_clean_one(photo, kind):
    """A clean picture in the wrong place would train a network that does nothing, or one that adds noise."""
    crop = np.asarray(photo(64, 64))
    hinted = set()
    for seed in range(40):
        x = damaged(crop, kind, 1.0, np.random.default_rng(seed))
        seen, noise, sharpness, missing, clean = np.split(x, [3, 4, 5, 6], -1)
        gray = np.ptp(clean, -1).max() == 0
        assert (gray and np.ptp(seen, -1).max() == 0) or np.array_equal(clean, crop)
        hinted |= {name for name, plane in (("noise", noise), ("sharpness", sharpness), ("mask", missing)) if plane.any()}
        if noise[0, 0, 0] > 40:  # quarters of a level
            assert (seen.astype(float) - clean).std() == pytest.approx(noise[0, 0, 0] / 4, rel=0.2)
        if kind == "blur":
            assert (sharpness == hint.UNSHARP).all()
        if kind == "mask":
            known = missing[..., 0] == 0
            assert np.array_equal(seen[known], clean[known])
    hints = {"noise": {"noise"}, "jpeg": set(), "blur": {"sharpness"}, "downscale": {"sharpness"}, "mask": {"mask"}}
    assert hinted == hints[kind]


def test_a_run_makes_only_the_damage_that_it_is_asked_for(run, photo):
    """A network for holes would waste its time, and its 3 MB, on noise."""
    task = run(damage={"mask": 3, "blur": 1}).task
    crops = np.stack([np.asarray(photo(64, 64))] * 200)
    planes = task.batch(crops, 1.0, np.random.default_rng(1))[..., 3:6].max((1, 2)) > 0
    assert not planes[:, 0].any()
    assert (planes[:, 1] ^ planes[:, 2]).all()
    assert 0.65 < planes[:, 2].mean() < 0.85


def test_holes_are_what_counts_where_there_are_any():
    """The known pixels are put back afterwards: a network that only copies them would look perfect."""
    x = torch.zeros(2, 9, 4, 4)
    x[0, 5, :2] = 1
    restored = torch.full((2, 3, 4, 4), 1 / 255)
    restored[0, :, 2:] = 0
    whole, hole = squared_error(restored, x)[1], squared_error(restored, x)[0]
    assert whole.item() == pytest.approx(1, rel=1e-4)
    assert hole.item() == pytest.approx(1 / 1.1, rel=1e-4)
