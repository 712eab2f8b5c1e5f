"""Inputs, outputs and failures of commands that work on files."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from aecodec.errors import AecodecError, BitstreamError

STANDARD = "-"
EXTENSION = ".aec"
FAILED, DAMAGED = 1, 3
PICTURE_EXTENSIONS = frozenset(
    ".apng .avif .bmp .gif .heic .heif .j2k .jfif .jp2 .jpe .jpeg .jpg .jxl .pbm .pgm .png .pnm .ppm .tga .tif .tiff .webp"
    .split()
)


@dataclass(frozen=True)
class Job:
    """One input and where its result goes; either may be "-"."""

    input: str
    output: str


def jobs(paths: Sequence[str], output_dir: str | None, extension: str) -> list[Job]:
    """IN OUT, or any number of INs with an output folder.

    Raises click.UsageError for anything else, and where two inputs would become one output.
    """
    if output_dir is None:
        if len(paths) != 2:
            raise click.UsageError("give one IN and one OUT, or any number of INs with --output-dir")
        return [Job(*paths)]
    if not paths:
        raise click.UsageError("nothing to do: give at least one IN")
    result = [Job(path, str(Path(output_dir) / (Path(path).stem + extension))) for path in paths]
    seen: dict[str, str] = {}
    for job in result:
        if job.input == STANDARD:
            raise click.UsageError("standard input has no name to use in --output-dir")
        if job.output in seen:
            raise click.UsageError(f"{seen[job.output]} and {job.input} would both become {job.output}")
        seen[job.output] = job.input
    return result


def read_input(path: str) -> bytes:
    """The bytes of a file or of standard input.  Raises AecodecError where it cannot be read."""
    if path == STANDARD:
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise AecodecError(_reason(error)) from None


def check_output(path: str, force: bool) -> None:
    """Raises AecodecError where writing would replace a file without ``force``, or cannot work at all."""
    if path == STANDARD:
        return
    target = Path(path)
    if os.path.isdir(target):  # target.is_dir() raises where a folder may not be searched
        raise AecodecError(f"{path} is a folder")
    if not os.path.isdir(target.parent):
        raise AecodecError(f"there is no folder {target.parent}")
    if os.path.exists(target) and not os.path.isfile(target):
        raise AecodecError(f'{path} is a device or a pipe; "-" writes to standard output')
    if os.path.exists(target) and not force:
        raise AecodecError(f"{path} exists; --force replaces it")


def write_output(path: str, data: bytes) -> None:
    """Writes a whole file or none: a temporary file beside it, then a rename.

    Raises AecodecError where it cannot be written.
    """
    if path == STANDARD:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    target = Path(path)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode_for(target))
        os.replace(temporary, target)
        temporary = None
    except OSError as error:
        raise AecodecError(f"cannot write {path}: {_reason(error)}") from None
    finally:
        if temporary is not None:
            os.unlink(temporary)


def _mode_for(target: Path) -> int:
    """The permissions of the file that is replaced, or what a new file would get."""
    if target.exists():
        return target.stat().st_mode & 0o777
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def complain(path: str, message: object) -> None:
    """One line on standard error."""
    name = "standard input" if path == STANDARD else path
    click.echo("aecodec: " + " ".join(f"{name}: {message}".split()), err=True)


def run(tasks: Sequence[Job], work: Callable[[Job], None]) -> None:
    """Does every job, says in one line what fails or is lost, and ends the process with the right exit code."""
    failures: list[AecodecError] = []
    for job in tasks:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", UserWarning)
            try:
                work(job)
            except AecodecError as error:
                failures.append(error)
                complain(job.input, error)
            except BrokenPipeError:
                raise  # the reader of our output has gone; click ends quietly
            except OSError as error:
                failures.append(AecodecError(_reason(error)))
                complain(job.input, failures[-1])
            except MemoryError:
                failures.append(AecodecError("out of memory"))
                complain(job.input, failures[-1])
            for message in dict.fromkeys(str(w.message) for w in caught if w.category is UserWarning):
                complain(job.input, f"warning: {message}")
    if failures:
        sys.exit(DAMAGED if all(isinstance(error, BitstreamError) for error in failures) else FAILED)


def use_threads(count: int | None) -> None:
    """Limits the threads of the runtimes; must run before they are imported."""
    if count:
        os.environ["OMP_NUM_THREADS"] = str(count)
