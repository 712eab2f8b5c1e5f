"""``aecodec decode``."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from aecodec.cli import files, options
from aecodec.errors import AecodecError


@click.command()
@click.argument("paths", metavar="IN... OUT", nargs=-1, required=True)
@click.option("--weights", help="Take the weights from this folder.  [default: those installed]")
@options.output_dir
@options.device
@options.threads
@options.max_pixels
@options.force
@options.as_json
def decode(paths, weights, output_dir, device, threads, max_pixels, force, as_json):
    """Decode .aec files into any format that Pillow writes; OUT's extension picks it.

    \b
    aecodec decode photo.aec photo.png
    aecodec decode --output-dir pictures *.aec

    With --output-dir, or with "-" for standard output, pictures are written as PNG.
    """
    tasks = files.jobs(paths, output_dir, ".png")
    files.use_threads(threads)

    def work(job: files.Job) -> None:
        kind = _format(job.output)
        files.check_output(job.output, force)
        data = files.read_input(job.input)
        import aecodec

        start = time.perf_counter()
        image = aecodec.decode(data, weights=weights, device=device, max_pixels=max_pixels)
        seconds = time.perf_counter() - start
        from aecodec.codec import formats

        files.write_output(job.output, formats.save(image, kind))
        if as_json:
            shown = aecodec.info(data)
            result = {"input": job.input, "output": job.output, "width": shown.width, "height": shown.height,
                      "decode_seconds": round(seconds, 4)}
            click.echo(json.dumps(result), err=job.output == files.STANDARD)

    files.run(tasks, work)


def _format(output: str) -> str:
    """Pillow's name of the format that an output's extension stands for."""
    from PIL import Image

    if output == files.STANDARD:
        return "PNG"
    extension = Path(output).suffix.lower()
    Image.init()
    kind = Image.registered_extensions().get(extension)
    if kind not in Image.SAVE or extension == files.EXTENSION:  # which Pillow knows where aecodec.pillow is imported
        raise AecodecError(f"cannot write pictures with the extension {extension!r}; use .png, .jpg, .webp or .tif")
    return kind
