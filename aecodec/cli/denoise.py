"""Define ``aecodec denoise``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from aecodec.cli import options, restoring
from aecodec.defaults import DENOISER
from aecodec.restore.hint import MAX_SIGMA

if TYPE_CHECKING:
    from typing_extensions import Unpack


@click.command()
@click.argument("paths", metavar="IN... OUT", nargs=-1, required=True, type=options.file_names)
@click.option(
    "--sigma",
    type=options.Finite(0, MAX_SIGMA, min_open=True),
    metavar="S",
    help="The standard deviation of Gaussian noise, in levels of 0..255, where it is known.  [default: blind]",
)
@options.restorer(DENOISER)
@options.decoder
@options.frame
@options.picture_format
@options.files_to_files
def denoise(
    paths: tuple[str, ...],
    sigma: float | None,
    output_dir: str | None,
    recursive: bool,
    threads: int | None,
    executor: str,
    as_json: bool,
    **settings: Unpack[restoring.Settings],
) -> None:
    """Remove noise and JPEG artefacts from pictures.

    \b
    aecodec denoise noisy.png clean.png
    aecodec denoise --sigma 25 noisy.png clean.png
    aecodec denoise -r --output-dir clean scans

    The extension of OUT selects its format; with --output-dir and for standard output, --format does. IN may be "-" for
    standard input, OUT for standard output. An IN with --output-dir may be a folder, which stands for the pictures in it.
    To write a clean picture straight into a small file, use aecodec encode --restore denoise.
    """
    restoring.run(
        paths, "denoise", {"sigma": sigma}, output_dir=output_dir, recursive=recursive, threads=threads, executor=executor,
        as_json=as_json, **settings,
    )  # fmt: skip
