"""Crops at equal bytes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageFilter

from aecodec.errors import AecodecError
from aecodec.eval import crops
from aecodec.eval.codecs import Codec, open_codecs
from aecodec.eval.crops import Crop, Shown, at_rates, main, read_crop, sheet


def test_a_crop_is_read_from_its_text():
    """The part that is looked at would be another one."""
    assert read_crop("hair=photos/a:b.png:10,20,30,40") == Crop("hair", crops.Path("photos/a:b.png"), (10, 20, 30, 40))


@pytest.mark.parametrize(
    "text",
    ["", "a.png:1,2,3,4", "=a.png:1,2,3,4", "x=:1,2,3,4", "x=a.png", "x=a.png:1,2,3", "x=a.png:1,2,0,4", "x=a.png:-1,2,3,4",
     "../x=a.png:1,2,3,4", "x=a.png:1,2,3,4.5"],
)  # fmt: skip
def test_other_texts_are_refused(text):
    """A typing error would be reported by a traceback, or write outside of the folder."""
    with pytest.raises(AecodecError, match="not a crop: write NAME=FILE:X,Y,WIDTH,HEIGHT"):
        read_crop(text)


@pytest.fixture
def original(photo) -> Image.Image:
    return photo(160, 120)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["webp", "jxl", "avif444-iq"])
def test_files_are_of_the_size_that_is_asked_for(original, name):
    """Pictures "at equal bytes" would not be: the codec that took more would look better."""
    found, absent = open_codecs([name])
    if absent:
        pytest.skip(absent[name])
    (codec,) = found
    rates = (0.8, 1.6)
    for rate, shown in zip(rates, at_rates(original, codec, rates), strict=True):
        target = rate * 160 * 120 / 8
        near = [codec.encode(original, shown.quality + step) for step in (-codec.step, codec.step)]
        assert shown.bytes == len(codec.encode(original, shown.quality))
        missed = abs(math.log(shown.bytes / target))
        assert missed < 0.01 or all(missed <= abs(math.log(len(data) / target)) + 1e-9 for data in near)
        assert shown.bpp == pytest.approx(shown.bytes * 8 / (160 * 120))
        decoded = codec.decode(codec.encode(original, shown.quality))
        assert np.array_equal(np.asarray(shown.picture), np.asarray(decoded))


def test_no_quality_is_coded_twice(original):
    """Three rates of one picture would cost three searches from the beginning."""
    calls: list[float] = []

    def encode(image, quality):
        calls.append(quality)
        return bytes(round(100 * math.exp(quality / 20)))

    codec = Codec("exponential", "1", "", (20, 100), encode, lambda data: original.filter(ImageFilter.BoxBlur(1)))
    shown = at_rates(original, codec, (0.1, 0.2, 0.4))
    assert len(calls) == len(set(calls)) < 20
    assert calls[:2] == [0, 100]  # the least quality that there is, not the least that reports use
    assert [each.bpp for each in shown] == pytest.approx([0.1, 0.2, 0.4], rel=0.05)


def test_the_sheet_shows_the_pixels_and_nothing_else(original):
    """A smooth enlargement hides the blocks and ripples that one looks for, and a shifted crop compares other places."""
    other = original.filter(ImageFilter.GaussianBlur(2))
    rows = [[Shown("original", original), Shown("other", other, 10, 1000, 50.0)]] * 2
    box = (100, 60, 60, 60)
    picture = sheet(rows, box, 4)
    cell = ((picture.width - crops.GAP) // 2, (picture.height - crops.GAP) // 2)
    for y in range(2):
        for x, source in enumerate((original, other)):
            left, top = crops.GAP + x * cell[0], crops.GAP + y * cell[1]
            shown = np.asarray(picture.crop((left, top, left + 240, top + 240)))
            assert np.array_equal(shown[::4, ::4], np.asarray(source)[60:120, 100:160])
            assert np.array_equal(shown, shown[::4, ::4].repeat(4, 0).repeat(4, 1))


def test_labels_fit_under_narrow_crops(original):
    """Bytes and score of one codec would be written over those of the next."""
    long = Shown("a codec of a long name (with settings)", original, 10, 123456, 50.0)
    picture = np.asarray(sheet([[long, long]], (0, 0, 8, 8), 2))
    halves = np.split(picture[:, crops.GAP :], 2, axis=1)
    assert np.array_equal(*halves)
    assert (halves[0][:, -4:] == crops.PAPER).all()


def run(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def test_the_command_makes_a_picture_of_each_crop(tmp_path, original):
    """The documentation's pictures could not be made again."""
    original.save(tmp_path / "a.png")
    names = {"left": "0,0,48,40", "right": "96,40,64,48"}
    wanted = [f"{name}={tmp_path / 'a.png'}:{box}" for name, box in names.items()]
    result = run(*wanted, "-o", tmp_path / "out", "--codecs", "jpeg,webp", "--bpp", "0.01,1.5", "--format", "png")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["left.png", "right.png"]
    with Image.open(tmp_path / "out" / "right.png") as picture:
        corner = np.asarray(picture)[crops.GAP : crops.GAP + 96 : 2, crops.GAP : crops.GAP + 128 : 2]
    assert np.array_equal(corner, np.asarray(original)[40:88, 96:160])
    lines = result.output.splitlines()
    assert len(lines) == 2 * (1 + 2 * 2)
    assert [line.endswith("(not 0.01: out of reach)") for line in lines[1:5]] == [True, True, False, False]
    assert "jpeg (4:2:0, optimize)" in lines[3]
    assert "SSIMULACRA2" in lines[3]


@pytest.mark.parametrize(
    ("crop", "options", "message"),
    [
        ("x={}:150,0,48,40", (), "x lies outside of"),
        ("x={}0:0,0,48,40", (), "No such file"),
        ("x={}:0,0,48", (), "is not a crop"),
        ("x={}:0,0,48,40", ("--codecs", "jepg"), "no codec 'jepg'"),
        ("x={}:0,0,48,40", ("--bpp", "0.3,0.1"), "rising numbers"),
    ],
)
def test_one_line_says_what_is_wrong(tmp_path, original, crop, options, message):
    """It would be reported after minutes of coding, or by a traceback."""
    original.save(tmp_path / "a.png")
    result = run(crop.format(tmp_path / "a.png"), "-o", tmp_path / "out", *options)
    assert result.exit_code in (1, 2)
    assert message in result.output
    assert not (tmp_path / "out").exists()
