"""Hold the vectors of a folder's pictures, and find those that are like a given one.

    index       a .npz: vectors float16, binary codes, and of each picture its path, stamp, size and quality

Paths are relative to the folder of the index, so that both can be moved together.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aecodec.errors import AecodecError
from aecodec.retrieval import duplicates, hamming, whitening
from aecodec.retrieval.journal import Row, Stamp
from aecodec.stores import names

VERSION = 1


class Match(NamedTuple):
    """A picture that was found: its path, and how alike it is, a cosine up to 1."""

    path: str
    similarity: float

    @classmethod
    def of(cls, path: str, product: float) -> Match:
        """Return a match from a scalar product, which exceeds 1 by the rounding of vectors to float16."""
        return cls(path, min(product, 1.0))


@dataclass(frozen=True)
class Index:
    """An index: of n pictures their paths, vectors (n, LENGTH), codes, stamps, sizes (n, 2) as shown and qualities.

    ``folder`` is what the paths start from. A quality is NaN where a picture has none.
    """

    folder: str
    paths: list[str]
    vectors: NDArray[np.float16]
    codes: hamming.Codes
    stamps: NDArray[np.int64]
    sizes: NDArray[np.int64]
    qualities: NDArray[np.float32]

    @classmethod
    def build(cls, folder: str | os.PathLike[str], rows: Iterable[Row]) -> Index:
        """Return the index of rows, whose paths are relative to a folder."""
        paths, many, stamps, sizes, qualities = [], [], [], [], []
        for row in rows:  # which are not kept: there may be a hundred thousand
            paths.append(row.path)
            many.append(row.vector)
            stamps.append(row.stamp)
            sizes.append((row.width, row.height))
            qualities.append(np.nan if row.quality is None else row.quality)
        vectors = np.array(many, np.float16).reshape(-1, whitening.LENGTH)
        return cls(
            os.fspath(folder),
            paths,
            vectors,
            hamming.encode(vectors.astype(np.float32)),
            np.array(stamps, np.int64).reshape(-1, 2),
            np.array(sizes, np.int64).reshape(-1, 2),
            np.array(qualities, np.float32),
        )

    def row(self, number: int) -> Row:
        """Return a row that the index was built from."""
        size, time = self.stamps[number].tolist()
        width, height = self.sizes[number].tolist()
        quality = None if np.isnan(self.qualities[number]) else float(self.qualities[number])
        return Row(self.paths[number], (size, time), self.vectors[number], width, height, quality)

    def known(self) -> dict[str, Stamp]:
        """Return the stamps by path."""
        return {path: (size, time) for path, (size, time) in zip(self.paths, self.stamps.tolist(), strict=True)}

    def place(self, number: int) -> str:
        """Return the path of a picture from the current folder, or its URL."""
        return names.absolute(self.paths[number], self.folder)

    def query(self, vector: NDArray[np.floating], count: int) -> list[Match]:  # type: ignore[type-arg]
        """Return the pictures whose vectors are nearest to one of unit length, nearest first."""
        rows, similarities = hamming.search(self.vectors, self.codes, vector.astype(np.float32), count)
        return [Match.of(self.place(row), float(value)) for row, value in zip(rows.tolist(), similarities, strict=True)]

    def duplicates(self, threshold: float) -> list[list[Match]]:
        """Return groups of pictures that are copies of each other, see ``duplicates.groups``."""
        found = duplicates.groups(self.vectors, threshold)
        return [[Match.of(self.place(row), similarity) for row, similarity in group] for group in found]

    def to_bytes(self) -> bytes:
        """Return the file that ``read`` reads."""
        head = json.dumps({"index": VERSION, "whitening": whitening.installed().id, "paths": self.paths})
        buffer = io.BytesIO()
        np.savez(
            buffer, head=np.frombuffer(head.encode("utf-8", "surrogateescape"), np.uint8), vectors=self.vectors,
            codes=self.codes, stamps=self.stamps, sizes=self.sizes, qualities=self.qualities,
        )  # fmt: skip
        return buffer.getvalue()


def read(path: str | os.PathLike[str]) -> Index:
    """Return the index in a file.

    Raises OSError where it cannot be read, AecodecError where it is none or its vectors are of another whitening.
    """
    return parse(Path(path).read_bytes(), str(Path(path).parent))


def parse(data: bytes, folder: str) -> Index:
    """Return the index in the bytes of a file; ``folder`` is a path or URL.  Raises AecodecError as ``read`` does."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            head = json.loads(file["head"].tobytes().decode("utf-8", "surrogateescape"))
            version, identity, paths = head["index"], head["whitening"], list(map(str, head["paths"]))
            arrays = [file[name] for name in ("vectors", "codes", "stamps", "sizes", "qualities")]
        shapes = [(whitening.LENGTH,), (whitening.LENGTH // 64,), (2,), (2,), ()]
        if any(array.shape != (len(paths), *shape) for array, shape in zip(arrays, shapes, strict=True)):
            raise ValueError("arrays that do not fit together")
    except (ValueError, KeyError, TypeError, EOFError, OSError, zipfile.BadZipFile):
        raise AecodecError("this is not an index of aecodec similar, or it is damaged") from None
    if version != VERSION or identity != whitening.installed().id:
        raise AecodecError("the index was made with other weights or another version of aecodec; make it again")
    vectors, codes, stamps, sizes, qualities = arrays
    return Index(folder, paths, vectors, codes, stamps, sizes, qualities)
