"""Define ``aecodec features``."""

from __future__ import annotations

import sys
from collections import Counter

import click

from aecodec.cli import batch, options, plan, shell, vectors
from aecodec.errors import AecodecError
from aecodec.stores import names

KINDS = (".parquet", ".npz", ".csv")


@click.command()
@click.argument("paths", metavar="IN...", nargs=-1, required=True, type=options.file_names)
@click.option(
    "-o", "--output", metavar="OUT", required=True, type=options.file_names, help="The table: .parquet, .npz or .csv."
)
@options.model
@options.recursive
@options.device
@options.threads
@options.executor
@options.max_pixels
@options.force
@options.as_json
def features(
    paths: tuple[str, ...],
    output: str,
    model: str | None,
    recursive: bool,
    device: str,
    threads: int | None,
    executor: str,
    max_pixels: int,
    force: bool,
    as_json: bool,
) -> None:
    """Describe pictures by vectors of 256 numbers. Similar pictures have similar vectors.

    \b
    aecodec features -o vectors.parquet archive
    aecodec features -r -o vectors.npz photos more.jpg

    The vector of an .aec file comes from its latents, and no pixel is decoded. Any other picture is analysed as for
    encoding. Vectors have length 1; compare them by their scalar product. A folder stands for the .aec files and pictures
    in it. The table has the columns path, vector, width, height, bytes and quality; Parquet needs 'aecodec[features]'.

    With --model the vectors are the codes of an autoencoder (aecodec autoencoder fit), compared by their distance.

    After an interruption the same command goes on where it stopped: until the table is complete, its rows are in OUT.part.
    """
    extension = names.suffix(output)
    if extension not in KINDS:
        raise click.UsageError(shell.printable(f"{output}: the extension must be one of {', '.join(KINDS)}"))
    vectors.check_output(output, force)
    from aecodec.retrieval import table

    try:
        table.check_installed(extension)
    except AecodecError as error:
        vectors.fail(output, error)
    left_out: Counter[str] = Counter()
    found = list(plan.expand(paths, vectors.WANTED, recursive, left_out))
    space = vectors.space_of(model, device)
    model = model and batch.as_seen_by_workers(model, executor)
    settings = vectors.Settings(device, threads, max_pixels, as_json, executor=executor, model=model)
    with vectors.journal_of(output, space) as journal:
        code = vectors.describe_all(found, journal, settings, left_out=left_out)
        places = vectors.current_places(journal, [each.path for each in found])
        vectors.replace(output, lambda path: table.write(path, extension, lambda: journal.rows(places), len(places), space))
        journal.remove()
    sys.exit(code)
