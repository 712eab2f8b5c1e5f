"""Write and read manifests of archives: one line of JSON a picture, by which ``aecodec verify`` checks what is there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import click

from aecodec.cli import batch, plan, shell
from aecodec.errors import AecodecError, reason
from aecodec.stores import names

INTERVAL = 30.0  # seconds between two writings of a manifest in a store
MOST = 2**32  # bytes of a manifest in a store, some ten million lines


@dataclass(frozen=True)
class Line:
    """A picture of an archive: names from where the command runs, and what the manifest says of it."""

    source: str
    source_sha256: str
    output: str
    output_sha256: str
    bytes: int


def record(data: bytes, encoded: bytes, report: dict[str, object]) -> dict[str, object]:
    """Return what a manifest says of a picture beside its paths: hashes, bytes, quality, and metrics where measured."""
    kept = ("bytes", "quality", "weights", "psnr", "ssimulacra2")
    hashes = {"source_sha256": hashlib.sha256(data).hexdigest(), "output_sha256": hashlib.sha256(encoded).hexdigest()}
    return hashes | {name: report[name] for name in kept if name in report}


class Writer:
    """A manifest that grows by a line with each picture, so that what was done before an interruption stands in it.

    Names are those from the manifest's folder, so that an archive can be moved with it. In a store, where nothing can be
    appended to, the whole manifest is written again from time to time and at the end.
    """

    def __init__(self, path: str, *, replace: bool, extend: bool, output_dir: str | None = None) -> None:
        """Open the file; an old one is refused unless it is to be replaced or extended.

        Its folder is made only if it is ``output_dir``, which may not be there yet.
        """
        self._path, self._folder = path, names.parent(names.identity(path))
        kind = _StoreFile if names.is_url(path) else _LocalFile
        with self._refusing():
            if output_dir is not None and not names.is_url(path) and names.identity(output_dir) == self._folder:
                Path(output_dir).mkdir(exist_ok=True)
            if kind.exists(path) and not (replace or extend):
                raise click.UsageError(shell.printable(f"{path} exists; --force replaces it, and --update adds to it"))
            self._file: _LocalFile | _StoreFile = kind(path, extend and not replace)
        self._listed = {line.output for line in read(path)} if extend and kind is _StoreFile else None

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except (AecodecError, OSError) as error:
            why = reason(error) if isinstance(error, OSError) else error
            raise click.UsageError(shell.printable(f"cannot write {self._path}: {why}")) from None

    def lacks(self, job: plan.Job) -> bool:
        """Return whether an earlier run was killed before it could write the line of a picture, as it may in a store."""
        return self._listed is not None and names.absolute(self._below(job.output), self._folder) not in self._listed

    def add(self, job: plan.Job, done: batch.Done) -> None:
        """Write the line of a picture, if it was encoded."""
        if done.record is None:
            return
        places = {"source": self._below(job.input), "output": self._below(job.output)}
        self._file.add(json.dumps(places | done.record) + "\n")

    def _below(self, path: str) -> str:
        return path if path == shell.STANDARD else names.relative(path, self._folder)

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except OSError as problem:
            shell.complain(self._path, f"cannot write: {reason(problem)}")
            if kind is None or (isinstance(error, SystemExit) and not error.code):
                sys.exit(shell.FAILED)


class _LocalFile:
    """A file that lines are appended to."""

    def __init__(self, path: str, extend: bool) -> None:
        self._file = open(path, "a" if extend else "w", encoding="utf-8")  # noqa: SIM115

    @staticmethod
    def exists(path: str) -> bool:
        return os.path.lexists(path)

    def add(self, line: str) -> None:
        self._file.write(line)
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class _StoreFile:
    """A file in a store: all its lines, and when they were last written."""

    def __init__(self, url: str, extend: bool) -> None:
        from aecodec.stores import remote

        remote.check_writable(url)
        self._url, self._lines = url, bytearray()
        if extend and self.exists(url):
            self._lines += remote.read(url, MOST)
        self._write()  # what cannot be written is better known before than after a night

    @staticmethod
    def exists(url: str) -> bool:
        from aecodec.stores import remote

        try:
            return not remote.stat(url).is_folder
        except FileNotFoundError:
            return False

    def _write(self) -> None:
        from aecodec.stores import remote

        start = time.monotonic()
        remote.write(self._url, bytes(self._lines))
        self._whole, now = True, time.monotonic()
        self._due = now + max(INTERVAL, 20 * (now - start))  # a long manifest takes a twentieth of the time, too

    def add(self, line: str) -> None:
        self._lines += line.encode()
        self._whole = False
        if time.monotonic() > self._due:
            try:
                self._write()
            except OSError:  # the pictures go on; the next attempt, or the last, reports it
                self._due = time.monotonic() + INTERVAL

    def close(self) -> None:
        if not self._whole:
            self._write()


def read(path: str) -> list[Line]:
    """Return the lines of a manifest, the last one of each output. Raises click.UsageError where it is none."""
    folder = names.parent(path)
    lines: dict[str, Line] = {}
    try:
        for number, text in enumerate(_text(path).splitlines(), 1):
            try:
                fields = json.loads(text)
                source, output = (names.absolute(str(fields[name]), folder) for name in ("source", "output"))
                size = int(fields["bytes"])
                lines[output] = Line(source, str(fields["source_sha256"]), output, str(fields["output_sha256"]), size)
            except (ValueError, KeyError, TypeError):
                raise click.UsageError(shell.printable(f"{path}: line {number} is not a line of a manifest")) from None
    except (OSError, UnicodeError) as error:
        why = reason(error) if isinstance(error, OSError) else "it is not text"
        raise click.UsageError(shell.printable(f"cannot read {path}: {why}")) from None
    return list(lines.values())


def _text(path: str) -> str:
    if not names.is_url(path):
        return Path(path).read_text("utf-8")
    from aecodec.stores import remote

    return remote.read(path, MOST).decode()
