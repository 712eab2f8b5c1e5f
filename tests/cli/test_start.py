"""How the command starts: a file is decoded to PNG without click, numpy and Pillow, and nobody can tell but by the time."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageCms

import aecodec
from aecodec.cli import main, start
from aecodec.container import bitstream, plain
from aecodec.container.bitstream import EXIF, ICC, PACKED, RESOLUTION, RESOURCES, SIGNAL, XMP
from aecodec.images import png
from aecodec.runtime import libaec

pytestmark = pytest.mark.skipif(not libaec.is_compiled(), reason="libaec was not compiled")

STREAMS = Path(__file__).parents[1] / "conformance"
PLAIN = ("rgb-low", "psnr-tiles", "gray", "page", "pixel", "page-without-loss")
DEEP = ("deep", "deep-alpha", "deep-gray")
RUN = (  # an installation in place imports some modules when Python starts
    "import sys; before = set(sys.modules); from aecodec.cli import start; "
    "done = start.decode(sys.argv[1:]); print(done, *set(sys.modules) - before)"
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
    assert start.decode(["decode", f"{name}.aec", "out.png"])
    wanted = aecodec.decode(folder / f"{name}.aec")
    with Image.open("out.png") as found:
        assert (found.format, found.mode) == ("PNG", wanted.mode)
        assert np.array_equal(np.asarray(found), np.asarray(wanted))
    assert not list(folder.glob(".aecodec-*"))


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_and_a_hash_are_kept(folder, channels):
    samples = np.random.default_rng(channels).integers(0, 256, (40, 50, channels), np.uint8)
    Path("alpha.aec").write_bytes(aecodec.encode(samples, hashed=True))
    assert start.decode(["decode", "alpha.aec", "out.png"])
    with Image.open("out.png") as found:
        assert np.array_equal(np.asarray(found), np.asarray(aecodec.decode("alpha.aec")))


@pytest.mark.parametrize("name", DEEP)
def test_samples_of_more_than_8_bits_are_those_of_the_command(folder, name):
    """A gradient would have bands, or an HDR picture colours of another range."""
    found = bitstream.read((folder / f"{name}.aec").read_bytes())
    Path("in.aec").write_bytes(bitstream.write(replace(found, chunks=found.chunks | {SIGNAL: bytes([9, 16, 0, 1])})))
    assert start.decode(["decode", "in.aec", "quick.png"])
    result = CliRunner().invoke(main.main, ["decode", "in.aec", "out.png"])
    assert result.exit_code == 0, result.output
    assert png_chunks("quick.png") == png_chunks("out.png")
    assert (b"cICP", bytes([9, 16, 0, 1])) in png_chunks("quick.png")
    quick, out = (png_samples(path) for path in ("quick.png", "out.png"))
    assert quick == out


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_picture_without_loss_is_the_one_that_was_encoded(folder, channels):
    """Who archives without loss would get other pixels."""  # but for colours that nobody sees
    samples = np.random.default_rng(channels).integers(0, 256, (40, 50, channels), np.uint8)
    picture = samples if channels > 1 else samples[..., 0]
    Path("exact.aec").write_bytes(aecodec.encode(picture, lossless=True))
    assert start.decode(["decode", "exact.aec", "out.png"])
    with Image.open("out.png") as found:
        shown = np.asarray(found).reshape(samples.shape)
    hidden = (samples[..., -1:] == 0) & (np.arange(channels) < channels - 1) & (channels % 2 == 0)
    assert np.array_equal(np.where(hidden, 0, shown), np.where(hidden, 0, samples))


def png_samples(path):
    """The rows of a PNG with their filters undone, by a reader of its own: Pillow rounds colours of 16 bits."""
    parts = {chunk.kind: chunk.body for chunk in png.chunks(Path(path).read_bytes())}
    width, height = (int.from_bytes(parts[b"IHDR"][at : at + 4], "big") for at in (0, 4))
    pixel = {0: 1, 4: 2, 2: 3, 6: 4}[parts[b"IHDR"][9]] * parts[b"IHDR"][8] // 8
    packed = b"".join(chunk.body for chunk in png.chunks(Path(path).read_bytes()) if chunk.kind == b"IDAT")
    data, size, above, rows = zlib.decompress(packed), pixel * width, bytes(pixel * width), []
    for start_at in range(0, height * (size + 1), size + 1):
        kind, row = data[start_at], bytearray(data[start_at + 1 : start_at + 1 + size])
        for i in range(size):
            left, corner = (row[i - pixel], above[i - pixel]) if i >= pixel else (0, 0)
            estimate = left + above[i] - corner
            paeth = min((left, above[i], corner), key=lambda value: abs(estimate - value))
            row[i] = row[i] + (0, left, above[i], (left + above[i]) // 2, paeth)[kind] & 255
        above = bytes(row)
        rows.append(above)
    return pixel, rows


def png_chunks(path):
    return [(chunk.kind, chunk.body) for chunk in png.chunks(Path(path).read_bytes()) if chunk.kind != b"IDAT"]


def exif_of(orientation, dpi=None):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "camera"
    if dpi:
        exif[0x011A] = exif[0x011B] = dpi
        exif[0x0128] = 2
    return exif.tobytes()


PACKET = '<x:xmpmeta xmlns:x="adobe:ns:meta/">über</x:xmpmeta>'.encode()
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
METADATA = {
    "profile": {ICC: PROFILE},
    "turned": {EXIF: exif_of(6)},
    "scanned": {EXIF: exif_of(1, 300.0)},
    "of a screen": {EXIF: exif_of(1, 72.0)},
    "resolution": {RESOLUTION: (30000).to_bytes(4, "little") + (15000).to_bytes(4, "little")},
    "other EXIF": {EXIF: b"II*\0damaged", XMP: b"\xff is no UTF-8"},
    "packed": {ICC: PROFILE, EXIF: exif_of(8, 300.0), XMP: PACKET * 9, RESOURCES: bytes(200)},
}


@pytest.mark.parametrize("stream", ["rgb-low", "psnr-tiles"])
@pytest.mark.parametrize("name", METADATA)
def test_metadata_is_that_of_the_command(folder, stream, name):
    """A photograph would lose its colours, its place or its orientation, or look another way than with any option."""
    found = bitstream.read((folder / f"{stream}.aec").read_bytes())
    Path("in.aec").write_bytes(bitstream.write(replace(found, chunks=found.chunks | METADATA[name])))
    assert start.decode(["decode", "in.aec", "quick.png"])
    result = CliRunner().invoke(main.main, ["decode", "in.aec", "out.png"])
    assert result.exit_code == 0, result.output
    assert png_chunks("quick.png") == png_chunks("out.png")
    assert len(png_chunks("quick.png")) > 2
    with Image.open("quick.png") as quick, Image.open("out.png") as out:
        assert np.array_equal(np.asarray(quick), np.asarray(out))


def test_gray_with_a_profile_of_colour_is_left_to_the_command(folder):
    """A PNG of gray with such a profile is one that viewers refuse."""
    found = bitstream.read((folder / "gray.aec").read_bytes())
    Path("in.aec").write_bytes(bitstream.write(replace(found, chunks=found.chunks | {ICC: PROFILE})))
    assert not start.decode(["decode", "in.aec", "out.png"])


def packed_of(parts, size=None):
    return bitstream.varint(len(parts) if size is None else size) + zlib.compress(parts)


@pytest.mark.parametrize(
    "chunks",
    [
        {PACKED: packed_of(b"e\x02ab", size=3)},
        {PACKED: packed_of(b"e\x03ab")},
        {PACKED: packed_of(b"e\x01ae\x01b")},
        {PACKED: packed_of(b"e\x01aP\x01b")},
        {PACKED: packed_of(b"e\x01a") + b"more"},
        {PACKED: packed_of(b"e\x01a"), EXIF: b"b"},
    ],
)
def test_damaged_metadata_is_refused_as_ever(folder, chunks):
    """What the command calls damaged would pass in silence."""
    data = (folder / "rgb-low.aec").read_bytes()
    at = bitstream.sizes(data)[b""]  # behind the header
    added = [kind + bitstream.varint(len(body)) + body + zlib.crc32(kind + body).to_bytes(4, "little")
             for kind, body in chunks.items()]  # fmt: skip
    Path("in.aec").write_bytes(data[:at] + b"".join(added) + data[at:])
    with pytest.raises(aecodec.BitstreamError, match=r"metadata|two chunks|is truncated"):
        aecodec.decode("in.aec")
    assert not start.decode(["decode", "in.aec", "out.png"])


def test_the_types_of_chunks_are_those_of_the_format():
    """Two modules name them, so that one of them starts fast."""
    assert (plain.ICC, plain.EXIF, plain.XMP) == (ICC, EXIF, XMP)
    assert (plain.RESOURCES, plain.RESOLUTION, plain.SIGNAL) == (RESOURCES, RESOLUTION, SIGNAL)


def test_nothing_heavy_is_imported(folder):
    """Half of the time of decoding a small picture would go into imports again."""
    found = bitstream.read((folder / "rgb-low.aec").read_bytes())
    Path("in.aec").write_bytes(bitstream.write(replace(found, chunks=found.chunks | METADATA["packed"])))
    command = [sys.executable, "-c", RUN, "decode", "in.aec", "out.png"]
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
        ["decode", "--bits", "8", "deep.aec", "out.png"],
    ],
)
def test_what_is_not_plain_is_left_to_the_command(folder, arguments):
    """Metadata, alpha or the sense of an option would be lost."""
    before = sorted(folder.iterdir())
    try:
        assert not start.decode(arguments)
    finally:
        assert sorted(folder.iterdir()) == before


def test_a_file_is_replaced_only_where_that_is_asked_for(folder):
    out = folder / "out.png"
    out.write_bytes(b"mine")
    out.chmod(0o640)
    assert not start.decode(["decode", "rgb-low.aec", "out.png"])
    assert out.read_bytes() == b"mine"
    (folder / "link.png").symlink_to("out.png")
    assert not start.decode(["decode", "-f", "rgb-low.aec", "link.png"])
    assert start.decode(["decode", "-j", "1", "rgb-low.aec", "out.png", "--force"])
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
        start.decode(["decode", "rgb-low.aec", "out.png"])
    assert not list(folder.glob("*.png")) + list(folder.glob(".aecodec-*"))


@pytest.mark.parametrize("fails", [False, True])
def test_the_handling_of_signals_is_left_as_it_was(folder, monkeypatch, fails):
    """A process that goes on after writing a file would no longer be ended by SIGTERM as its author wants."""
    during = []

    def sync(_):
        during.append(signal.getsignal(signal.SIGTERM))
        if fails:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", sync)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with contextlib.suppress(OSError):
            start.write("out.png", b"data")
        assert during[0] is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
