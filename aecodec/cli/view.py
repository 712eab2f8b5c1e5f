"""Define ``aecodec view``."""

from __future__ import annotations

import contextlib
import functools
import os
import webbrowser
from pathlib import Path

import click

from aecodec.cli import batch, files, options, plan, shell
from aecodec.errors import reason
from aecodec.images import folders
from aecodec.stores import names


@click.command()
@click.argument("paths", metavar="IN...", nargs=-1, required=True, type=options.file_names)
@click.option("-o", "--output", metavar="PAGE", type=options.file_names, help="The page to write.  [default: IN.html]")
@click.option("--no-open", is_flag=True, help="Open no browser.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the server.  [default: any that is free]")
@click.option("--weights", metavar="FOLDER", type=options.file_names, help="Take the weights of a page from this folder.")
@options.recursive
@options.max_pixels
@options.force
def view(
    paths: tuple[str, ...],
    output: str | None,
    no_open: bool,
    port: int,
    weights: str | None,
    recursive: bool,
    max_pixels: int,
    force: bool,
) -> None:
    """Show .aec files in a browser: zoom, move, compare two of them with a slider.

    \b
    aecodec view photo.aec
    aecodec view photo.aec -o page.html --no-open
    aecodec view pictures

    One file becomes one HTML file with decoder and weights inside, 8 MB, which opens anywhere without a network. A folder
    or several files are served to this machine's browsers until Ctrl-C. The pages also take files that are dropped on them.
    """
    if len(paths) == 1 and not os.path.isdir(paths[0]):
        target = output or (f"{Path(names.base(paths[0])).stem}.html" if paths[0] != shell.STANDARD else shell.STANDARD)
        work = functools.partial(_write, weights, max_pixels, force, not no_open)
        batch.run([plan.Job(paths[0], target)], work, show=_prose if target != shell.STANDARD else None)
        return
    if output:
        raise click.UsageError("-o takes one file; a folder or several files are served")
    if weights:
        raise click.UsageError("--weights takes one file; a server has the installed weights")
    _serve(paths, recursive, port, not no_open)


def _write(weights: str | None, max_pixels: int, force: bool, opens: bool, job: plan.Job) -> batch.Done:
    from aecodec.container.bitstream import read_header

    files.check_output(job, force)
    data = files.read_input(job.input, max_pixels, lambda start: read_header(start, max_pixels))
    from aecodec.view.page import render

    name = "standard input" if job.input == shell.STANDARD else shell.printable(names.base(job.input))
    page = render(data, name, weights, max_pixels).encode()
    files.write_output(job, page)
    if opens and job.output != shell.STANDARD and not names.is_url(job.output):
        webbrowser.open(Path(job.output).resolve().as_uri())
    return batch.Done({"bytes": len(page)}, len(data), len(page))


def _prose(report: batch.Report) -> str:
    return shell.printable(f"{report['output']}: a page of {report['bytes'] / 1e6:.1f} MB, decoder and weights inside")


def _serve(paths: tuple[str, ...], recursive: bool, port: int, opens: bool) -> None:
    from aecodec.view.server import Server

    def listing() -> list[tuple[str, Path]]:
        found: list[folders.Found] = []
        with contextlib.suppress(click.UsageError):  # an empty folder: files can be dropped on the page
            found += [each for each in plan.expand(paths, {plan.EXTENSION}, recursive) if not each.problem]
        return [(shell.printable(each.below.as_posix()), Path(each.path)) for each in found if os.path.isfile(each.path)]

    for path in paths:
        if not os.path.exists(path):
            raise click.UsageError(f"there is no {path}")
    try:
        server = Server(listing, port)
    except OSError as error:
        raise click.UsageError(f"the port {port} cannot be taken: {reason(error)}") from None
    with server, contextlib.suppress(KeyboardInterrupt):
        click.echo(f"{server.address}\nCtrl-C ends the server.")
        if opens:
            webbrowser.open(server.address)
        server.serve_forever()
