"""Define ``aecodec inspect``."""

from __future__ import annotations

import functools
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aecodec.cli import batch, files, info, options, plan, shell, vectors
from aecodec.cli.advice import explain
from aecodec.cli.output import provenance
from aecodec.defaults import DEFAULT_QUALITY, DEFAULT_WEIGHTS
from aecodec.errors import AecodecError
from aecodec.images import folders
from aecodec.quality import index_of_quality
from aecodec.stores import names

if TYPE_CHECKING:
    from aecodec.inspect.opened import Opened
    from aecodec.inspect.paths import Direction

NOTHING = os.devnull  # where a page goes that is not asked for


@click.command()
@click.argument("paths", metavar="IN [SECOND]", nargs=-1, required=True, type=options.file_names)
@click.option("-o", "--output", metavar="PAGE", type=options.file_names, help="The page to write, one HTML file.")
@click.option(
    "-q",
    "--quality",
    type=options.Finite(0, 100),
    default=DEFAULT_QUALITY,
    help=f"Quality at which a picture that is not an .aec file is encoded, in memory.  [default: {DEFAULT_QUALITY:g}]",
)
@click.option(
    "--directions",
    "collection",
    type=options.file_names,
    metavar="FOLDER|INDEX",
    help="Walk along the principal directions of the latents of the .aec files and pictures in this folder, or in an index "
    "of aecodec similar.",
)
@options.recursive
@options.weights
@options.frame
@options.device
@options.max_pixels
@options.force
@click.option("--json", "as_json", is_flag=True, help="Print the numbers of the page as one JSON object.")
def inspect(
    paths: tuple[str, ...],
    output: str | None,
    quality: float,
    collection: str | None,
    recursive: bool,
    weights: str | None,
    frame: int | None,
    device: str,
    max_pixels: int,
    force: bool,
    as_json: bool,
) -> None:
    """Show where the bits of a file go and what its latents stand for, as a page.

    \b
    aecodec inspect photo.aec -o page.html
    aecodec inspect photo.png -q 40 -o page.html
    aecodec inspect photo.aec --directions photos -o page.html
    aecodec inspect photo.aec --directions photos.index -o page.html
    aecodec inspect first.aec second.aec -o blend.html
    aecodec inspect photo.aec --json

    IN is an .aec file, or any picture, which is encoded in memory. With SECOND the page shows the blends of both files'
    latents, decoded; of pictures of different sizes it takes the common middle. The page is one file and needs no network.
    """
    if len(paths) > 2:
        raise click.UsageError("give one IN, or two to blend")
    if not output and not as_json:
        raise click.UsageError("give -o PAGE, --json or both")
    if output == shell.STANDARD and as_json:
        raise click.UsageError("the page and --json cannot both go to standard output")
    if collection and len(paths) == 2:
        raise click.UsageError("--directions takes one IN")
    if paths.count(shell.STANDARD) > 1:
        raise click.UsageError("IN and SECOND cannot both come from standard input")
    reader = _Reader(quality, weights, frame, device, max_pixels)
    problems: list[str] = []
    work = functools.partial(_work, paths[1:], output, collection, recursive, reader, force, problems)
    shown = _as_json if as_json else _prose if output != shell.STANDARD else None
    batch.run([plan.Job(paths[0], output or NOTHING)], work, show=shown)
    if problems:
        sys.exit(shell.FAILED)


class _Reader:
    """What opens the files of a call: .aec files as they are, pictures by encoding them in memory."""

    def __init__(self, quality: float, weights: str | None, frame: int | None, device: str, max_pixels: int) -> None:
        self.quality, self.weights, self.frame = quality, weights, frame
        self.device, self.max_pixels = device, max_pixels

    def open(self, path: str, weights: str | None = None) -> tuple[Opened, batch.Report]:
        """Return a file and its facts. ``weights`` replace those of the call."""
        from aecodec.container.bitstream import MAGIC
        from aecodec.inspect.opened import Opened

        chosen = weights or self.weights
        data = files.read_input(path, self.max_pixels)
        encoded = not data.startswith(MAGIC[:4])
        if encoded:
            data = self._encode(data, chosen)
        file = Opened.open(data, chosen, self.device, self.max_pixels)
        name = "standard input" if path == shell.STANDARD else shell.printable(names.base(path))
        return file, {"name": name, "encoded": encoded, **info.facts(data, file.stream)}

    def _encode(self, data: bytes, weights: str | None) -> bytes:
        from aecodec.codec.encoder import Encoder
        from aecodec.images import reading

        image = reading.open_picture(data, self.max_pixels)
        encoder = Encoder(
            image, weights=weights or DEFAULT_WEIGHTS, device=self.device, max_pixels=self.max_pixels, frame=self.frame
        )
        return encoder.encode(index_of_quality(self.quality)).data


def _work(
    others: tuple[str, ...],
    output: str | None,
    collection: str | None,
    recursive: bool,
    reader: _Reader,
    force: bool,
    problems: list[str],
    job: plan.Job,
) -> batch.Done:
    for source in (job.input, *others) if output else ():
        files.check_output(plan.Job(source, job.output), force)
    from aecodec.inspect import page, report

    file, facts = reader.open(job.input)
    if others:
        _ = file.learned  # or the errors of the second would be taken for the first's
        try:
            second, second_facts = reader.open(others[0])
            _ = second.learned
        except AecodecError as error:
            raise type(error)(f"the second file {others[0]}: {explain(error)}") from None
        found = report.of_pair(file, second, [facts, second_facts])
    else:
        along = _directions(file, collection, recursive, reader, problems) if collection else ()
        found = report.of_file(file, facts, along)
    if output:
        made = provenance()
        if file.weights is not None:
            made["Weights"] = f"{file.weights.name}, {file.weights.id}"
        files.write_output(job, page.render(found, made).encode("utf-8", "replace"))
    return batch.Done(found.numbers, len(file.data))


def _directions(file: Opened, collection: str, recursive: bool, reader: _Reader, problems: list[str]) -> list[Direction]:
    """Return the principal directions of the latents in a folder or an index.

    A file that cannot be read is named and left out.
    """
    from aecodec.inspect import paths, report

    own = file.learned
    found = _pictures_of(collection, recursive)
    pooled = []
    with batch.progress("reading latents", len(found)) as step:
        for each in found:
            try:
                if each.problem:
                    raise AecodecError(each.problem)
                other, _ = reader.open(each.path, str(own.folder))
                pooled.append(paths.pool(other))
            except AecodecError as error:
                problems.append(each.path)
                shell.complain(each.path, explain(error))
            step()
    return paths.directions(pooled, report.DIRECTIONS)


def _pictures_of(collection: str, recursive: bool) -> list[folders.Found]:
    """Return the files of a folder or of an index, whose vectors are no latents: it only names the pictures."""
    if not plan.is_folder(collection):
        index = vectors.open_index(collection)
        places = [index.place(number) for number in range(len(index.paths))]
        return [folders.Found(place, Path(names.base(place))) for place in places]
    try:
        return list(plan.expand([collection], vectors.WANTED, recursive))
    except click.UsageError as error:  # an empty folder
        raise AecodecError(error.message) from None


def _as_json(numbers: batch.Report) -> str:
    from aecodec import pages

    return json.dumps(pages.rounded({key: value for key, value in numbers.items() if value != NOTHING}), allow_nan=False)


def _prose(numbers: batch.Report) -> str:
    if "parts" not in numbers:
        return shell.printable(f"{numbers['output']}: {' and '.join(each['name'] for each in numbers['facts'])}")
    sizes: dict[str, float] = {}
    for part in numbers["parts"]:
        sizes[part["kind"]] = sizes.get(part["kind"], 0) + part["size"]
    total = sum(sizes.values())
    words = {"hyper": "hyper-latents", "pixels": "exact pixels"}
    kinds = ", ".join(
        f"{size / total:.1%} {words.get(kind, kind)}" for kind, size in sorted(sizes.items(), key=lambda x: -x[1])
    )
    return shell.printable(f"{numbers['output']}: {total:.0f} bytes, {kinds}")
