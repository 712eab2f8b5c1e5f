"""Define ``aecodec encode``."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import click

from aecodec.cli import batch, files, manifest, options, plan
from aecodec.cli.advice import fail
from aecodec.cli.output import share
from aecodec.codec import rate_control
from aecodec.defaults import DEFAULT_QUALITY, DEFAULT_WEIGHTS, DENOISER, SHARPENER
from aecodec.errors import AecodecError
from aecodec.images import folders
from aecodec.quality import index_of_quality, quality_of_index
from aecodec.stores import names

if TYPE_CHECKING:
    from PIL.Image import Image
    from typing_extensions import Unpack

    from aecodec.codec.encoder import Encoded, Encoder, Original

    ParamType = click.ParamType[int, Any]
else:
    ParamType = click.ParamType  # which older versions of click do not let one subscribe

TARGETS: dict[str, Callable[[float], rate_control.Target]] = {
    "bpp": rate_control.BitsPerPixel, "size": rate_control.Size, "psnr": rate_control.Psnr,
    "ssimulacra2": rate_control.Ssimulacra2,
}  # fmt: skip


class Settings(options.FileSettings):
    """What the work on each file needs."""

    lossless: bool
    weights: str | None
    restore: Literal["denoise", "deblur"] | None
    restorer: str | None
    strip: bool
    frame: int | None
    skip_larger: bool
    hashed: bool
    check: bool


class ByteSize(ParamType):
    """A number of bytes with an optional k or M (thousands and millions)."""

    name = "N[k,M]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).strip()
        factor = {"k": 1000, "K": 1000, "M": 1000_000}.get(text[-1:], 1)
        try:
            size = float(text[:-1] if factor > 1 else text) * factor
            if not 1 <= size < 2**53:
                raise ValueError
        except ValueError:
            self.fail(f"{value!r} is not a size such as 50000, 50k or 1.5M", param, ctx)
        return int(size)


@click.command()
@click.argument("paths", metavar="IN... OUT", nargs=-1, required=True, type=options.file_names)
@click.option(
    "-q",
    "--quality",
    type=options.Finite(0, 100),
    help=f"0 is smallest, 100 visually lossless.  [default: {DEFAULT_QUALITY:g}]",
)
@click.option("--bpp", type=options.Finite(min=0, min_open=True), help="At most this many bits per pixel.")
@click.option("--size", type=ByteSize(), help="At most this many bytes.")
@click.option("--psnr", type=options.Finite(min=0, min_open=True), metavar="DB", help="At least this PSNR.")
@click.option(
    "--ssimulacra2",
    type=options.Finite(0, 100, min_open=True),
    metavar="SCORE",
    help="At least this SSIMULACRA2, a metric that models an eye: 90 is visually lossless, 80 very high, 70 high "
    "and 50 medium quality. Needs pip install 'aecodec[eval]'.",
)
@click.option("--lossless", is_flag=True, help="Keep every pixel as it is; colour under an alpha of 0 is not kept.")
@options.weights
@click.option(
    "--restore",
    type=click.Choice(["denoise", "deblur"]),
    help="Remove noise and JPEG artefacts, or blur, on the way.",
)
@click.option(
    "--restorer",
    type=options.file_names,
    help=f"Weights for --restore, installed or a folder.  [default: {DENOISER} or {SHARPENER}]",
)
@click.option("--strip", is_flag=True, help="Drop EXIF, XMP and IPTC; an EXIF orientation is applied.")
@options.frame
@click.option("--skip-larger", is_flag=True, help="Write no .aec file that is not smaller than its IN.")
@click.option(
    "--hash",
    "hashed",
    is_flag=True,
    help="Keep a hash of the decoded samples in the file, which decode and verify check; encoding takes up to half as long "
    "again. A file of --lossless always has it.",
)
@click.option(
    "--verify",
    "check",
    is_flag=True,
    help="Read back and decode what is written, compare it with the intended picture, and measure its PSNR.",
)
@click.option(
    "--manifest",
    "manifest_file",
    metavar="FILE",
    type=options.file_names,
    help="Write a line of JSON for each picture: source and output with their SHA-256, bytes, quality and metric.",
)
@options.files_to_files
def encode(
    paths: tuple[str, ...],
    quality: float | None,
    bpp: float | None,
    size: int | None,
    psnr: float | None,
    ssimulacra2: float | None,
    output_dir: str | None,
    recursive: bool,
    threads: int | None,
    executor: str,
    as_json: bool,
    manifest_file: str | None,
    **settings: Unpack[Settings],
) -> None:
    """Encode pictures.

    \b
    aecodec encode photo.png photo.aec
    aecodec encode --size 40k photo.png photo.aec
    aecodec encode --ssimulacra2 80 photo.png photo.aec
    aecodec encode --output-dir small *.png
    aecodec encode -r --update --output-dir small photos
    aecodec encode --lossless drawing.png drawing.aec
    aecodec encode --restore denoise noisy.png clean.aec

    OUT may be "-" for standard output, IN for standard input. An OUT with a picture's extension is refused without --force,
    so that "aecodec encode *.png" cannot overwrite a picture. An IN with --output-dir may be a folder, which stands for the
    files in it that have a picture's extension.
    """
    values = {"bpp": bpp, "size": size, "psnr": psnr, "ssimulacra2": ssimulacra2}
    targets = [TARGETS[name](value) for name, value in values.items() if value is not None]
    if len(targets) + (quality is not None) + settings["lossless"] > 1:
        raise click.UsageError("--quality, --bpp, --size, --psnr, --ssimulacra2 and --lossless exclude each other")
    if settings["lossless"] and settings["restore"] is not None:
        raise click.UsageError("--lossless keeps the picture as it is, and --restore does not")
    target = targets[0] if targets else None
    compared = target if isinstance(target, rate_control.Fidelity) else None
    if compared is not None and settings["restore"] is not None:
        raise click.UsageError(
            "--psnr and --ssimulacra2 compare with IN, which --restore changes; give a --quality, --bpp or --size"
        )
    tasks = plan.jobs(paths, output_dir, plan.EXTENSION, folders.EXTENSIONS, recursive)
    if compared is not None:
        _need_package(compared)
    writer = None
    if manifest_file:
        writer = manifest.Writer(manifest_file, replace=settings["force"], extend=settings["update"], output_dir=output_dir)
        tasks = plan.Jobs((replace(job, again=writer.lacks(job)) for job in tasks), tasks.left_out)
    settings["weights"] = settings["weights"] and batch.as_seen_by_workers(settings["weights"], executor)
    if settings["restorer"] is not None:
        settings["restorer"] = batch.as_seen_by_workers(settings["restorer"], executor)
    work = functools.partial(_work, quality=quality, target=target, keeps_record=writer is not None, **settings)
    show, tell = json.dumps if as_json else None, None if writer is None else writer.add
    with contextlib.nullcontext() if writer is None else writer:
        batch.run(
            tasks, work, show=show, verb="encoded", threads=threads, device=settings["device"], tell=tell,
            executor=executor, replaces=settings["force"] or settings["update"],
        )  # fmt: skip


def _need_package(target: rate_control.Fidelity) -> None:
    """End the process where the package that measures is not installed, with one line, not one for each picture."""
    try:
        target.check_installed()
    except AecodecError as error:
        fail(error)


@dataclass(frozen=True)
class _Result:
    """A picture and its file; no ``encoder`` where it is without loss; ``reached`` is the value of a target."""

    original: Original
    encoder: Encoder | None
    encoded: Encoded
    reached: float | None = None


def _work(
    job: plan.Job,
    quality: float | None,
    target: rate_control.Target | None,
    keeps_record: bool,
    **settings: Unpack[Settings],
) -> batch.Done:
    force, update, device = settings["force"], settings["update"], settings["device"]
    if names.suffix(job.output) in folders.EXTENSIONS and not force:
        raise AecodecError(f"the output {job.output} has a picture's extension; --force writes it anyway")
    if update and files.up_to_date(job):
        return batch.SKIPPED
    files.check_output(job, force or update)
    like = files.status(job) if settings["preserve"] else None
    data = files.read_input(job.input, settings["max_pixels"])
    from aecodec.images import reading

    image = reading.open_picture(data, settings["max_pixels"])
    start = time.perf_counter()
    result = _encode(image, quality, target, settings)
    seconds = time.perf_counter() - start
    encoded = result.encoded.data
    if len(encoded) >= len(data):
        if settings["skip_larger"]:
            return batch.LARGER
        warnings.warn(f"the result is not smaller: {len(data)} bytes become {len(encoded)}", stacklevel=2)
    report = _report(result, target, seconds)
    check = (lambda written: report.update(_verify(result, written, device))) if settings["check"] else None
    files.write_output(job, encoded, like=like, check=check)
    record = manifest.record(data, encoded, report) if keeps_record else None
    return batch.Done(report, len(data), len(encoded), record)


def _encode(image: Image, quality: float | None, target: rate_control.Target | None, settings: Settings) -> _Result:
    """Return a picture's file at a quality, at a target or without loss."""
    from aecodec.codec.encoder import Encoder, Original

    strip, frame, device, limit = settings["strip"], settings["frame"], settings["device"], settings["max_pixels"]
    if settings["lossless"]:
        original = Original.open(image, strip=strip, max_pixels=limit, frame=frame)
        return _Result(original, None, original.encode())
    if settings["restore"] is not None:
        from aecodec.restore import pictures

        image = pictures.before_encoding(
            image, settings["restore"], weights=settings["restorer"], device=device, max_pixels=limit, frame=frame
        )
        frame = None
    weights = DEFAULT_WEIGHTS if settings["weights"] is None else settings["weights"]
    encoder = Encoder(
        image, weights=weights, device=device, strip=strip, max_pixels=limit, frame=frame, hashed=settings["hashed"]
    )
    if target is not None:
        return _Result(encoder.original, encoder, *rate_control.meet(encoder, target))
    encoded = encoder.encode(index_of_quality(DEFAULT_QUALITY if quality is None else quality))
    return _Result(encoder.original, encoder, encoded)


def _report(result: _Result, target: rate_control.Target | None, seconds: float) -> batch.Report:
    """Return what --json prints of a file."""
    from aecodec.container import bitstream

    encoded, (width, height) = result.encoded, result.original.shown_size
    report: batch.Report = {
        "bytes": len(encoded.data), "width": width, "height": height,
        "bpp": round(len(encoded.data) * 8 / (width * height), 6), "depth": result.original.depth,
        "quality": quality_of_index(encoded.rate),
        "exact": share(encoded.exact), "near": share(encoded.near),
        "weights": bitstream.read_header(encoded.data, None).weights,
        "encode_seconds": round(seconds, 4),
    }  # fmt: skip
    if isinstance(target, rate_control.Fidelity) and result.reached is not None:
        name = next(name for name, kind in TARGETS.items() if type(target) is kind)
        report[name] = round(result.reached, 4) if math.isfinite(result.reached) else None  # JSON has no infinity
    return report


def _verify(result: _Result, written: bytes, device: str) -> dict[str, float | None]:
    """Return the PSNR of a file's picture, over what is seen of it; None where that is infinite.

    Raises AecodecError where the file does not decode to the picture that was meant, but for a level of rounding in pixels
    that are not without loss.
    """
    import numpy as np

    from aecodec.codec import decoder
    from aecodec.images import embedded, samples
    from aecodec.metrics import deep_psnr, psnr

    original, encoder, encoded = result.original, result.encoder, result.encoded
    weights = None if encoder is None else encoder.weights
    found = decoder.decode_samples(written, weights=weights, device=device, max_pixels=None)
    decoded = found.image()
    colour = samples.to_array(decoded.convert(decoded.mode.removesuffix("A")))
    given, plane = samples.to_array(original.image), original.alpha
    visible = np.ones(given.shape[:2], bool) if plane is None else np.asarray(plane) > 0
    if encoder is None or encoded.exact == 1:
        meant, error, mode = given, 0, original.image.mode
    else:
        picture = encoder.show(encoder.quantise(encoded.rate))
        mode = picture.mode.removesuffix("A")
        meant, error = samples.to_array(picture.convert(mode)), 1
    alike = decoded.mode == mode + ("" if plane is None else "A") and colour.shape == meant.shape
    alike = alike and found.depth == original.depth
    alike = alike and decoded.info == embedded.info_of(original.metadata, mode == "L")
    alike = alike and (plane is None or np.array_equal(np.asarray(decoded)[..., -1], np.asarray(plane)))
    if not alike or np.abs(np.subtract(colour, meant, dtype=np.int16))[visible].max(initial=0) > error:
        raise AecodecError("what was written does not decode to the picture that was meant")
    if found.depth > 8:
        wide, own = original.colour(), found.colour.reshape(*found.colour.shape[:2], -1)
        value = deep_psnr(wide, np.where(visible[..., None], own, wide), found.depth)
    else:
        value = psnr(given, np.where(visible[..., None], colour, given))
    return {"psnr": round(value, 4) if math.isfinite(value) else None}
