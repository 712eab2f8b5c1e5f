"""The index as a file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aecodec.errors import AecodecError
from aecodec.retrieval import index, whitening
from aecodec.retrieval.journal import Row


def made(folder, count: int = 5) -> index.Index:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(count, whitening.LENGTH))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = [
        Row(f"sub/{k} é\udcff.jpg", (k, 10 * k), vector.astype(np.float16), 100 + k, 50, None if k % 2 else 60.0)
        for k, vector in enumerate(vectors)
    ]
    return index.Index.build(folder, rows)


def test_an_index_comes_back_from_its_file_and_moves_with_its_pictures(tmp_path):
    """An archive on another disk would have to be indexed again."""
    first = made(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "x").write_bytes(first.to_bytes())
    again = index.read(tmp_path / "there" / "x")
    assert again.known() == first.known() == {f"sub/{k} é\udcff.jpg": (k, 10 * k) for k in range(5)}
    assert [again.row(number).quality for number in range(5)] == [60.0, None, 60.0, None, 60.0]
    best, *others = again.query(again.vectors[3], 3)
    assert best.path == str(tmp_path / "there" / "sub" / "3 é\udcff.jpg")
    assert best.similarity == pytest.approx(1, abs=1e-3)
    assert len(others) == 2


def test_no_picture_is_more_alike_than_equal_ones(tmp_path):
    """Vectors are kept in float16, whose rounding makes some longer than 1: a script that takes an angle would fail."""
    found = made(tmp_path, 50)
    longest = int(np.linalg.norm(found.vectors.astype(np.float32), axis=1).argmax())
    assert np.linalg.norm(found.vectors[longest].astype(np.float32)) > 1
    assert found.query(found.vectors[longest], 1)[0].similarity == 1
    rows = [found.row(longest), replace(found.row(longest), path="copy.jpg")]
    assert [match.similarity for match in index.Index.build(tmp_path, rows).duplicates(0.9)[0]] == [1, 1]


def test_what_is_no_index_or_damaged_is_refused_in_one_line(tmp_path):
    """A user would see a traceback of numpy, or the neighbours of noise."""
    data = made(tmp_path).to_bytes()
    for wrong in (b"", b"hello", data[:-50], data[: len(data) // 2]):
        (tmp_path / "x").write_bytes(wrong)
        with pytest.raises(AecodecError, match=r"not an index of aecodec similar, or it is damaged"):
            index.read(tmp_path / "x")
    np.savez(tmp_path / "y.npz", head=np.frombuffer(b'{"index": 1, "whitening": "x", "paths": ["a"]}', np.uint8))
    with pytest.raises(AecodecError, match="not an index"):
        index.read(tmp_path / "y.npz")


def test_an_index_of_other_vectors_is_refused(tmp_path, monkeypatch):
    """Every neighbour would be wrong after a change of the default weights."""
    (tmp_path / "x").write_bytes(made(tmp_path).to_bytes())
    other = replace(whitening.installed(), weights="another")
    monkeypatch.setattr(whitening, "installed", lambda: other)
    with pytest.raises(AecodecError, match="make it again"):
        index.read(tmp_path / "x")
