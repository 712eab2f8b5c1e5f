"""Finding pictures, measuring them, and keeping what was measured."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from aecodec.errors import AecodecError, PictureError
from aecodec.eval.codecs import Codec, open_codecs
from aecodec.eval.measure import (
    Failure,
    Journal,
    Point,
    find_pictures,
    measure,
    measure_all,
    missing,
    open_pictures,
    read_picture,
)


@pytest.fixture
def jpeg() -> Codec:
    (codec,), _ = open_codecs(["jpeg"])
    return replace(codec, qualities=(10, 50))


@pytest.fixture
def folder(tmp_path, photo):
    """a.png, b.png and a text."""
    for seed, name in enumerate(("b.png", "a.png")):
        photo(48, 32, seed=seed).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def fake(encode, decode=None) -> Codec:
    return Codec("fake", "1", "", (1, 2), encode, decode)


def test_inputs_are_files_folders_and_patterns(folder, photo):
    """A picture measured twice would weigh twice in every mean."""
    (folder / "deeper").mkdir()
    photo(16, 16).save(folder / "deeper" / "c.png")
    names = [path.name for path in find_pictures([str(folder / "b.png"), str(folder), str(folder / "*.png")])]
    assert names == ["b.png", "a.png"]
    assert [path.name for path in find_pictures([str(folder)], recursive=True)] == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize("wrong", ["missing.png", "*.jpg", "empty"])
def test_inputs_that_give_nothing_are_refused(tmp_path, wrong):
    """A mistyped folder would be left out without a word, or give means of nothing."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(AecodecError, match=wrong.replace("*", r"\*")):
        find_pictures([str(tmp_path / wrong)])


def test_pictures_of_one_name_are_told_apart(folder, photo):
    """The second one would take the place of the first in every table."""
    (folder / "x").mkdir()
    photo(16, 16).save(folder / "x" / "a.png")
    pictures, _ = open_pictures([folder / "a.png", folder / "x" / "a.png", folder / "b.png"])
    assert [picture.name for picture in pictures] == [f"{folder.name}/a.png", "x/a.png", "b.png"]


def test_pictures_that_cannot_be_read_are_named(folder, photo):
    """One broken download would end hours of measuring, or be missing without a word."""
    (folder / "broken.png").write_bytes(b"\x89PNG")
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:400])
    photo(8, 8).save(folder / "moving.png", save_all=True, append_images=[photo(8, 8, seed=1)])
    pictures, failures = open_pictures(find_pictures([str(folder)]))
    assert [picture.name for picture in pictures] == ["a.png", "b.png"]
    assert [failure.picture for failure in failures] == ["broken.png", "cut.png", "moving.png"]
    assert "not a picture that Pillow can read" in str(failures[0])
    assert "animated" in str(failures[2])


def test_alpha_and_metadata_are_left_out(tmp_path, photo):
    """A codec that keeps metadata would pay bytes for it that its competitor does not."""
    photo(48, 32).convert("RGBA").save(tmp_path / "a.png", icc_profile=bytes(500), dpi=(300, 300))
    picture = read_picture(tmp_path / "a.png")
    assert (picture.mode, picture.info) == ("RGB", {})
    assert np.array_equal(np.asarray(picture), np.asarray(photo(48, 32)))


def test_deep_pictures_are_refused(tmp_path):
    """Pillow clips 16 bits to white; the numbers would be those of another picture."""
    Image.fromarray(np.full((9, 9), 40000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(PictureError, match="8 bits"):
        read_picture(tmp_path / "deep.png")


def test_rate_counts_every_byte_of_the_file(photo):
    """An estimate, or a rate without headers, would flatter a codec most at the low rates that people look at."""
    picture = photo(48, 32)
    point = measure(picture, fake(lambda *_: bytes(1234), lambda _: picture), 50, ["psnr_rgb", "ms_ssim"])
    assert (point.bytes, point.bpp) == (1234, 8 * 1234 / (48 * 32))
    assert point.values == {"psnr_rgb": None, "ms_ssim": None}  # lossless, and too small for MS-SSIM


def test_decoded_size_must_match(photo):
    """A codec that returns its padding would be compared with shifted pixels or a broadcast."""
    with pytest.raises(ValueError, match="not in its own size"):
        measure(photo(48, 32), fake(lambda *_: b"", lambda _: photo(48, 64)), 1, [])


def test_what_was_measured_is_not_measured_again(folder, jpeg, tmp_path):
    """Ctrl-C after an hour would cost that hour."""
    pictures, _ = open_pictures(find_pictures([str(folder)]))
    file = tmp_path / "journal"
    work = measure_all(missing(pictures, [jpeg], ["psnr_rgb"], Journal()), Journal(file))
    for _ in range(3):
        next(work)
    work.close()  # what Ctrl-C does
    with open(file, "a") as journal:
        journal.write('{"key": ["cut by a cra')
    (task,) = missing(pictures, [jpeg], ["psnr_rgb"], Journal(file))
    assert (task.picture.name, task.quality) == ("b.png", 50)
    assert list(measure_all([task], Journal(file))) == [None]
    assert missing(pictures, [jpeg], ["psnr_rgb"], Journal(file)) == []


def test_another_version_settings_or_content_is_measured_anew(folder, jpeg, photo):
    """Old numbers would be shown for a new codec, or for an edited picture."""
    pictures, _ = open_pictures([folder / "a.png"])
    journal = Journal()
    list(measure_all(missing(pictures, [jpeg], ["psnr_rgb"], journal), journal))
    for change in ({"version": "x"}, {"settings": "x"}, {"name": "x"}):
        assert len(missing(pictures, [replace(jpeg, **change)], ["psnr_rgb"], journal)) == 2
    photo(48, 32, seed=7).save(folder / "a.png")
    assert len(missing(open_pictures([folder / "a.png"])[0], [jpeg], ["psnr_rgb"], journal)) == 2


def test_a_further_metric_is_added_to_what_was_measured(folder, jpeg, tmp_path):
    """A later --metrics would lose the first ones, or not be computed at all."""
    pictures, _ = open_pictures([folder / "a.png"])
    file = tmp_path / "journal"
    for metrics in (["psnr_rgb"], ["psnr_rgb", "psnr_y"]):
        tasks = missing(pictures, [jpeg], metrics, Journal(file))
        list(measure_all(tasks, Journal(file)))
    assert [task.metrics for task in tasks] == [("psnr_y",)] * 2
    assert set(Journal(file).find(pictures[0], jpeg, 10).values) == {"psnr_rgb", "psnr_y"}


def test_a_codec_that_fails_costs_only_its_own(folder, jpeg):
    """One size that a codec refuses would end the run."""

    def encode(picture, quality):
        if quality == 2:
            raise RuntimeError("no\nroom")
        return jpeg.encode(picture, 50)

    pictures, _ = open_pictures([folder / "a.png"])
    journal = Journal()
    ends = list(measure_all(missing(pictures, [fake(encode, jpeg.decode), jpeg], ["psnr_rgb"], journal), journal))
    assert ends == [None, Failure("a.png", "no room", "fake", 2), None, None]
    assert str(ends[1]) == "fake at quality 2: no room"


@pytest.mark.slow
def test_processes_do_not_change_the_result(folder, jpeg):
    """``-j`` would mix up the pictures' measurements, or hang."""
    pictures, _ = open_pictures(find_pictures([str(folder)]))
    one, two = Journal(), Journal()
    for journal, processes in ((one, 1), (two, 2)):
        tasks = missing(pictures, [jpeg], ["psnr_rgb"], journal)
        assert list(measure_all(tasks, journal, processes)) == [None] * 4
    for picture in pictures:
        for quality in jpeg.qualities:
            a, b = (journal.find(picture, jpeg, quality) for journal in (one, two))
            assert (a.bytes, a.values) == (b.bytes, b.values)


def test_the_journal_is_plain_json(folder, jpeg, tmp_path):
    """Whoever wants to look at a run that is still going on could not."""
    pictures, _ = open_pictures([folder / "a.png"])
    journal = Journal(tmp_path / "journal")
    journal.add(pictures[0], jpeg, Point(10, 99, 0.5, 0.1, 0.1, {"psnr_rgb": None}))
    (line,) = (tmp_path / "journal").read_text().splitlines()
    assert json.loads(line, parse_constant=pytest.fail)["point"]["bytes"] == 99


def test_a_journal_that_cannot_be_written_is_refused(tmp_path):
    """The first measurement would be lost, and with it the time that it took."""
    with pytest.raises(AecodecError, match="cannot use"):
        Journal(tmp_path / "no-such-folder" / "journal")


def test_what_the_encoder_refuses_is_refused_here(tmp_path):
    """A program in place of a picture must not be run, and 16 bits must not be measured as if they had been 8."""
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    scanline = b"\0" + bytes(range(6 * 8))
    chunks = (b"IHDR" + struct.pack(">2I5B", 8, 8, 16, 2, 0, 0, 0), b"IDAT" + zlib.compress(scanline * 8), b"IEND")
    data = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(data))
    pictures, failures = open_pictures([tmp_path / "a.png", tmp_path / "b.png"])
    assert not pictures
    assert "PostScript" in str(failures[0])
    assert "8 bits a channel (16)" in str(failures[1])


def test_a_folder_that_cannot_be_read_is_one_line(tmp_path, monkeypatch):
    """It was a traceback."""

    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(AecodecError, match="permission denied"):
        find_pictures([str(tmp_path)])


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_workers_end_with_a_parent_that_was_killed(tmp_path):
    """They hold both ends of the queue that they wait at, and would wait for good."""
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\nfrom aecodec.eval.measure import open_pool\n"
        "if __name__ == '__main__':\n    pool = open_pool(1)\n    print(pool.submit(os.getpid).result(), flush=True)\n"
        "    time.sleep(100)\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        worker = int(parent.stdout.readline())
        parent.kill()
        assert parent.stdout.read() == ""  # which waits for the worker, too: it has the same pipe
    for _ in range(100):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("the worker lives on")
