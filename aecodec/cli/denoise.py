"""Define ``aecodec denoise``."""

from __future__ import annotations

import functools
import json
import time
from typing import TYPE_CHECKING

import click

from aecodec.cli import batch, files, options
from aecodec.restore.hint import MAX_SIGMA

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Settings(options.FileSettings):
    """What the work on each file needs."""

    sigma: float | None
    weights: str
    decoder: str | None
    frame: int | None
    extension: str


@click.command()
@click.argument("paths", metavar="IN... OUT", nargs=-1, required=True, type=options.file_names)
@click.option(
    "--sigma",
    type=options.Finite(0, MAX_SIGMA, min_open=True),
    metavar="S",
    help="The standard deviation of Gaussian noise, in levels of 0..255, where it is known.  [default: blind]",
)
@click.option(
    "--weights",
    default="denoise",
    show_default=True,
    type=options.file_names,
    help="Installed weights that remove noise, or a folder with such weights.",
)
@options.decoder
@options.frame
@options.picture_format
@options.files_to_files
def denoise(
    paths: tuple[str, ...],
    output_dir: str | None,
    recursive: bool,
    threads: int | None,
    executor: str,
    as_json: bool,
    **settings: Unpack[Settings],
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
    options.check_format(paths, output_dir)
    tasks = files.jobs(paths, output_dir, settings["extension"], files.PICTURE_EXTENSIONS, recursive)
    settings["weights"] = batch.as_seen_by_workers(settings["weights"], executor)
    settings["decoder"] = settings["decoder"] and batch.as_seen_by_workers(settings["decoder"], executor)
    work = functools.partial(_work, **settings)
    show = json.dumps if as_json else None
    batch.run(
        tasks, work, show=show, verb="denoised", threads=threads, device=settings["device"], executor=executor,
        replaces=settings["force"] or settings["update"],
    )  # fmt: skip


def _work(
    job: files.Job,
    sigma: float | None,
    weights: str,
    decoder: str | None,
    frame: int | None,
    extension: str,
    update: bool,
    preserve: bool,
    device: str,
    max_pixels: int,
    force: bool,
) -> batch.Done:
    if update and files.up_to_date(job):
        return batch.SKIPPED
    kind = files.format_of(job.output, extension)
    files.check_output(job, force or update)
    like = files.status(job) if preserve else None
    data = files.read_input(job.input, max_pixels)
    from aecodec.container import metadata
    from aecodec.images import formats
    from aecodec.restore import pictures

    image = formats.open_picture(data, max_pixels)
    start = time.perf_counter()
    clean = pictures.denoise(
        image, sigma, weights=weights, decoder=decoder, device=device, max_pixels=max_pixels, frame=frame
    )
    seconds = time.perf_counter() - start
    written = formats.save(clean, kind)
    files.write_output(job, written, like=like)
    width, height = metadata.shown_size(clean.size, clean.info.get("exif", b""))
    return batch.Done({"width": width, "height": height, "seconds": round(seconds, 4)}, len(data), len(written))
