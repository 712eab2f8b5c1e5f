"""Define ``aecodec map``."""

from __future__ import annotations

import sys
from collections import Counter

import click

from aecodec.cli import options, plan, vectors
from aecodec.errors import AecodecError
from aecodec.stores import names

LAYOUTS = ("tsne", "umap", "pca")
MOST = 20_000  # pictures; the page of more would not open on a phone


@click.command("map")
@click.argument("paths", metavar="FOLDER...", nargs=-1, required=True, type=options.file_names)
@click.option("-o", "--output", metavar="PAGE", required=True, type=options.file_names, help="The page, such as map.html.")
@click.option(
    "--layout",
    type=click.Choice(LAYOUTS),
    default=LAYOUTS[0],
    show_default=True,
    help="How vectors become points. tsne needs scikit-learn ('aecodec[features]'), umap the package umap-learn.",
)
@options.model
@options.recursive
@options.device
@options.threads
@options.max_pixels
@options.force
def map_(
    paths: tuple[str, ...],
    output: str,
    layout: str,
    model: str | None,
    recursive: bool,
    device: str,
    threads: int | None,
    max_pixels: int,
    force: bool,
) -> None:
    """Show folders of pictures as a map: one page in which similar pictures lie together.

    \b
    aecodec map -r photos -o map.html

    The page holds everything and needs no network. Zoom in to see the pictures, click on one to find those most like it,
    draw a frame to select some and copy their paths. Points are coloured by folder, cluster, quality or bits per pixel. Up
    to 20 000 pictures fit. After an interruption the same command goes on where it stopped.
    """
    vectors.check_output(output, force)
    from aecodec.retrieval import chart, layout as plane

    left_out: Counter[str] = Counter()
    found = list(plan.expand(paths, vectors.WANTED, recursive, left_out))
    if len(found) > MOST:
        raise click.UsageError(f"{len(found)} pictures are more than the {MOST} that fit on a page")
    try:
        plane.check_installed(layout)
    except AecodecError as error:
        vectors.fail(output, f"{error}; --layout pca needs nothing")
    space = vectors.space_of(model, device)
    settings = vectors.Settings(device, threads, max_pixels, as_json=False, thumbnail=chart.SIDE, model=model)
    with vectors.journal_of(output, space) as journal:
        code = vectors.describe_all(found, journal, settings, left_out=left_out)
        rows = list(journal.rows(vectors.current_places(journal, [each.path for each in found])))
        if model and rows:
            from aecodec.autoencoders.description import directions

            rows = directions(rows)
        if rows:
            title = ", ".join(names.base(names.identity(path)) for path in paths)
            page = chart.render(rows, title, layout)
            vectors.replace(output, lambda path: path.write_text(page, "utf-8"))
        journal.remove()
    sys.exit(code)
