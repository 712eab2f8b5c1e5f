"""Find, read, check and write the inputs and outputs of commands that work on files."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import click

from aecodec.errors import AecodecError, LimitError

STANDARD = "-"
EXTENSION, PNG = ".aec", ".png"
FAILED, DAMAGED, INTERRUPTED = 1, 3, 130
PICTURE_EXTENSIONS = frozenset(
    f".{name}"
    for name in (
        *("apng", "avif", "bmp", "gif", "heic", "heif", "j2k", "jfif", "jp2", "jpe", "jpeg", "jpg", "jxl"),
        *("pbm", "pgm", "png", "pnm", "ppm", "tga", "tif", "tiff", "webp"),
    )
)
_UMASK = os.umask(0o077)  # read before there are threads: to read it is to change it
os.umask(_UMASK)
BLOCK = 2**20  # bytes read at a time, and at most before an input is looked at


@dataclass(frozen=True)
class Job:
    """One input and the place of its result; either may be "-". ``folder`` is the --output-dir that OUT lies below."""

    input: str
    output: str
    folder: str | None = None


def jobs(
    paths: Sequence[str], output_dir: str | None, extension: str, wanted: Collection[str] = (), recursive: bool = False
) -> list[Job]:
    """Return the jobs of IN OUT, or of any number of files and folders with an output folder; ``wanted`` as in ``expand``.

    Raises click.UsageError for anything else, and where two inputs would become one output or an output would replace an
    input; nothing has been written then. A missing output folder is made with the first file. Where the folder around it is
    missing, too, the process ends.
    """
    if output_dir is None:
        if len(paths) != 2 or recursive:
            raise click.UsageError("give one IN and one OUT, or any number of INs with --output-dir")
        return [Job(*paths)]
    if not paths:
        raise click.UsageError("nothing to do: give at least one IN")
    if STANDARD in paths:
        raise click.UsageError("standard input has no name to use in --output-dir")
    above = output_dir if os.path.lexists(output_dir) else Path(os.path.abspath(output_dir)).parent
    if not os.path.isdir(above):
        complain(output_dir, f"there is no folder {above}")
        sys.exit(FAILED)
    result = [
        Job(path, str(Path(output_dir, below.parent, below.stem + extension)), output_dir)
        for path, below in expand(paths, wanted, recursive)
    ]
    inputs = {os.path.abspath(job.input) for job in result}
    seen: dict[str, str] = {}
    for job in result:
        key = os.path.normcase(job.output)
        if key in seen:
            raise click.UsageError(printable(f"{seen[key]} and {job.input} would both become {job.output}"))
        if os.path.abspath(job.output) in inputs:
            raise click.UsageError(printable(f"{job.output} would replace an input"))
        seen[key] = job.input
    return result


def expand(paths: Sequence[str], wanted: Collection[str], recursive: bool) -> Iterator[tuple[str, Path]]:
    """Yield files, each with its path below the argument that it came from, folders sorted.

    A folder gives its files with the extensions ``wanted``, and with ``recursive`` those of the folders in it; hidden ones
    and links to folders are left out. Raises click.UsageError where a folder gives none or cannot be read.
    """

    def unreadable(error: OSError) -> None:
        raise click.UsageError(printable(f"cannot read the folder {error.filename}: {reason(error)}"))

    for path in paths:
        if not os.path.isdir(path):
            yield path, Path(Path(path).name)
            continue
        found = False
        for folder, below, names in os.walk(path, onerror=unreadable):
            below[:] = sorted(name for name in below if recursive and not name.startswith("."))
            for name in sorted(names):
                file = os.path.join(folder, name)
                if Path(name).suffix.lower() in wanted and not name.startswith(".") and os.path.isfile(file):
                    found = True
                    yield file, Path(os.path.relpath(file, path))
        if not found:
            hint = "" if recursive else "; -r descends into its subfolders"
            raise click.UsageError(f"no {'/'.join(wanted) if len(wanted) == 1 else 'pictures'} in the folder {path}{hint}")


def read_input(path: str, max_pixels: int, check: Callable[[bytes], object] = len) -> bytes:
    """Return the bytes of a file or of standard input.

    ``check`` gets the first block before more is read, and raises an error if something is wrong with it. Raises LimitError
    for more bytes than a picture of ``max_pixels`` can need (an endless pipe), AecodecError where it cannot be read.
    """
    if path == STANDARD and sys.stdin is None:
        raise AecodecError("standard input is closed")
    limit = 8 * max_pixels + 2**26  # RGBA of 16 bits, and room for metadata
    blocks: list[bytes] = []
    size = 0
    try:
        with contextlib.nullcontext(sys.stdin.buffer) if path == STANDARD else open(path, "rb") as file:
            while block := file.read(BLOCK):
                if not blocks:
                    check(block)
                size += len(block)
                if size > limit:
                    raise LimitError(f"more than {limit} bytes", limit)
                blocks.append(block)
    except IsADirectoryError:
        raise AecodecError("is a directory; folders need --output-dir") from None
    except OSError as error:
        raise AecodecError(reason(error)) from None
    return b"".join(blocks)


def up_to_date(job: Job) -> bool:
    """Return whether the output is whole and newer than the last change of the input's content or name.

    Outputs appear whole or not at all, so one that is not empty is whole. If a file is replaced by an older one, its
    modification time goes back, but the time of its last change of status does not, so both count.
    """
    if STANDARD in (job.input, job.output):
        return False
    try:
        made, source = os.stat(job.output), os.stat(job.input)
    except OSError:
        return False
    changed = source.st_mtime_ns if os.name == "nt" else max(source.st_mtime_ns, source.st_ctime_ns)
    return made.st_size > 0 and made.st_mtime_ns > changed


def check_output(job: Job, force: bool) -> None:
    """Raise AecodecError where writing would replace the input, or a file without ``force``, or cannot work at all."""
    path = job.output
    if path == STANDARD:
        return
    target = Path(path)
    if os.path.isdir(target):  # target.is_dir() raises where a folder may not be searched
        raise AecodecError(f"{path} is a folder")
    if job.folder is None and not os.path.isdir(target.parent):
        raise AecodecError(f"there is no folder {target.parent}")
    if not os.path.exists(target):
        return
    if not os.path.isfile(target):
        raise AecodecError(f'{path} is a device or a pipe; "-" writes to standard output')
    if job.input != STANDARD and os.path.exists(job.input) and target.samefile(job.input):
        raise AecodecError(f"{path} is the input itself")
    if not force:
        raise AecodecError(f"{path} exists; --force replaces it")


def format_of(output: str, extension: str = PNG) -> str:
    """Return Pillow's name of the format that an output's extension stands for.

    ``extension`` is that of standard output. Raises AecodecError where Pillow cannot write the format.
    """
    from PIL import Image

    if output != STANDARD:
        extension = Path(output).suffix.lower()
    Image.preinit()  # the usual formats; all others take another 20 ms to load
    kind = Image.EXTENSION.get(extension) or Image.registered_extensions().get(extension)
    if kind in (None, "AEC") or kind not in Image.SAVE:
        raise AecodecError(f"cannot write pictures with the extension {extension!r}; use .png, .jpg, .webp or .tif")
    return kind


def write_output(job: Job, data: bytes) -> None:
    """Write a whole file or none: a temporary file in the same folder, then a rename.

    Raises AecodecError where it cannot be written.
    """
    if job.output == STANDARD:
        if sys.stdout is None:
            raise AecodecError("standard output is closed")
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    target = Path(job.output)
    temporary = None
    try:
        if job.folder is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".aecodec-", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):  # on a mount that has no permissions of its own
            Path(temporary).chmod(_mode_for(target))
        Path(temporary).replace(target)
        temporary = None
    except OSError as error:
        raise AecodecError(f"cannot write {job.output}: {reason(error)}") from None
    finally:
        if temporary is not None:
            Path(temporary).unlink()


def _mode_for(target: Path) -> int:
    """Return the permissions of the file that is replaced, or those of a new file."""
    if target.exists():
        return target.stat().st_mode & 0o777
    return 0o666 & ~_UMASK


def reason(error: OSError) -> str:
    """Return the system's message, as the end of a line."""
    return (error.strerror or str(error)).lower()


def share(value: float) -> float:
    """Return a share with four digits, rounded down: only the whole is 1."""
    return math.floor(value * 10000) / 10000


def printable(text: object) -> str:
    """Return a text on one line without control characters.

    Names and messages from elsewhere could move the cursor, or have characters that cannot be encoded.
    """
    return "".join(c if c.isprintable() else "?" for c in " ".join(str(text).split()))


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a standard stream, None where it is closed, is a terminal."""
    return stream is not None and stream.isatty()


def complain(path: str, message: object) -> None:
    """Print one line on standard error."""
    name = "standard input" if path == STANDARD else path
    click.echo("aecodec: " + printable(f"{name}: {message}"), err=True)
