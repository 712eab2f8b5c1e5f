"""Describe many pictures, with a journal beside the output: what ``features``, ``similar`` and ``map`` share."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from aecodec.cli import batch, files, plan, shell
from aecodec.cli.advice import explain
from aecodec.errors import AecodecError, reason
from aecodec.images import folders
from aecodec.stores import names

if TYPE_CHECKING:
    from aecodec.autoencoders import Autoencoder
    from aecodec.retrieval.index import Index
    from aecodec.retrieval.journal import Journal, Stamp
    from aecodec.retrieval.vectors import Description, Space

WANTED = folders.EXTENSIONS | {plan.EXTENSION}
PART = ".part"  # after the name of an output: its journal
MOST = 2**36  # bytes of an index in a store


@dataclass(frozen=True)
class Settings:
    """What describing many pictures needs: see the options of the same names."""

    device: str
    threads: int | None
    max_pixels: int
    as_json: bool
    thumbnail: int = 0
    executor: str = batch.PROCESSES
    model: str | None = None  # the folder of an autoencoder, whose codes are the vectors


def check_output(output: str, force: bool) -> None:
    """End the process where an output cannot be written, or would replace a file without ``force``."""
    if output == shell.STANDARD:
        raise click.UsageError("the output needs the name of a file")
    try:
        files.check_output(plan.Job("", output), force)
    except AecodecError as error:
        fail(output, error)


def fail(path: str, message: object) -> NoReturn:
    """Print one line on standard error and end the process."""
    shell.complain(path, message)
    sys.exit(shell.FAILED)


@contextlib.contextmanager
def journal_of(output: str, space: Space | None = None) -> Iterator[Journal]:
    """Open the journal beside an output, for vectors of a space; None is that of the codec."""
    from aecodec.retrieval.journal import Journal

    try:
        journal = Journal(_part_of(output), space)
    except OSError as error:
        fail(_part_of(output), f"cannot write: {reason(error)}")
    with journal:
        yield journal


def _part_of(output: str) -> str:
    """Return the path of an output's journal. That of a URL lies in the cache: nothing can be appended to in a store."""
    if not names.is_url(output):
        return output + PART
    from aecodec.runtime.graph_cache import folder

    place = (folder() or Path(tempfile.gettempdir()) / "aecodec") / "journals"
    place.mkdir(parents=True, exist_ok=True)
    return str(place / f"{hashlib.sha256(output.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}{PART}")


def describe_all(
    found: Sequence[folders.Found],
    journal: Journal,
    settings: Settings,
    *,
    known: Mapping[str, Stamp] | None = None,
    name_of: Callable[[str], str] = names.shown,
    left_out: Mapping[str, int] | None = None,
) -> int:
    """Add a row to the journal for each file that neither it nor ``known`` has unchanged, and return the exit code.

    ``name_of`` turns a path into that of the row.
    """
    from aecodec.retrieval.journal import Row

    stamps = {**(known or {}), **journal.stamps()}
    jobs = (plan.Job(each.path, "", problem=each.problem, stamp=stamps.get(name_of(each.path))) for each in found)
    tasks = plan.Jobs(jobs, left_out)
    work = functools.partial(_work, settings=settings)

    def keep(job: plan.Job, done: batch.Done) -> None:
        if done.record is not None:
            journal.add(Row.of(name_of(job.input), **done.record))

    show = json.dumps if settings.as_json else None
    try:
        batch.run(
            tasks, work, show=show, verb="described", threads=settings.threads, device=settings.device, tell=keep,
            executor=settings.executor,
        )  # fmt: skip
    except SystemExit as end:
        if end.code not in (shell.FAILED, shell.DAMAGED):
            raise  # interrupted: the journal stays
        return int(end.code)
    return 0


def _work(job: plan.Job, settings: Settings) -> batch.Done:
    try:
        stamp = files.stamp_of(job.input)
    except OSError as error:
        raise AecodecError(reason(error)) from None
    if job.stamp == stamp:
        return batch.SKIPPED
    data = files.read_input(job.input, settings.max_pixels)
    found = _describe(data, settings)
    report = {
        "width": found.width, "height": found.height, "quality": found.quality,
        "from": "latents" if found.from_latents else "pixels",
    }  # fmt: skip
    return batch.Done(report, len(data), record={"stamp": stamp, "found": found})


def _describe(data: bytes, settings: Settings) -> Description:
    """Return the description of a picture, with the codec's vector or an autoencoder's code."""
    if settings.model is None:
        from aecodec.retrieval.vectors import describe

        return describe(data, device=settings.device, max_pixels=settings.max_pixels, thumbnail=settings.thumbnail)
    from aecodec.autoencoders.description import describe as describe_by_code

    opened = _model_of(settings.model, settings.device)
    return describe_by_code(opened, data, settings.max_pixels, settings.thumbnail)


def _model_of(folder: str, device: str) -> Autoencoder:
    """Return the model in a folder; a worker of a cluster lives on while the model is fitted again."""
    files_in_it = sorted((each.name, each.stat().st_size, each.stat().st_mtime_ns) for each in os.scandir(folder))
    return _open_model(folder, device, tuple(files_in_it))


@functools.lru_cache(maxsize=1)
def _open_model(folder: str, device: str, stamp: tuple[object, ...]) -> Autoencoder:
    from aecodec.autoencoders import load

    return load(folder, device)


def space_of(model: str | None, device: str) -> Space | None:
    """Return the space of a model's codes, None without a model. The process ends where it cannot be opened."""
    if model is None:
        return None
    try:
        from aecodec.autoencoders import description

        return description.space(_model_of(model, device))
    except AecodecError as error:
        fail(model, error)


def current_places(journal: Journal, paths: Sequence[str]) -> list[int]:
    """Return the places in the journal of the rows of those files that are still as the row says, once each."""
    places = journal.places()
    result = {}
    for path in paths:
        place, stamp = places.get(names.shown(path), (0, None))
        with contextlib.suppress(OSError):
            if stamp is not None and files.stamp_of(path) == stamp:
                result[place] = True
    return list(result)


def replace(output: str, write: Callable[[Path], object]) -> None:
    """Let ``write`` write a file, and put it in the place of the output: all of it or nothing."""
    folder = None if names.is_url(output) else Path(output).parent
    handle, name = tempfile.mkstemp(prefix=".aecodec-", suffix=names.suffix(output), dir=folder)
    temporary = Path(name)
    try:
        os.close(handle)
        write(temporary)
        if names.is_url(output):
            from aecodec.stores import remote

            remote.write(output, temporary.read_bytes())
            return
        temporary.chmod(0o666 & ~files.UMASK)
        temporary.replace(Path(output).resolve() if Path(output).is_symlink() else output)
    except OSError as error:
        fail(output, f"cannot write: {reason(error)}")
    finally:
        temporary.unlink(missing_ok=True)


def relative_to(folder: str, path: str) -> str:
    """Return a name from a folder."""
    return names.relative(path, folder)


def open_index(path: str, advice: str = "") -> Index:
    """Return the index at a path or URL, or end the process; ``advice`` follows the reason why it cannot be used."""
    from aecodec.retrieval import index

    try:
        if names.is_url(path):
            from aecodec.stores import remote

            return index.parse(remote.read(path, MOST), names.parent(path))
        return index.read(Path(path))
    except OSError as error:
        fail(path, reason(error))
    except AecodecError as error:
        fail(path, explain(error) + advice)
