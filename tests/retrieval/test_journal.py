"""What is kept of an interrupted run."""

from __future__ import annotations

import numpy as np
import pytest

from aecodec.retrieval import whitening
from aecodec.retrieval.journal import Journal, Row


def row(path: str, seed: int = 0, quality: float | None = 50.0) -> Row:
    vector = np.random.default_rng(seed).normal(size=whitening.LENGTH).astype(np.float16)
    return Row(path, (1000 + seed, 10**18 + seed), vector, 640, 480, quality, b"RIFF")


def rows(journal: Journal) -> list[Row]:
    return list(journal.rows(place for place, _ in journal.places().values()))


def same(a: Row, b: Row) -> bool:
    return {**vars(a), "vector": a.vector.tolist()} == {**vars(b), "vector": b.vector.tolist()}


def test_rows_come_back_and_a_line_that_was_cut_off_does_not(tmp_path):
    """After a lost power supply, hours of work would be lost, or half a vector taken for one."""
    path = tmp_path / "x.part"
    written = [row("a.jpg", 1), row("odd \udcff name,\n.png", 2, None), row("c.aec", 3)]
    with Journal(str(path)) as journal:
        for each in written:
            journal.add(each)
    data = path.read_bytes()
    path.write_bytes(data[:-100])
    with Journal(str(path)) as journal:
        assert list(map(same, rows(journal), written[:2])) == [True, True]
        journal.add(written[2])
        assert list(map(same, rows(journal), written)) == [True] * 3
        journal.remove()
    assert not path.exists()


def test_of_a_picture_that_changed_the_last_row_counts(tmp_path):
    """The vector would be that of a picture that is no longer there."""
    with Journal(str(tmp_path / "x.part")) as journal:
        journal.add(row("a.jpg", 1))
        journal.add(row("a.jpg", 2))
        assert journal.stamps() == {"a.jpg": (1002, 10**18 + 2)}
        assert [each.stamp for each in rows(journal)] == [(1002, 10**18 + 2)]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\n", b'{"journal": 1, "whitening": "of others"}\n["a.jpg", 1]\n'])
def test_a_journal_of_other_vectors_is_begun_again(tmp_path, content):
    """Vectors that do not compare would stand in one table."""
    (tmp_path / "x.part").write_bytes(content)
    with Journal(str(tmp_path / "x.part")) as journal:
        journal.add(row("b.jpg"))
        assert list(journal.stamps()) == ["b.jpg"]
