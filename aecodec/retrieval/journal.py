"""Keep the descriptions of many pictures on disk as they come, so that a run that was interrupted can go on.

A journal is text: a line that says which whitening its vectors are of, then a line of JSON a picture. Lines are only
appended. A line that was cut off, as by a full disk or a lost power supply, is left out when the journal is read.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from aecodec.retrieval.vectors import Description, Space, codec_space

VERSION = 1
Stamp = tuple[int, int]  # size in bytes and time of modification in nanoseconds, or what stands for it in a store


@dataclass(frozen=True)
class Row:
    """What is kept of a picture: path, stamp of its file, vector (n,), size as shown, quality, thumbnail or b""."""

    path: str
    stamp: Stamp
    vector: NDArray[np.float16]
    width: int
    height: int
    quality: float | None
    thumbnail: bytes = b""

    @classmethod
    def of(cls, path: str, stamp: Stamp, found: Description) -> Row:
        vector = found.vector.astype(np.float16)
        return cls(path, stamp, vector, found.width, found.height, found.quality, found.thumbnail)

    @property
    def size(self) -> int:
        """Return the bytes of the file."""
        return self.stamp[0]


class Journal:
    """A journal at a path, opened for more rows; one of vectors of another space is begun again."""

    def __init__(self, path: str, space: Space | None = None) -> None:
        self.path, self.space = Path(path), space or codec_space()
        self._head = json.dumps({"journal": VERSION, "whitening": self.space.id}) + "\n"
        if self._is_ours():
            self._file = self.path.open("a", encoding="utf-8")
            self._file.write("\n")  # ends a line that was cut off
        else:
            self._file = self.path.open("w", encoding="utf-8")
            self._file.write(self._head)
        self._file.flush()

    def _is_ours(self) -> bool:
        try:
            with self.path.open(encoding="utf-8") as file:
                return file.readline() == self._head
        except (OSError, UnicodeError):
            return False

    def add(self, row: Row) -> None:
        """Append a row, and hand it to the system."""
        coded = (base64.b64encode(part).decode() for part in (row.vector.astype("<f2").tobytes(), row.thumbnail))
        fields = [row.path, *row.stamp, row.width, row.height, row.quality, *coded]
        self._file.write(json.dumps(fields) + "\n")
        self._file.flush()

    def places(self) -> dict[str, tuple[int, Stamp]]:
        """Return by path the place of a row in the file and its stamp; of a path that stands there twice, the last."""
        found = {}
        with self.path.open("rb") as file:
            place = len(file.readline())
            for line in file:
                if (row := _parse(line, self.space.length)) is not None:
                    found[row.path] = place, row.stamp
                place += len(line)
        return found

    def stamps(self) -> dict[str, Stamp]:
        """Return the stamps of the rows by path."""
        return {path: stamp for path, (_, stamp) in self.places().items()}

    def rows(self, places: Iterable[int]) -> Iterator[Row]:
        """Yield the rows at places."""
        with self.path.open("rb") as file:
            for place in places:
                file.seek(place)
                row = _parse(file.readline(), self.space.length)
                if row is not None:
                    yield row

    def remove(self) -> None:
        """Close the journal and remove its file."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()


def _parse(line: bytes, length: int) -> Row | None:
    """Return the row of a line, with a vector (length,), None where it is not whole."""
    try:
        path, size, time, width, height, quality, *coded = json.loads(line)
        vector, thumbnail = (base64.b64decode(part, validate=True) for part in coded)
        values = np.frombuffer(vector, "<f2").astype(np.float16)
    except (ValueError, TypeError):
        return None
    if len(values) != length:
        return None
    return Row(path, (size, time), values, width, height, quality, thumbnail)
