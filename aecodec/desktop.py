"""Make .aec known to the desktop of a user: its media type, the program ``file``, and thumbnails (freedesktop.org).

Everything lies in the user's own folders: ``$XDG_DATA_HOME`` and ``~/.magic``. Plugins of other programs
(``libaec/plugins``) find weights there by their id.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import aecodec.runtime
from aecodec.container.bitstream import MAGIC
from aecodec.weights import cards

MEDIA_TYPE = "image/x-aec"
BEGIN, END = "# aecodec: begin\n", "# aecodec: end\n"
TIMEOUT = 60  # seconds for a program of the desktop


@dataclass(frozen=True)
class Step:
    """Something that was done, or failed with a ``problem``."""

    done: str
    problem: str = ""


def media_type() -> str:
    """Return the definition of the media type, as shared-mime-info reads it."""
    octal = "".join(f"\\{byte:03o}" for byte in MAGIC)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<mime-info xmlns="http://www.freedesktop.org/standards/shared-mime-info">
  <mime-type type="{MEDIA_TYPE}">
    <comment>aecodec picture</comment>
    <generic-icon name="image-x-generic"/>
    <magic priority="80"><match type="string" offset="0" value="{octal}"/></magic>
    <glob pattern="*.aec"/>
  </mime-type>
</mime-info>
"""


def magic() -> str:
    """Return the entry for ``file``, between lines by which it is found again."""
    octal = "".join(f"\\{byte:03o}" for byte in MAGIC)
    return f"{BEGIN}0\tstring\t{octal}\taecodec picture\n!:mime\t{MEDIA_TYPE}\n>7\tbyte\tx\t\\b, version %d\n{END}"


def thumbnailer() -> str:
    """Return the entry of the thumbnailer, which runs this installation.

    That is the program in C where it was built: file managers start a process for each picture.
    """
    program = Path(aecodec.runtime.__file__).with_name("aecthumb")
    if os.access(program, os.X_OK):
        weights = [f'-w "{identity}={tensors}"' for identity, tensors in _installed()]
        command = f'"{program}" {" ".join(weights)} %s %i %o'
    else:
        script = Path(sys.executable).with_name("aecodec")
        python = f'"{script}"' if script.is_file() else f'"{sys.executable}" -m aecodec'
        command = f"{python} desktop thumbnail --size %s %i %o"
    return f"[Thumbnailer Entry]\nExec={command}\nMimeType={MEDIA_TYPE};\n"


def data_home() -> Path:
    """Return the folder of a user's data."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")


def install() -> Iterator[Step]:
    """Write all entries, and yield each step. One that fails does not keep the others from being done."""
    for path, text in _files().items():
        yield _attempt(f"wrote {path}", functools.partial(_write, path, text))
    for path, tensors in _links().items():
        yield _attempt(f"linked {path}", functools.partial(_link, path, tensors))
    yield _attempt(f"wrote {_magic_file()}", lambda: _write_magic(magic()))
    yield _update()


def uninstall() -> Iterator[Step]:
    """Remove what ``install`` wrote, and yield each step."""
    folder = _weights_folder()
    for path in [*_files(), *sorted(path for path in folder.glob("*.safetensors") if path.is_symlink())]:
        yield _attempt(f"removed {path}", functools.partial(path.unlink, missing_ok=True))
    for path in (folder, folder.parent):
        with contextlib.suppress(OSError):  # somebody has put something there
            path.rmdir()
    yield _attempt(f"removed the entry in {_magic_file()}", lambda: _write_magic(""))
    yield _update()


def _files() -> dict[Path, str]:
    return {
        data_home() / "mime" / "packages" / "aecodec.xml": media_type(),
        data_home() / "thumbnailers" / "aecodec.thumbnailer": thumbnailer(),
    }


def _weights_folder() -> Path:
    """Return where plugins look for weights by their id."""
    return data_home() / "aecodec" / "weights"


def _links() -> dict[Path, Path]:
    """Return the links to installed weights, and where they lead."""
    return {_weights_folder() / f"{identity}.safetensors": tensors for identity, tensors in _installed()}


def _installed() -> Iterator[tuple[str, Path]]:
    """Yield the id and the file of all installed weights."""
    for name in cards.names():
        folder = cards.folder_of(name)
        yield cards.read_card(folder)["sha256"][:8], folder / cards.TENSORS


def _link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _magic_file() -> Path:
    """Return the file of ``file``: ``~/.magic``, or one in it where it is a folder."""
    path = Path.home() / ".magic"
    return path / "aecodec" if path.is_dir() else path


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _write_magic(entry: str) -> None:
    """Put the entry in place of an earlier one, and keep what a user wrote besides."""
    path = _magic_file()
    text = path.read_bytes().decode("utf-8", "surrogateescape") if path.is_file() else ""
    before, begin, rest = text.partition(BEGIN)
    kept = before + (rest.partition(END)[2] if begin else "")
    if kept and not kept.endswith("\n"):
        kept += "\n"
    if kept + entry:
        path.write_bytes((kept + entry).encode("utf-8", "surrogateescape"))
    else:
        path.unlink(missing_ok=True)


def _update() -> Step:
    program, folder = "update-mime-database", data_home() / "mime"
    if not shutil.which(program):
        return Step(program, "there is no such program (Debian: shared-mime-info); the desktop does not know the type")
    if not folder.is_dir():
        return Step(program, f"there is no folder {folder}")
    return _attempt(
        f"ran {program} {folder}",
        lambda: subprocess.run([program, str(folder)], check=True, capture_output=True, timeout=TIMEOUT),
    )


def _attempt(done: str, work: Callable[[], object]) -> Step:
    try:
        work()
    except subprocess.CalledProcessError as error:
        return Step(done, error.stderr.decode(errors="replace").strip() or f"exit code {error.returncode}")
    except (OSError, subprocess.SubprocessError) as error:
        return Step(done, str(error))
    return Step(done)
