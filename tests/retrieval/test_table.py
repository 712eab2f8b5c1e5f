"""Tables for other tools."""

from __future__ import annotations

import csv
import sys

import numpy as np
import pytest

from aecodec.errors import MissingPackageError
from aecodec.retrieval import table, whitening
from aecodec.retrieval.journal import Row


@pytest.fixture
def rows(monkeypatch) -> list[Row]:
    monkeypatch.setattr(table, "BATCH", 2)
    rng = np.random.default_rng(0)
    names = ["a.jpg", "sub/ü, b.aec", "bad \udcff.png"]
    return [
        Row(name, (100 + k, k), rng.normal(size=whitening.LENGTH).astype(np.float16), 30 + k, 20, 60.5 if k == 1 else None)
        for k, name in enumerate(names)
    ]


def test_parquet_has_the_columns_that_viewers_of_embeddings_expect(tmp_path, rows):
    """The vectors would not open where people look at vectors."""
    parquet = pytest.importorskip("pyarrow.parquet")
    table.write(tmp_path / "x.parquet", ".parquet", lambda: iter(rows), 3)
    read = parquet.read_table(tmp_path / "x.parquet")
    assert tuple(read.column_names) == ("path", "vector", "width", "height", "bytes", "quality")
    columns = read.to_pydict()
    assert columns["path"] == ["a.jpg", "sub/ü, b.aec", "bad \ufffd.png"]
    assert columns["quality"] == [None, 60.5, None]
    assert (columns["width"], columns["height"], columns["bytes"]) == ([30, 31, 32], [20] * 3, [100, 101, 102])
    assert np.array_equal(np.array(columns["vector"], np.float16), [row.vector for row in rows])


def test_npz_opens_without_pickle(tmp_path, rows):
    """A user of numpy would be asked to trust the file."""
    table.write(tmp_path / "x.npz", ".npz", lambda: iter(rows), 3)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as read:
        assert read["path"].tolist() == ["a.jpg", "sub/ü, b.aec", "bad \ufffd.png"]
        assert np.array_equal(read["vector"].astype(np.float16), [row.vector for row in rows])
        assert np.isnan(read["quality"][0])
        assert read["bytes"].tolist() == [100, 101, 102]


def test_csv_has_a_column_for_each_number(tmp_path, rows):
    """A spreadsheet or R would see text in place of numbers."""
    table.write(tmp_path / "x.csv", ".csv", lambda: iter(rows), 3)
    text = (tmp_path / "x.csv").read_text("utf-8")
    head, *lines = csv.reader(text.splitlines())
    assert head[:6] == ["path", "width", "height", "bytes", "quality", "aecodec0"]
    assert [line[0] for line in lines] == ["a.jpg", "sub/ü, b.aec", "bad \ufffd.png"]
    values = np.array([line[5:] for line in lines], np.float64)
    assert np.allclose(values, [row.vector for row in rows], rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("extension", table.WRITERS)
def test_a_table_without_rows_is_a_table(tmp_path, extension):
    """A script over many folders would stop at the empty one."""
    if extension == ".parquet":
        pytest.importorskip("pyarrow")
    table.write(tmp_path / "x", extension, lambda: iter([]), 0)
    assert (tmp_path / "x").stat().st_size


def test_a_missing_package_is_named_before_the_work(monkeypatch):
    """The error would come after hours of work."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackageError, match=r"aecodec\[features\]"):
        table.check_installed(".parquet")
    table.check_installed(".csv")
