"""Do what the commands that restore pictures have in common: read each, repair it, write it."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from aecodec.cli import batch, files, options, plan
from aecodec.images import folders

if TYPE_CHECKING:
    from typing_extensions import Unpack

Task = Literal["denoise", "deblur", "upscale"]  # functions of ``aecodec.restore.pictures``
VERBS = {"denoise": "denoised", "deblur": "deblurred", "upscale": "upscaled"}


class Settings(options.FileSettings):
    """What the work on each file needs."""

    weights: str
    decoder: str
    frame: int | None
    extension: str


def run(
    paths: tuple[str, ...],
    task: Task,
    arguments: Mapping[str, Any],
    *,
    output_dir: str | None,
    recursive: bool,
    threads: int | None,
    executor: str,
    as_json: bool,
    mark: str = "",
    **settings: Unpack[Settings],
) -> None:
    """Repair pictures with the ``arguments`` of the task; ``mark`` is what names in ``output_dir`` end with."""
    options.check_format(paths, output_dir)
    tasks = plan.jobs(paths, output_dir, mark + settings["extension"], folders.EXTENSIONS, recursive)
    settings["weights"] = batch.as_seen_by_workers(settings["weights"], executor)
    settings["decoder"] = batch.as_seen_by_workers(settings["decoder"], executor)
    work = functools.partial(_repair, task=task, arguments=arguments, **settings)
    show = json.dumps if as_json else None
    batch.run(
        tasks, work, show=show, verb=VERBS[task], threads=threads, device=settings["device"], executor=executor,
        replaces=settings["force"] or settings["update"],
    )  # fmt: skip


def _repair(job: plan.Job, task: Task, arguments: Mapping[str, Any], **settings: Unpack[Settings]) -> batch.Done:
    if settings["update"] and files.up_to_date(job):
        return batch.SKIPPED
    kind = files.format_of(job.output, settings["extension"])
    files.check_output(job, settings["force"] or settings["update"])
    like = files.status(job) if settings["preserve"] else None
    data = files.read_input(job.input, settings["max_pixels"])
    from aecodec.container import metadata
    from aecodec.images import reading, writing
    from aecodec.restore import pictures

    image = reading.open_picture(data, settings["max_pixels"])
    start = time.perf_counter()
    repaired = getattr(pictures, task)(
        image,
        **arguments,
        weights=settings["weights"],
        decoder=settings["decoder"],
        device=settings["device"],
        max_pixels=settings["max_pixels"],
        frame=settings["frame"],
    )
    seconds = time.perf_counter() - start
    written = writing.save(repaired, kind)
    files.write_output(job, written, like=like)
    width, height = metadata.shown_size(repaired.size, repaired.info.get("exif", b""))
    return batch.Done({"width": width, "height": height, "seconds": round(seconds, 4)}, len(data), len(written))
