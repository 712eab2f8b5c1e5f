"""From measurements to results.json."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from aecodec.errors import AecodecError
from aecodec.eval.codecs import Codec
from aecodec.eval.measure import Journal, Picture, Point
from aecodec.eval.results import (
    against_as_csv,
    as_csv,
    compare,
    curve,
    headlines,
    read_reference,
    read_results,
    spread,
    summarise,
)

QUALITIES = (1, 2, 3, 4, 5)
PICTURES = [Picture(f"{name}.png", Path(f"{name}.png"), name * 32, 200, 100) for name in "ab"]


def codec(name: str, version: str = "1") -> Codec:
    return Codec(name, version, "settings", QUALITIES, None, None)


def filled(*scales: float, without: tuple = (), names: tuple = ()) -> tuple[list[Codec], Journal]:
    """Codecs c0, c1, ... (or ``names``), files ``scale`` times as large at PSNR 20 + 3 q, MS-SSIM 1 - 10^(-q/2)."""
    names = names or tuple(f"c{index}" for index in range(len(scales)))
    codecs, journal = [codec(name) for name in names], Journal()
    for each, scale in zip(codecs, scales, strict=True):
        for picture in PICTURES:
            for quality in QUALITIES:
                if (each.name, picture.name, quality) not in without:
                    bpp = scale * 0.1 * 2**quality
                    values = {"psnr_rgb": 20.0 + 3 * quality, "ms_ssim": 1 - 10 ** (-quality / 2)}
                    journal.add(picture, each, Point(quality, round(bpp * 2500), bpp, 0.02, 0.01, values))
    return codecs, journal


def summary(*scales: float, without: tuple = (), **more):
    codecs, journal = filled(*scales, without=without)
    return summarise(PICTURES, codecs, ["psnr_rgb", "ms_ssim"], journal, "c0", **more)


def test_half_the_bytes_are_minus_fifty_percent_by_every_metric():
    """The numbers of the headline."""
    results = summary(1, 0.5)
    assert "bd_rate" not in results["codecs"]["c0"]
    assert results["codecs"]["c1"]["bd_rate"] == pytest.approx({"anchor": "c0", "psnr_rgb": -50, "ms_ssim": -50})
    details = results["codecs"]["c1"]["bd_rate_details"]["ms_ssim"]
    for method in ("pchip", "cubic"):
        assert details[method]["mean_curve"]["overlap"] == pytest.approx(1)
        assert [each["percent"] for each in details[method]["images"].values()] == pytest.approx([-50, -50])
    title, head, c0, c1 = headlines(results)
    assert title == "bytes at equal quality (BD-rate) against c0, 2 pictures, pchip on mean curves:"
    assert head.split() == ["codec", "psnr_rgb", "ms_ssim", "encode", "MP/s", "decode", "MP/s"]
    assert c0.split() == ["c0", "-", "-", "1", "2"]
    assert c1.split() == ["c1", "-50.0", "%", "-50.0", "%", "1", "2"]


def test_aecodec_against_each_of_the_others():
    """To be "smaller than JPEG" says nothing about AVIF, and each peer as the anchor would be a report of its own."""
    names = ("aecodec-a", "aecodec-b", "easy", "hard")
    codecs, journal = filled(0.5, 0.4, 1, 0.25, names=names)
    paper = {"source": "", "points": [{"bpp": 0.1 * 2**quality, "psnr_rgb": 20.0 + 3 * quality} for quality in QUALITIES]}
    results = summarise(PICTURES, codecs, ["psnr_rgb", "ms_ssim"], journal, "easy", references={"Paper": paper})
    assert {ours: list(others) for ours, others in results["against"].items()} == {
        name: ["easy", "hard", "Paper"] for name in names[:2]
    }
    rates = results["against"]["aecodec-a"]
    assert [rates["easy"][metric]["percent"] for metric in ("psnr_rgb", "ms_ssim")] == pytest.approx([-50, -50])
    assert rates["hard"]["psnr_rgb"]["percent"] == pytest.approx(100)
    assert rates["Paper"]["psnr_rgb"]["percent"] == pytest.approx(-50)
    assert "error" in rates["Paper"]["ms_ssim"]
    lines = headlines(results)
    start = lines.index("BD-rate of aecodec-a, 2 pictures, pchip on mean curves:")
    assert [line.split() for line in lines[start + 1 : start + 5]] == [
        ["against", "psnr_rgb", "ms_ssim"],
        ["easy", "-50.0", "%", "-50.0", "%"],
        ["hard", "+100.0", "%", "+100.0", "%"],
        ["Paper", "-50.0", "%", "none"],
    ]
    rows = list(csv.DictReader(against_as_csv(results).splitlines()))
    assert [(row["codec"], row["against"], row["metric"]) for row in rows[:3]] == [
        ("aecodec-a", "easy", "psnr_rgb"), ("aecodec-a", "easy", "ms_ssim"), ("aecodec-a", "hard", "psnr_rgb"),
    ]  # fmt: skip
    assert float(rows[0]["percent"]) == pytest.approx(-50)
    assert rows[5]["percent"] == ""
    assert rows[5]["error"]


def test_bd_rates_are_of_the_mean_of_rates_and_values():
    """The mean of the pictures' BD-rates, or a curve of the mean of JOD, is another number than those that we publish.

    Two pictures, computed here by hand on curves of two points, where pchip is a straight line.
    """
    rates = {"a": {"aecodec": (1.0, 2.0), "other": (1.0, 3.0)}, "b": {"aecodec": (4.0, 9.0), "other": (5.0, 8.0)}}
    values = {"a": (8.0, 9.0), "b": (9.5, 9.9)}
    codecs = [Codec(name, "1", "", (1, 2), None, None) for name in ("aecodec", "other")]
    journal = Journal()
    for picture, bpps in zip(PICTURES, rates.values(), strict=True):
        for each in codecs:
            for quality in (1, 2):
                value = values[picture.name[0]][quality - 1]
                journal.add(picture, each, Point(quality, 1, bpps[each.name][quality - 1], 1, 1, {"cvvdp": value}))
    rate = summarise(PICTURES, codecs, ["cvvdp"], journal, "other")["against"]["aecodec"]["other"]["cvvdp"]
    assert (rate["low"], rate["high"]) == pytest.approx(
        (-(math.log(2) + math.log(0.5)) / 2, -(math.log(1) + math.log(0.1)) / 2)
    )
    difference = (math.log(2.5 / 3) + math.log(5.5 / 5.5)) / 2  # of the logarithms of the mean rates, at both ends
    assert rate["percent"] == pytest.approx(100 * math.expm1(difference))


def test_the_shape_that_scripts_rely_on():
    """Section by section as the documentation has it."""
    results = json.loads(json.dumps(summary(1, 0.5), allow_nan=False))
    assert [image["name"] for image in results["images"]] == ["a.png", "b.png"]
    (point, *_) = results["codecs"]["c1"]["points"]
    assert set(point) == {"quality", "bytes", "bpp", "encode_seconds", "decode_seconds", "psnr_rgb", "ms_ssim"}
    assert point["bpp"] == pytest.approx(0.1)
    assert results["codecs"]["c1"]["encode_megapixels_per_second"] == pytest.approx(1)  # 0.02 megapixels in 0.02 s


def test_similarities_are_compared_in_decibels():
    """A published BD-rate of MS-SSIM is one of dB; of plain values it is another number."""
    (_, ms_ssim), *_ = curve([{"bpp": 1.0, "ms_ssim": 0.99}, {"bpp": 2.0, "ms_ssim": None}], "ms_ssim")
    assert ms_ssim == pytest.approx(20)


def test_equal_pictures_do_not_cost_a_curve_its_bd_rate():
    """A file without any visible error has a JOD of 10, which is infinite on curves, as a lossless PSNR is."""
    points = [{"bpp": 1.0, "cvvdp": 9.0}, {"bpp": 2.0, "cvvdp": 10.0}, {"bpp": 3.0, "cvvdp": None}]
    assert curve(points, "cvvdp") == [(1.0, 0.0)]


def test_means_are_of_pictures_that_all_codecs_have():
    """A codec that fails on the hardest picture would be rewarded for it."""
    results = summary(1, 0.5, without=(("c1", "b.png", 3),))
    assert results["averaged"] == ["a.png"]
    assert len(results["codecs"]["c0"]["points"]) == len(QUALITIES)
    assert len(results["codecs"]["c1"]["images"]["b.png"]) == len(QUALITIES) - 1


def test_a_codec_that_has_nothing_does_not_cost_the_others_theirs():
    """One broken plugin would empty the whole report."""
    nothing = tuple(("c1", picture.name, quality) for picture in PICTURES for quality in QUALITIES)
    results = summary(1, 0.5, 0.25, without=nothing)
    assert results["averaged"] == ["a.png", "b.png"]
    assert results["codecs"]["c1"]["points"] == []
    assert results["codecs"]["c1"]["bd_rate"]["psnr_rgb"] is None
    assert results["codecs"]["c2"]["bd_rate"]["psnr_rgb"] == pytest.approx(-75)


def test_a_picture_too_small_for_a_metric_is_left_out_of_means():
    """One icon in a folder would cost MS-SSIM, or be averaged into PSNR alone."""
    codecs, journal = filled(1, 0.5)
    for each in codecs:
        for quality in QUALITIES:
            point = journal.find(PICTURES[0], each, quality)
            point.values["ms_ssim"] = None
    assert summarise(PICTURES, codecs, ["psnr_rgb", "ms_ssim"], journal, "c0")["averaged"] == ["b.png"]
    assert summarise(PICTURES, codecs, ["psnr_rgb"], journal, "c0")["averaged"] == ["a.png", "b.png"]


def test_spread_is_of_those_pictures_that_have_a_number():
    """One curve that does not rise would take the others' spread with it."""
    results = {"a": {"percent": -3.0}, "b": {"error": "no"}, "c": {"percent": 1.0}, "d": {"percent": 0.0}}
    assert spread(results) == (-3, 0, 1)
    assert spread({"b": {"error": "no"}}) is None


def published(tmp_path, **results):
    path = tmp_path / "curve.json"
    path.write_text(json.dumps({"name": "Published", "description": "of a paper", "results": results}))
    return path


def test_published_curves_get_a_bd_rate_of_their_own(tmp_path):
    """A paper's curve in the plot without its number leaves the reader to guess."""
    bpp = [0.05 * 2**quality for quality in QUALITIES]
    path = published(tmp_path, bpp=bpp[::-1], **{"psnr-rgb": [20.0 + 3 * quality for quality in QUALITIES][::-1]})
    name, reference = read_reference(path)
    assert (name, reference["source"]) == ("Published", "curve.json")
    results = summary(1, references={name: reference})
    assert results["references"][name]["bd_rate"]["psnr_rgb"] == pytest.approx(-50)
    assert results["references"][name]["bd_rate"]["ms_ssim"] is None


def test_compressais_own_file_is_read(tmp_path):
    """Three points of CompressAI's results/image/kodak/jpeg.json, keys and all, which differ from file to file."""
    path = published(
        tmp_path, **{
            "psnr-rgb": [23.779894921045457, 26.57723034342358, 28.042246379237767],
            "ms-ssim-rgb": [0.8030709524949392, 0.8898622319102287, 0.9235836813847224],
            "bpp": [0.22115325927734372, 0.32661437988281244, 0.42312622070312506],
            "encoding_time": [0.011053820451100668, 0.011412620544433594, 0.011948813994725546],
        },
    )  # fmt: skip
    points = read_reference(path)[1]["points"]
    assert points[0] == {"bpp": 0.22115325927734372, "psnr_rgb": 23.779894921045457, "ms_ssim": 0.8030709524949392}


@pytest.mark.parametrize("results", [{}, {"bpp": [1]}, {"bpp": [1], "psnr": [1, 2]}, {"bpp": ["x"], "psnr": [1]}, []])
def test_other_files_are_no_references(tmp_path, results):
    """A traceback, or a curve through nothing."""
    path = tmp_path / "curve.json"
    path.write_text(json.dumps({"name": "x", "results": results}))
    with pytest.raises(AecodecError, match=r"curve\.json is not a curve in CompressAI's form"):
        read_reference(path)
    with pytest.raises(AecodecError, match="cannot read"):
        read_reference(tmp_path / "missing.json")


def test_csv_has_a_line_for_each_measurement():
    """What a spreadsheet opens."""
    lines = list(csv.DictReader(as_csv(summary(1, 0.5)).splitlines()))
    assert len(lines) == 2 * 2 * len(QUALITIES)
    assert lines[0]["image"] == "a.png"
    assert lines[0]["codec"] == "c0"
    assert float(lines[-1]["bpp"]) == pytest.approx(0.05 * 2**5)
    assert float(lines[0]["ms_ssim"]) == pytest.approx(1 - math.sqrt(0.1))


def test_compare_says_what_changed():
    """Whether new weights are better is what a report is made for twice."""
    before, after = summary(1, 0.5), summary(1, 0.45, 2)
    after["codecs"]["c1"]["version"] = "2"
    lines = compare(before, after)
    assert "codecs only in the second: c2" in lines
    (line,) = [line for line in lines if line.startswith("  c1 ")]
    assert "psnr_rgb -10.00 %" in line
    assert "ms_ssim -10.00 %" in line
    assert "    version: 1 -> 2" in lines
    (line,) = [line for line in lines if line.startswith("  c0 ")]
    assert "psnr_rgb +0.00 %" in line


def test_compare_is_on_the_same_pictures():
    """Two folders of other pictures would be compared as if the codec had changed."""
    before, after = summary(1), summary(1)
    for image in after["images"]:
        image["content"] = "other"
    assert compare(before, after)[-1] == "the reports have no picture in common"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"codecs": {}, "metrics": [], "images": []}'])
def test_other_files_are_no_results(tmp_path, text):
    """The two arguments of --compare are easily mistaken."""
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(AecodecError, match=r"not a results\.json"):
        read_results(tmp_path / "results.json")
