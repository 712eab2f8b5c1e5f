"""Plan what a command works on: the inputs that its arguments stand for, and the place of each output.

A name is a path or a URL, and an argument may be a folder on the local disk or in a store.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import click

from aecodec.cli.shell import FAILED, STANDARD, complain, printable
from aecodec.errors import AecodecError, reason
from aecodec.images import folders
from aecodec.stores import names

EXTENSION, PNG = ".aec", ".png"
_REPLACED = frozenset(
    {EXTENSION, ".cur", ".dds", ".dib", ".ico", ".icns", ".jpf", ".jpx", ".pcx", ".psd", ".sgi"}
    | folders.EXTENSIONS
    | folders.RAW_EXTENSIONS
)  # what an output's extension takes the place of


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
