"""What archives need: times that are kept, nothing larger in silence, proof of what was written, and a manifest."""

from __future__ import annotations

import hashlib
import json
import os
import stat

import numpy as np
import pytest
from PIL import Image

import aecodec
from aecodec.container import bitstream
from aecodec.metrics import psnr

NOON = 1_000_000_000 * 10**9 + 123_456_000  # nanoseconds


@pytest.fixture
def folder(tmp_path, photo):
    """photos/ with three pictures."""
    (tmp_path / "photos").mkdir()
    for i in range(3):
        photo(48, 32, seed=i).save(tmp_path / "photos" / f"{i}.png")
    return tmp_path


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["encode", "decode"])
def test_times_and_permissions_are_kept(cli, folder, file, command):
    """A library is sorted by date, and a private picture stays private."""
    source = folder / ("x.aec" if command == "decode" else "x.png")
    source.write_bytes(file if command == "decode" else (folder / "photos" / "0.png").read_bytes())
    source.chmod(0o600)
    os.utime(source, ns=(NOON + 10**9, NOON))
    out = folder / ("y.png" if command == "decode" else "y.aec")
    assert cli(command, "--preserve", source, out).exit_code == 0
    kept = out.stat()
    assert kept.st_mtime_ns == NOON
    assert kept.st_atime_ns == NOON + 10**9
    assert stat.S_IMODE(kept.st_mode) == 0o600
    assert cli(command, "-f", source, out).exit_code == 0
    assert out.stat().st_mtime_ns > NOON


def test_preserve_goes_with_update(cli, folder):
    """An output that is as old as its source is done all the same."""
    args = ("encode", "--preserve", "--update", "--output-dir", "out", "photos")
    os.utime(folder / "photos" / "0.png", ns=(NOON, NOON))
    assert "3 encoded" in cli(*args).stderr
    assert "3 up to date" in cli(*args).stderr


def test_standard_input_has_no_times(cli, folder):
    """That is said."""
    result = cli("encode", "--preserve", "-", "y.aec", stdin=(folder / "photos" / "0.png").read_bytes())
    assert result.exit_code == 0
    assert "no times" in result.stderr


def test_nothing_gets_larger_in_silence(cli, folder):
    """Whoever compresses wants fewer bytes; a JPEG of low quality has none to give."""
    noise = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    Image.fromarray(noise).save(folder / "photos" / "tiny.jpg", quality=10)
    result = cli("encode", "-q", "100", "photos/tiny.jpg", "tiny.aec")
    assert "not smaller" in result.stderr
    assert (folder / "tiny.aec").exists()
    result = cli("encode", "--json", "--skip-larger", "-q", "100", "--output-dir", "out", "photos")
    assert result.exit_code == 0
    assert "3 encoded, 1 left out, which would not be smaller" in result.stderr
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["0.aec", "1.aec", "2.aec"]
    (report,) = (line for line in map(json.loads, result.stdout.splitlines()) if line.get("skipped"))
    assert report["input"] == "photos/tiny.jpg"
    assert report["larger"]


@pytest.mark.parametrize("args", [[], ["--psnr", "30"], ["--size", "500"], ["--lossless"]])
def test_verify_measures_what_was_written(cli, folder, args):
    """The PSNR is that of the file on the disk."""
    result = cli("encode", "--verify", "--json", *args, "photos/0.png", "x.aec")
    report = json.loads(result.stdout)
    with Image.open("photos/0.png") as image:
        value = psnr(np.asarray(image), np.asarray(aecodec.decode("x.aec")))
    assert report["psnr"] == (None if args == ["--lossless"] else pytest.approx(value, abs=1e-3))


@pytest.mark.parametrize("fault", ["byte", "picture", "metadata"])
def test_verify_finds_what_is_not_what_was_meant(fails, folder, monkeypatch, fault):
    """A disk or a memory that changes bits: the old file must still be there, and the exit code must not be 0."""
    (folder / "x.aec").write_bytes(b"precious")
    write = bitstream.write
    with Image.open("photos/1.png") as image:
        other = aecodec.encode(image)

    def faulty(stream: bitstream.Stream) -> bytes:
        if fault == "metadata":
            return write(bitstream.Stream(stream.header, stream.payloads, {bitstream.XMP: b"<x/>"}))
        data = write(stream)
        return other if fault == "picture" else data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]

    monkeypatch.setattr(bitstream, "write", faulty)
    message = fails(3 if fault == "byte" else 1, "encode", "-f", "--verify", "photos/0.png", "x.aec")
    assert ("checksum" if fault == "byte" else "does not decode to the picture that was meant") in message
    assert (folder / "x.aec").read_bytes() == b"precious"


def test_a_manifest_says_what_was_made_of_what(cli, folder):
    """Years later somebody asks which file came from which, and whether it is still that file."""
    assert cli("encode", "--verify", "--manifest", "out.jsonl", "--output-dir", "out", "photos").exit_code == 0
    for line in lines(folder / "out.jsonl"):
        data = (folder / line["output"]).read_bytes()
        assert line["source_sha256"] == hashlib.sha256((folder / line["source"]).read_bytes()).hexdigest()
        assert line["output_sha256"] == hashlib.sha256(data).hexdigest()
        assert line["bytes"] == len(data)
        assert line["quality"] == 60
        assert line["psnr"] > 20
    assert {line["source"] for line in lines(folder / "out.jsonl")} == {f"photos/{i}.png" for i in range(3)}


def test_a_manifest_is_not_overwritten_and_grows_with_update(cli, folder, photo):
    """It is the only proof of an archive."""
    args = ("encode", "--manifest", "out.jsonl", "--output-dir", "out", "photos")
    assert cli(*args).exit_code == 0
    assert cli(*args).exit_code == 2
    photo(48, 32, seed=9).save(folder / "photos" / "3.png")
    assert cli(*args, "--update").exit_code == 0
    assert len(lines(folder / "out.jsonl")) == 4
    summary = cli("verify", "--manifest", "out.jsonl").stderr
    assert "4 verified" in summary
    assert " to " not in summary  # nothing was written
    assert cli(*args, "--force").exit_code == 0
    assert len(lines(folder / "out.jsonl")) == 4


def test_a_manifest_makes_no_folder_but_the_output_folder(cli, folder):
    """A name with a typing error would lie in a folder of that name."""
    result = cli("encode", "--manifest", "arhcive/m.jsonl", "--output-dir", "out", "photos")
    assert result.exit_code == 2
    assert "no such file or directory" in result.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["photos"]


def test_an_archive_is_checked_against_its_manifest(cli, folder):
    """A changed bit, a lost file, a file of another picture; and the archive may have been moved."""
    (folder / "out").mkdir()
    assert cli("encode", "--manifest", "out/m.jsonl", "--output-dir", "out", "photos").exit_code == 0
    (folder / "out").rename(folder / "moved")
    result = cli("verify", "--json", "--manifest", "moved/m.jsonl")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 3
    good = (folder / "moved" / "0.aec").read_bytes()
    (folder / "moved" / "0.aec").write_bytes((folder / "moved" / "1.aec").read_bytes())
    result = cli("verify", "--manifest", "moved/m.jsonl")
    assert result.exit_code == 3
    assert "moved/0.aec: is not the file that the manifest names" in result.stderr
    (folder / "moved" / "0.aec").write_bytes(good)
    (folder / "moved" / "2.aec").unlink()
    result = cli("verify", "--manifest", "moved/m.jsonl")
    assert result.exit_code == 1
    assert "moved/2.aec: no such file" in result.stderr


def test_a_source_that_changed_is_told(cli, folder, photo):
    """The archive holds the picture of then."""
    cli("encode", "--manifest", "m.jsonl", "photos/0.png", "x.aec")
    photo(9, 9).save(folder / "photos" / "0.png")
    result = cli("verify", "--manifest", "m.jsonl")
    assert result.exit_code == 0
    assert "has changed since" in result.stderr


@pytest.mark.parametrize("text", ["hello", "{}", "[]", '{"source": 1, "output": 2, "bytes": "x"}', "\x80"])
def test_a_manifest_that_is_none_is_refused(cli, folder, text):
    """One line says which line."""
    (folder / "m.jsonl").write_text(text)
    result = cli("verify", "--manifest", "m.jsonl")
    assert result.exit_code == 2
    assert "m.jsonl" in result.stderr


def test_files_are_verified_without_a_picture_being_written(cli, folder, file):
    """What "flac -t" does for sound."""
    (folder / "tree" / "sub").mkdir(parents=True)
    (folder / "tree" / "a.aec").write_bytes(file)
    (folder / "tree" / "sub" / "b.aec").write_bytes(file)
    before = sorted(folder.rglob("*"))
    result = cli("verify", "-r", "--json", "tree")
    assert result.exit_code == 0
    assert [json.loads(line)["verified"] for line in result.stdout.splitlines()] == ["decoded", "decoded"]
    assert sorted(folder.rglob("*")) == before
    (folder / "tree" / "a.aec").write_bytes(file[:-1])
    assert cli("verify", "-r", "tree").exit_code == 3
    assert cli("verify").exit_code == 2
    assert cli("verify", "--manifest", "m.jsonl", "tree").exit_code == 2
