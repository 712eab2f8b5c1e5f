"""Training for restoration: the encoder learns, the decoder stays, and what is written fits it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from aecodec.errors import AecodecError
from aecodec.networks.export import load_float_model, save_weights
from aecodec.training import data
from aecodec.training.checkpoint import CHECKPOINT
from aecodec.training.compression import new_model
from aecodec.training.restoration import holed, noisy
from aecodec.training.run import Run
from aecodec.training.settings import SettingsError, make
from aecodec.weights.store import is_of_encoder, load, load_any, restoring


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
def run(tiny, pictures, tmp_path):
    """run(**settings) is a run that restores for the decoder of ``tiny``."""

    def make_run(**more):
        content = {
            "data": str(pictures),
            "task": "denoise",
            "decoder": str(tiny[1]),
            "steps": 40,
            "crop": 64,
            "batch": 4,
            "held_out": 0.2,
            "warm_up": 3,
            "ema": 0.8,
            "optimiser": "adam",
            "learning_rate": 5e-3,
            "device": "cpu",
        }
        return Run(make({**content, **more}), tmp_path, fail)

    return make_run


def fail(message):
    raise AssertionError(message)


@pytest.fixture
def decoder(tiny, pictures, tmp_path) -> str:
    """A decoder of the size of ``tiny`` whose linear paths show pictures, so that there is much to win."""
    content = {"data": str(pictures), "steps": 1, "device": "cpu", "architecture": tiny[0].arch.to_dict()}
    torch.manual_seed(7)
    model = new_model(make(content), data.load(data.find([str(pictures)]), fail), np.random.default_rng(0)).eval()
    save_weights(model, tmp_path / "decoder", "decoder", {})
    return str(tmp_path / "decoder")


@pytest.mark.slow
@pytest.mark.parametrize("task", ["denoise", "inpaint"])
def test_training_restores_better_and_leaves_the_decoder_alone(all_crops, run, decoder, task):
    """Every file ever written must still be decoded by the decoder that is installed; and all else would be in vain."""
    trained = run(
        task=task, decoder=decoder, distil=0, steps=60, optimiser="soap", learning_rate=6e-3, low_quality_bias=0.2, seed=3
    )
    state = {name: value.clone() for name, value in trained.model.state_dict().items()}

    def loss() -> float:
        """Of held-out pictures at the top quality, by the loss that is trained on."""
        position = torch.full((len(trained.validation),), 8.0)
        with torch.no_grad():
            return trained.task.loss(trained.average, trained.validation, position, 0, trained.phase)[0].item()

    before = loss()
    list(trained.progress())
    # 3 % of the cost, whose logarithm the loss is
    assert loss() < before + math.log(0.97)
    changed = {name for name, value in trained.model.state_dict().items() if not torch.equal(value, state[name])}
    assert all(map(is_of_encoder, changed))
    assert {"analysis.head.weight", "analysis.gate.weight", "analysis.klt.weight"} <= changed


@pytest.mark.slow
def test_distilling_asks_for_the_latents_of_the_clean_picture(run):
    """At first that is the whole loss; it must end at nothing where nothing is damaged, and begin a phase of its own."""
    trained = run(distil=0.5, steps=4)
    task, x = trained.task, trained.validation
    clean = torch.cat([x[:, 4:], torch.zeros_like(x[:, 3:4]), x[:, 4:]], 1)
    for batch, least, most in ((clean, 0, 1e-6), (x, 1e-3, 1e3)):
        loss, rate = task.loss(trained.model, batch, torch.full((len(batch),), 8.0), 0, 0)
        assert least <= loss.item() <= most
        assert rate.item() == 0
    list(trained.progress())
    assert (trained.phase, trained.phase_start) == (1, 2)


@pytest.mark.slow
@pytest.mark.parametrize(("task", "left_out"), [("denoise", False), ("inpaint", True)])
def test_weights_that_were_trained_are_opened_for_their_decoder(run, tiny, tmp_path, task, left_out):
    """Hours of training must end in a folder that the command line takes; what they left alone need not be in it."""
    settings = {"task": task, "distil": 0, "architecture": {"blocks_8": 2}}
    trained = run(steps=1, **settings)
    list(trained.progress())
    trained.task.save(trained.average, tmp_path / "weights", {})
    stored = load_any(str(tmp_path / "weights")).tensors
    assert ("hyper_analysis.conv1.weight" not in stored) == left_out
    opened = restoring(str(tmp_path / "weights"), str(tiny[1]), task)
    assert (opened.id, opened.arch.blocks_8, opened.arch.inputs) == (load(str(tiny[1])).id, 2, 4)
    (tmp_path / CHECKPOINT).unlink()
    again = run(steps=2, init=str(tmp_path / "weights"), **settings)
    for name, value in load_float_model(opened).state_dict().items():
        if is_of_encoder(name):
            assert torch.allclose(again.average.state_dict()[name], value, atol=1e-6), name


@pytest.mark.slow
def test_an_encoder_grows_out_of_an_earlier_one(run, tmp_path):
    """What hours have taught a small one must not be lost on a larger one."""
    trained = run(steps=20, distil=0)
    list(trained.progress())
    trained.task.save(trained.average, tmp_path / "weights", {})
    (tmp_path / CHECKPOINT).rename(tmp_path / "small.pt")
    x = trained.validation[:, :4]
    position = torch.full((len(x),), 4.0)
    for source in ("small.pt", "weights"):
        grown_run = run(init=str(tmp_path / source), architecture={"blocks_8": 2, "blocks_16": 2})
        with torch.no_grad():
            before, after = (each.average.analysis(x, position) for each in (trained, grown_run))
            own = grown_run.task.own(x[:, :3], position)
        difference = (after - before).abs().mean()
        assert difference < 1e-5 if source == "small.pt" else difference < 0.1 * (after - own).abs().mean()  # int8


@pytest.mark.slow
def test_a_shallower_encoder_leaves_out_the_decoders_blocks_and_none_of_its_own(run, tmp_path):
    """The package has no room for deep ones; what was trained must not be lost without a word."""
    shallow = run(steps=1, distil=0, architecture={"blocks_8": 0})
    list(shallow.progress())
    names = shallow.model.state_dict().keys()
    assert not any(name.startswith("analysis.blocks_8") for name in names)
    assert shallow.task.own.blocks_8
    (tmp_path / CHECKPOINT).unlink()
    deep = run(steps=1, distil=0, architecture={"blocks_8": 2})
    list(deep.progress())
    (tmp_path / CHECKPOINT).rename(tmp_path / "deep.pt")
    with pytest.raises(AecodecError, match="as many blocks"):
        run(steps=1, distil=0, init=str(tmp_path / "deep.pt"), architecture={"blocks_8": 1})


@pytest.mark.slow
def test_a_run_is_not_resumed_as_another_task(run):
    """An encoder that was half trained for noise and half for holes would be good for neither."""
    list(run(steps=1).progress())
    with pytest.raises(AecodecError, match="the task denoise"):
        run(steps=2, task="inpaint")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"task": "colourise"}, "task must be one of"),
        ({"architecture": {"latents": 64}}, "latents belongs to the decoder"),
        ({"decoder": "no-such"}, "no weights named 'no-such'"),
        ({"distil": 2}, "distil must be a share"),
    ],
)
def test_bad_settings_are_named(more, message):
    """As for the codec: before the pictures are loaded, not after."""
    with pytest.raises(SettingsError, match=message):
        make({"data": "x", "steps": 1, "task": "denoise", **more})


def test_batches_hold_the_damaged_picture_its_hint_and_the_clean_one(photo):
    """A clean picture in the wrong place would train an encoder that does nothing, or one that adds noise."""
    crop = np.asarray(photo(64, 64))
    told = 0
    for seed in range(60):
        x = noisy(crop, 1.0, np.random.default_rng(seed))
        damaged, level, clean = x[..., :3], x[..., 3], x[..., 4:]
        assert (level == level[0, 0]).all()
        gray = np.ptp(clean, -1).max() == 0
        assert (gray and np.ptp(damaged, -1).max() == 0) or np.array_equal(clean, crop)
        if level[0, 0] > 40:  # quarters of a level
            told += 1
            assert (damaged.astype(float) - clean).std() == pytest.approx(level[0, 0] / 4, rel=0.15)
    assert told
    x = holed(crop, 1.0, np.random.default_rng(0))
    missing = x[..., 3] == 255
    assert missing.any()
    assert np.array_equal(x[..., 4:], crop)
    assert np.array_equal(x[~missing, :3], crop[~missing])
