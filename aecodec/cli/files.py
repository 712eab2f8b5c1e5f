"""Find, read, check and write the inputs and outputs of commands that work on files, on the local disk and in stores.

A name is a path or a URL. Commands do not know which: these functions do.
"""

from __future__ import annotations

import contextlib
import math
import os
import stat
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TextIO

import click

from aecodec.errors import AecodecError, LimitError, reason as reason
from aecodec.images import folders
from aecodec.stores import names

STANDARD = "-"
EXTENSION, PNG = ".aec", ".png"
FAILED, DAMAGED, INTERRUPTED = 1, 3, 130
_REPLACED = frozenset(
    {EXTENSION, ".cur", ".dds", ".dib", ".ico", ".icns", ".jpf", ".jpx", ".pcx", ".psd", ".sgi"}
    | folders.EXTENSIONS
    | folders.RAW_EXTENSIONS
)  # what an output's extension takes the place of
UMASK = os.umask(0o077)  # read before there are threads: to read it is to change it
os.umask(UMASK)
BLOCK = 2**20  # bytes read at a time, and at most before an input is looked at


@dataclass(frozen=True)
class Job:
    """One input and the place of its result; either may be "-" or a URL.

    ``folder`` is the --output-dir that OUT lies below.

    A job with a ``problem`` cannot be done and fails with it. One that is to be done ``again`` is never up to date, and
    replaces its output if that is ``new``: was not there when the run began. ``stamp`` is that of an input whose result is
    known.
    """

    input: str
    output: str
    folder: str | None = None
    problem: str = ""
    again: bool = False
    new: bool = False
    stamp: tuple[int, int] | None = None


class Jobs(list[Job]):
    """Jobs, and how many things of which kind were left out of the folders that they come from."""

    def __init__(self, jobs: Iterable[Job] = (), left_out: Mapping[str, int] | None = None) -> None:
        super().__init__(jobs)
        self.left_out = dict(left_out or {})


def jobs(
    paths: Sequence[str], output_dir: str | None, extension: str, wanted: Collection[str] = (), recursive: bool = False
) -> Jobs:
    """Return the jobs of IN OUT, or of any number of files and folders with an output folder; ``wanted`` as in ``expand``.

    An output has the name of its input with another extension, or with one more where two inputs would get the same name or
    the input's is not one of pictures. Raises click.UsageError for anything else, and where an output would replace an
    input; nothing has been written then. A missing output folder is made with the first file. Where the folder around it is
    missing, too, the process ends.
    """
    if output_dir is None:
        if len(paths) != 2 or recursive:
            raise click.UsageError("give one IN and one OUT, or any number of INs with --output-dir")
        return Jobs([Job(paths[0], paths[1])])
    if not paths:
        raise click.UsageError("nothing to do: give at least one IN")
    if STANDARD in paths:
        raise click.UsageError("standard input has no name to use in --output-dir")
    if problem := _no_place(output_dir):
        complain(output_dir, problem)
        sys.exit(FAILED)
    left_out: Counter[str] = Counter()
    found = list(expand(paths, wanted, recursive, left_out, output_dir))
    different = {each.path: _output(output_dir, each.below, extension) for each in found if not each.problem}
    times = Counter(map(_case, different.values()))
    result = Jobs(left_out=left_out)
    seen: dict[str, str] = {}
    for each in found:
        if each.problem:
            result.append(Job(each.path, "", output_dir, each.problem))
            continue
        output = different[each.path]
        if times[_case(output)] > 1:
            output = names.join(output_dir, each.below.parent, each.below.name + extension)
        first = seen.get(_case(output))
        problem = "" if first is None else f"would become {output}, as {first} does"
        seen.setdefault(_case(output), each.path)
        result.append(Job(each.path, output, output_dir, problem))
    inputs = {names.identity(job.input) for job in result}
    for output in (*different.values(), *(job.output for job in result if job.output)):
        if names.identity(output) in inputs:
            raise click.UsageError(printable(f"{output} would replace an input"))
    return result


def _case(name: str) -> str:
    """Return a name as its file system compares it."""
    return name if names.is_url(name) else os.path.normcase(name)


def _no_place(output_dir: str) -> str:
    """Return why nothing can be written into an output folder, "" where something may."""
    if names.is_url(output_dir):
        from aecodec.stores import remote

        try:
            remote.check_writable(output_dir)
        except AecodecError as error:
            return str(error)
        return "" if remote.has_bucket(output_dir) else "there is no such bucket"
    above = output_dir if os.path.lexists(output_dir) else Path(os.path.abspath(output_dir)).parent
    return "" if os.path.isdir(above) else f"there is no folder {above}"


def _output(output_dir: str, below: Path, extension: str) -> str:
    """Return the path of an output; only an extension of pictures is replaced, as in "scan.001" none is."""
    name = below.stem if below.suffix.lower() in _REPLACED else below.name
    return names.join(output_dir, below.parent, name + extension)


def expand(
    paths: Sequence[str],
    wanted: Collection[str],
    recursive: bool,
    left_out: Counter[str] | None = None,
    output_dir: str | None = None,
) -> Iterator[folders.Found]:
    """Yield files, and those of folders as ``folders.search`` finds them, without the folder that outputs go to.

    A store that cannot be read comes with its problem, too. Raises click.UsageError where the only folder gives nothing.
    """
    count: Counter[str] = Counter() if left_out is None else left_out
    for path in paths:
        if names.is_url(path):
            yield from _expand_url(path, wanted, recursive, count, output_dir, len(paths) == 1)
            continue
        if not os.path.isdir(path):
            yield folders.Found(path, Path(Path(path).name))
            continue
        empty = True
        for found in folders.search(path, wanted, recursive, count, output_dir):
            empty = False
            yield found
        if empty:
            yield _nothing_in(path, wanted, recursive, len(paths) == 1)


def _nothing_in(path: str, wanted: Collection[str], recursive: bool, alone: bool) -> folders.Found:
    """Return an empty folder with its problem. Raises click.UsageError where it is ``alone``."""
    hint = "" if recursive else "; -r descends into its subfolders"
    problem = f"no {'/'.join(wanted) if len(wanted) == 1 else 'pictures'} in the folder"
    if alone:
        raise click.UsageError(printable(f"{problem} {path}{hint}"))
    return folders.Found(path, Path(), problem + hint)


def _expand_url(
    url: str, wanted: Collection[str], recursive: bool, count: Counter[str], output_dir: str | None, alone: bool
) -> Iterator[folders.Found]:
    """Yield what ``expand`` yields of a URL."""
    from aecodec.stores import remote

    try:
        if not remote.is_folder(url):
            yield folders.Found(url, Path(names.base(url)))
            return
        found = remote.find(url, recursive)
        empty = True
        for below, file in found:
            path = Path(below)
            if any(part.startswith(".") for part in path.parts):
                count["hidden"] += 1
            elif output_dir is not None and names.is_url(output_dir) and file.startswith(output_dir.rstrip("/") + "/"):
                count["output"] += 1
            elif kind := folders.unwanted(path.name, wanted):
                count[kind] += 1
            else:
                empty = False
                yield folders.Found(file, path)
    except OSError as error:
        yield folders.Found(url, Path(), f"cannot read the folder: {reason(error)}")
        return
    if empty:
        yield _nothing_in(url, wanted, recursive, alone)


def with_new_outputs(tasks: Sequence[Job]) -> list[Job]:
    """Return jobs that say whether their outputs are new; folders in stores are listed once each.

    Raises OSError where a store cannot be asked.
    """
    there: dict[str, set[str]] = {}

    def is_new(job: Job) -> bool:
        if not names.is_url(job.output):
            return bool(job.output) and not os.path.lexists(job.output)
        from aecodec.stores import remote

        folder = job.folder or names.parent(job.output)
        if folder not in there:
            try:
                there[folder] = {file for _, file in remote.find(folder, job.folder is not None)}
            except FileNotFoundError:
                there[folder] = set()
        return job.output not in there[folder]

    return [replace(job, new=is_new(job)) for job in tasks]


def absolute(job: Job) -> Job:
    """Return a job whose paths do not depend on the working folder."""

    def path_of(name: str) -> str:
        return os.path.abspath(name) if name and not names.is_url(name) else name

    folder = job.folder and path_of(job.folder)
    return replace(job, input=path_of(job.input), output=path_of(job.output), folder=folder)


def is_folder(name: str) -> bool:
    """Return whether a name is that of a folder."""
    if names.is_url(name):
        from aecodec.stores import remote

        return remote.is_folder(name)
    return os.path.isdir(name)


def below(name: str, folder: str) -> PurePath:
    """Return the path of an output below its --output-dir."""
    return PurePath(names.relative(name, folder)) if names.is_url(folder) else Path(name).relative_to(folder)


def read_input(path: str, max_pixels: int, check: Callable[[bytes], object] | None = None) -> bytes:
    """Return the bytes of a file, of standard input or of a URL.

    ``check`` gets the first block before more is read, and raises an error if something is wrong with it. Raises LimitError
    for more bytes than a picture of ``max_pixels`` can need (an endless pipe), AecodecError where it cannot be read.
    """
    if path == STANDARD and sys.stdin is None:
        raise AecodecError("is closed")
    limit = 8 * max_pixels + 2**26  # RGBA of 16 bits, and room for metadata
    blocks: list[bytes] = []
    size = 0
    try:
        if names.is_url(path):
            from aecodec.stores import remote

            return remote.read(path, limit, check)
        with contextlib.nullcontext(sys.stdin.buffer) if path == STANDARD else open(path, "rb") as file:
            while block := file.read(BLOCK):
                if not blocks and check is not None:
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
    if job.again or STANDARD in (job.input, job.output):
        return False
    if names.is_url(job.input) or names.is_url(job.output):
        return _up_to_date_in_store(job)
    try:
        made, source = os.stat(job.output), os.stat(job.input)
    except OSError:
        return False
    modified, status = source.st_mtime_ns, 0 if os.name == "nt" else source.st_ctime_ns
    if made.st_size > 0 and made.st_mtime_ns == modified and made.st_ctime_ns > status > 0:
        return True  # it got the times of its input
    if modified > time.time_ns():
        warnings.warn("its time of modification lies in the future and is not trusted", stacklevel=2)
        modified = 0
    return made.st_size > 0 and made.st_mtime_ns > max(modified, status)


def _up_to_date_in_store(job: Job) -> bool:
    """Return what ``up_to_date`` does where a store keeps IN or OUT. A store that tells no time has nothing up to date."""
    try:
        (size, made), (_, changed) = _size_and_change(job.output), _size_and_change(job.input)
    except FileNotFoundError:
        return False
    if changed > time.time_ns():
        warnings.warn("its time of modification lies in the future and is not trusted", stacklevel=3)
        changed = 1
    return bool(size) and bool(changed) and made > changed


def _size_and_change(name: str) -> tuple[int | None, int]:
    if names.is_url(name):
        from aecodec.stores import remote

        found = remote.stat(name)
        return found.size, found.changed_ns
    own = os.stat(name)
    return own.st_size, max(own.st_mtime_ns, 0 if os.name == "nt" else own.st_ctime_ns)


def stamp_of(name: str) -> tuple[int, int]:
    """Return size and time of modification in nanoseconds of a file, in a store its size and a number made of its ETag.

    A file with another stamp has changed. Raises OSError where there is none.
    """
    if names.is_url(name):
        from aecodec.stores import remote

        found = remote.stat(name)
        return found.size or 0, found.version
    own = os.stat(name)
    return own.st_size, own.st_mtime_ns


def check_output(job: Job, force: bool) -> None:
    """Raise AecodecError where writing would replace the input, or a file without ``force``, or cannot work at all."""
    path = job.output
    if path == STANDARD:
        return
    if names.is_url(path):
        _check_url(job, force)
        return
    target = Path(path)
    if os.path.isdir(target):  # target.is_dir() raises where a folder may not be searched
        raise AecodecError(f"{path} is a folder")
    if job.folder is None and not os.path.isdir(target.parent):
        raise AecodecError(f"there is no folder {target.parent}")
    if os.path.abspath(path).startswith(("/dev/", "/proc/")):  # also where they lead to a file, as /dev/stdout may
        raise AecodecError(f'{path} is a device or a pipe; "-" writes to standard output')
    if not os.path.exists(target):
        return
    if not os.path.isfile(target):
        raise AecodecError(f'{path} is a device or a pipe; "-" writes to standard output')
    if job.input != STANDARD and os.path.exists(job.input) and target.samefile(job.input):
        raise AecodecError(f"{path} is the input itself")
    if not force and not (job.again and job.new):
        raise AecodecError(f"{path} exists; --force replaces it")


def _check_url(job: Job, force: bool) -> None:
    from aecodec.stores import remote

    remote.check_writable(job.output)
    try:
        found = remote.stat(job.output)
    except FileNotFoundError:
        return
    except OSError as error:
        raise AecodecError(f"cannot write {job.output}: {reason(error)}") from None
    if found.is_folder:
        raise AecodecError(f"{job.output} is a folder")
    if job.input == job.output:
        raise AecodecError(f"{job.output} is the input itself")
    if not force and not (job.again and job.new):
        raise AecodecError(f"{job.output} exists; --force replaces it")


def format_of(output: str, extension: str = PNG) -> str:
    """Return Pillow's name of the format that an output's extension stands for.

    ``extension`` is that of standard output. Raises AecodecError where Pillow cannot write the format.
    """
    from PIL import Image

    if output != STANDARD:
        extension = names.suffix(output)
    Image.preinit()  # the usual formats; all others take another 20 ms to load
    kind = Image.EXTENSION.get(extension) or Image.registered_extensions().get(extension)
    if kind in (None, "AEC") or kind not in Image.SAVE:
        raise AecodecError(f"cannot write pictures with the extension {extension!r}; use .png, .jpg, .webp or .tif")
    return kind


def status(job: Job) -> os.stat_result | None:
    """Return the permissions and times of an input, before it is read; None where there are none, with a warning."""
    if job.input == STANDARD:
        warnings.warn("standard input has no times and permissions to preserve", stacklevel=2)
        return None
    if names.is_url(job.input) or names.is_url(job.output):
        warnings.warn("a store keeps no times and permissions that could be preserved", stacklevel=2)
        return None
    try:
        return os.stat(job.input)
    except OSError as error:
        raise AecodecError(reason(error)) from None


def write_output(
    job: Job, data: bytes, *, like: os.stat_result | None = None, check: Callable[[bytes], object] | None = None
) -> None:
    """Write a whole file or none: a temporary file in the same folder, then a rename; ``remote.write`` in a store.

    It gets the permissions and times ``like`` says. ``check`` gets what was written, read back, before any file is replaced
    by it. Raises AecodecError where it cannot be written, and what ``check`` raises.
    """
    if job.output == STANDARD:
        if check is not None:
            check(data)
        if sys.stdout is None:
            raise AecodecError("standard output is closed")
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    if names.is_url(job.output):
        from aecodec.stores import remote

        try:
            remote.write(job.output, data, check)
        except OSError as error:
            raise AecodecError(f"cannot write {job.output}: {reason(error)}") from None
        return
    target = Path(job.output)
    temporary = None
    try:
        if job.folder is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink():  # what it leads to is written, not the link
            target = target.resolve()
        handle, temporary = tempfile.mkstemp(prefix=".aecodec-", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if check is not None:
            check(Path(temporary).read_bytes())
        with contextlib.suppress(OSError):  # on a mount that has no permissions of its own
            Path(temporary).chmod(_mode_for(target) if like is None else stat.S_IMODE(like.st_mode) & 0o777)
        if like is not None:
            os.utime(temporary, ns=(like.st_atime_ns, like.st_mtime_ns))
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
    return 0o666 & ~UMASK


def share(value: float) -> float:
    """Return a share with four digits, rounded down: only the whole is 1."""
    return math.floor(value * 10000) / 10000


def printable(text: object) -> str:
    """Return a text on one line without control characters.

    Names and messages from elsewhere could move the cursor, or have characters that cannot be encoded. URLs lose their
    secrets.
    """
    return "".join(c if c.isprintable() else "?" for c in " ".join(names.masked(str(text)).split()))


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a standard stream, None where it is closed, is a terminal."""
    return stream is not None and stream.isatty()


def complain(path: str, message: object) -> None:
    """Print one line on standard error."""
    name = "standard input" if path == STANDARD else names.shown(path)
    click.echo("aecodec: " + printable(f"{name}: {message}"), err=True)
