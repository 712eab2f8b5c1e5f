"""``aecodec eval``."""

from __future__ import annotations

import json
import sys

import pytest

from aecodec import metrics
from aecodec.cli.eval import JOURNAL
from aecodec.eval import codecs, measure
from aecodec.metrics import METRICS

QUICK = ("--codecs", "jpeg,webp", "--qualities", "3", "--metrics", "psnr_rgb")


@pytest.fixture
def folder(tmp_path, photo):
    """photos/a.png and photos/b.png."""
    path = tmp_path / "photos"
    path.mkdir()
    for seed, name in enumerate(("a.png", "b.png")):
        photo(48, 32, seed=seed).save(path / name)
    return path


@pytest.fixture
def encoded(monkeypatch) -> list:
    """Qualities of every measurement that is made."""
    calls: list[float] = []
    real = measure.measure
    monkeypatch.setattr(measure, "measure", lambda *args: calls.append(args[2]) or real(*args))
    return calls


@pytest.mark.slow
def test_writes_the_report(cli, folder, tmp_path, encoded):
    """The command of the README."""
    result = cli("eval", folder, "-o", "report", *QUICK)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == [
        "bdrate.csv", JOURNAL, "report.html", "results.csv", "results.json",
    ]  # fmt: skip
    results = json.loads((tmp_path / "report" / "results.json").read_text(), parse_constant=pytest.fail)
    assert list(results["codecs"]) == ["jpeg", "webp"]
    assert results["codecs"]["webp"]["bd_rate"]["anchor"] == "jpeg"
    assert results["codecs"]["webp"]["bd_rate"]["psnr_rgb"] < 0
    assert result.stdout.splitlines()[-1] == "report/report.html"
    assert len(encoded) == 2 * 2 * 3


def test_goes_on_where_it_was_stopped(cli, folder, tmp_path, encoded, monkeypatch):
    """Ctrl-C after an hour would cost that hour."""
    counted = measure.measure

    def interrupted(*args):
        if len(encoded) == 5:
            raise KeyboardInterrupt
        return counted(*args)

    monkeypatch.setattr(measure, "measure", interrupted)
    stopped = cli("eval", folder, "-o", "report", *QUICK)
    assert stopped.exit_code == 130
    assert stopped.stderr == "aecodec: interrupted; all measurements are kept, and the same command continues from there\n"
    assert not (tmp_path / "report" / "report.html").exists()
    monkeypatch.setattr(measure, "measure", counted)
    assert cli("eval", folder, "-o", "report", *QUICK).exit_code == 0
    assert len(encoded) == 2 * 2 * 3
    assert cli("eval", folder, "-o", "report", *QUICK).exit_code == 0
    assert len(encoded) == 2 * 2 * 3


def test_faults_are_named_and_everything_else_is_measured(cli, folder, tmp_path, photo, monkeypatch):
    """One bad file among a thousand would cost the report, or be missing from it without a word."""
    (folder / "broken.png").write_bytes(b"\x89PNG")
    (folder / "other").mkdir()
    photo(48, 32, seed=5).save(folder / "other" / "a.png")
    photo(20000, 1).save(folder / "wide.png")  # wider than WebP can be
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    options = ("--codecs", "jpeg,webp,jxl", "--qualities", "2", "--metrics", "psnr_rgb")
    result = cli("eval", folder, folder / "other", "-o", "report", *options)
    assert result.exit_code == 1
    errors = result.stderr.splitlines()
    assert errors[0] == "aecodec: jxl: left out: needs pip install pillow-jxl-plugin"
    assert errors[1].startswith("aecodec: broken.png: ")
    assert [error.partition(" at quality")[0] for error in errors[2:]] == ["aecodec: wide.png: webp"] * 2
    results = json.loads((tmp_path / "report" / "results.json").read_text())
    assert results["averaged"] == ["photos/a.png", "b.png", "other/a.png"]
    assert results["absent"] == {"jxl": "needs pip install pillow-jxl-plugin"}
    assert {failure["picture"] for failure in results["failures"]} == {"broken.png", "wide.png"}
    assert len(results["codecs"]["jpeg"]["images"]["wide.png"]) == 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("missing.png", "-o", "out"), "missing.png"),
        (("photos", "-o", "file/out"), "cannot make file/out"),
        (("photos", "-o", "out", "--codecs", "jpeg,jepg"), "no codec 'jepg'"),
        (("photos", "-o", "out", "--weights", "no-such"), "no weights named 'no-such'"),
        (("photos", "-o", "out", "--codecs", "jpeg", "--qualities", "5,1"), "qualities 5,1"),
        (("photos", "-o", "out", "--codecs", "jpeg", "--reference", "file"), "not a curve in CompressAI's form"),
        (("broken.png", "-o", "out", "--codecs", "jpeg"), "nothing could be measured"),
        (("--compare", "file", "file"), "not a results.json of aecodec eval"),
    ],
)
def test_one_line_says_what_is_wrong(cli, folder, tmp_path, args, message):
    """A traceback, or an hour of measuring before the fault is reported."""
    (tmp_path / "file").write_text("text")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    result = cli("eval", *args)
    assert result.exit_code == 1
    assert result.stdout == ""
    *_, line = result.stderr.splitlines()
    assert line.startswith("aecodec: ")
    assert message in line


@pytest.mark.parametrize(
    "args",
    [
        ("photos",),
        ("-o", "out"),
        ("photos", "-o", "out", "--anchor", "webp", "--codecs", "jpeg"),
        ("photos", "-o", "out", "--metrics", "vmaf"),
        ("photos", "--compare", "a", "b"),
    ],
)
def test_usage_errors(cli, folder, args):
    """An impossible request is reported before anything is measured."""
    assert cli("eval", *args).exit_code == 2


def test_missing_packages_are_named_before_anything_is_measured(cli, folder, monkeypatch):
    """A plain installation has no scipy, and would find out after the first picture."""
    monkeypatch.setitem(sys.modules, "ssimulacra2", None)
    result = cli("eval", folder, "-o", "report", *QUICK)
    assert result.exit_code == 1
    assert result.stderr == "aecodec: eval needs ssimulacra2: pip install 'aecodec[eval]'\n"


def test_a_metric_that_is_missing_is_named_and_the_others_are_measured(cli, folder, tmp_path, monkeypatch):
    """CVVDP needs torch, which most have not: the report must come without it, and say so."""
    metrics._cvvdp_metric.cache_clear()
    monkeypatch.setitem(sys.modules, "pycvvdp", None)
    options = ("--codecs", "jpeg", "--qualities", "2")
    result = cli("eval", folder, "-o", "report", *options, "--metrics", "cvvdp,psnr_rgb")
    assert result.exit_code == 0
    reason = "needs pip install 'aecodec[cvvdp]' (No module named 'pycvvdp')"
    assert result.stderr == f"aecodec: cvvdp: left out: {reason}\n"
    results = json.loads((tmp_path / "report" / "results.json").read_text())
    assert list(results["metrics"]) == ["psnr_rgb"]
    assert results["absent"] == {"cvvdp": reason}
    result = cli("eval", folder, "-o", "report", *options, "--metrics", "cvvdp")
    assert result.exit_code == 1
    assert result.stderr == f"aecodec: cvvdp: {reason}\n"


def test_compare_prints_what_changed(cli, folder, tmp_path):
    """A report against itself has not changed."""
    assert cli("eval", folder, "-o", "report", *QUICK).exit_code == 0
    result = cli("eval", "--compare", "report/results.json", "report/results.json")
    assert result.exit_code == 0, result.stderr
    assert "webp" in result.stdout
    assert "psnr_rgb +0.00 %" in result.stdout


def test_help_names_every_codec_and_metric(cli):
    """The lists stand in the help as text, so that it need not import what they come from."""
    text = cli("eval", "--help").stdout.replace("\n", " ")
    for name in (*codecs.names(), *METRICS):
        assert name in text
