"""Hostile files: detected, refused before anything is allocated, or decoded to some picture; never a crash or a hang."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import struct
import subprocess
import sys
import time
import warnings
import zlib
from pathlib import Path

import fuzz_targets
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

import aecodec
from aecodec import weights
from aecodec.container import bitstream
from aecodec.container.bitstream import EXIF, ICC, LOSSLESS, MAX_SIDE, XMP, Header, Stream
from aecodec.errors import AecodecError, BitstreamError, LimitError
from aecodec.quality import MAX_INDEX

FUZZ = Path(fuzz_targets.__file__).parent
STREAMS = sorted((Path(__file__).parent / "conformance").glob("*.aec"))
CORRUPTIONS = 1000
MAX_SECONDS, MAX_BYTES = 2, 500 * 10**6


@pytest.fixture
def frugal():
    """Fail the test where it takes more memory than it may.

    The peak is Linux's. It is reset at the start, since that of an earlier test would hide a later one's.
    """
    if not Path("/proc/self/clear_refs").exists():
        yield
        return

    def status(field: str) -> int:
        """Bytes."""
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))

    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    yield
    assert status("VmHWM") - before < MAX_BYTES


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_every_corruption_is_detected(path, frugal):
    """A disk's error, a broken transfer, a bad cable: a wrong picture must not pass for the right one."""
    data = path.read_bytes()
    dice = random.Random(path.stem)
    slowest = 0.0
    for _ in range(CORRUPTIONS):
        damaged = fuzz_targets.mutate(data, dice)
        start = time.process_time()
        with pytest.raises(BitstreamError):
            aecodec.decode(damaged)
        slowest = max(slowest, time.process_time() - start)
    assert slowest < MAX_SECONDS


@pytest.mark.slow
@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_malice_ends_in_a_picture_or_an_error(path, frugal):
    """Checksums stop accidents, not people: what lies behind them must stand alone."""
    data = path.read_bytes()
    dice = random.Random(path.stem)
    for _ in range(10):
        forged = fuzz_targets.repair(fuzz_targets.mutate(data, dice))
        start = time.process_time()
        with contextlib.suppress(AecodecError):
            aecodec.decode(forged, max_pixels=2**16)
        assert time.process_time() - start < MAX_SECONDS


@pytest.mark.slow
@given(
    version=st.integers(0, 255) | st.just(1), layout=st.integers(0, 255) | st.integers(0, 1),
    sides=st.binary(min_size=2, max_size=12), weights=st.binary(min_size=4, max_size=4), rate=st.integers(0, 2**16 - 1),
)  # fmt: skip
@settings(max_examples=500)
def test_any_header_is_valid_or_refused(version, layout, sides, weights, rate):
    """With a right checksum too: a header says one thing, and says it in one way only."""
    fixed = b"\x8faec\r\n\n" + bytes([version, layout]) + sides + weights + struct.pack("<H", rate)
    data = fixed + struct.pack("<I", zlib.crc32(fixed))
    try:
        head = bitstream.read_header(data, max_pixels=None)
    except BitstreamError:
        return
    assert 0 < head.width <= MAX_SIDE
    assert 0 < head.height <= MAX_SIDE
    assert 0 <= head.rate <= MAX_INDEX
    assert bitstream.write(Stream(head, [])) == data


@pytest.mark.parametrize("target", fuzz_targets.TARGETS)
def test_what_fuzzing_found_stays_found(target):
    """Every input that ever crashed, and a few of each way through the code."""
    kept = [path for kind in ("crashes", "corpus") for path in sorted((FUZZ / kind / target).glob("*"))]
    assert kept
    for path in kept:
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fuzz_targets.TARGETS[target](path.read_bytes())
        assert time.process_time() - start < MAX_SECONDS, path


@pytest.mark.slow
@pytest.mark.parametrize("target", fuzz_targets.TARGETS)
def test_a_little_fuzzing(target):
    """A new way into a crash should not have to wait for somebody to run the fuzzer."""
    dice, begin = random.Random(target), time.process_time()
    seeds = fuzz_targets.seeds(target)
    while time.process_time() - begin < 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fuzz_targets.TARGETS[target](fuzz_targets.mutate(dice.choice(seeds), dice))


def test_repair_repairs():
    """If it did not, the fuzzer would only ever have seen the checksums."""
    data = STREAMS[0].read_bytes()
    damaged = bytearray(data)
    damaged[16] ^= 1  # the weights id
    damaged[-10] ^= 1  # the payload
    with pytest.raises(BitstreamError, match="checksum"):
        bitstream.read(bytes(damaged))
    assert bitstream.read(fuzz_targets.repair(bytes(damaged))).payloads != bitstream.read(data).payloads
    assert fuzz_targets.repair(data) == data


def limited(script: str, *args: object, megabytes: int, **options) -> subprocess.CompletedProcess:
    """Runs Python code in a process that may not allocate more."""
    pytest.importorskip("resource")
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({megabytes << 20},) * 2)\n"
    command = [sys.executable, "-c", limit + script, *map(str, args)]
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # each thread would reserve its buffers
    return subprocess.run(command, capture_output=True, text=True, timeout=100, env=alone, **options)


CLI = "from aecodec.cli.main import main; main()"


@pytest.mark.parametrize("side", [65535, 2**22])
def test_a_small_file_of_a_huge_picture_is_refused_at_once(tmp_path, side):
    """Hundred bytes that claim gigabytes: refused in a process that has no 100 MB."""
    header = Header(side, side, "RGB", aecodec.info(STREAMS[0].read_bytes()).weights, 0)
    (tmp_path / "bomb.aec").write_bytes(bitstream.write(Stream(header, [bytes(60)])))
    assert (tmp_path / "bomb.aec").stat().st_size < 100
    result = limited(CLI, "decode", "bomb.aec", "out.png", megabytes=100, cwd=tmp_path)
    assert result.returncode == 3
    assert result.stderr.startswith(f"aecodec: bomb.aec: {side} x {side} is over the limit")


@pytest.mark.parametrize("kind", ["X", "L"])
def test_exact_pixels_that_claim_a_huge_picture_are_refused_at_once(tmp_path, kind):
    """A lossless picture of 16384 x 16384 takes 8 bytes: refused where the file's own picture is smaller."""
    bomb = b"\x2f" + struct.pack("<I", 0x0FFFFFFF) + bytes.fromhex("888808")
    head = bitstream.read_header(STREAMS[0].read_bytes())
    body = bytes([len(bomb)]) + (b"\0\0" if kind == "X" else b"") + bomb
    small = Header(64, 64, "RGB", head.weights, 0)
    (tmp_path / "bomb.aec").write_bytes(bitstream.write(Stream(small, [bytes(60)] * (kind == "X"), {kind.encode(): body})))
    result = limited(CLI, "decode", "bomb.aec", "out.png", megabytes=700, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (3, "")
    assert "exact pixels" in result.stderr


@pytest.mark.parametrize("parts", [1, 4])
def test_exact_pixels_count_for_the_pixel_limit(parts):
    """A picture of one colour takes 8 bytes for 16 megapixels: the limit holds before one of them is decoded."""
    flat = b"\x2f" + struct.pack("<I", 4095 << 14 | 4095) + bytes.fromhex("888808")
    body = parts * (bytes([len(flat)]) + flat)
    data = bitstream.write(Stream(Header(4096 * parts, 4096, "RGB", bitstream.NO_WEIGHTS, 0), [], {LOSSLESS: body}))
    assert len(data) < 100
    with pytest.raises(LimitError):
        aecodec.decode(data, max_pixels=2**24 * parts - 1)
    assert aecodec.decode(data, crop=(4000, 4000, 5, 5)).getextrema() == ((0, 0),) * 3


def test_a_small_picture_file_of_a_huge_picture_is_refused_at_once(tmp_path):
    """The same on the way in: a PNG of 40 kB that unpacks to 10 GB."""
    ihdr = b"IHDR" + struct.pack(">2I5B", 60000, 60000, 8, 2, 0, 0, 0)
    idat = b"IDAT" + zlib.compress(bytes(4 * 10**7))
    chunks = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (ihdr, idat))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    result = limited(CLI, "encode", "bomb.png", "out.aec", megabytes=700, cwd=tmp_path)  # numpy takes most of it
    assert result.returncode == 3
    assert "60000 x 60000 is over the limit" in result.stderr


def test_postscript_is_not_run(cli, tmp_path, monkeypatch):
    """It is a program, and Pillow hands it to an interpreter; the name of the file proves nothing."""
    monkeypatch.setattr("PIL.EpsImagePlugin.EpsImageFile.load", lambda *_, **__: pytest.fail("PostScript was run"))
    (tmp_path / "photo.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    result = cli("encode", "photo.png", "out.aec")
    assert result.exit_code == 1
    assert "PostScript" in result.stderr


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no endless file here")
def test_an_endless_input_is_refused(tmp_path):
    """A pipe that never ends must not be read until the memory is full."""
    result = limited(CLI, "decode", "/dev/zero", "out.png", megabytes=100, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (3, "aecodec: /dev/zero: this is no aecodec file\n")
    result = limited(CLI, "encode", "--max-pixels", 10**6, "/dev/zero", "out.aec", megabytes=300, cwd=tmp_path)
    assert result.returncode == 3
    assert "more than 75108864 bytes" in result.stderr


def test_huge_metadata_is_its_own_size(file):
    """A file of 60 MB may take some copies of itself, and not a byte for what it only declares."""
    stream = bitstream.read(file)
    data = bitstream.write(Stream(stream.header, stream.payloads, {ICC: bytes(6 * 10**7)}))
    assert len(aecodec.decode(data).info["icc_profile"]) == 6 * 10**7
    declared = bitstream.write(Stream(stream.header, stream.payloads))
    position = len(bitstream.write(Stream(stream.header, [])))
    with pytest.raises(BitstreamError, match="truncated"):
        bitstream.read(declared[:position] + b"c\xff\xff\xff\xff\x7f" + declared[position:])


def test_the_pixel_limit_is_for_the_library_too(file):
    """A server that forgets the option is the one that is attacked."""
    head = bitstream.read_header(file)
    data = bitstream.write(Stream(Header(20000, 20000, "RGB", head.weights, 0), [b""]))
    with pytest.raises(LimitError):
        aecodec.decode(data)


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize(
    "exif", [b"<x:xmpmeta", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II*\0" + b"\xff" * 40, bytes(70000)],
    ids=["no TIFF", "no directory", "a wild directory", "too long"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_hostile_metadata_does_not_cost_the_picture(cli, tmp_path, file, extension, exif):
    """What cannot be written is dropped and said; the pixels and the rest of the metadata come out."""
    stream = bitstream.read(file)
    data = bitstream.write(Stream(stream.header, stream.payloads, {EXIF: exif, XMP: b"<x:xmpmeta/>\xff", ICC: bytes(128)}))
    (tmp_path / "in.aec").write_bytes(data)
    result = cli("decode", "in.aec", f"out.{extension}")
    assert result.exit_code == 0
    assert all(line.startswith("aecodec: in.aec: warning: ") for line in result.stderr.splitlines())
    with Image.open(tmp_path / f"out.{extension}") as image:
        assert image.size == (96, 64)
        assert image.info["icc_profile"] == bytes(128)


@pytest.mark.slow
def test_no_pickle_is_opened(tmp_path, file):
    """Weights and files are data; nothing on the way of a picture may run code that lies in them."""
    (tmp_path / "in.aec").write_bytes(file)
    script = (
        "import sys\n"
        "sys.addaudithook(lambda event, args: event == 'pickle.find_class' and sys.exit(f'pickle: {args}'))\n" + CLI
    )
    command = [sys.executable, "-c", script, "decode", "in.aec", "out.png"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    command = [sys.executable, "-c", script.replace(CLI, "import pickle; pickle.loads(pickle.dumps(sys.exit))")]
    assert "pickle: " in subprocess.run(command, capture_output=True, text=True).stderr


def test_weights_are_held_against_their_hash(tmp_path, file):
    """Weights that somebody changed are refused, also where their card was changed with them: the file names its own."""
    copied = shutil.copytree(weights.cards.INSTALLED / "photo", tmp_path / "copy")
    tensors = copied / weights.TENSORS
    data = tensors.read_bytes()
    tensors.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(AecodecError, match="is not the file that its card describes"):
        aecodec.decode(file, weights=str(copied))
    card = copied / weights.CARD
    card.write_text(card.read_text().replace(weights.content_hash(data), weights.content_hash(tensors.read_bytes())))
    with pytest.raises(AecodecError, match="needs the weights"):
        aecodec.decode(file, weights=str(copied))
