"""Several workers under torch's launcher: one run, one set of weights, one voice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aecodec.errors import TrainingError
from aecodec.training.workers import Workers

pytestmark = pytest.mark.slow

# The command as ``python -m aecodec`` runs it; each worker prints its next draw of crops, and its weights at the end.
SCRIPT = """
import runpy, zlib
from aecodec.training import compression
from aecodec.training.run import Run

compression.RECOUNT_CROPS = 2  # as tests/training/conftest.py has it

def progress(run, honest=Run.progress):
    crops = run.rng.integers(1 << 30)
    yield from honest(run)
    state = b"".join(value.numpy().tobytes() for value in run.model.state_dict().values())
    print("worker", run.workers.rank, run.workers.size, crops, zlib.crc32(state))

Run.progress = progress
runpy.run_module("aecodec", run_name="__main__")
"""
CONFIG = """
steps = 2
crop = 64
batch = 2
held_out = 0.2
device = "cpu"
threads = 1
[architecture]
latents = 32
width_8 = 8
width_16 = 8
decoder_width_8 = 8
decoder_width_16 = 8
hyper_width = 8
hyper_latents = 8
context_width = 8
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[subprocess.CompletedProcess, Path]:
    """The command with two workers on this machine, done, and the folder of the run."""
    folder = tmp_path_factory.mktemp("workers")
    (folder / "pictures").mkdir()
    rng = np.random.default_rng(1)
    for i in range(12):
        Image.fromarray(rng.integers(0, 256, (64, 80, 3), np.uint8)).save(folder / "pictures" / f"{i}.png")
    (folder / "script.py").write_text(SCRIPT)
    (folder / "config.toml").write_text(CONFIG)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = ["script.py", "train", "config.toml", "--data", "pictures", "-o", "run"]
    done = subprocess.run([*launcher, *command], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done, folder / "run"


def test_workers_see_other_crops_and_end_with_the_same_weights(trained):
    """Weights that drift apart would train several worse models and save one of them."""
    workers = [line.split()[1:] for line in trained[0].stdout.splitlines() if line.startswith("worker")]
    assert sorted(worker[:2] for worker in workers) == [["0", "2"], ["1", "2"]]
    assert workers[0][2] != workers[1][2]
    assert workers[0][3] == workers[1][3]


def test_the_command_speaks_and_writes_once(trained):
    """Two workers that write one file would leave half of each."""
    done, folder = trained
    assert done.stdout.count("after 2 steps") == 1
    assert done.stderr.count("pictures to train on") == 1
    assert "workers = 2" in (folder / "weights" / "card.toml").read_text()
    assert len((folder / "validation.csv").read_text().splitlines()) == 1


# Each worker in a folder of its own, as on a host of its own; at its second start a worker says so.
HOSTS = """
import os, signal
from pathlib import Path
from aecodec.training import validation

compression.RECOUNT_CROPS, compression.RECOUNTS, validation.CROPS = 2, 1, 2

host = Path(os.environ["HOSTS"].split(",")[int(os.environ["RANK"])])
host.mkdir(exist_ok=True)
os.chdir(host)
victim = host.name == os.environ.get("VICTIM") and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"

def progress(run, honest=Run.progress):
    with open("log", "a") as log:
        print("begins at", run.step, file=log)
    yield from honest(run)

def save(run, honest=Run.save):
    honest(run)
    run.workers.agree(0)  # all are here, and the checkpoint is written
    if victim and run.step >= 2:
        os.kill(os.getpid(), signal.SIGKILL)

Run.progress, Run.save = progress, save
"""


@pytest.mark.timeout(900)
def test_a_worker_that_dies_goes_on_from_the_checkpoint(tmp_path, trained):
    """A night on two hosts would be lost with one of them, or begin again where the hosts share no folder."""
    _, run = trained
    lines = SCRIPT.splitlines(keepends=True)
    (tmp_path / "script.py").write_text("".join(lines[:5]) + HOSTS + "runpy.run_module('aecodec', run_name='__main__')\n")
    config = CONFIG.replace("steps = 2", "steps = 4\nvalidate_every = 1")
    (tmp_path / "config.toml").write_text(config)
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "--max-restarts",
        "1",
    ]
    command = ["script.py", "train", str(tmp_path / "config.toml"), "--data", str(run.parent / "pictures"), "-o", "run"]

    def train(hosts: str, *more: str, **environment: str) -> None:
        done = subprocess.run(
            [*launcher, *command, *more], cwd=tmp_path, capture_output=True, text=True,
            env=os.environ | {"HOSTS": ",".join(str(tmp_path / host) for host in hosts)} | environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def begins(host: str) -> list[int]:
        return [int(line.split()[-1]) for line in (tmp_path / host / "log").read_text().splitlines()]

    train("ab", VICTIM="b", TORCH_DISABLE_SHARE_RDZV_TCP_STORE="1")
    assert begins("a") == begins("b") == [0, 2]
    assert (tmp_path / "a" / "run" / "weights" / "model.safetensors").exists()
    assert not (tmp_path / "b" / "run").exists()  # which may be a disk that cannot be written
    train(
        "ba", "--steps", "5", TORCH_DISABLE_SHARE_RDZV_TCP_STORE="1"
    )  # the launcher has made the other host the first one
    assert begins("a") == begins("b") == [0, 2, 4]
    assert (tmp_path / "b" / "run" / "weights" / "model.safetensors").exists()


def test_restarts_that_cannot_work_are_refused_at_once(monkeypatch):
    """Found out when a worker dies in the night, with the addresses of dead workers in the store."""
    for name, value in {
        "WORLD_SIZE": "2",
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCHELASTIC_MAX_RESTARTS": "3",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TrainingError, match="TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"):
        Workers("cpu")
