"""Define ``aecodec inpaint``."""

from __future__ import annotations

import functools
import json
import time
from typing import TYPE_CHECKING

import click

from aecodec.cli import batch, files, options, plan, shell
from aecodec.cli.advice import explain
from aecodec.defaults import INPAINTER
from aecodec.errors import AecodecError, LimitError
from aecodec.images import folders
from aecodec.stores import names

if TYPE_CHECKING:
    from PIL.Image import Image
    from typing_extensions import Unpack

    from aecodec.restore.pictures import Method


class Settings(options.FileSettings):
    """What the work on each file needs."""

    method: Method
    weights: str
    decoder: str
    frame: int | None
    extension: str


@click.command()
@click.argument("paths", metavar="IN... MASK OUT", nargs=-1, required=True, type=options.file_names)
@click.option(
    "--method",
    type=click.Choice(["learned", "classical"]),
    default="learned",
    show_default=True,
    help="Fill holes with the codec's decoder, or with the smoothest surface over their surroundings, which "
    "needs no weights.",
)
@options.restorer(INPAINTER)
@options.decoder
@options.frame
@options.picture_format
@options.files_to_files_here
def inpaint(
    paths: tuple[str, ...],
    output_dir: str | None,
    recursive: bool,
    threads: int | None,
    as_json: bool,
    **settings: Unpack[Settings],
) -> None:
    """Fill in missing parts of pictures: scratches, text, holes.

    \b
    aecodec inpaint scratched.png mask.png whole.png
    aecodec inpaint --method classical scratched.png mask.png whole.png
    aecodec inpaint -r --output-dir whole scans masks

    MASK is a picture of the size in which IN is shown. It is white (128 or more) where IN is missing. All other pixels stay
    unchanged, bit for bit if the output format is lossless. The extension of OUT selects its format; with --output-dir and
    for standard output, --format does. IN or MASK may be "-" for standard input, OUT for standard output.

    With --output-dir there is no OUT, and an IN may be a folder, which stands for the pictures in it. MASK is then one
    picture for all, or a folder with one PNG for each picture, under the same name and subfolder as its output in DIR.
    """
    if len(paths) < 2 or (output_dir is None and len(paths) != 3):
        raise click.UsageError("give one IN, one MASK and one OUT, or any number of INs and one MASK with --output-dir")
    inputs, mask = (paths[:-1], paths[-1]) if output_dir is not None else ((paths[0], paths[2]), paths[1])
    if mask == paths[0] == shell.STANDARD:
        raise click.UsageError("IN and MASK cannot both come from standard input")
    options.check_format(paths, output_dir)
    tasks = plan.jobs(inputs, output_dir, settings["extension"], folders.EXTENSIONS, recursive)
    if mask == shell.STANDARD and len(tasks) > 1:
        raise click.UsageError("a MASK from standard input is for one IN")
    work = functools.partial(_work, mask=mask, **settings)
    show = json.dumps if as_json else None
    device = "cpu" if settings["method"] == "classical" else settings["device"]
    batch.run(tasks, work, show=show, verb="inpainted", threads=threads, device=device)


def _work(
    job: plan.Job,
    mask: str,
    method: Method,
    weights: str,
    decoder: str,
    frame: int | None,
    extension: str,
    update: bool,
    preserve: bool,
    device: str,
    max_pixels: int,
    force: bool,
) -> batch.Done:
    if job.folder is not None and plan.is_folder(mask):
        mask = names.join(mask, plan.below(job.output, job.folder).with_suffix(plan.PNG))
    if update and files.up_to_date(job) and files.up_to_date(plan.Job(mask, job.output)):
        return batch.SKIPPED
    kind = files.format_of(job.output, extension)
    for source in (job.input, mask):
        files.check_output(plan.Job(source, job.output, job.folder), force or update)
    like = files.status(job) if preserve else None
    data = files.read_input(job.input, max_pixels)
    from aecodec.container import metadata
    from aecodec.images import reading, writing
    from aecodec.restore import pictures

    image = reading.open_picture(data, max_pixels)
    lost = _open_mask(mask, max_pixels)
    start = time.perf_counter()
    whole, missing = pictures.inpaint(
        image, lost, method=method, weights=weights, decoder=decoder, device=device, max_pixels=max_pixels, frame=frame
    )
    seconds = time.perf_counter() - start
    untouched = not missing and image.format == kind and frame is None
    written = data if untouched else writing.save(whole, kind)
    files.write_output(job, written, like=like)
    width, height = metadata.shown_size(whole.size, whole.info.get("exif", b""))
    report = {"width": width, "height": height, "missing": missing, "seconds": round(seconds, 4)}
    return batch.Done(report, len(data), len(written))


def _open_mask(path: str, max_pixels: int) -> Image:
    """Return the mask, decoded as far as ``reading.open_picture`` does. Errors name the mask."""
    from aecodec.images import reading

    try:
        return reading.open_picture(files.read_input(path, max_pixels), max_pixels)
    except LimitError as error:
        raise LimitError(f"the mask {path}: {error}", error.limit) from None
    except AecodecError as error:
        raise AecodecError(f"the mask {path}: {explain(error)}") from None
