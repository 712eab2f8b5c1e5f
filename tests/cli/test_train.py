"""``aecodec train`` from the shell: where a run starts, how it is named, and what a stop leaves."""

from __future__ import annotations

import signal

import pytest

from aecodec import weights
from aecodec.training import compression, settings, validation
from aecodec.training.checkpoint import CHECKPOINT, checkpoint_of
from aecodec.training.run import Run

pytestmark = pytest.mark.slow


@pytest.fixture
def train(cli, tmp_path, photo, tiny, monkeypatch):
    """train(folder, *options) trains on ten small pictures, from the weights ``tiny`` where no others are named.

    Batches and what is looked at in the end are small: those of a real run would be nearly all of the time.
    """
    make = settings.make
    monkeypatch.setattr(settings, "make", lambda content: make({"crop": 64, "batch": 2, **content}))
    monkeypatch.setattr(compression, "RECOUNT_CROPS", 2)
    monkeypatch.setattr(compression, "RECOUNTS", 1)
    monkeypatch.setattr(validation, "CROPS", 2)
    (tmp_path / "scans").mkdir()
    for i in range(10):
        photo(96, 64, seed=i).save(tmp_path / "scans" / f"{i}.png")

    def run(folder, *options, steps=2, init=tiny[1]):
        return cli("train", "--data", "scans", "--steps", steps, "--init", init, "--device", "cpu", "-o", folder, *options)

    return run


def test_weights_carry_the_name_of_their_folder(train, cli, tmp_path):
    """Two models that are both called photo cannot be told apart in a report."""
    assert train("runs/letters").exit_code == 0
    assert weights.read_card(tmp_path / "runs" / "letters" / "weights")["name"] == "letters"
    assert cli("encode", "--weights", "runs/letters/weights", "scans/0.png", "0.aec").exit_code == 0


def test_a_run_starts_from_another_ones_checkpoint(train):
    """The help says so; a checkpoint knows its architecture as weights do."""
    assert train("runs/first").exit_code == 0
    assert train("runs/second", init="runs/first").exit_code == 0
    assert train("runs/third", init=f"runs/second/{CHECKPOINT}").exit_code == 0


def test_configurations_that_come_along_can_be_seen(cli, fails):
    """Messages name them, and an installed package has no folder that a user would look into."""
    for name in cli("train", "--list-configs").stdout.split("\n")[:-1]:
        shown = cli("train", "--show-config", name.split()[0])
        assert shown.exit_code == 0
        assert 'data = ["pictures"]' in shown.stdout
    assert "no configuration 'phto'" in cli("train", "--show-config", "phto").stderr
    assert "no configuration 'phto'" in fails(1, "train", "phto", "-o", "runs/x")


def test_a_checkpoint_that_is_none_is_one_line(train, tmp_path):
    """A traceback of torch's says nothing of which file it was."""
    (tmp_path / "half.pt").write_bytes(b"PK\x03\x04 half of it")
    failed = train("runs/x", init="half.pt")
    assert failed.exit_code == 1
    assert failed.stderr.startswith("aecodec: cannot read the checkpoint half.pt")
    assert len(failed.stderr.splitlines()) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_keeps_what_was_learnt(train, tmp_path, monkeypatch, number, code):
    """Ten minutes may lie between two checkpoints; Ctrl-C and a shared machine's scheduler wait for none."""
    step = Run.train_step

    def stopped(run):
        if run.step == 3:
            signal.raise_signal(number)
        return step(run)  # to its end: what is half done cannot be gone on from

    monkeypatch.setattr(Run, "train_step", stopped)
    assert train("runs/cut", steps=5).exit_code == code
    assert checkpoint_of(str(tmp_path / "runs" / "cut"))["step"] == 4
    monkeypatch.setattr(Run, "train_step", step)
    again = train("runs/cut", steps=5)
    assert again.exit_code == 0
    assert "after 5 steps" in again.stdout
