"""Define ``aecodec info``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from aecodec.cli import batch, files, options, plan, shell
from aecodec.cli.output import share
from aecodec.defaults import MAX_PIXELS

if TYPE_CHECKING:
    from aecodec.container.bitstream import Stream


@click.command()
@click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=options.file_names)
@options.recursive
@options.as_json
def info(paths: tuple[str, ...], recursive: bool, as_json: bool) -> None:
    """Show what .aec files contain, without decoding them. All checksums are verified.

    \b
    aecodec info photo.aec
    aecodec info -r archive

    A folder stands for the .aec files in it.
    """
    tasks = [plan.Job(found.path, "", problem=found.problem) for found in plan.expand(paths, {plan.EXTENSION}, recursive)]
    batch.run(tasks, _work, show=json.dumps if as_json else _prose)


def _work(job: plan.Job) -> batch.Done:
    from aecodec.container import bitstream

    data = files.read_input(job.input, MAX_PIXELS, lambda start: bitstream.read_header(start, max_pixels=None))
    return batch.Done(facts(data, bitstream.read(data, max_pixels=None)))


def facts(data: bytes, stream: Stream) -> batch.Report:
    """Return what a file says of itself, without decoding."""
    from aecodec.container import bitstream, metadata

    head = metadata.shown(stream.header, stream.chunks)
    as_given, near = _shares(stream)
    names = {
        bitstream.ICC: "icc",
        bitstream.EXIF: "exif",
        bitstream.XMP: "xmp",
        bitstream.RESOURCES: "iptc",
        bitstream.RESOLUTION: "resolution",
        bitstream.SIGNAL: "cicp",
    }
    signal, hashed = (stream.chunks.get(kind) for kind in (bitstream.SIGNAL, bitstream.HASH))
    return {
        "version": head.version, "width": head.width, "height": head.height, "mode": head.mode, "depth": head.depth,
        "cicp": None if signal is None else "/".join(map(str, signal)), "hash": None if hashed is None else hashed.hex(),
        "weights": head.weights, "quality": head.quality, "exact": share(as_given),
        "near": share(near), "bytes": len(data),
        "bpp": round(len(data) * 8 / (head.width * head.height), 6), "tiles": len(stream.payloads),
        "metadata": [names[kind] for kind in stream.chunks if kind in names],
    }  # fmt: skip


def _shares(stream: Stream) -> tuple[float, float]:
    """Return the shares of the pixels that are without loss, and in fewer colours, 0..1."""
    from aecodec.container import bitstream

    if not {bitstream.EXACT, bitstream.LOSSLESS} & stream.chunks.keys():
        return 0.0, 0.0
    from aecodec.container import exact  # imports numpy, which takes most of the time of this command

    return exact.shares(stream)


def _prose(report: batch.Report) -> str:
    text = "{input}: {width} x {height} {mode}, "
    text += "{depth} bits a sample, " if report["depth"] > 8 else ""
    if report["exact"] == 1:
        text += "without loss, {bytes} bytes, {bpp:.3f} bits per pixel"
    else:
        text += "quality {quality:g}"
        text += ", {exact:.0%} of it without loss" if report["exact"] else ""
        text += ", {near:.0%} of it in fewer colours" if report["near"] else ""
        text += ", {bytes} bytes, {bpp:.3f} bits per pixel, weights {weights}"
    text += ", colours {cicp} (CICP)" if report["cicp"] else ""
    names = [name for name in report["metadata"] if name != "cicp"]
    text += f", with {' '.join(names)}" if names else ""
    text += ", hash {hash}" if report["hash"] else ""
    return shell.printable(text.format(**report))
