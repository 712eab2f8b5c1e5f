"""``aecodec decode``: pictures out, or one line and the right exit code."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import aecodec
from aecodec.codec.encoder import Encoder, Original
from aecodec.container import bitstream
from aecodec.container.bitstream import Header, Stream


@pytest.fixture
def stored(tmp_path, file):
    """good.aec in the current folder."""
    (tmp_path / "good.aec").write_bytes(file)
    return file


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def as_array(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_decodes(cli, stored, tmp_path):
    """The file on disk is the picture that the library decodes."""
    result = cli("decode", "good.aec", "out.png")
    assert (result.exit_code, result.output) == (0, "")
    assert np.array_equal(as_array(tmp_path / "out.png"), np.asarray(aecodec.decode(stored)))


@pytest.mark.parametrize("extension", ["png", "webp", "tif", "bmp", "ppm", "PNG"])
def test_lossless_formats_are_lossless(cli, stored, tmp_path, extension):
    """A picture loses enough in one codec; the way out must add nothing."""
    assert cli("decode", "good.aec", f"out.{extension}").exit_code == 0
    assert np.array_equal(as_array(tmp_path / f"out.{extension}"), np.asarray(aecodec.decode(stored)))


def test_jpeg_is_nearly_lossless(cli, stored, tmp_path):
    """JPEG at Pillow's default would undo a quality that was paid for."""
    assert cli("decode", "good.aec", "out.jpg").exit_code == 0
    difference = as_array(tmp_path / "out.jpg").astype(int) - np.asarray(aecodec.decode(stored))
    assert np.sqrt(np.mean(difference**2)) < 2


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "tif"])
def test_metadata_comes_out(cli, tmp_path, photo, extension):
    """A profile that stops at the .aec file is a profile lost."""
    picture = photo(20, 10)
    exif = picture.getexif()
    exif[0x010F] = "maker"
    picture.info.update(icc_profile=bytes(16) + b"RGB " + bytes(108), xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
    (tmp_path / "in.aec").write_bytes(Encoder(picture).encode(0).data)
    assert cli("decode", "in.aec", f"out.{extension}").exit_code == 0
    with Image.open(tmp_path / f"out.{extension}") as image:
        assert image.info["icc_profile"] == picture.info["icc_profile"]
        assert image.getexif()[0x010F] == "maker"
        assert image.info["xmp"] == picture.info["xmp"]


def test_alpha_comes_out(cli, tmp_path, photo):
    """Into formats that hold it as it is; into others on white, with a warning."""
    picture = photo(20, 10).convert("RGBA")
    picture.putalpha(0)
    (tmp_path / "in.aec").write_bytes(aecodec.encode(picture))
    result = cli("decode", "in.aec", "out.png")
    assert (result.exit_code, result.stderr) == (0, "")
    assert as_array(tmp_path / "out.png").shape == (10, 20, 4)
    result = cli("decode", "in.aec", "out.jpg")
    assert result.stderr == "aecodec: in.aec: warning: transparency is laid on white; JPEG keeps none\n"
    assert as_array(tmp_path / "out.jpg").min() > 250


def hostile(data: bytes) -> dict[str, tuple[int, bytes, str]]:
    """Name to (exit code, bytes, what the message must say)."""
    stream = bitstream.read(data)
    foreign = Header(96, 64, "RGB", "0badcafe", 0)
    huge = Header(2**20, 2**20, "RGB", stream.header.weights, 0)
    other = Header(96, 256, "RGB", stream.header.weights, 0)
    return {
        "truncated": (3, data[:-1], "truncated"),
        "empty": (3, b"", "empty"),
        "text": (3, b"hello", "no aecodec file"),
        "checksum": (3, data[:-9] + bytes([data[-9] ^ 1]) + data[-8:], "checksum"),
        "foreign": (1, bitstream.write(Stream(foreign, stream.payloads)), "0badcafe"),
        "huge": (3, bitstream.write(Stream(huge, stream.payloads)), "--max-pixels"),
        "swapped": (3, bitstream.write(Stream(other, stream.payloads)), "damaged"),
    }


@pytest.mark.parametrize("case", ["truncated", "empty", "text", "checksum", "foreign", "huge", "swapped"])
@pytest.mark.parametrize("force", [[], ["--force"]])
def test_bad_files_leave_no_output(fails, file, tmp_path, case, force):
    """One line, the exit code that says whose fault it is, and the old picture untouched."""
    code, data, message = hostile(file)[case]
    (tmp_path / "bad.aec").write_bytes(data)
    (tmp_path / "old.png").write_bytes(b"precious")
    line = fails(code, "decode", *force, "bad.aec", "old.png" if force else "new.png")
    assert line.startswith("aecodec: bad.aec: ")
    assert message in line
    assert names(tmp_path) == ["bad.aec", "old.png"]
    assert (tmp_path / "old.png").read_bytes() == b"precious"


def test_missing_file(fails):
    """A file that is not there is not a damaged one: exit code 1."""
    assert "no such file" in fails(1, "decode", "missing.aec", "out.png")


def test_an_existing_output_is_kept(cli, fails, stored, tmp_path):
    """The original may be all that has the name; only --force replaces it."""
    (tmp_path / "old.png").write_bytes(b"precious")
    assert "--force" in fails(1, "decode", "good.aec", "old.png")
    assert (tmp_path / "old.png").read_bytes() == b"precious"
    assert cli("decode", "-f", "good.aec", "old.png").exit_code == 0
    assert as_array(tmp_path / "old.png").shape == (64, 96, 3)


def test_the_input_is_never_the_output(fails, stored, tmp_path):
    """Not even with --force is an .aec file replaced by a picture: no picture has that extension."""
    fails(1, "decode", "--force", "good.aec", "good.aec")
    assert (tmp_path / "good.aec").read_bytes() == stored


@pytest.mark.parametrize("output", ["out.xyz", "out", "out.aec", "out.mpg"])
def test_unknown_extensions_are_refused(fails, stored, tmp_path, output):
    """A guess would be a file that nothing opens."""
    assert "extension" in fails(1, "decode", "good.aec", output)
    assert names(tmp_path) == ["good.aec"]


def test_pipes(cli, stored):
    """The output "-" gives PNG and nothing else on standard output."""
    result = cli("decode", "--json", "-", "-", stdin=stored)
    assert result.exit_code == 0
    with Image.open(io.BytesIO(result.stdout_bytes)) as image:
        assert image.format == "PNG"
        assert np.array_equal(np.asarray(image), np.asarray(aecodec.decode(stored)))
    assert json.loads(result.stderr)["output"] == "-"


def test_json(cli, stored):
    """Scripts rely on these names."""
    report = json.loads(cli("decode", "--json", "good.aec", "out.png").stdout)
    assert report.pop("decode_seconds") > 0
    assert report == {
        "input": "good.aec", "output": "out.png", "width": 96, "height": 64, "bits": 8, "verified": False,
    }  # fmt: skip


def test_many_files(cli, stored, tmp_path):
    """One damaged file among many: the rest is decoded.  3 says damage; with another failure too, 1."""
    (tmp_path / "out").mkdir()
    (tmp_path / "bad.aec").write_bytes(stored[:-1])
    result = cli("decode", "--output-dir", "out", "bad.aec", "good.aec")
    assert result.exit_code == 3
    assert result.stderr.startswith("aecodec: bad.aec: ")
    assert names(tmp_path / "out") == ["good.png"]
    assert cli("decode", "-f", "--output-dir", "out", "bad.aec", "missing.aec", "good.aec").exit_code == 1


def test_the_second_of_one_name_is_refused(cli, stored, tmp_path):
    """It would silently replace the first."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "good.aec").write_bytes(stored)
    result = cli("decode", "--output-dir", ".", "good.aec", "sub/good.aec")
    assert result.exit_code == 1
    assert "sub/good.aec: would become good.aec.png, as good.aec does" in result.stderr
    assert (tmp_path / "good.aec.png").exists()


def test_limit_of_pixels(cli, fails, stored):
    """Below the picture's size it is refused, at its size it is decoded."""
    assert "96 x 64" in fails(3, "decode", "--max-pixels", 96 * 64 - 1, "good.aec", "out.png")
    assert cli("decode", "--max-pixels", 96 * 64, "good.aec", "out.png").exit_code == 0


@pytest.mark.parametrize(("name", "kind"), [("jpg", "JPEG"), (".WebP", "WEBP"), ("tif", "TIFF")])
def test_a_folder_comes_out_in_any_format(cli, stored, tmp_path, name, kind):
    """Not every program that should show the pictures again is content with PNG."""
    (tmp_path / "out").mkdir()
    assert cli("decode", "--format", name, "--output-dir", "out", "good.aec").exit_code == 0
    (path,) = (tmp_path / "out").iterdir()
    assert path.name == f"good.{name.lower().lstrip('.')}"
    with Image.open(path) as shown:
        assert shown.format == kind
    piped = cli("decode", "--format", name, "good.aec", "-").stdout_bytes
    assert piped == path.read_bytes()


def test_a_format_that_cannot_be_written_is_one_line(cli, stored):
    """Better before a thousand pictures than once for each of them."""
    for name in ("xyz", "aec", ""):
        refused = cli("decode", "--format", name, "--output-dir", ".", "good.aec")
        assert refused.exit_code == 2
        assert "cannot write pictures" in refused.stderr.splitlines()[-1]


@pytest.mark.parametrize("args", ["good.aec", "a b c", "- --output-dir .", "--device tpu a b", ""])
def test_usage_errors(cli, stored, tmp_path, args):
    """A wrong command line is reported with exit code 2 and does nothing at all."""
    result = cli("decode", *args.split())
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert names(tmp_path) == ["good.aec"]


def test_a_region_is_decoded(cli, fails, file, tmp_path):
    """A detail of a large scan is what is looked at; the help says how to ask for it."""
    (tmp_path / "a.aec").write_bytes(file)
    assert cli("decode", "--crop", "10,20,30,40", "a.aec", "detail.png").exit_code == 0
    assert cli("decode", "a.aec", "whole.png").exit_code == 0
    whole, detail = (as_array(name).astype(int) for name in ("whole.png", "detail.png"))
    assert np.abs(whole[20:60, 10:40] - detail).max() <= 1
    assert "96 x 64" in fails(1, "decode", "--crop", "90,20,30,40", "a.aec", "out.png")
    assert cli("decode", "--crop", "1,2,3", "a.aec", "out.png").exit_code == 2
    assert not (tmp_path / "out.png").exists()


def test_two_formats_for_one_output_are_refused(cli, tmp_path, file):
    """--format jpg with out.png gave a PNG."""
    (tmp_path / "a.aec").write_bytes(file)
    result = cli("decode", "--format", "jpg", "a.aec", "out.png")
    assert result.exit_code == 2
    assert "OUT has the extension '.png' and --format says 'jpg'" in result.stderr
    assert not (tmp_path / "out.png").exists()
    assert cli("decode", "--format", "jpeg", "a.aec", "out.jpg").exit_code == 0
    assert Image.open("out.jpg").format == "JPEG"


@pytest.fixture
def deep_file(tmp_path):
    """deep.aec, a picture of 16 bits with a hash; its samples."""
    y, x = np.mgrid[:48, :80]
    given = np.dstack([20000 + 90 * x, 30000 + 70 * y, 40000 - 50 * x - 60 * y]).astype(np.uint16)
    data = aecodec.encode(given, 80, hashed=True)
    (tmp_path / "deep.aec").write_bytes(data)
    return aecodec.decode_array(data)


@pytest.mark.parametrize("extension", ["png", "tif", "ppm"])
def test_16_bits_come_out(cli, deep_file, tmp_path, extension):
    """Without being asked, where the format has room for them; what is written is what was decoded."""
    result = cli("decode", "--json", "deep.aec", f"out.{extension}")
    assert (result.exit_code, result.stderr) == (0, "")
    report = json.loads(result.stdout)
    assert (report["bits"], report["verified"]) == (16, True)
    original = Original.open(tmp_path / f"out.{extension}")
    assert np.array_equal(original.deep, deep_file)


def test_8_bits_come_out_where_there_is_room_for_no_more(cli, deep_file, tmp_path):
    """A loss is told, unless it was asked for."""
    result = cli("decode", "deep.aec", "out.webp")
    assert "16-bit samples are rounded to 8 bits, which WEBP is written with" in result.stderr
    result = cli("decode", "--bits", "8", "deep.aec", "out.png")
    assert result.stderr == ""
    assert as_array(tmp_path / "out.png").dtype == np.uint8
    assert np.array_equal(as_array(tmp_path / "out.png"), as_array(tmp_path / "out.webp"))


def test_16_bits_of_a_file_of_8(cli, fails, stored, tmp_path):
    """A sky has fewer bands than in 8 bits; a format that has no room for them is named."""
    assert cli("decode", "--bits", "16", "good.aec", "out.png").exit_code == 0
    assert np.array_equal(Original.open(tmp_path / "out.png").deep, aecodec.decode_array(stored, 16))
    assert "PNG, TIFF and PPM can have 16" in fails(1, "decode", "--bits", "16", "good.aec", "out.jpg")


def test_another_picture_than_was_encoded_is_refused(cli, fails, deep_file, tmp_path):
    """The hash tells what checksums cannot; whoever wants the picture all the same can have it."""
    stream = bitstream.read((tmp_path / "deep.aec").read_bytes())
    (tmp_path / "wrong.aec").write_bytes(
        bitstream.write(Stream(stream.header, stream.payloads, stream.chunks | {bitstream.HASH: bytes(8)}))
    )
    assert "not the one that was encoded" in fails(3, "decode", "wrong.aec", "out.png")
    assert "not the one that was encoded" in fails(3, "verify", "wrong.aec")
    result = cli("decode", "--json", "--no-verify", "wrong.aec", "out.png")
    assert json.loads(result.stdout)["verified"] is False
    result = cli("verify", "--json", "deep.aec")
    assert json.loads(result.stdout)["verified"] == "samples"


def test_hdr_colours_come_out(cli, tmp_path):
    """PQ that is taken for sRGB is gray and dull."""
    data = (Path(__file__).parent.parent / "conformance" / "deep.aec").read_bytes()
    (tmp_path / "hdr.aec").write_bytes(data)
    assert cli("decode", "hdr.aec", "out.png").stderr == ""
    assert b"cICP\x09\x10\x00\x01" in (tmp_path / "out.png").read_bytes()
    assert "not kept in JPEG: PQ colours" in cli("decode", "hdr.aec", "out.jpg").stderr
    assert "16 bits a sample" in (said := cli("info", "hdr.aec").stdout)
    assert "colours 9/16/0/1 (CICP)" in said
