"""Define ``aecodec similar``: an index over folders, and what can be asked of it."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from aecodec.cli import batch, files, options, plan, shell, vectors
from aecodec.cli.output import csv_text, pictures
from aecodec.errors import reason
from aecodec.stores import names

if TYPE_CHECKING:
    from aecodec.retrieval.index import Index, Match
    from aecodec.retrieval.journal import Journal, Row

THRESHOLD = 0.8

as_csv = click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
index_argument = click.argument("index_file", metavar="INDEX", type=options.file_names)


@click.group()
def similar() -> None:
    """Find similar pictures and duplicates through an index of their vectors.

    \b
    aecodec similar index -r photos -o photos.index
    aecodec similar query photos.index photo.jpg -n 10
    aecodec similar duplicates photos.index
    """


@similar.command()
@click.argument("paths", metavar="IN...", nargs=-1, required=True, type=options.file_names)
@click.option("-o", "--output", metavar="INDEX", required=True, type=options.file_names, help="The index.")
@options.recursive
@options.device
@options.threads
@options.executor
@options.max_pixels
@options.as_json
def index(
    paths: tuple[str, ...],
    output: str,
    recursive: bool,
    device: str,
    threads: int | None,
    executor: str,
    max_pixels: int,
    as_json: bool,
) -> None:
    """Make an index of pictures and .aec files, or bring an existing one up to date.

    \b
    aecodec similar index -r photos -o photos.index

    A folder stands for the .aec files and pictures in it. Pictures that have not changed are not read again. Pictures that
    are no longer there, or are not among IN, leave the index. The index is replaced when it is complete. After an
    interruption the same command goes on where it stopped. The index holds paths from its own folder, so both can be moved
    together.
    """
    known: Index | None = None
    if _exists(output):
        known = vectors.open_index(output, "; remove it, or name another --output")
    else:
        vectors.check_output(output, force=False)
    from aecodec.retrieval.index import Index

    folder = names.parent(output)
    name_of = functools.partial(vectors.relative_to, folder)
    left_out: Counter[str] = Counter()
    found = [each for each in plan.expand(paths, vectors.WANTED, recursive, left_out) if not _is(each.path, output)]
    settings = vectors.Settings(device, threads, max_pixels, as_json, executor=executor)
    with vectors.journal_of(output) as journal:
        stamps = {} if known is None else known.known()
        code = vectors.describe_all(found, journal, settings, known=stamps, name_of=name_of, left_out=left_out)
        rows = _current_rows(journal, known, {name_of(each.path): each.path for each in found})
        made = Index.build(folder, rows)
        vectors.replace(output, lambda path: path.write_bytes(made.to_bytes()))
        journal.remove()
    if not as_json:
        click.echo(f"aecodec: {pictures(len(made.paths))} in {shell.printable(output)}", err=True)
    sys.exit(code)


def _is(path: str, other: str) -> bool:
    return names.identity(path) == names.identity(other)


def _exists(output: str) -> bool:
    if not names.is_url(output):
        return os.path.lexists(output)
    try:
        files.stamp_of(output)
    except FileNotFoundError:
        return False
    except OSError as error:
        vectors.fail(output, reason(error))
    return True


def _current_rows(journal: Journal, known: Index | None, paths: Mapping[str, str]) -> Iterator[Row]:
    """Yield the rows of those files that are still as their row says, from the journal or the index that was there.

    ``paths`` are those of the files, by the names of the rows.
    """
    places = journal.places()
    numbers = {} if known is None else {path: number for number, path in enumerate(known.paths)}
    for name in sorted(paths):
        with contextlib.suppress(OSError):
            stamp = files.stamp_of(paths[name])
            if name in places and places[name][1] == stamp:
                yield from journal.rows([places[name][0]])
            elif known is not None and name in numbers and known.row(numbers[name]).stamp == stamp:
                yield known.row(numbers[name])


@similar.command()
@index_argument
@click.argument("paths", metavar="PICTURE...", nargs=-1, required=True, type=options.file_names)
@click.option(
    "-n", "--count", type=click.IntRange(min=1), default=10, show_default=True, help="Number of pictures to show."
)
@options.device
@options.max_pixels
@options.as_json
@as_csv
def query(
    index_file: str, paths: tuple[str, ...], count: int, device: str, max_pixels: int, as_json: bool, as_csv: bool
) -> None:
    """Show the pictures of an index that are most like given ones.

    \b
    aecodec similar query photos.index photo.jpg -n 10

    Each line has the similarity, 1 for equal vectors, and the path. PICTURE may be "-" for standard input.
    """
    opened = vectors.open_index(index_file)
    tasks = [plan.Job(path, "") for path in paths]
    work = functools.partial(_query, index=opened, count=count, device=device, max_pixels=max_pixels)
    show: Callable[[batch.Report], str] = json.dumps if as_json else _query_rows if as_csv else _query_lines
    if show is _query_rows:
        click.echo(csv_text([("query", "path", "similarity")]), nl=False)
    batch.run(tasks, work, show=show)


def _query(job: plan.Job, index: Index, count: int, device: str, max_pixels: int) -> batch.Done:
    from aecodec.retrieval.vectors import describe

    found = describe(files.read_input(job.input, max_pixels), device=device, max_pixels=max_pixels)
    return batch.Done({"matches": [_fields(match) for match in index.query(found.vector, count)]})


def _fields(match: Match) -> dict[str, Any]:
    return {"path": match.path, "similarity": round(match.similarity, 4)}


def _query_lines(report: batch.Report) -> str:
    return "\n".join(f"{each['similarity']:.4f}  {shell.printable(each['path'])}" for each in report["matches"])


def _query_rows(report: batch.Report) -> str:
    rows = [(report["input"], each["path"], each["similarity"]) for each in report["matches"]]
    return csv_text(rows).removesuffix("\n")


@similar.command()
@index_argument
@click.option(
    "--threshold",
    type=options.Finite(0, 1),
    default=THRESHOLD,
    show_default=True,
    help="Similarity from which two pictures are copies of each other.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array per group.")
@as_csv
def duplicates(index_file: str, threshold: float, as_json: bool, as_csv: bool) -> None:
    """Show groups of pictures that are copies of each other.

    \b
    aecodec similar duplicates photos.index
    aecodec similar duplicates photos.index --threshold 0.9 --csv > duplicates.csv

    Found are crops of a few percent, rescaled, recompressed and recoloured copies, and copies that are turned by their EXIF
    alone. docs/features.md says how many of each kind. A group is what pairs at the threshold connect. Each line has the
    similarity to the nearest other picture of the group, and the path. The files are not touched.
    """
    groups = vectors.open_index(index_file).duplicates(threshold)
    if as_csv:
        rows = [
            (number, match.path, round(match.similarity, 4)) for number, group in enumerate(groups, 1) for match in group
        ]
        click.echo(csv_text([("group", "path", "similarity"), *rows]), nl=False)
    elif as_json:
        for group in groups:
            click.echo(json.dumps([_fields(match) for match in group]))
    else:
        lines = ("\n".join(f"{each.similarity:.4f}  {shell.printable(each.path)}" for each in group) for group in groups)
        click.echo("\n\n".join(lines), nl=bool(groups))
