"""``aecodec features``: many pictures in, one table out."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import aecodec


@pytest.fixture
def folder(tmp_path, photo, file) -> Path:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for seed in (1, 2):
        photo(96, 64, seed=seed).save(tmp_path / "in" / f"{seed}.png")
    (tmp_path / "in" / "sub" / "0.aec").write_bytes(file)
    return tmp_path / "in"


def read(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as text:
        return {Path(line["path"]).name: line for line in csv.DictReader(text)}


def test_a_folder_becomes_a_table(cli, folder, file, tmp_path):
    """Vectors that differ from the library's compare with none of them."""
    result = cli("features", "-r", "-o", "x.csv", "in", "--json")
    assert result.exit_code == 0, result.output
    lines = {Path(line["input"]).name: line for line in map(json.loads, result.stdout.splitlines())}
    assert {name: line["from"] for name, line in lines.items()} == {
        "1.png": "pixels",
        "2.png": "pixels",
        "0.aec": "latents",
    }
    table = read(tmp_path / "x.csv")
    assert list(table) == ["1.png", "2.png", "0.aec"]
    assert (table["0.aec"]["quality"], table["1.png"]["quality"]) == ("50", "")
    assert table["0.aec"]["bytes"] == str(len(file))
    vector = np.array([table["0.aec"][f"aecodec{k}"] for k in range(256)], float)
    assert np.allclose(vector, aecodec.features(file), atol=1e-3)
    assert not (tmp_path / "x.csv.part").exists()


def test_a_bad_file_is_named_and_costs_no_other(cli, folder, tmp_path):
    """One truncated file among 100 000 would cost the night's work."""
    (folder / "1.5.png").write_bytes(b"no picture")
    result = cli("features", "-r", "-o", "x.npz", "in")
    assert result.exit_code == 1
    assert "aecodec: in/1.5.png: not a picture" in result.stderr
    with np.load(tmp_path / "x.npz") as table:
        assert [Path(path).name for path in table["path"]] == ["1.png", "2.png", "0.aec"]


def test_an_interrupted_run_goes_on_where_it_stopped(cli, folder, tmp_path, monkeypatch):
    """A hundred thousand pictures would be described from the start after a power cut."""
    from aecodec.retrieval import vectors

    real, done = vectors.describe, []

    def describe(data, **options):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(len(data))
        return real(data, **options)

    monkeypatch.setattr(vectors, "describe", describe)
    assert cli("features", "-r", "-o", "x.csv", "in").exit_code != 0
    assert (tmp_path / "x.csv.part").exists()
    assert not (tmp_path / "x.csv").exists()
    done.clear()
    (folder / "1.png").write_bytes((folder / "2.png").read_bytes())  # has changed: must be described again
    result = cli("features", "-r", "-o", "x.csv", "in")
    assert result.exit_code == 0, result.stderr
    assert len(done) == 2
    assert "2 described, 1 up to date" in result.stderr
    table = read(tmp_path / "x.csv")
    assert table["1.png"]["aecodec7"] == table["2.png"]["aecodec7"] != table["0.aec"]["aecodec7"]


def test_wrong_outputs_are_refused_before_the_work(fails, cli, folder, tmp_path, monkeypatch):
    """The error would come after an hour, or cost another table."""
    assert "must be one of .parquet, .npz, .csv" in cli("features", "-o", "x.txt", "in").stderr
    (tmp_path / "x.csv").write_text("precious")
    assert "--force replaces it" in fails(1, "features", "-o", "x.csv", "in")
    assert "no folder" in fails(1, "features", "-o", "nowhere/x.csv", "in")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert "pip install 'aecodec[features]'" in fails(1, "features", "-o", "x.parquet", "in")
    assert (tmp_path / "x.csv").read_text() == "precious"
    assert cli("features", "-f", "-o", "x.csv", "in").exit_code == 0


def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path, monkeypatch):
    """A run over a whole archive would end in the kernel's killer."""
    import tracemalloc

    from aecodec.retrieval import table
    from aecodec.retrieval.journal import Journal, Row

    monkeypatch.setattr(table, "BATCH", 50)
    vector = np.zeros(256, np.float16)
    with Journal(str(tmp_path / "x.part")) as journal:
        for k in range(900):
            journal.add(Row(f"{k}.png", (k, k), vector, 1, 1, None))
        places = [place for place, _ in journal.places().values()]
        peaks = []
        for count in (300, 900):
            tracemalloc.start()
            table.write(tmp_path / "x.npz", ".npz", lambda count=count: journal.rows(places[:count]), count)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
