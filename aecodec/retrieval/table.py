"""Write descriptions as a table that other tools open: Parquet, NumPy's .npz or CSV, row by row in flat memory."""

from __future__ import annotations

import csv
import importlib
import itertools
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from aecodec.errors import MissingPackageError
from aecodec.retrieval.journal import Row
from aecodec.retrieval.vectors import Space, codec_space
from aecodec.stores.names import as_text

BATCH = 1000  # rows in memory at a time
COLUMNS = ("path", "vector", "width", "height", "bytes", "quality")
Rows = Callable[[], Iterable[Row]]  # gives the rows from the first one, each time that it is called


def check_installed(extension: str) -> None:
    """Raise MissingPackageError where the package that writes such a table is missing."""
    if extension == ".parquet":
        try:
            importlib.import_module("pyarrow")
        except ImportError:  # also of one that wants another numpy
            raise MissingPackageError("a Parquet file", "pyarrow", "'aecodec[features]'") from None


def write(path: Path, extension: str, rows: Rows, count: int, space: Space | None = None) -> None:
    """Write ``count`` rows with vectors of a space as a table of the kind that an extension of WRITERS stands for."""
    WRITERS[extension](path, rows, count, space or codec_space())


def _batches(rows: Rows) -> Iterator[list[Row]]:
    waiting = iter(rows())
    while batch := list(itertools.islice(waiting, BATCH)):
        yield batch


def _write_parquet(path: Path, rows: Rows, count: int, space: Space) -> None:
    import pyarrow
    from pyarrow import parquet

    vector = pyarrow.list_(pyarrow.float32(), space.length)
    kinds = (pyarrow.string(), vector, pyarrow.int32(), pyarrow.int32(), pyarrow.int64(), pyarrow.float32())
    about = {"whitening": space.id, "distance": space.distance}
    schema = pyarrow.schema(list(zip(COLUMNS, kinds, strict=True)), {"aecodec": json.dumps(about)})
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in _batches(rows):
            flat = pyarrow.array(np.concatenate([row.vector for row in batch]).astype(np.float32))
            columns = [
                pyarrow.array([_value(row, "path") for row in batch]),
                pyarrow.FixedSizeListArray.from_arrays(flat, space.length),
                *(pyarrow.array([_value(row, name) for row in batch], kind)
                  for name, kind in zip(COLUMNS[2:], kinds[2:], strict=True)),
            ]  # fmt: skip
            writer.write_table(pyarrow.Table.from_arrays(columns, schema=schema))


def _write_npz(path: Path, rows: Rows, count: int, space: Space) -> None:
    longest = max((len(row.path) for row in rows()), default=1)
    kinds = (f"<U{longest}", "<f4", "<i4", "<i4", "<i8", "<f4")
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        for name, kind in zip(COLUMNS, kinds, strict=True):
            shape = (count, space.length) if name == "vector" else (count,)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                _write_array(file, rows, name, np.dtype(kind), shape)


def _write_array(file: IO[bytes], rows: Rows, name: str, kind: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Write one array of a .npz, as ``numpy.save`` does, without ever holding all of it."""
    head = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_2_0(file, head)
    for batch in _batches(rows):
        values = [_value(row, name) for row in batch]
        file.write(np.array([np.nan if value is None else value for value in values], kind).tobytes())


def _write_csv(path: Path, rows: Rows, count: int, space: Space) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "width", "height", "bytes", "quality", *names(space.length)])
        for row in rows():
            quality = "" if row.quality is None else f"{row.quality:g}"
            numbers = [f"{value:.4g}" for value in row.vector.astype(np.float64)]
            writer.writerow([as_text(row.path), row.width, row.height, row.size, quality, *numbers])


def names(length: int) -> list[str]:
    """Return the names of the numbers in a vector."""
    return [f"aecodec{number}" for number in range(length)]


def _value(row: Row, column: str) -> Any:
    values = {"bytes": row.size, "path": as_text(row.path)}
    return values[column] if column in values else getattr(row, column)


WRITERS: dict[str, Callable[[Path, Rows, int, Space], None]] = {
    ".parquet": _write_parquet,
    ".npz": _write_npz,
    ".csv": _write_csv,
}
