"""Define ``aecodec decode``."""

from __future__ import annotations

import functools
import json
import time
import warnings
from typing import TYPE_CHECKING, Any

import click

from aecodec.cli import batch, files, options, plan
from aecodec.errors import AecodecError

if TYPE_CHECKING:
    from PIL.Image import Image
    from typing_extensions import Unpack

    from aecodec.images.deep import Deep

    ParamType = click.ParamType[tuple[int, int, int, int], Any]
else:
    ParamType = click.ParamType  # which older versions of click do not let one subscribe


class Settings(options.FileSettings):
    """What the work on each file needs."""

    weights: str | None
    crop: tuple[int, int, int, int] | None
    scale: str | None
    bits: str
    verify: bool
    preview: bool
    extension: str


class Crop(ParamType):
    """Four integers: the left and top of a region, its width and its height."""

    name = "X,Y,W,H"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int, int, int]:
        if isinstance(value, tuple):
            return value
        try:
            left, top, width, height = map(int, value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a region such as 900,600,200,100", param, ctx)
        return left, top, width, height


@click.command()
@click.argument("paths", metavar="IN... OUT", nargs=-1, required=True, type=options.file_names)
@click.option(
    "--weights",
    metavar="FOLDER",
    type=options.file_names,
    help="Take the weights from this folder.  [default: installed weights]",
)
@click.option("--crop", type=Crop(), help="Decode this part only, in pixels as they are stored.")
@click.option(
    "--scale",
    type=click.Choice(["1/2", "1/4", "1/8", "1/16"]),
    help="Make the picture, or the part of --crop, that much smaller each way, in a fraction of the time.",
)
@click.option(
    "--bits",
    type=click.Choice(["auto", "8", "16"]),
    default="auto",
    show_default=True,
    help="Bits of a sample in OUT. auto is 16 where the file has more than 8 and the format holds them: PNG, TIFF, PPM.",
)
@click.option(
    "--verify/--no-verify",
    default=True,
    help="Refuse a picture whose hash differs from the one in its file, if there is one.  [default: verify]",
)
@click.option("--preview", is_flag=True, help="Show what there is of a file that ends early.")
@options.picture_format
@options.files_to_files
def decode(
    paths: tuple[str, ...],
    output_dir: str | None,
    recursive: bool,
    threads: int | None,
    executor: str,
    as_json: bool,
    **settings: Unpack[Settings],
) -> None:
    """Decode .aec files into any format that Pillow writes. The extension of OUT selects it.

    \b
    aecodec decode photo.aec photo.png
    aecodec decode --crop 900,600,200,100 photo.aec detail.png
    aecodec decode --scale 1/8 photo.aec thumbnail.jpg
    aecodec decode --preview download.aec.part so-far.png
    aecodec decode --output-dir pictures *.aec
    aecodec decode -r --output-dir pictures archive

    IN may be "-" for standard input, OUT for standard output. With --output-dir and for standard output, --format selects
    the format. An IN with --output-dir may be a folder, which stands for the .aec files in it.
    """
    options.check_format(paths, output_dir)
    if settings["scale"] and settings["bits"] == "16":
        raise click.UsageError("a smaller picture has 8 bits a sample")
    tasks = plan.jobs(paths, output_dir, settings["extension"], {plan.EXTENSION}, recursive)
    settings["weights"] = settings["weights"] and batch.as_seen_by_workers(settings["weights"], executor)
    work = functools.partial(_work, **settings)
    batch.run(
        tasks, work, show=json.dumps if as_json else None, verb="decoded", threads=threads, device=settings["device"],
        executor=executor, replaces=settings["force"] or settings["update"],
    )  # fmt: skip


def _work(job: plan.Job, **settings: Unpack[Settings]) -> batch.Done:
    force, update, limit = settings["force"], settings["update"], settings["max_pixels"]
    if update and files.up_to_date(job):
        return batch.SKIPPED
    kind = files.format_of(job.output, settings["extension"])
    files.check_output(job, force or update)
    from aecodec.container.bitstream import read_header

    like = files.status(job) if settings["preserve"] else None
    data = files.read_input(job.input, limit, lambda start: read_header(start, limit))
    from aecodec.container import metadata
    from aecodec.images import writing

    if settings["bits"] == "16" and kind not in writing.DEEP:
        raise AecodecError(f"{kind} is written with 8 bits a sample; PNG, TIFF and PPM can have 16")
    start = time.perf_counter()
    image, wide, is_verified = _decode(data, kind, settings)
    seconds = time.perf_counter() - start
    written = writing.save(image, kind, wide)
    files.write_output(job, written, like=like)
    width, height = metadata.shown_size(image.size, image.info.get("exif", b""))
    report = {
        "width": width, "height": height, "bits": 8 if wide is None else 16, "verified": is_verified,
        "decode_seconds": round(seconds, 4),
    }  # fmt: skip
    return batch.Done(report, len(data), len(written))


def _decode(data: bytes, kind: str, settings: Settings) -> tuple[Image, Deep | None, bool]:
    """Return the picture for a format, its samples where they are to have more than 8 bits, and whether it has its hash."""
    from aecodec.codec import decoder
    from aecodec.images import deep, writing

    weights, crop, limit, preview = settings["weights"], settings["crop"], settings["max_pixels"], settings["preview"]
    if settings["scale"]:  # always of 8 bits
        scale = int(settings["scale"].removeprefix("1/"))
        image = decoder.decode(data, weights=weights, crop=crop, scale=scale, max_pixels=limit, preview=preview)
        return image, None, False
    bits = settings["bits"]
    found = decoder.decode_samples(
        data, bits=16 if bits == "16" else None, weights=weights, device=settings["device"], crop=crop,
        max_pixels=limit, verify=settings["verify"], preview=preview,
    )  # fmt: skip
    wide = None
    if found.depth > 8 and bits != "8" and kind in writing.DEEP:
        wide = deep.Deep(found.array(found.depth), found.depth)
    elif found.depth > 8 and bits != "8":
        warnings.warn(f"{found.depth}-bit samples are rounded to 8 bits, which {kind} is written with", stacklevel=2)
    return found.image(), wide, found.is_verified
