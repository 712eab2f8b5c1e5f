"""``aecodec info``."""

from __future__ import annotations

import json

import click

from aecodec.cli import files, options


@click.command()
@click.argument("paths", metavar="FILE...", nargs=-1, required=True)
@options.as_json
def info(paths, as_json):
    """Say what .aec files hold, without decoding them.  All checksums are verified.

    \b
    aecodec info photo.aec
    """

    def work(job: files.Job) -> None:
        from aecodec.codec import bitstream, metadata

        data = files.read_input(job.input)
        stream = bitstream.read(data, max_pixels=None)
        head = metadata.shown(stream.header, stream.chunks)
        names = {bitstream.ICC: "icc", bitstream.EXIF: "exif", bitstream.XMP: "xmp"}
        result = {
            "version": bitstream.VERSION, "width": head.width, "height": head.height, "mode": head.mode,
            "weights": head.weights, "quality": head.quality, "bytes": len(data),
            "bpp": round(len(data) * 8 / (head.width * head.height), 6), "tiles": 1,
            "metadata": [names[kind] for kind in stream.chunks if kind in names],
        }
        if as_json:
            click.echo(json.dumps({"input": job.input, **result}))
        else:
            click.echo(
                f"{job.input}: {head.width} x {head.height} {head.mode}, quality {head.quality:g}, {len(data)} bytes, "
                f"{result['bpp']:.3f} bits per pixel, weights {head.weights}"
                + (f", with {' '.join(result['metadata'])}" if result["metadata"] else "")
            )

    files.run([files.Job(path, files.STANDARD) for path in paths], work)
