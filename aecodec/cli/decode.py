"""``aecodec decode``."""

from __future__ import annotations

import functools
import io
import json
import time
from pathlib import Path

import click

from aecodec.cli import batch, files, options
from aecodec.errors import AecodecError


@click.command()
@click.argument("paths", metavar="IN... OUT", nargs=-1, required=True, type=options.file_names)
@click.option("--weights", metavar="FOLDER", type=options.file_names,
              help="Take the weights from this folder.  [default: those installed]")
@options.output_dir
@options.recursive
@options.update
@options.device
@options.threads
@options.max_pixels
@options.force
@options.as_json
def decode(paths, output_dir, recursive, threads, as_json, **settings):
    """Decode .aec files into any format that Pillow writes; OUT's extension picks it.

    \b
    aecodec decode photo.aec photo.png
    aecodec decode --output-dir pictures *.aec
    aecodec decode -r --output-dir pictures archive

    IN may be "-" for standard input, OUT for standard output.  There, and with --output-dir, pictures are written as
    PNG.  An IN with --output-dir may be a folder, which stands for the .aec files in it.
    """
    tasks = files.jobs(paths, output_dir, ".png", {files.EXTENSION}, recursive)
    work = functools.partial(_work, **settings)
    batch.run(tasks, work, show=json.dumps if as_json else None, verb="decoded", threads=threads, device=settings["device"])


def _work(job: files.Job, weights, update, device, max_pixels, force) -> batch.Done:
    if update and files.up_to_date(job):
        return batch.SKIPPED
    kind = _format(job.output)
    files.check_output(job, force or update)
    from aecodec.codec.bitstream import read_header

    data = files.read_input(job.input, max_pixels, lambda start: read_header(start, max_pixels))
    import aecodec

    start = time.perf_counter()
    image = aecodec.decode(data, weights=weights, device=device, max_pixels=max_pixels)
    seconds = time.perf_counter() - start
    written = _save(image, kind)
    files.write_output(job, written)
    report = {"width": image.width, "height": image.height, "decode_seconds": round(seconds, 4)}
    return batch.Done(report, len(data), len(written))


def _format(output: str) -> str:
    """Pillow's name of the format that an output's extension stands for."""
    from PIL import Image

    if output == files.STANDARD:
        return "PNG"
    extension = Path(output).suffix.lower()
    Image.init()
    kind = Image.registered_extensions().get(extension)
    if kind is None or kind not in Image.SAVE:
        raise AecodecError(f"cannot write pictures with the extension {extension!r}; use .png, .jpg, .webp or .tif")
    return kind


def _save(image, kind: str) -> bytes:
    """The picture as a file; metadata that Pillow's writer stumbles over is dropped with a warning, never the picture.

    Raises AecodecError where the picture itself cannot be written.
    """
    import warnings

    metadata = {name: image.info.pop(name) for name in ("exif", "xmp", "icc_profile") if name in image.info}
    reason = None
    for dropped in ((), *((name,) for name in metadata), tuple(metadata)):
        try:
            data = _write(image, kind, {name: value for name, value in metadata.items() if name not in dropped})
        except MemoryError:
            raise
        except Exception as error:  # the writers raise whatever they meet in damaged metadata
            reason = reason or error
            continue
        if dropped:
            warnings.warn(f"{' and '.join(dropped)} cannot be kept in {kind}: {reason}", stacklevel=2)
        return data
    raise AecodecError(f"Pillow cannot write it as {kind}: {reason}")


def _write(image, kind: str, metadata: dict[str, bytes]) -> bytes:
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    if kind == "PNG" and "xmp" in metadata:
        from PIL.PngImagePlugin import PngInfo

        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", metadata.pop("xmp").decode("utf-8", "replace"))
    elif kind == "TIFF" and "xmp" in metadata:
        from PIL import Image

        exif = Image.Exif()
        exif.load(metadata.get("exif", b""))
        exif[700] = metadata.pop("xmp")
        metadata["exif"] = exif
    buffer = io.BytesIO()
    image.save(buffer, kind, **options, **metadata)
    return buffer.getvalue()
