"""Find the pictures of folders on the local disk, by the extensions of their names.

All that takes folders of pictures follows one rule. The case of an extension does not count. Hidden files, hidden folders
and links to folders are left out; a link to a file stands for the file. The files of a folder come before those of its
subfolders, both sorted by name.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from aecodec.errors import AecodecError, reason

EXTENSIONS = frozenset(
    f".{name}"
    for name in (
        *("apng", "avif", "bmp", "gif", "heic", "heif", "j2k", "jfif", "jp2", "jpe", "jpeg", "jpg", "jxl"),
        *("pbm", "pgm", "png", "pnm", "ppm", "tga", "tif", "tiff", "webp"),
    )
)
RAW_EXTENSIONS = frozenset(
    f".{name}"
    for name in (
        *("3fr", "ari", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "fff", "iiq", "kdc", "mef", "mos", "mrw", "nef"),
        *("nrw", "orf", "pef", "raf", "raw", "rw2", "rwl", "sr2", "srf", "srw", "x3f"),
    )
)


@dataclass(frozen=True)
class Found:
    """A file, and its path below the folder that was searched; or a folder with a ``problem``."""

    path: str
    below: Path
    problem: str = ""


def unwanted(name: str, wanted: Collection[str]) -> str:
    """Return the kind of a file that its folder does not stand for, "" for those with an extension that is ``wanted``."""
    suffix = Path(name).suffix.lower()
    if name.startswith("."):
        return "hidden"
    if suffix in wanted:
        return ""
    return "raw file" if suffix in RAW_EXTENSIONS and len(wanted) > 1 else "other file"


def search(
    root: str,
    wanted: Collection[str],
    recursive: bool,
    left_out: Counter[str] | None = None,
    without: str | None = None,
) -> Iterator[Found]:
    """Yield the files of a folder with the extensions ``wanted``, and with ``recursive`` those of the folders in it.

    What is left out is counted by kind in ``left_out``; so is the folder ``without``. Folders that cannot be read come
    last, with their problem.
    """
    count: Counter[str] = Counter() if left_out is None else left_out
    errors: list[OSError] = []
    for folder, below, within in os.walk(root, onerror=errors.append):
        count["hidden"] += sum(name.startswith(".") for name in below) if recursive else 0
        count["link"] += sum(Path(folder, name).is_symlink() for name in below) if recursive else 0
        below[:] = sorted(name for name in below if recursive and not name.startswith("."))
        if outputs := [name for name in below if _is_same(os.path.join(folder, name), without)]:
            count["output folder"] += 1
            below.remove(outputs[0])
        for name in sorted(within):
            file = os.path.join(folder, name)
            if kind := unwanted(name, wanted) or ("" if os.path.isfile(file) else "link"):
                count[kind] += 1
                continue
            yield Found(file, Path(os.path.relpath(file, root)))
    for error in errors:
        yield Found(str(error.filename), Path(), f"cannot read the folder: {reason(error)}")


def paths(root: Path, wanted: Collection[str], recursive: bool) -> list[Path]:
    """Return the files that ``search`` finds. Raises AecodecError where a folder cannot be read."""
    found = list(search(str(root), wanted, recursive))
    for each in found:
        if each.problem:
            raise AecodecError(f"{each.path}: {each.problem}")
    return [Path(each.path) for each in found]


def _is_same(path: str, other: str | None) -> bool:
    try:
        return other is not None and Path(path).samefile(other)
    except OSError:  # the other is not there yet
        return False
