"""Several workers under torch's launcher: one run, one set of weights, one voice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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
