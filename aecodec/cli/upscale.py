"""Define ``aecodec upscale``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from aecodec.cli import options, restoring
from aecodec.defaults import SHARPENER
from aecodec.restore.hint import MAX_FACTOR

if TYPE_CHECKING:
    from typing_extensions import Unpack


@click.command()
@click.argument("paths", metavar="IN... OUT", nargs=-1, required=True, type=options.file_names)
@click.option(
    "-s",
    "--scale",
    "factor",
    type=options.Finite(1, MAX_FACTOR, min_open=True),
    default=2,
    show_default=True,
    metavar="S",
    help=f"How many times as wide and high the picture gets, up to {MAX_FACTOR}.",
)
@options.restorer(SHARPENER)
@options.decoder
@options.frame
@options.picture_format
@options.files_to_files
def upscale(
    paths: tuple[str, ...],
    factor: float,
    output_dir: str | None,
    recursive: bool,
    threads: int | None,
    executor: str,
    as_json: bool,
    **settings: Unpack[restoring.Settings],
) -> None:
    """Enlarge pictures, with more detail than interpolation gives.

    \b
    aecodec upscale small.png large.png
    aecodec upscale -s 4 small.png large.png
    aecodec upscale -s 3 -r --output-dir large scans

    Alpha is enlarged with the picture. The size on paper stays: a picture of 100 dots per inch has 200 when it is twice as
    wide. With --output-dir the scale is in the name: small.png becomes small-2x.png. All else is as with aecodec denoise.
    """
    restoring.run(
        paths, "upscale", {"factor": factor}, mark=f"-{factor:g}x", output_dir=output_dir, recursive=recursive,
        threads=threads, executor=executor, as_json=as_json, **settings,
    )  # fmt: skip
