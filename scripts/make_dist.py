"""``make dist``: build sdist and wheel into dist/, check what is in them, and try the wheel in a clean environment.

Nothing is uploaded. The sdist must hold every file of the repository, the wheel the package and nothing else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
DIST = CHECKOUT / "dist"
NOT_IN_SDIST = (".ci/", ".git", ".pre-commit")  # files that begin so serve the repository alone
MADE_FOR_SDIST = ("PKG-INFO", "setup.cfg", "aecodec.egg-info/")


def run(*arguments: str | Path, **options) -> str:
    """Run a program, show what is run, and return what it prints; end where it fails."""
    print("$", *arguments, flush=True)
    return subprocess.run(arguments, check=True, text=True, **options).stdout


def python_of(folder: Path) -> Path:
    """Make a virtual environment and return its Python."""
    venv.create(folder, with_pip=True)
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def compare(what: Path, found: Iterable[str], wanted: Iterable[str]) -> None:
    """End with what is missing in a file and what should not be there."""
    found, wanted = set(found), set(wanted)
    faults = [f"{name} is missing" for name in sorted(wanted - found)]
    faults += [f"{name} does not belong there" for name in sorted(found - wanted)]
    if faults:
        sys.exit("\n".join(f"{what.name}: {fault}" for fault in faults))
    print(f"{what.name}: {what.stat().st_size / 1e6:.1f} MB, {len(found)} files, all of them wanted")


def check_sdist(path: Path, tracked: Sequence[str]) -> None:
    """Compare with the files of the repository."""
    with tarfile.open(path) as archive:
        names = [member.name.partition("/")[2] for member in archive if member.isfile()]
    wanted = [name for name in tracked if not name.startswith(NOT_IN_SDIST)]
    compare(path, (name for name in names if not name.startswith(MADE_FOR_SDIST)), wanted)


def check_wheel(path: Path, tracked: Sequence[str]) -> None:
    """Compare with the package's files; compiled modules stand there in place of their sources."""
    names = [name for name in zipfile.ZipFile(path).namelist() if ".dist-info/" not in name]
    wanted = [name for name in tracked if name.startswith("aecodec/") and not name.endswith((".c", ".h"))]
    for module in (name[:-1] for name in tracked if name.startswith("aecodec/") and name.endswith(".c")):  # with the dot
        built = [name for name in names if name.startswith(module) and name.endswith((".so", ".pyd"))]
        wanted += built[:1] or [f"{module}so"]
    if os.name == "posix":
        wanted.append("aecodec/runtime/aecthumb")
    compare(path, names, wanted)
    if sys.version_info >= (3, 11) and "-cp311-abi3-" not in path.name:
        sys.exit(f"{path.name} is for one version of Python")


def main() -> None:
    tracked = run("git", "-C", CHECKOUT, "ls-files", stdout=subprocess.PIPE).splitlines()
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        builder, clean = python_of(Path(folder, "builder")), python_of(Path(folder, "clean"))
        run(builder, "-m", "pip", "install", "--quiet", "build")
        run(builder, "-m", "build", "--outdir", DIST, CHECKOUT, stdout=subprocess.DEVNULL)  # the wheel from the sdist
        (sdist,), (wheel,) = DIST.glob("*.tar.gz"), DIST.glob("*.whl")
        check_sdist(sdist, tracked)
        check_wheel(wheel, tracked)
        run(clean, "-m", "pip", "install", "--quiet", wheel)
        run(clean, "-I", CHECKOUT / "scripts" / "smoke.py", CHECKOUT / "samples" / "astronaut.png")


if __name__ == "__main__":
    main()
