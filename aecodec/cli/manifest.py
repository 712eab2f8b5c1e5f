"""Write and read manifests of archives: one line of JSON a picture, by which ``aecodec verify`` checks what is there."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import click

from aecodec.cli import batch, files


@dataclass(frozen=True)
class Line:
    """A picture of an archive: paths from where the command runs, and what the manifest says of it."""

    source: str
    source_sha256: str
    output: str
    output_sha256: str
    bytes: int


def record(data: bytes, encoded: bytes, report: dict[str, object]) -> dict[str, object]:
    """Return what a manifest says of a picture beside its paths: hashes, bytes, quality, and metrics where measured."""
    names = ("bytes", "quality", "weights", "psnr", "ssimulacra2")
    hashes = {"source_sha256": hashlib.sha256(data).hexdigest(), "output_sha256": hashlib.sha256(encoded).hexdigest()}
    return hashes | {name: report[name] for name in names if name in report}


class Writer:
    """A manifest that grows by a line with each picture, so that what was done before an interruption stands in it.

    Paths are those from the manifest's folder, so that an archive can be moved with it.
    """

    def __init__(self, path: str, *, replace: bool, extend: bool) -> None:
        """Open the file; an old one is refused unless it is to be replaced or extended."""
        if os.path.lexists(path) and not (replace or extend):
            raise click.UsageError(files.printable(f"{path} exists; --force replaces it, and --update adds to it"))
        try:
            Path(path).parent.mkdir(exist_ok=True)  # such as the output folder, which comes with the first file
            self._file = open(path, "a" if extend and not replace else "w", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise click.UsageError(files.printable(f"cannot write {path}: {files.reason(error)}")) from None
        self._folder = Path(os.path.abspath(path)).parent

    def add(self, job: files.Job, done: batch.Done) -> None:
        """Write the line of a picture, if it was encoded."""
        if done.record is None:
            return
        names = {"source": self._below(job.input), "output": self._below(job.output)}
        self._file.write(json.dumps(names | done.record) + "\n")
        self._file.flush()

    def _below(self, path: str) -> str:
        return path if path == files.STANDARD else os.path.relpath(path, self._folder)


def read(path: str) -> list[Line]:
    """Return the lines of a manifest, the last one of each output.  Raises click.UsageError where it is none."""
    folder = Path(path).parent
    lines: dict[str, Line] = {}
    try:
        for number, text in enumerate(Path(path).read_text("utf-8").splitlines(), 1):
            try:
                fields = json.loads(text)
                source, output = (os.path.normpath(folder / str(fields[name])) for name in ("source", "output"))
                size = int(fields["bytes"])
                lines[output] = Line(source, str(fields["source_sha256"]), output, str(fields["output_sha256"]), size)
            except (ValueError, KeyError, TypeError):
                raise click.UsageError(files.printable(f"{path}: line {number} is none of a manifest")) from None
    except (OSError, UnicodeError) as error:
        reason = files.reason(error) if isinstance(error, OSError) else "it is no text"
        raise click.UsageError(files.printable(f"cannot read {path}: {reason}")) from None
    return list(lines.values())
