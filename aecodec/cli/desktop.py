"""Define ``aecodec desktop`` and its commands."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from aecodec.cli import batch, files, options, plan, shell

if TYPE_CHECKING:
    from aecodec.desktop import Step

LARGEST = 4096  # pixels a side of a thumbnail


@click.group()
def desktop() -> None:
    """Make .aec known to the desktop: its media type, the command "file", thumbnails.

    \b
    aecodec desktop install
    aecodec desktop uninstall
    """


@desktop.command()
def install() -> None:
    """Write the entries into the user's own folders, and name each step that fails.

    \b
    aecodec desktop install
    """
    from aecodec.desktop import install as steps

    _tell(steps())


@desktop.command()
def uninstall() -> None:
    """Remove what install wrote.

    \b
    aecodec desktop uninstall
    """
    from aecodec.desktop import uninstall as steps

    _tell(steps())


def _tell(steps: Iterable[Step]) -> None:
    failed = False
    for step in steps:
        if step.problem:
            shell.complain(step.done, step.problem)
            failed = True
        else:
            click.echo(shell.printable(step.done))
    if failed:
        sys.exit(shell.FAILED)


@desktop.command()
@click.argument("path", metavar="IN", type=options.file_names)
@click.argument("output", metavar="OUT", type=options.file_names)
@click.option("--size", type=click.IntRange(1, LARGEST), default=256, help="Longest side in pixels.  [default: 256]")
@options.max_pixels
def thumbnail(path: str, output: str, size: int, max_pixels: int) -> None:
    """Write a thumbnail as PNG, turned as EXIF says. File managers run this; an existing OUT is replaced.

    \b
    aecodec desktop thumbnail photo.aec small.png
    """
    batch.run([plan.Job(path, output)], functools.partial(_work, size, max_pixels))


def _work(size: int, max_pixels: int, job: plan.Job) -> batch.Done:
    from aecodec.container.bitstream import read_header

    files.check_output(job, force=True)
    data = files.read_input(job.input, max_pixels, lambda start: read_header(start, max_pixels))
    from PIL import ImageOps

    import aecodec
    from aecodec.codec.scaled import SCALES
    from aecodec.images import writing

    head = read_header(data, max_pixels)
    longest = max(head.width, head.height)
    scale = max(scale for scale in SCALES if scale == 1 or (longest >= scale * size and head.depth == 8))
    image = ImageOps.exif_transpose(aecodec.decode(data, device="cpu", max_pixels=max_pixels, scale=scale))
    image.thumbnail((size, size))
    written = writing.save(image, "PNG")
    files.write_output(job, written)
    return batch.Done({"width": image.width, "height": image.height}, len(data), len(written))
