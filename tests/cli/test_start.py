"""How the command starts: a plain file is decoded without click, numpy and Pillow, and nobody can tell but by the time."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import aecodec
from aecodec.cli import start
from aecodec.runtime import libaec

pytestmark = pytest.mark.skipif(not libaec.is_compiled(), reason="libaec was not compiled")

STREAMS = Path(__file__).parents[1] / "conformance"
PLAIN = ("rgb-low", "psnr-tiles", "gray", "page", "pixel")
RUN = (  # an installation in place imports some modules when Python starts
    "import sys; before = set(sys.modules); from aecodec.cli import start; "
    "done = start._decode(sys.argv[1:]); print(done, *set(sys.modules) - before)"
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in STREAMS.glob("*.aec"):
        shutil.copy(path, tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", PLAIN)
def test_the_picture_is_that_of_the_library(folder, name):
    """The short way must not show another picture than all others."""
    assert start._decode(["decode", f"{name}.aec", "out.png"])
    wanted = aecodec.decode(folder / f"{name}.aec")
    with Image.open("out.png") as found:
        assert (found.format, found.mode) == ("PNG", wanted.mode)
        assert np.array_equal(np.asarray(found), np.asarray(wanted))
    assert not list(folder.glob(".aecodec-*"))


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_and_a_hash_are_kept(folder, channels):
    samples = np.random.default_rng(channels).integers(0, 256, (40, 50, channels), np.uint8)
    Path("alpha.aec").write_bytes(aecodec.encode(samples, hashed=True))
    assert start._decode(["decode", "alpha.aec", "out.png"])
    with Image.open("out.png") as found:
        assert np.array_equal(np.asarray(found), np.asarray(aecodec.decode("alpha.aec")))


def test_nothing_heavy_is_imported(folder):
    """Half of the time of decoding a small picture would go into imports again."""
    command = [sys.executable, "-c", RUN, "decode", "rgb-low.aec", "out.png"]
    done, *modules = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert done == "True"
    assert not {"click", "numpy", "PIL", "typing", "dataclasses", "pathlib"} & set(modules)


@pytest.mark.parametrize(
    "arguments",
    [
        ["encode", "rgb-low.aec", "out.png"],
        ["decode", "rgb-low.aec"],
        ["decode", "rgb-low.aec", "out.jpg"],
        ["decode", "rgb-low.aec", "-"],
        ["decode", "-", "out.png"],
        ["decode", "--scale", "1/2", "rgb-low.aec", "out.png"],
        ["decode", "-j", "0", "rgb-low.aec", "out.png"],
        ["decode", "rgb-low.aec", "missing/out.png"],
        ["decode", "rgb-low.aec", "https://example.org/out.png"],
        ["decode", "missing.aec", "out.png"],
        ["decode", "cicp.aec", "out.png"],
        ["decode", "deep.aec", "out.png"],
        ["decode", "deep-alpha.aec", "out.png"],
        ["decode", "page-without-loss.aec", "out.png"],
    ],
)
def test_what_is_not_plain_is_left_to_the_command(folder, arguments):
    """Metadata, alpha or the sense of an option would be lost."""
    before = sorted(folder.iterdir())
    try:
        assert not start._decode(arguments)
    finally:
        assert sorted(folder.iterdir()) == before


def test_a_file_is_replaced_only_where_that_is_asked_for(folder):
    out = folder / "out.png"
    out.write_bytes(b"mine")
    out.chmod(0o640)
    assert not start._decode(["decode", "rgb-low.aec", "out.png"])
    assert out.read_bytes() == b"mine"
    (folder / "link.png").symlink_to("out.png")
    assert not start._decode(["decode", "-f", "rgb-low.aec", "link.png"])
    assert start._decode(["decode", "-j", "1", "rgb-low.aec", "out.png", "--force"])
    assert out.stat().st_mode & 0o777 == 0o640
    assert out.read_bytes().startswith(b"\x89PNG")


def test_the_command_says_what_is_wrong(folder):
    """A failure of the short way has no words; a damaged file still ends with its own code."""
    data = bytearray((folder / "rgb-low.aec").read_bytes())
    data[-9] ^= 1
    (folder / "damaged.aec").write_bytes(data)
    command = [sys.executable, "-m", "aecodec", "decode", "damaged.aec", "out.png"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 3
    assert result.stderr.startswith("aecodec: damaged.aec: the file is damaged")
    assert not (folder / "out.png").exists()
    assert not list(folder.glob(".aecodec-*"))


def test_a_full_disk_leaves_nothing(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        start._decode(["decode", "rgb-low.aec", "out.png"])
    assert not list(folder.glob("*.png")) + list(folder.glob(".aecodec-*"))
