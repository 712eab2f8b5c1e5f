"""Several workers under torch's launcher: one run, one set of weights, one voice."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

SCRIPT = """
import sys, zlib
from pathlib import Path
from aecodec.training.run import Run
from aecodec.training.settings import make

folder, pictures = map(Path, sys.argv[1:])
architecture = {"latents": 32, "width_8": 8, "width_16": 8, "decoder_width_8": 8, "decoder_width_16": 8,
                "hyper_width": 8, "hyper_latents": 8, "context_width": 8}
run = Run(make({"data": str(pictures), "steps": 3, "crop": 64, "batch": 2, "held_out": 0.2, "device": "cpu",
                "threads": 1, "architecture": architecture}), folder, print)
crops = run.rng.integers(1 << 30)
list(run.progress())
state = b"".join(value.numpy().tobytes() for value in run.model.state_dict().values())
print("worker", run.workers.rank, run.workers.size, crops, zlib.crc32(state))
run.workers.leave()
"""


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for i in range(12):
        Image.fromarray(rng.integers(0, 256, (64, 80, 3), np.uint8)).save(folder / f"{i}.png")
    return folder


def launch(*arguments: object) -> subprocess.CompletedProcess:
    """Two workers on this machine."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, timeout=300)


def test_workers_see_other_crops_and_end_with_the_same_weights(pictures, tmp_path):
    """Weights that drift apart would train several worse models and save one of them."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    (tmp_path / "run").mkdir()
    done = launch(script, tmp_path / "run", pictures)
    assert done.returncode == 0, done.stderr
    workers = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("worker")]
    assert sorted(worker[:2] for worker in workers) == [["0", "2"], ["1", "2"]]
    assert workers[0][2] != workers[1][2]
    assert workers[0][3] == workers[1][3]


def test_the_command_speaks_and_writes_once(pictures, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text("steps = 2\ncrop = 64\nbatch = 2\ndevice = 'cpu'\nthreads = 1\n[architecture]\nlatents = 32\n")
    done = launch("-m", "aecodec", "train", config, "--data", pictures, "-o", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("after 2 steps") == 1
    assert done.stderr.count("pictures to train on") == 1
    assert "workers = 2" in (tmp_path / "run" / "weights" / "card.toml").read_text()
    assert len((tmp_path / "run" / "validation.csv").read_text().splitlines()) == 1
