"""Define ``aecodec verify``."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sys
import warnings
from typing import BinaryIO

import click

from aecodec.cli import batch, files, manifest, options, plan
from aecodec.errors import BitstreamError
from aecodec.stores import names


@click.command()
@click.argument("paths", metavar="[FILE...]", nargs=-1, type=options.file_names)
@click.option(
    "--manifest",
    "manifest_file",
    metavar="FILE",
    type=options.file_names,
    help="Check the files that this manifest of encode names against it.",
)
@click.option(
    "--weights",
    metavar="FOLDER",
    type=options.file_names,
    help="Take the weights from this folder.  [default: installed weights]",
)
@options.recursive
@options.device
@options.threads
@options.max_pixels
@options.as_json
def verify(
    paths: tuple[str, ...],
    manifest_file: str | None,
    weights: str | None,
    recursive: bool,
    device: str,
    threads: int | None,
    max_pixels: int,
    as_json: bool,
) -> None:
    """Prove that .aec files are whole, without writing pictures.

    \b
    aecodec verify photo.aec
    aecodec verify -r archive
    aecodec verify --manifest archive/manifest.jsonl

    Each FILE is decoded, and its samples are compared with the hash that it has of them (encode --hash), if it has one. A
    folder stands for the .aec files in it. With --manifest, each file that it names is compared with its hash, and so is
    its source where it is still there.
    """
    if bool(paths) == bool(manifest_file):
        raise click.UsageError("give either files or a --manifest")
    show = json.dumps if as_json else None
    if manifest_file:
        lines = {line.output: line for line in manifest.read(manifest_file)}
        tasks = [plan.Job(output, "") for output in lines]
        work = functools.partial(_compare, lines=lines, max_pixels=max_pixels)
    else:
        tasks = [
            plan.Job(found.path, "", problem=found.problem) for found in plan.expand(paths, {plan.EXTENSION}, recursive)
        ]
        work = functools.partial(_decode, weights=weights, device=device, max_pixels=max_pixels)
    batch.run(tasks, work, show=show, verb="verified", threads=threads, device=device)


def _decode(job: plan.Job, weights: str | None, device: str, max_pixels: int) -> batch.Done:
    from aecodec.container import bitstream

    data = files.read_input(job.input, max_pixels, lambda start: bitstream.read_header(start, max_pixels))
    from aecodec.codec import decoder

    found = decoder.decode_samples(data, weights=weights, device=device, max_pixels=max_pixels)
    return batch.Done({"bytes": len(data), "verified": "samples" if found.is_verified else "decoded"}, len(data))


def _compare(job: plan.Job, lines: dict[str, manifest.Line], max_pixels: int) -> batch.Done:
    from aecodec.container import bitstream

    line = lines[job.input]
    data = files.read_input(job.input, max_pixels)
    if len(data) != line.bytes or hashlib.sha256(data).hexdigest() != line.output_sha256:
        raise BitstreamError("is not the file that the manifest names")
    bitstream.read(data, max_pixels=max_pixels)
    report: dict[str, object] = {"bytes": len(data), "verified": "hash"}
    if (found := _sha256_of(line.source)) is not None:
        report["source_unchanged"] = found == line.source_sha256
        if not report["source_unchanged"]:
            warnings.warn(f"its source {line.source} has changed since it was encoded", stacklevel=2)
    return batch.Done(report, len(data))


def _sha256_of(name: str) -> str | None:
    """Return the hash of a file, None where it is no longer there, or may no longer be read in its store."""
    if names.is_url(name):
        from aecodec.stores import remote

        try:
            return hashlib.sha256(remote.read(name, sys.maxsize)).hexdigest()
        except (FileNotFoundError, PermissionError):
            return None
    if not os.path.isfile(name):
        return None
    with open(name, "rb") as file:
        return _sha256(file)


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(files.BLOCK):
        digest.update(block)
    return digest.hexdigest()
