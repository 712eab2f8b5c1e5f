"""``aecodec map``."""

from __future__ import annotations

import json
import re

import pytest


def data_of(path) -> dict:
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text("utf-8"), re.DOTALL)
    return json.loads(text[1])


@pytest.fixture
def folder(tmp_path, photo, file):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    photo(192, 128, seed=3).save(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "sub" / "b.aec").write_bytes(file)
    return tmp_path / "in"


def test_a_folder_becomes_a_page(cli, folder, tmp_path):
    """What the command is for."""
    assert cli("map", "-r", "--layout", "pca", "-o", "map.html", "in").exit_code == 0
    data = data_of(tmp_path / "map.html")
    assert data["title"] == "in"
    assert data["pictures"]["path"] == ["in/a.png", "in/sub/b.aec"]
    assert data["pictures"]["quality"] == [None, 50]
    assert data["sheets"][0]["sizes"] == [[96, 64], [96, 64]]
    assert not (tmp_path / "map.html.part").exists()


def test_a_bad_file_is_named_and_the_others_are_shown(cli, folder, tmp_path):
    """One bad picture would cost the page."""
    (folder / "bad.jpg").write_bytes(b"no picture")
    result = cli("map", "-r", "--layout", "pca", "-o", "map.html", "in")
    assert result.exit_code == 1
    assert "in/bad.jpg: not a picture" in result.stderr
    assert len(data_of(tmp_path / "map.html")["pictures"]["path"]) == 2


def test_a_missing_package_is_named_before_the_work(fails, folder, monkeypatch):
    """The error would come after hours."""
    from aecodec.retrieval import layout

    monkeypatch.setattr(layout.importlib.util, "find_spec", lambda name: None)
    assert "--layout pca needs nothing" in fails(1, "map", "-r", "-o", "map.html", "in")
    assert "exists" in fails(1, "map", "--layout", "pca", "-o", "in/a.png", "in")
