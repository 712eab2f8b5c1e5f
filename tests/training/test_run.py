"""A training run in small: it learns, it resumes, it survives a spike, and its weights encode pictures."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from aecodec.errors import AecodecError
from aecodec.networks.export import COUNTED_BEFORE, import_tensors, save_weights
from aecodec.quality import KNOTS
from aecodec.training import data
from aecodec.training.checkpoint import initial_state
from aecodec.training.compression import recount
from aecodec.training.data import Pictures, to_tensor
from aecodec.training.klt import block_covariance, principal_components
from aecodec.training.run import Run
from aecodec.training.settings import make
from aecodec.training.validation import validate
from aecodec.weights.store import LAPPING, load

pytestmark = pytest.mark.slow

TINY = {
    "latents": 32,
    "width_8": 16,
    "width_16": 16,
    "blocks_8": 1,
    "blocks_16": 1,
    "decoder_width_8": 16,
    "decoder_width_16": 16,
    "decoder_blocks_8": 1,
    "decoder_blocks_16": 1,
    "hyper_width": 16,
    "hyper_latents": 8,
    "context_width": 16,
}


@pytest.fixture
def pictures(tmp_path):
    """A folder of smooth, textured pictures."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for i in range(24):
        coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8))
        coarse.resize((96, 96), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    return folder


def settings(pictures, **more):
    content = {
        "data": str(pictures),
        "steps": 40,
        "crop": 64,
        "batch": 4,
        "held_out": 0.2,
        "warm_up": 5,
        "validate_every": 1000,
        "device": "cpu",
        "architecture": TINY,
    }
    return make({**content, **more})


def fail(message):
    raise AssertionError(message)


def take_cheap_steps(run, count):
    """Take steps that change nothing but the gains, for what depends on the number of steps alone."""
    loss, run.task.loss = run.task.loss, lambda model, x, position, *_: (model.gain.log.square().sum(), position)
    for _ in range(count):
        run.train_step()
        run.step += 1
    run.task.loss = loss


def test_training_lowers_the_cost_of_pictures_it_has_not_seen(all_crops, pictures, tmp_path):
    """A sign error in the loss or a frozen optimiser would otherwise show only after a day of training."""
    run = Run(settings(pictures, steps=20, ema=0.9), tmp_path, fail)
    before, _ = validate(run.average, run.validation)
    list(run.progress())
    after, curve = validate(run.average, run.validation)
    assert after < before - 0.2
    assert len(curve) == KNOTS


def test_a_run_that_was_cut_goes_on_where_it_was(pictures, tmp_path):
    """Training machines are taken away; what was computed must not be lost, or counted twice."""
    first = Run(settings(pictures, steps=4), tmp_path, fail)
    begun_with = first._next.result()
    list(first.progress())
    second = Run(settings(pictures, steps=6), tmp_path, fail)
    assert second.step == 4
    assert not np.array_equal(second._next.result(), begun_with)  # or a run of many pieces would see few crops
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
    list(second.progress())
    assert second.step == 6


def test_a_run_is_not_resumed_as_another(pictures, tmp_path):
    """Moments of another optimiser or network would be nonsense that trains on."""
    list(Run(settings(pictures, steps=1), tmp_path, fail).progress())
    with pytest.raises(AecodecError, match="optimiser soap"):
        Run(settings(pictures, steps=2, optimiser="adam"), tmp_path, fail)
    with pytest.raises(AecodecError, match="another architecture"):
        Run(settings(pictures, steps=2, architecture={**TINY, "width_8": 8}), tmp_path, fail)


@pytest.mark.parametrize(("more", "moves"), [({}, True), ({"optimiser": "adam"}, False), ({"linear_rate": 0.0}, False)])
def test_the_linear_paths_learn_with_the_networks(pictures, tmp_path, more, moves):
    """Fixed paths hold the codec to a transform of blocks that no network can leave.

    In the networks' units, which are all that Adam has, they blow the loss up.
    """
    run = Run(settings(pictures, steps=6, warm_up=0, **more), tmp_path, fail)
    paths = [getattr(part, kind).weight for part in (run.model.analysis, run.model.synthesis) for kind in ("klt", "lap")]
    before = [path.detach().clone() for path in paths]
    list(run.progress())
    for path, old in zip(paths, before, strict=True):
        change = ((path - old).norm() / old.norm()).item()
        assert 1e-5 < change < 0.1 if moves else change == 0
    assert not any(path is each for path in paths for each in run.clipped)
    assert len(run.clipped) == len(list(run.model.parameters())) - 4


def test_a_checkpoint_of_other_parameters_is_refused(pictures, tmp_path):
    """An earlier version's, say: its moments would be given to the wrong weights."""
    list(Run(settings(pictures, steps=1, linear_rate=0.0), tmp_path, fail).progress())
    with pytest.raises(AecodecError, match="other parameters"):
        Run(settings(pictures, steps=2), tmp_path, fail)


@pytest.mark.parametrize("decay", [0.25, 1.0])
def test_the_learning_rate_is_held_and_then_falls(pictures, tmp_path, decay):
    """Most is learnt at the full rate, and lost again without the fall."""
    run = Run(settings(pictures, steps=40, warm_up=0, decay=decay), tmp_path, fail)
    rates = []
    for _ in range(40):
        take_cheap_steps(run, 1)
        rates.append(run.optimiser.param_groups[0]["lr"] / run.settings.learning_rate)
    held = round(40 * (1 - decay))
    assert rates[: held + 1] == pytest.approx([1] * (held + 1))
    assert rates[held:] == sorted(rates[held:], reverse=True)
    assert rates[-1] < 0.05


def page(seed: int) -> Image.Image:
    """A scanned page: rows of small dark strokes on paper."""
    random = np.random.default_rng(seed)
    array = np.full((128, 128, 3), 235.0) + random.normal(0, 2, (128, 128, 1))
    for top in range(6, 120, 9):
        for left in range(5, 120, 4):
            if random.random() < 0.8:
                array[top + random.integers(3) : top + 6, left : left + 1 + random.integers(3)] = 30
    return Image.fromarray(array.clip(0, 255).astype(np.uint8))


def test_fine_tuning_pays_on_pictures_of_the_same_kind(tmp_path):
    """What a user with a cabinet full of scans would train for: smaller files of scans that were not trained on."""
    (tmp_path / "scans").mkdir()
    for i in range(20):
        page(i).save(tmp_path / "scans" / f"{i}.png")
    others = torch.stack([torch.from_numpy(np.array(page(100 + i))) for i in range(5)]).permute(0, 3, 1, 2) / 255
    others = others[..., :64, :64]
    content = {
        "data": str(tmp_path / "scans"),
        "init": "photo",
        "steps": 12,
        "batch": 4,
        "crop": 64,
        "ema": 0.9,
        "learning_rate": 2e-4,
        "warm_up": 2,
        "hyper_warm_up": 0,
        "held_out": 0.0,
        "device": "cpu",
    }
    run = Run(make({**content, "architecture": load("photo").arch.to_dict()}), tmp_path, fail)
    before, _ = validate(run.average, others)
    list(run.progress())
    after, _ = validate(run.average, others)
    assert after < before - 0.02


@pytest.mark.parametrize("first", [0, 32])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_no_number_is_not_applied(pictures, tmp_path, monkeypatch, first, bad):
    """One bad batch must not destroy days of work, nor the first one of a run that is resumed."""
    run = Run(settings(pictures), tmp_path, fail)
    take_cheap_steps(run, first)
    before = {name: value.clone() for name, value in run.model.named_parameters()}
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(bad))
    run.train_step()
    assert all(torch.equal(value, before[name]) for name, value in run.model.named_parameters())


def test_a_run_that_diverges_goes_back(pictures, tmp_path, monkeypatch):
    """A return to the earlier weights includes their average, which is saved in the end."""
    run = Run(settings(pictures), tmp_path, fail)
    good = {name: value.clone() for name, value in run.average.named_parameters()}
    with torch.no_grad():
        for value in [*run.model.parameters(), *run.average.parameters()]:
            value.add_(1)
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(math.nan))
    while run.guard.damping == 1:
        take_cheap_steps(run, 1)
    for model in (run.model, run.average):
        assert all(torch.equal(value, good[name]) for name, value in model.named_parameters())


def test_the_coding_tables_are_those_of_the_averaged_model(all_crops, pictures, tmp_path):
    """Tables of other weights' symbols cost bits in every file that is ever written."""
    run = Run(settings(pictures), tmp_path, fail)
    run.average.quantiser.counts[..., 20:] += 1e6  # as if large symbols were the rule
    run.average.quantiser.refresh()
    _, before = validate(run.average, run.validation)
    crops = to_tensor(np.stack([np.asarray(array[:64, :64]) for array in run.pictures.arrays]), run.device)
    recount(run.average, crops)
    _, after = validate(run.average, run.validation)
    assert all(new[0] < 0.9 * old[0] for new, old in zip(after, before, strict=True))


def test_a_resumed_run_takes_the_learning_rate_that_it_is_told(pictures, tmp_path):
    """A run that diverges advises to "lower learning_rate"."""
    list(Run(settings(pictures, steps=2), tmp_path, fail).progress())
    for rate in (5e-4, 1e-4):
        run = Run(settings(pictures, steps=4, learning_rate=rate), tmp_path, fail)
        assert run.optimiser.param_groups[0]["peak"] == rate
        assert run.step == 2


def test_a_resumed_run_has_its_own_groups(pictures, tmp_path):
    """A checkpoint is read to the CPU, and a unit that stays there cannot be multiplied with what is on a GPU."""
    run = Run(settings(pictures, steps=2), tmp_path, fail)
    list(run.progress())
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    for group in state["optimiser"]["param_groups"]:
        group["unit"], group["refresh"] = torch.full_like(torch.as_tensor(group["unit"]), 9), 77
    torch.save(state, tmp_path / "checkpoint.pt")
    again = Run(settings(pictures, steps=4), tmp_path, fail)
    for own, group in zip(run.optimiser.param_groups, again.optimiser.param_groups, strict=True):
        assert group["refresh"] == own["refresh"]
        assert torch.equal(torch.as_tensor(group["unit"]), torch.as_tensor(own["unit"]))
    list(again.progress())


def test_what_is_held_out_may_be_unreadable(pictures, tmp_path):
    """One broken file must not end a run of thousands, whichever hash its name has."""
    held = next(f"{i}.png" for i in range(100, 999) if data.is_held_out(f"{i}.png", 0.01))
    (pictures / held).write_text("not a picture")
    said = []
    run = Run(settings(pictures, steps=1, held_out=0.01), tmp_path, said.append)
    assert run.validation is None
    assert len(run.pictures.arrays) == 24
    assert held in said[0]
    assert "nothing is validated" in said[-1]
    list(run.progress())
    with pytest.raises(AecodecError, match="held out"):
        Run(settings(pictures, held_out=0.9999999), tmp_path / "other", said.append)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    """Somebody else's .pt file is not a fault of ours to be reported."""
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    with pytest.raises(AecodecError, match="not a checkpoint of aecodec"):
        initial_state(str(tmp_path / "other.pt"))


def test_weights_come_back_as_they_were_written(pictures, tmp_path):
    """Fine-tuning must start from the shipped model, not from something near it."""
    run = Run(settings(pictures, steps=3), tmp_path, fail)
    list(run.progress())
    save_weights(run.average, tmp_path / "weights", "tiny", {})
    first = import_tensors(load(str(tmp_path / "weights")))
    run.average.load_state_dict(initial_state(str(tmp_path / "weights"))[1])
    save_weights(run.average, tmp_path / "again", "tiny", {})
    second = import_tensors(load(str(tmp_path / "again")))
    assert first.keys() == run.average.state_dict().keys()
    for name in first:
        atol = 1e-2 * COUNTED_BEFORE if name == "quantiser.counts" else 1e-6  # tables take a prior along
        assert torch.allclose(first[name], second[name], rtol=0, atol=atol), name


def test_a_model_grows_blocks_that_change_nothing_yet(pictures, tmp_path):
    """What hours have taught a shallow one must not be lost on a deeper one."""
    shallow = Run(settings(pictures, steps=3), tmp_path / "shallow", fail)
    (tmp_path / "shallow").mkdir()
    list(shallow.progress())
    depth = {"blocks_8": 2, "blocks_16": 3, "decoder_blocks_8": 3, "decoder_blocks_16": 2}
    deep = settings(pictures, steps=3, init=str(tmp_path / "shallow"), architecture={**TINY, **depth})
    deep = Run(deep, tmp_path / "deep", fail)
    x, position = shallow.validation, torch.full((len(shallow.validation),), 3.3)
    with torch.no_grad():
        y = shallow.average.analysis(x, position)
        assert torch.allclose(deep.average.analysis(x, position), y, atol=1e-5)
        one, other = (run.average.synthesis(y, position) for run in (shallow, deep))
    assert torch.allclose(one, other, atol=1e-5)
    (tmp_path / "deep").mkdir()
    list(deep.progress())
    for part in (deep.model.analysis, deep.model.synthesis):
        for block in (part.blocks_8[-1], part.blocks_16[-1]):
            assert block.conv2.weight.abs().max() > 0


def test_a_run_that_moves_to_another_device_begins_its_moments_anew(pictures, tmp_path):
    """A GPU's are laid out in another way, and would be refused at the first step."""
    list(Run(settings(pictures, steps=3), tmp_path, fail).progress())
    checkpoint = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    torch.save({**checkpoint, "device": "cuda"}, tmp_path / "checkpoint.pt")
    run = Run(settings(pictures, steps=5), tmp_path, fail)
    assert (run.step, run.warm_from, len(run.optimiser.state)) == (3, 3, 0)
    assert torch.equal(run.model.analysis.head.weight, checkpoint["model"]["analysis.head.weight"])
    list(run.progress())
    assert run.step == 5


def test_a_checkpoint_of_before_there_was_lapping_is_a_start(pictures, tmp_path):
    """The best weights so far may be in one."""
    list(Run(settings(pictures, steps=1), tmp_path, fail).progress())
    checkpoint = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    for name in LAPPING:
        del checkpoint["average"][name]
    torch.save(checkpoint, tmp_path / "old.pt")
    run = Run(settings(pictures, steps=1, init=str(tmp_path / "old.pt")), tmp_path / "new", fail)
    assert torch.equal(run.model.synthesis.lap.weight[:, :, 0, 0], torch.eye(16))
    assert torch.equal(run.model.synthesis.klt.weight, checkpoint["average"]["synthesis.klt.weight"])


def test_principal_components_compact_correlated_blocks():
    """The linear start is what makes short training runs worth anything."""
    rng = np.random.default_rng(0)
    smooth = [
        np.asarray(Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).resize((64, 64), Image.Resampling.BICUBIC))
        for _ in range(10)
    ]
    basis, variance = principal_components(block_covariance(Pictures(smooth, [""] * 10), rng))
    assert np.allclose(basis @ basis.T, np.eye(768), atol=1e-8)
    assert (np.diff(variance) <= 1e-6 * variance[0]).all()
    assert variance[:48].sum() > 0.95 * variance.sum()
