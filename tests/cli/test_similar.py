"""``aecodec similar``: index, query, duplicates."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path, photo) -> Path:
    (tmp_path / "in").mkdir()
    for seed in range(3):
        photo(192, 128, seed=seed).save(tmp_path / "in" / f"{seed}.png")
    photo(192, 128, seed=1).save(tmp_path / "in" / "copy.jpg", quality=60)
    return tmp_path / "in"


@pytest.fixture
def described(monkeypatch) -> list[int]:
    """Grows with each picture that is described."""
    from aecodec.retrieval import vectors

    real, done = vectors.describe, []
    monkeypatch.setattr(vectors, "describe", lambda data, **options: done.append(len(data)) or real(data, **options))
    return done


def test_a_picture_finds_its_copy(cli, folder):
    """What the command is for."""
    result = cli("similar", "index", "-o", "x.index", "in")
    assert result.exit_code == 0, result.stderr
    result = cli("similar", "query", "x.index", "in/1.png", "-n", "2")
    first, second = (line.split("  ") for line in result.stdout.splitlines())
    assert first == ["1.0000", "in/1.png"]
    assert second[1] == "in/copy.jpg"
    (line,) = map(json.loads, cli("similar", "query", "x.index", "in/1.png", "-n", "1", "--json").stdout.splitlines())
    assert line["matches"][0]["path"] == "in/1.png"
    rows = list(csv.reader(io.StringIO(cli("similar", "query", "x.index", "in/1.png", "-n", "2", "--csv").stdout)))
    assert rows[0] == ["query", "path", "similarity"]
    assert rows[2][:2] == ["in/1.png", "in/copy.jpg"]


def test_copies_come_as_groups(cli, folder):
    """A script that removes duplicates would remove others."""
    cli("similar", "index", "-o", "x.index", "in")
    (group,) = map(json.loads, cli("similar", "duplicates", "x.index", "--threshold", "0.8", "--json").stdout.splitlines())
    assert {each["path"] for each in group} == {"in/1.png", "in/copy.jpg"}
    rows = list(csv.DictReader(io.StringIO(cli("similar", "duplicates", "x.index", "--threshold", "0.8", "--csv").stdout)))
    assert [(row["group"], row["path"]) for row in rows] == [("1", "in/1.png"), ("1", "in/copy.jpg")]
    text = cli("similar", "duplicates", "x.index", "--threshold", "0.8").stdout
    assert [line.split("  ")[1] for line in text.splitlines()] == ["in/1.png", "in/copy.jpg"]
    assert cli("similar", "duplicates", "x.index", "--threshold", "1").stdout == ""


def test_an_index_is_brought_up_to_date(cli, folder, described):
    """Every evening all pictures would be described again, or those that are gone be found."""
    cli("similar", "index", "-o", "x.index", "in")
    assert len(described) == 4
    (folder / "0.png").unlink()
    (folder / "2.png").rename(folder / "new.png")
    result = cli("similar", "index", "-o", "x.index", "in")
    assert len(described) == 5
    assert "1 described, 2 up to date" in result.stderr
    assert "3 pictures in x.index" in result.stderr
    result = cli("similar", "query", "x.index", "in/new.png")
    assert sorted(line.split("  ")[1] for line in result.stdout.splitlines()) == ["in/1.png", "in/copy.jpg", "in/new.png"]


def test_an_interruption_costs_neither_the_index_nor_the_work(cli, folder, described, monkeypatch):
    """Ctrl-C must be safe: an index over an archive takes a night."""
    from aecodec.cli import vectors

    (folder / "0.png").rename(folder.parent / "0.png")
    cli("similar", "index", "-o", "x.index", "in")
    (folder.parent / "0.png").rename(folder / "0.png")
    before = Path("x.index").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(vectors, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert cli("similar", "index", "-o", "x.index", "in").exit_code != 0
    assert Path("x.index").read_bytes() == before
    assert len(described) == 4
    result = cli("similar", "index", "-o", "x.index", "in")
    assert len(described) == 4
    assert "4 pictures in x.index" in result.stderr
    assert not Path("x.index.part").exists()


def test_a_damaged_picture_leaves_the_index_and_is_named(cli, folder):
    """A picture that can no longer be opened would still be offered."""
    cli("similar", "index", "-o", "x.index", "in")
    (folder / "0.png").write_bytes(b"no picture")
    result = cli("similar", "index", "-o", "x.index", "in")
    assert result.exit_code == 1
    assert "in/0.png" in result.stderr
    assert "3 pictures" in result.stderr


def test_what_is_no_index_is_left_alone(fails, folder, tmp_path):
    """A mistyped -o would cost a photograph."""
    assert "not an index of aecodec similar" in fails(1, "similar", "index", "-o", "in/0.png", "in")
    assert "not an index of aecodec similar" in fails(1, "similar", "query", "in/0.png", "in/1.png")
    assert "no such file" in fails(1, "similar", "duplicates", "missing")


def test_a_threshold_is_a_number(cli, folder):
    """No pair is as alike as NaN: an archive full of copies would seem to have none."""
    result = cli("similar", "duplicates", "x.index", "--threshold", "nan")
    assert result.exit_code == 2
    assert "not a finite number" in result.stderr
