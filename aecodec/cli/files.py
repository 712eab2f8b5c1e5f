"""Read, check and write the inputs and outputs of commands, on the local disk and in stores.

A name is a path or a URL. Commands do not know which: these functions do.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from aecodec.cli.plan import PNG, Job
from aecodec.cli.shell import STANDARD
from aecodec.errors import AecodecError, LimitError, reason
from aecodec.stores import names

UMASK = os.umask(0o077)  # read before there are threads: to read it is to change it
os.umask(UMASK)
BLOCK = 2**20  # bytes read at a time, and at most before an input is looked at


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
