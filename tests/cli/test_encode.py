"""``aecodec encode``: what it writes, and above all what it does not."""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import pytest
from PIL import Image, ImageOps

import aecodec
from aecodec.metrics import ssimulacra2


@pytest.fixture
def pictures(tmp_path, photo):
    """a.png and b.png in the current folder, and the bytes of b.png."""
    photo(48, 32).save(tmp_path / "a.png")
    photo(40, 24, "L", 1).save(tmp_path / "b.png")
    return (tmp_path / "b.png").read_bytes()


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_encodes(cli, pictures, tmp_path):
    """The one thing that everybody does, in silence."""
    result = cli("encode", "a.png", "a.aec")
    assert (result.exit_code, result.output) == (0, "")
    with Image.open("a.png") as picture:
        assert (tmp_path / "a.aec").read_bytes() == aecodec.encode(picture, quality=60)


def test_a_second_picture_is_not_overwritten(cli, fails, pictures, tmp_path):
    """What a shell makes of "aecodec encode *.png" must never cost the second picture."""
    assert "--force" in fails(1, "encode", "a.png", "b.png")
    assert (tmp_path / "b.png").read_bytes() == pictures
    fails(1, "encode", "a.png", "new.JPG")
    assert names(tmp_path) == ["a.png", "b.png"]
    assert cli("encode", "--force", "a.png", "b.png").exit_code == 0
    assert aecodec.info((tmp_path / "b.png").read_bytes()).width == 48


def test_an_existing_output_is_kept(cli, fails, pictures, tmp_path):
    """Last year's files are not to be replaced by a typing error."""
    (tmp_path / "old.aec").write_bytes(b"precious")
    assert "--force" in fails(1, "encode", "a.png", "old.aec")
    assert (tmp_path / "old.aec").read_bytes() == b"precious"
    assert cli("encode", "-f", "a.png", "old.aec").exit_code == 0
    assert aecodec.info((tmp_path / "old.aec").read_bytes()).width == 48


@pytest.mark.parametrize("force", [[], ["--force"]])
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.png", None, "no such file"),
        ("text.png", b"hello", "not a picture"),
        ("empty.png", b"", "empty"),
        ("cut.png", "cut", "cannot be read"),
        ("folder", "folder", "directory"),
    ],
)
def test_bad_inputs_leave_no_output(fails, pictures, tmp_path, name, content, message, force):
    """One line says what is wrong; neither half a file nor the loss of an old one comes with it."""
    (tmp_path / "old.aec").write_bytes(b"precious")
    if content == "folder":
        (tmp_path / name).mkdir()
    elif content is not None:
        (tmp_path / name).write_bytes(pictures[:-60] if content == "cut" else content)
    before = names(tmp_path)
    line = fails(1, "encode", *force, name, "old.aec" if force else "new.aec")
    assert line.startswith(f"aecodec: {name}: ")
    assert message in line
    assert names(tmp_path) == before
    assert (tmp_path / "old.aec").read_bytes() == b"precious"


def test_a_write_that_fails_leaves_what_was(fails, pictures, tmp_path, monkeypatch):
    """A full disk must not turn the old file into half of the new one."""
    (tmp_path / "old.aec").write_bytes(b"precious")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("aecodec.cli.files.os.fsync", full)
    assert "no space left" in fails(1, "encode", "-f", "a.png", "old.aec")
    assert names(tmp_path) == ["a.png", "b.png", "old.aec"]
    assert (tmp_path / "old.aec").read_bytes() == b"precious"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_pipe_is_not_replaced(fails, pictures, tmp_path, force):
    """The output /dev/null with --force must not cost root the machine's /dev/null."""
    os.mkfifo(tmp_path / "pipe")
    fails(1, "encode", *force, "a.png", "pipe")
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("error", [OSError("x"), RuntimeError("x"), IndexError("x"), SyntaxError("x")])
def test_whatever_pillow_raises_is_one_line(fails, pictures, monkeypatch, error):
    """Its plugins raise all kinds of errors for damaged files, and a traceback helps nobody."""

    def broken(*_):
        raise error

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", broken)
    assert "cannot be read: x" in fails(1, "encode", "a.png", "a.aec")


def test_a_full_standard_output_is_told(fails, pictures, monkeypatch):
    """A pipe into a full disk must not look like a success."""

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("aecodec.cli.files.write_output", full)
    assert "no space left" in fails(1, "encode", "a.png", "-")


@pytest.mark.parametrize("args", [("", "b.aec"), ("a.png", ""), ("--output-dir", "", "a.png")])
def test_an_empty_name_is_refused(cli, pictures, args):
    """A shell's variable was not set; the current folder is not what it stands for."""
    result = cli("encode", *args)
    assert result.exit_code == 2
    assert "a name is empty" in result.stderr


def test_outputs_that_cannot_be(fails, pictures):
    """A wrong path is reported before the work, not after it."""
    assert "no folder" in fails(1, "encode", "a.png", "no/where.aec")
    assert "is a folder" in fails(1, "encode", "a.png", ".")
    assert "no folder" in fails(1, "encode", "--output-dir", "no/where", "a.png")  # a path mistyped, or a disk not there
    assert "too long" in fails(1, "encode", "a.png", "x" * 5000 + ".aec")


def test_pipes(cli, pictures, tmp_path):
    """Programs that have no files can still use the codec, and get nothing but the file on standard output."""
    result = cli("encode", "--json", "-", "-", stdin=pictures)
    head = aecodec.info(result.stdout_bytes)
    assert (head.width, head.height, head.mode) == (40, 24, "L")
    assert json.loads(result.stderr)["bytes"] == len(result.stdout_bytes)
    cli("encode", "-", "b.aec", stdin=pictures)
    assert (tmp_path / "b.aec").read_bytes() == result.stdout_bytes


def test_empty_pipes_are_told(fails):
    """The program before us in the pipe has failed; its user should not look for the fault here."""
    assert fails(1, "encode", "-", "-", stdin=b"") == "aecodec: standard input: the file is empty"


def test_json(cli, pictures, tmp_path):
    """Scripts rely on these names and units."""
    result = cli("encode", "--json", "-q", "25", "a.png", "a.aec")
    report = json.loads(result.stdout)
    data = (tmp_path / "a.aec").read_bytes()
    assert report.pop("encode_seconds") > 0
    assert report == {
        "input": "a.png", "output": "a.aec", "bytes": len(data), "width": 48, "height": 32, "depth": 8,
        "quality": 25.0,
        "bpp": pytest.approx(len(data) * 8 / 48 / 32, abs=1e-6), "weights": aecodec.info(data).weights,
        "exact": 0.0, "near": 0.0,
    }  # fmt: skip
    report = json.loads(cli("encode", "--json", "--psnr", "25", "a.png", "p.aec").stdout)
    assert report["psnr"] >= 25
    report = json.loads(cli("encode", "--json", "--ssimulacra2", "60", "a.png", "s.aec").stdout)
    with Image.open("a.png") as picture:
        shown = aecodec.decode((tmp_path / "s.aec").read_bytes())
        assert report["ssimulacra2"] == round(ssimulacra2(np.asarray(picture), np.asarray(shown)), 4) >= 60
    assert "psnr" not in report


def test_many_files(cli, pictures, tmp_path):
    """A folder of pictures, one of them broken: the others are still done, and the exit code tells."""
    (tmp_path / "out").mkdir()
    (tmp_path / "broken.png").write_text("hello")
    result = cli("encode", "--output-dir", "out", "a.png", "broken.png", "b.png")
    assert result.exit_code == 1
    assert result.stderr.startswith("aecodec: broken.png: ")
    assert names(tmp_path / "out") == ["a.aec", "b.aec"]


def test_two_inputs_of_one_name_keep_their_extensions(cli, pictures, tmp_path, photo):
    """The second would silently replace the first."""
    photo(8, 8).save(tmp_path / "a.jpg")
    assert cli("encode", "--force", "--output-dir", ".", "a.png", "a.jpg").exit_code == 0
    assert aecodec.info(tmp_path / "a.png.aec").width == 48
    assert aecodec.info(tmp_path / "a.jpg.aec").width == 8
    assert not (tmp_path / "a.aec").exists()


@pytest.mark.parametrize(("size", "limit"), [("1200", 1200), ("1.5k", 1500), ("0.0016M", 1600)])
def test_size_is_never_passed(cli, tmp_path, photo, size, limit):
    """An upload form that takes 1500 bytes does not take 1501."""
    photo().save(tmp_path / "in.png")
    assert cli("encode", "--size", size, "in.png", "out.aec").exit_code == 0
    assert 0.98 * limit <= (tmp_path / "out.aec").stat().st_size <= limit


def test_bpp_is_never_passed(cli, tmp_path, photo):
    """Bits per pixel count the whole file, header and all."""
    photo().save(tmp_path / "in.png")
    assert cli("encode", "--bpp", "2", "in.png", "out.aec").exit_code == 0
    assert 0.98 * 2 <= (tmp_path / "out.aec").stat().st_size * 8 / 96 / 64 <= 2


def test_unreachable_targets_write_nothing(fails, pictures, tmp_path):
    """A file that misses its target is not what was asked for."""
    assert "cannot be reached" in fails(1, "encode", "--size", "30", "a.png", "a.aec")
    assert "cannot be reached" in fails(1, "encode", "--bpp", "0.01", "a.png", "a.aec")
    assert names(tmp_path) == ["a.png", "b.png"]


def test_without_loss(cli, pictures, tmp_path):
    """Asked for, or where nothing else meets the target; the report says so, in JSON that any program reads."""
    report = json.loads(cli("encode", "--json", "--lossless", "a.png", "a.aec").stdout)
    assert (report["exact"], report["quality"], report["weights"]) == (1.0, 100.0, "00000000")
    report = json.loads(cli("encode", "--json", "--psnr", "90", "a.png", "b.aec").stdout, parse_constant=pytest.fail)
    assert (report["exact"], report["psnr"]) == (1.0, None)
    report = json.loads(cli("encode", "--json", "--ssimulacra2", "99.5", "a.png", "c.aec").stdout)
    assert (report["exact"], report["ssimulacra2"]) == (1.0, 100.0)
    with Image.open(tmp_path / "a.png") as picture:
        for name in ("a.aec", "b.aec", "c.aec"):
            assert aecodec.decode(tmp_path / name).tobytes() == picture.tobytes()


def test_a_missing_package_is_told_once(fails, pictures, tmp_path, monkeypatch):
    """A folder of a thousand pictures gives one line that says what to install, before any work."""
    monkeypatch.setitem(sys.modules, "ssimulacra2", None)
    line = fails(1, "encode", "--ssimulacra2", "80", "--output-dir", "out", "a.png", "b.png")
    assert "pip install 'aecodec[eval]'" in line
    assert names(tmp_path) == ["a.png", "b.png"]


@pytest.mark.parametrize(
    "args",
    [
        "-q 50 --size 2k",
        "--bpp 1 --psnr 40",
        "-q 50 --lossless",
        "--size 2k --lossless",
        "--restore denoise --lossless",
        "--psnr 40 --ssimulacra2 80",
        "--ssimulacra2 80 -q 60",
        "-q -1",
        "-q nan",
        "--bpp 0",
        "--bpp nan",
        "--psnr nan",
        "--ssimulacra2 0",
        "--ssimulacra2 101",
        "--ssimulacra2 nan",
        "--size nan",
        "--size 2q",
        "--size 0",
        "--size -5k",
        "-j 0",
        "--max-pixels 0",
        "--device abacus",
        "third",
    ],
)
def test_usage_errors(cli, pictures, tmp_path, args):
    """A wrong command line is reported with exit code 2 and does nothing at all."""
    result = cli("encode", *args.split(), "a.png", "a.aec")
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert names(tmp_path) == ["a.png", "b.png"]


def test_limit_of_pixels(fails, pictures):
    """Exit code 3, like every file that is over the limits."""
    assert "48 x 32" in fails(3, "encode", "--max-pixels", "1535", "a.png", "a.aec")


def test_losses_are_told_in_one_line(cli, tmp_path, photo):
    """Inks become light but the file is written: a warning, and exit code 0."""
    photo(8, 8).convert("CMYK").save(tmp_path / "in.tif")
    result = cli("encode", "in.tif", "out.aec")
    assert result.exit_code == 0
    assert result.stderr == "aecodec: in.tif: warning: colours are converted from CMYK to sRGB\n"
    assert (tmp_path / "out.aec").exists()


def test_deep_colour_is_told(cli, tmp_path):
    """Pillow reads 16 bits of a text PPM as 8 in silence; the header of the file knows better."""
    (tmp_path / "in.ppm").write_bytes(b"P3 8 8 65535\n" + b"1000 " * 192)
    result = cli("encode", "in.ppm", "out.aec")
    assert (result.exit_code, result.stderr) == (0, "aecodec: in.ppm: warning: 16-bit samples are rounded to 8 bits\n")


def test_a_frame_of_an_animation(cli, fails, tmp_path, photo):
    """All frames but one are gone only where somebody said so."""
    photo(16, 8).save(tmp_path / "in.gif", save_all=True, append_images=[photo(16, 8, seed=1)])
    assert "--frame N" in fails(1, "encode", "in.gif", "out.aec")
    assert names(tmp_path) == ["in.gif"]
    assert cli("encode", "--frame", "1", "in.gif", "out.aec").exit_code == 0
    with Image.open(tmp_path / "in.gif") as animation:
        animation.seek(1)
        assert (tmp_path / "out.aec").read_bytes() == aecodec.encode(animation.convert("RGB"))
    assert "no frame 2" in fails(1, "encode", "-f", "--frame", "2", "in.gif", "out.aec")


@pytest.mark.parametrize(("kind", "size"), [("png", (20, 10)), ("jpg", (20, 10)), ("bmp", (10, 20))])
def test_the_size_told_is_the_size_shown(cli, tmp_path, photo, kind, size):
    """A script lays out pages by these numbers."""
    picture = photo(20, 10)
    picture.getexif()[0x0112] = 6
    picture.save(tmp_path / "in.jpg", exif=picture.getexif())
    for args in ("encode in.jpg out.aec", "info out.aec", f"decode out.aec out.{kind}"):
        report = json.loads(cli(args.split()[0], "--json", *args.split()[1:]).stdout)
        assert (report["width"], report["height"]) == (10, 20)
    with Image.open(tmp_path / f"out.{kind}") as shown:
        assert shown.size == size
        assert ImageOps.exif_transpose(shown).size == (10, 20)


def test_strip(cli, tmp_path, photo):
    """Where a photo was taken does not go out with it."""
    picture = photo(20, 10)
    exif = picture.getexif()
    exif[0x0112] = 6
    exif[0x010F] = "home address"
    picture.save(tmp_path / "in.jpg", exif=exif)
    for args in ([], ["--strip"]):
        assert cli("encode", *args, "-f", "in.jpg", "out.aec").exit_code == 0
        data = (tmp_path / "out.aec").read_bytes()
        assert (b"home address" in data) == (not args)
    assert aecodec.info(data).width == 10


def test_unknown_weights(fails, pictures):
    """The message says which there are."""
    for name in ("no-such", "", "x" * 5000):
        assert "installed: photo" in fails(1, "encode", "--weights", name, "a.png", "a.aec")


def test_threads_are_limited(cli, pictures, monkeypatch):
    """-j 1 on a shared server means one."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    cli("encode", "-j", "1", "a.png", "a.aec")
    assert os.environ["OMP_NUM_THREADS"] == "1"


def test_a_hash_is_written_where_it_is_asked_for(cli, tmp_path, photo):
    """An archive that proves itself costs 14 bytes a picture."""
    photo(48, 32).save(tmp_path / "in.png")
    sizes = []
    for options in ((), ("--hash",)):
        assert cli("encode", "-f", "--verify", *options, "in.png", "x.aec").exit_code == 0
        sizes.append((tmp_path / "x.aec").stat().st_size)
        assert bool(json.loads(cli("info", "--json", "x.aec").stdout)["hash"]) == bool(options)
    assert sizes[1] == sizes[0] + 14


def test_16_bits_are_kept_or_refused(cli, fails, tmp_path):
    """Nothing is rounded in silence: the file has 16 bits, or is none."""
    samples = (np.add.outer(np.arange(32) * 900, np.arange(48) * 300) + 5000).astype(np.uint16)
    Image.fromarray(samples).save(tmp_path / "in.png")
    result = cli("encode", "--verify", "--json", "in.png", "x.aec")
    assert (result.exit_code, result.stderr) == (0, "")
    report = json.loads(result.stdout)
    assert report["depth"] == 16
    assert report["psnr"] > 30
    assert "16 bits a sample cannot be kept without loss" in fails(1, "encode", "--lossless", "in.png", "y.aec")
