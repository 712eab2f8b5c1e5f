from __future__ import annotations

import io
import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageFilter

import aecodec
from aecodec.eval import measure
from aecodec.eval.codecs import JPEG_QUALITIES, jpeg
from aecodec.eval.measure import Point
from aecodec.eval.rd import main, monotonic_faults

WIDTH, HEIGHT = 96, 64
NAMES = ["a.png", "b.png"]
QUALITIES = ",".join(map(str, JPEG_QUALITIES))


def photo_like(seed: int) -> Image.Image:
    """Smooth colours under grey texture: JPEG's curve rises on it, which it does not on coloured noise."""
    random = np.random.default_rng(seed)
    colours = Image.fromarray(random.integers(0, 256, (HEIGHT // 16, WIDTH // 16, 3), np.uint8))
    texture = Image.fromarray(random.integers(0, 256, (HEIGHT, WIDTH), np.uint8)).filter(ImageFilter.GaussianBlur(0.7))
    return Image.blend(colours.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), texture.convert("RGB"), 0.5)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        photo_like(seed).save(folder / name)
    (folder / "notes.txt").write_text("not a picture")
    return folder


class HalfJpeg:
    """An ``aecodec`` that decodes to what JPEG does from files of half the size; remembers how it was called."""

    def __init__(self) -> None:
        self.decoded = {}
        self.calls = []

    def encode(self, image, **options):
        self.calls.append(options)
        data = jpeg(image, int(options["quality"]))
        file = len(self.decoded).to_bytes(4, "big").ljust(len(data) // 2, b"\0")
        self.decoded[file] = Image.open(io.BytesIO(data))
        return file

    def decode(self, data, **options):
        return self.decoded[data]


def install(monkeypatch, encode, decode):
    monkeypatch.setattr(aecodec, "encode", encode, raising=False)
    monkeypatch.setattr(aecodec, "decode", decode, raising=False)


@pytest.fixture(autouse=True)
def nothing_is_warm():
    """Codecs are warmed up once per process, and these tests count calls."""
    measure._warm_up.cache_clear()


@pytest.fixture
def half_jpeg(monkeypatch):
    codec = HalfJpeg()
    install(monkeypatch, codec.encode, codec.decode)
    return codec


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def flat_codec(monkeypatch):
    """An ``aecodec`` whose every file is the same grey."""
    install(monkeypatch, lambda image, **_: bytes(100), lambda *_, **__: Image.new("RGB", (WIDTH, HEIGHT), (128, 128, 128)))


def test_report_of_half_the_bytes(folder, half_jpeg, tmp_path):
    """The whole way from pictures to BD-rate: files of half JPEG's size at JPEG's quality are -50 %."""
    out = tmp_path / "out.json"
    result = run(folder, "--qualities", QUALITIES, "--json", out)
    assert result.exit_code == 0, result.output
    report = json.loads(out.read_text())
    assert [image["name"] for image in report["images"]] == NAMES
    bd = report["codecs"]["aecodec"]["bd_rate"]
    assert bd["anchor"] == "jpeg"
    details = report["codecs"]["aecodec"]["bd_rate_details"]["psnr_rgb"]
    for method in ("pchip", "cubic"):
        assert details[method]["mean_curve"]["percent"] == pytest.approx(-50, abs=0.05)  # odd sizes round down
        assert details[method]["mean_curve"]["overlap"] == 1
        assert [details[method]["images"][name]["percent"] for name in NAMES] == pytest.approx([-50, -50], abs=0.05)
        assert f"{method}  mean curve    -50.0" in result.output
        assert f"{method}  per picture   min -50.0" in result.output
    assert "2 of 2 pictures" in result.output


def test_table_holds_means_at_each_quality(folder, half_jpeg, tmp_path):
    """The table is what goes into a README; a wrong mean would be published."""
    out = tmp_path / "out.json"
    lines = run(folder, "--qualities", QUALITIES, "--json", out).output.splitlines()
    codecs = json.loads(out.read_text())["codecs"]
    for codec in ("aecodec", "jpeg"):
        rows = [line.split() for line in lines if line.startswith(codec)]
        assert [float(row[1]) for row in rows] == list(JPEG_QUALITIES)
        for index, row in enumerate(rows):
            points = [codecs[codec]["images"][name][index] for name in NAMES]
            assert float(row[2]) == pytest.approx(np.mean([point["bpp"] for point in points]), abs=1e-4)
            assert float(row[3]) == pytest.approx(np.mean([point["psnr_rgb"] for point in points]), abs=1e-3)


@pytest.mark.parametrize(("arguments", "expected"), [([], {}), (["--weights", "photo"], {"weights": "photo"})])
def test_weights_reach_the_encoder(folder, half_jpeg, arguments, expected):
    """A comparison of two sets of weights would measure the default ones twice."""
    run(folder, "--qualities", "10,20.5", *arguments)
    calls = [{"quality": quality, "device": "cpu", **expected} for quality in (10, 20.5)]
    assert half_jpeg.calls == calls[:1] + calls * len(NAMES)  # one to warm up


def test_a_curve_without_bd_rate_does_not_cost_the_table(folder, monkeypatch, tmp_path):
    """Minutes of measurements would be lost to one flat curve, and the reason with them."""
    flat_codec(monkeypatch)
    out = tmp_path / "out.json"
    result = run(folder, "--qualities", "10,20,30,40", "--json", out)
    assert result.exit_code == 0, result.output
    assert "pchip  mean curve    none: the test does not rise" in result.output
    assert "cubic  b.png    none: the test does not rise" in result.output
    details = json.loads(out.read_text())["codecs"]["aecodec"]["bd_rate_details"]["psnr_rgb"]
    assert "does not rise" in details["pchip"]["mean_curve"]["error"]


def test_lossless_pictures_leave_the_json_valid(folder, monkeypatch, tmp_path):
    """An infinite PSNR would be written as ``Infinity``, which no other JSON reader takes."""
    decoded = iter([photo_like(0)] * 5 + [photo_like(1)] * 4)  # one to warm up
    install(monkeypatch, lambda image, **_: bytes(100), lambda *_, **__: next(decoded))
    out = tmp_path / "out.json"
    result = run(folder, "--qualities", "10,20,30,40", "--json", out)
    assert result.exit_code == 0, result.output
    aec = json.loads(out.read_text(), parse_constant=pytest.fail)["codecs"]["aecodec"]
    assert aec["points"][0]["psnr_rgb"] is None
    assert aec["images"]["a.png"][0]["psnr_rgb"] is None


def test_missing_package_is_noticed_before_encoding(folder, half_jpeg, monkeypatch):
    """The user would learn after minutes of encoding that the extra is not installed."""
    monkeypatch.setitem(sys.modules, "bjontegaard", None)
    result = run(folder)
    assert result.exit_code == 1
    assert "aecodec[eval]" in result.output
    assert half_jpeg.calls == []


def test_monotonic_codec_passes(folder, half_jpeg):
    """A release check that fails on a good codec would be switched off."""
    result = run(folder, "--check-monotonic")
    assert result.exit_code == 0, result.output
    assert result.output == "2 of 2 pictures are monotonic\n"
    assert [call["quality"] for call in half_jpeg.calls] == [0] + list(range(0, 101, 10)) * len(NAMES)


def test_fall_of_psnr_is_found(folder, half_jpeg, monkeypatch):
    """A user who asks for more quality would get less, and the release check would not see it."""
    good = half_jpeg.encode
    second = np.asarray(photo_like(1))

    def encode(image, quality, **options):
        fault = quality == 50 and np.array_equal(np.asarray(image), second)
        return good(image, quality=5 if fault else quality)

    monkeypatch.setattr(aecodec, "encode", encode)
    result = run(folder, "--check-monotonic")
    assert result.exit_code == 1
    *faults, last = result.output.splitlines()
    assert last == "1 of 2 pictures are monotonic"
    assert [fault.split(" from ")[0] for fault in faults] == [
        "b.png: quality 40 to 50: PSNR falls",
        "b.png: quality 40 to 50: bytes fall",
    ]


def test_monotonic_allows_equal_steps():
    """Neighbouring qualities may give the same file (a flat picture, a top that saturates): no fault."""

    def point(quality, size, db):
        return Point(quality, size, size / 1000, 0, 0, {"psnr_rgb": db})

    points = [point(0, 100, 30.0), point(10, 100, 30.0), point(20, 90, None)]  # no PSNR: infinite
    assert monotonic_faults(points[:2]) == []
    assert monotonic_faults(points) == ["quality 10 to 20: bytes fall from 100 to 90"]
    assert monotonic_faults([point(0, 1, None)] * 2) == []


def test_deep_pictures_are_refused(folder):
    """Pillow clips 16 bits to white; the numbers would be those of another picture."""
    Image.fromarray(np.full((HEIGHT, WIDTH), 40000, np.uint16)).save(folder / "deep.png")
    result = run(folder)
    assert result.exit_code == 2
    assert "deep.png: it has more than 8 bits a channel" in result.output


def test_damaged_pictures_are_named(folder):
    """One broken download would end hours of measuring in a traceback that does not name it."""
    (folder / "broken.png").write_bytes(b"\x89PNG")
    result = run(folder)
    assert result.exit_code == 2
    assert "broken.png" in result.output


def test_folder_without_pictures_is_refused(tmp_path):
    """A mistyped folder would print an average of nothing."""
    result = run(tmp_path)
    assert result.exit_code == 2
    assert "has no pictures" in result.output


@pytest.mark.parametrize("qualities", ["", "5,x", "5,5", "50,10", "-1,5", "50,101", "nan"])
def test_bad_qualities_are_refused(folder, qualities):
    """A typing error would show as a curve that does not rise, after all the encoding."""
    result = run(folder, "--qualities", qualities)
    assert result.exit_code == 2
    assert "--qualities" in result.output


def test_check_monotonic_takes_no_other_report(folder, tmp_path):
    """A user would wait for a JSON file that never comes."""
    assert run(folder, "--check-monotonic", "--json", tmp_path / "out.json").exit_code == 2
    assert run(folder, "--check-monotonic", "--qualities", "1,2").exit_code == 2


def test_module_runs_as_a_command():
    """The command in the module's docstring would not start."""
    command = [sys.executable, "-m", "aecodec.eval.rd", "--help"]
    assert "--check-monotonic" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
