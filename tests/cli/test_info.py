"""``aecodec info``."""

from __future__ import annotations

import json

import numpy as np
import pytest

import aecodec
from aecodec import weights
from aecodec.codec.encoder import Encoder
from aecodec.container import bitstream, exact
from aecodec.container.bitstream import EXACT
from aecodec.quality import index_of_quality


@pytest.fixture
def described(tmp_path, photo):
    """in.aec, a gray picture of quality 42.5 with EXIF; its size in bytes."""
    picture = photo(40, 24, "L")
    picture.getexif()[0x010F] = "maker"
    data = Encoder(picture).encode(index_of_quality(42.5)).data
    (tmp_path / "in.aec").write_bytes(data)
    return len(data)


def test_json(cli, described):
    """Scripts rely on these names; the quality is the number that was asked for."""
    report = json.loads(cli("info", "--json", "in.aec").stdout)
    assert report == {
        "input": "in.aec", "version": 2, "width": 40, "height": 24, "mode": "L", "depth": 8, "cicp": None,
        "hash": None, "weights": weights.load().id, "quality": 42.5, "exact": 0.0, "near": 0.0, "bytes": described,
        "bpp": pytest.approx(described * 8 / 40 / 24, abs=1e-6),
        "tiles": 1, "metadata": ["exif"],
    }  # fmt: skip


def test_prose(cli, described):
    """One line a file, for people."""
    line = cli("info", "in.aec").stdout
    assert line.startswith(f"in.aec: 40 x 24 L, quality 42.5, {described} bytes, ")
    assert line.endswith(", with exif\n")


def test_what_is_without_loss_is_said(cli, tmp_path, photo):
    """Whether a file is a copy or an approximation is what an archivist asks first."""
    picture, mask = photo(300, 64), np.ones((64, 300), bool)
    mask[10:50, 200:260] = False
    stream = bitstream.read(Encoder(picture).encode(index_of_quality(60)).data)
    stream.chunks[EXACT] = exact.encode_some(np.asarray(picture), mask)
    (tmp_path / "some.aec").write_bytes(bitstream.write(stream))
    (tmp_path / "all.aec").write_bytes(aecodec.encode(picture, lossless=True))
    share = json.loads(cli("info", "--json", "some.aec").stdout)["exact"]
    assert share == pytest.approx(mask.mean())
    assert f"quality 60, {share:.0%} of it without loss, " in cli("info", "some.aec").stdout
    report = json.loads(cli("info", "--json", "all.aec").stdout)
    assert (report["exact"], report["tiles"]) == (1.0, 0)
    assert "300 x 64 RGB, without loss, " in cli("info", "all.aec").stdout


def test_what_is_in_fewer_colours_is_not_called_without_loss(cli, tmp_path):
    """A file that says so is deleted against: the original goes, and its noise was the evidence."""
    array = np.full((64, 96, 3), 250, np.uint8)
    array[::4, ::3] = np.random.default_rng(0).integers(30, 40, (16, 32, 3))
    (tmp_path / "near.aec").write_bytes(aecodec.encode(array, 60))
    report = json.loads(cli("info", "--json", "near.aec").stdout)
    assert (report["exact"], report["near"], report["quality"]) == (0, 1, 60)
    assert "quality 60, 100% of it in fewer colours, " in cli("info", "near.aec").stdout


def test_alpha_is_in_the_mode(cli, tmp_path, photo):
    """Whether a picture has alpha is what a page's author asks first."""
    (tmp_path / "in.aec").write_bytes(Encoder(photo(8, 8).convert("LA")).encode(0).data)
    assert json.loads(cli("info", "--json", "in.aec").stdout)["mode"] == "LA"


def test_reads_pipes_and_many_files(cli, described, tmp_path):
    """All files are reported, whatever is wrong with some."""
    data = (tmp_path / "in.aec").read_bytes()
    (tmp_path / "bad.aec").write_bytes(data[:-1])
    result = cli("info", "bad.aec", "-", "in.aec", stdin=data)
    assert result.exit_code == 3
    assert len(result.stdout.splitlines()) == 2
    assert result.stderr.startswith("aecodec: bad.aec: ")


@pytest.mark.parametrize(("content", "code"), [(b"", 3), (b"hello", 3), (b"\x8faec\r\n\n\x07", 3), (None, 1)])
def test_bad_files(fails, tmp_path, content, code):
    """One line and the exit code that says whether the file or its name is wrong."""
    if content is not None:
        (tmp_path / "bad.aec").write_bytes(content)
    assert fails(code, "info", "bad.aec").startswith("aecodec: bad.aec: ")


def test_damage_deep_in_the_file_is_found(fails, described, tmp_path):
    """People use ``info`` to check an archive, so it reads all checksums and not only the header's."""
    data = bytearray((tmp_path / "in.aec").read_bytes())
    data[-20] ^= 4
    (tmp_path / "in.aec").write_bytes(data)
    assert "checksum" in fails(3, "info", "in.aec")


def test_usage_error(cli):
    """No file is no question."""
    assert cli("info").exit_code == 2
