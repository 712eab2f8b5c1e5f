"""Define ``aecodec deblur``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from aecodec.cli import options, restoring
from aecodec.defaults import SHARPENER

if TYPE_CHECKING:
    from typing_extensions import Unpack


@click.command()
@click.argument("paths", metavar="IN... OUT", nargs=-1, required=True, type=options.file_names)
@options.restorer(SHARPENER)
@options.decoder
@options.frame
@options.picture_format
@options.files_to_files
def deblur(
    paths: tuple[str, ...],
    output_dir: str | None,
    recursive: bool,
    threads: int | None,
    executor: str,
    as_json: bool,
    **settings: Unpack[restoring.Settings],
) -> None:
    """Sharpen pictures that were out of focus or in motion.

    \b
    aecodec deblur soft.png sharp.png
    aecodec deblur -r --output-dir sharp scans

    The kind and strength of the blur need not be known. All else is as with aecodec denoise. To write the sharp picture
    straight into a small file, use aecodec encode --restore deblur.
    """
    restoring.run(
        paths, "deblur", {}, output_dir=output_dir, recursive=recursive, threads=threads, executor=executor,
        as_json=as_json, **settings,
    )  # fmt: skip
