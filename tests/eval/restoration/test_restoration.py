"""Restoration compared with classical methods: the numbers that decide whether weights are shipped."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aecodec import weights
from aecodec.defaults import DEFAULT_WEIGHTS, DENOISER, INPAINTER, SHARPENER
from aecodec.eval.restoration.measure import FILE_QUALITIES, values_of
from aecodec.eval.restoration.methods import CASES, example, open_methods
from aecodec.eval.restoration.results import bytes_at_equal_psnr
from aecodec.metrics import psnr


@pytest.fixture
def installed(tiny, restorer, tmp_path, monkeypatch):
    """An installation with the weights of ``tiny`` as its default and a small network for every kind of damage."""
    folder = tmp_path / "installed"
    shutil.copytree(tiny[1], folder / DEFAULT_WEIGHTS)
    for name in (DENOISER, SHARPENER, INPAINTER):
        shutil.copytree(restorer, folder / name)
    monkeypatch.setattr(weights.cards, "INSTALLED", folder)
    return folder


@pytest.fixture
def folder(tmp_path, photo):
    """photos/a.png and photos/b.png."""
    (tmp_path / "photos").mkdir()
    for seed, name in enumerate(("a.png", "b.png")):
        photo(80, 72, seed=seed).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


@pytest.mark.slow
@pytest.mark.parametrize("task", list(CASES))
def test_a_report_of_every_task(cli, folder, installed, tmp_path, task):
    """The command that decides whether weights are good enough to ship."""
    result = cli("eval", folder, "--task", task, "-o", "report")
    assert result.exit_code == 0, result.stderr
    results = json.loads((tmp_path / "report" / "results.json").read_text(), parse_constant=pytest.fail)
    assert list(results["cases"]) == [case.name for case in CASES[task]]
    for case in results["cases"].values():
        assert case["pictures"] == 2
        names = list(case["means"])
        assert names[:2] == ["damaged", "aecodec"]
        assert names[-1] == "codec"
        assert case["best"] in names[2:-1]
        values = [case["images"][name]["damaged"]["psnr_rgb"] for name in ("a.png", "b.png")]
        assert case["means"]["damaged"]["psnr_rgb"] == pytest.approx(np.mean(values))
        assert all(("psnr_missing" in means) == (task == "inpaint") for means in case["means"].values())
    files = [case["files"] for case in results["cases"].values() if "files" in case]
    assert [len(each["images"]) for each in files] == ([2] if task == "denoise" else [])
    for each in files:
        curves = each["images"].values()
        usual = each["qualities"][FILE_QUALITIES.index(60)]
        shares = [100 * curve["restored"][4][0] / curve["plain"][4][0] for curve in curves]
        assert usual["percent_same_quality"] == pytest.approx(np.mean(shares))
        gains = [curve["restored"][4][1] - curve["plain"][4][1] for curve in curves]
        assert usual["gain_db"] == pytest.approx(np.mean(gains))
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("<figure>") == 2 * 4 * len(CASES[task])  # damaged, ours, the best other, clean
    lines = (tmp_path / "report" / "results.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * sum(len(case["means"]) for case in results["cases"].values())


def test_the_damage_is_the_same_for_everybody(photo):
    """Two methods, or two weeks, can be compared only on the same noise; two pictures must not share one."""
    clean = np.array(photo(64, 48))
    for task in CASES:
        for case in CASES[task]:
            first, second = (example(clean, case, "a.png") for _ in range(2))
            assert np.array_equal(first.damaged, second.damaged)
    case = CASES["denoise"][1]
    assert not np.array_equal(example(clean, case, "a.png").damaged, example(clean, case, "b.png").damaged)
    assert example(clean, case, "a.png").sigma == pytest.approx(25, rel=0.05)


def test_every_classical_method_restores(photo):
    """A baseline that is called in a wrong way makes ours look good."""
    clean = np.array(photo(96, 80))
    for task, case, losers, gain in (
        ("denoise", 1, {"median"}, 2), ("inpaint", 0, set(), 2), ("deblur", 0, set(), 0.3), ("upscale", 0, set(), -0.5)
    ):  # fmt: skip
        given = example(clean, CASES[task][case], "a.png")
        methods, _ = open_methods(task)
        for method in methods:
            if method.name not in {"damaged", "aecodec", "codec", *losers}:
                assert psnr(given.clean, method.restore(given)) > psnr(given.clean, given.damaged) + gain, method.name


def test_files_are_compared_where_plain_ones_are_at_their_best():
    """Beyond that point plain files grow and get worse, and any saving could be claimed."""
    plain = [(100, 20.0), (400, 24.0), (900, 22.0)]
    assert bytes_at_equal_psnr(plain, [(50, 22.0), (200, 26.0)]) == pytest.approx(25)  # half way, in the logarithm
    assert bytes_at_equal_psnr(plain, [(80, 24.0), (200, 26.0)]) == 20
    assert bytes_at_equal_psnr(plain, [(50, 20.0), (200, 23.9)]) is None
    assert bytes_at_equal_psnr(plain, [(50, 20.0), (200, 24.0)], below=2.0) == pytest.approx(50)  # both half way


def test_inpainting_is_measured_where_it_is_seen(photo):
    """Over the whole picture every method is excellent: nearly all of it is known."""
    clean = np.array(photo(64, 48))
    given = example(clean, CASES["inpaint"][1], "a.png")
    restored = np.where(given.missing[..., None], clean ^ 8, clean)
    assert values_of(given, restored)["psnr_missing"] == pytest.approx(psnr(clean, clean ^ 8), abs=0.01)
    assert values_of(given, clean)["psnr_missing"] == 99


@pytest.mark.slow
def test_what_is_not_installed_is_left_out_by_name(cli, folder, monkeypatch, tmp_path):
    """A table without our own line, or without the strongest rival, must say why."""
    empty = tmp_path / "installed"
    shutil.copytree(weights.cards.INSTALLED / DEFAULT_WEIGHTS, empty / DEFAULT_WEIGHTS)
    monkeypatch.setattr(weights.cards, "INSTALLED", empty)
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "cv2" else find_spec(name))
    result = cli("eval", folder / "a.png", "--task", "inpaint", "-o", "report")
    assert result.exit_code == 0
    assert "aecodec: aecodec: left out: no weights named 'inpaint'" in result.stderr
    assert "aecodec: telea: left out: needs pip install opencv-python-headless" in result.stderr
    assert "biharmonic" in result.stdout


@pytest.mark.parametrize(
    ("args", "code"), [(("--codecs", "jpeg"), 2), (("--metrics", "ssim"), 2), (("--weights", "photo"), 1)]
)
def test_options_that_do_not_go_together(cli, folder, args, code):
    """An option that is quietly ignored is a wrong answer."""
    assert cli("eval", folder, "--task", "denoise", "-o", "report", *args).exit_code == code


@pytest.mark.slow
def test_a_picture_that_cannot_be_damaged_costs_no_other(folder, cli, photo):
    """Hours of measuring were lost to one picture of a few pixels."""
    photo(2, 2).save(folder / "speck.png")
    (folder / "broken.png").write_text("no picture")
    result = cli("eval", folder, "--task", "inpaint", "-o", "report")
    assert result.exit_code == 1
    results = json.loads(Path("report/results.json").read_text())
    assert {failure["picture"] for failure in results["failures"]} == {"speck.png", "broken.png"}
    assert results["cases"][CASES["inpaint"][0].name]["images"]["a.png"]


def test_damage_that_does_nothing_is_no_damage():
    """The mean error of no pixels is no number, and no JSON."""
    case = replace(CASES["inpaint"][1], mask=lambda height, width, rng: np.zeros((height, width), bool))
    with pytest.raises(ValueError, match="too small"):
        example(np.zeros((2, 2, 3), np.uint8), case, "a.png")
