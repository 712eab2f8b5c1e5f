"""Define ``aecodec anomaly``: fit a model to good pictures, judge others by it, and measure how well it does."""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aecodec.cli import batch, files, options, plan, shell, vectors
from aecodec.cli.advice import explain, fail
from aecodec.cli.output import csv_text, pictures, provenance
from aecodec.errors import AecodecError, reason
from aecodec.images import folders
from aecodec.stores import names

if TYPE_CHECKING:
    from aecodec.anomaly.model import Model

METHODS = ("damage", "neighbours", "gaussian", "bits", "reconstruction")
WANTED = folders.EXTENSIONS | {plan.EXTENSION}
COLUMNS = ("input", "score", "normalised", "bad", "threshold", "regions")

model_argument = click.argument("model_file", metavar="MODEL", type=options.file_names)


@click.group()
def anomaly() -> None:
    """Find what does not belong: learn from good pictures, and judge others.

    \b
    aecodec anomaly fit good -o parts.model
    aecodec anomaly score parts.model new --heatmap heat
    aecodec anomaly evaluate parts.model SET -o page.html

    No bad picture is needed. docs/anomaly.md compares the methods.
    """


@anomaly.command()
@click.argument("paths", metavar="GOOD...", nargs=-1, required=True, type=options.file_names)
@click.option("-o", "--output", metavar="MODEL", required=True, type=options.file_names, help="The model, one file.")
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default=METHODS[0],
    show_default=True,
    help="What distinguishes bad from good: a classifier of damage that is done to the good pictures, the distance to good "
    "places, bits, or what an autoencoder cannot reconstruct ('aecodec[autoencoders]').",
)
@click.option(
    "--features",
    type=click.Choice(["codec", "patches"]),
    default="codec",
    show_default=True,
    help="What neighbours and gaussian compare: latents of the codec, or patches at four scales.",
)
@click.option("--kind", default="conv", show_default=True, help="Kind of the autoencoder, for reconstruction.")
@click.option("--latent", type=click.IntRange(min=1), default=64, show_default=True, help="Numbers of its code.")
@click.option("--epochs", type=click.IntRange(min=1), default=50, show_default=True, help="Epochs of its training.")
@click.option(
    "--error",
    type=click.Choice(["pixel", "ssim", "feature"]),
    default="pixel",
    show_default=True,
    help="How its picture is compared with the true one: squares of pixels, 1 - SSIM, or latents of the codec.",
)
@click.option(
    "--size",
    "side",
    type=click.IntRange(min=64),
    default=320,
    show_default=True,
    help="The longer side in pixels at which pictures are looked at. Smaller ones stay as they are, from 64 pixels on.",
)
@click.option(
    "--quantile",
    type=options.Finite(0, 1),
    default=0.9,
    show_default=True,
    help="Share of good pictures that pass; the threshold is found by cross-validation.",
)
@click.option(
    "--labelled",
    metavar="SET",
    type=options.folder_name,
    help="Take the threshold of the best F1 on the pictures in test/good and test/* of this folder instead.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of everything that is drawn.")
@options.recursive
@options.device
@options.max_pixels
@options.force
def fit(
    paths: tuple[str, ...],
    output: str,
    method: str,
    features: str,
    kind: str,
    latent: int,
    epochs: int,
    error: str,
    side: int,
    quantile: float,
    labelled: str | None,
    seed: int,
    recursive: bool,
    device: str,
    max_pixels: int,
    force: bool,
) -> None:
    """Fit a model to good pictures.

    \b
    aecodec anomaly fit good -o parts.model
    aecodec anomaly fit SET -o parts.model --labelled SET

    GOOD are pictures, .aec files among them, or folders of them. Of a folder that has train/good, as the sets of MVTec
    have, only that is taken. The model holds the threshold, too.
    """
    vectors.check_output(output, force)
    found = list(plan.expand([_good(path) for path in paths], WANTED, recursive))
    from aecodec.anomaly.method import Options
    from aecodec.anomaly.model import Model

    try:
        for each in found:
            if each.problem:
                raise AecodecError(f"{each.path}: {each.problem}")
        sources = [files.read_input(each.path, max_pixels) if names.is_url(each.path) else each.path for each in found]
        with batch.progress("learning", 1000) as step:
            shown = 0

            def progress(done: int, total: int) -> None:
                nonlocal shown
                while shown < 1000 * done // total:
                    shown += 1
                    step()

            chosen = Options(features, kind, latent, error, epochs, seed=seed, device=device)
            model = Model.fit(
                sources, method, chosen, side=side, quantile=quantile, max_pixels=max_pixels, progress=progress
            )
        if labelled is not None:
            from aecodec.anomaly import evaluation

            model = model.with_threshold(*evaluation.labelled_scores(model, labelled, WANTED, device, max_pixels))
        files.write_output(plan.Job("", output), model.to_bytes())
    except AecodecError as problem:
        fail(problem)
    click.echo(
        shell.printable(
            f"aecodec: {output}: {method}, {pictures(len(found))} at {model.side} pixels, "
            f"bad from {model.threshold.score:.4g} on ({model.threshold.source})"
        ),
        err=True,
    )


def _good(path: str) -> str:
    """Return the folder of good pictures in a set that is laid out as MVTec's, or the path itself."""
    inner = os.path.join(path, "train", "good")
    return inner if not names.is_url(path) and os.path.isdir(inner) else path


@anomaly.command()
@model_argument
@click.argument("paths", metavar="IN...", nargs=-1, required=True, type=options.file_names)
@click.option(
    "--heatmap",
    "heat_folder",
    type=options.folder_name,
    metavar="DIR",
    help="Write each picture with its heat over it and boxes around regions into this folder, as PNG.",
)
@options.recursive
@options.device
@options.threads
@options.executor
@options.max_pixels
@options.force
@options.as_json
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
def score(
    model_file: str,
    paths: tuple[str, ...],
    heat_folder: str | None,
    recursive: bool,
    device: str,
    threads: int | None,
    executor: str,
    max_pixels: int,
    force: bool,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Judge pictures by a model.

    \b
    aecodec anomaly score parts.model new
    aecodec anomaly score parts.model new --heatmap heat --json

    Each line has the verdict, the normalised score, the score and the path. The normalised score is 0.5 at the threshold.
    JSON has the boxes of the regions that are too hot, in pixels. Heat is yellow at the threshold and red far above it.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    _open(model_file)  # so that an error of the model is reported once
    model_file = batch.as_seen_by_workers(model_file, executor)
    if heat_folder is None:
        tasks = plan.Jobs(plan.Job(each.path, "", problem=each.problem) for each in plan.expand(paths, WANTED, recursive))
    else:
        tasks = plan.jobs(paths, heat_folder, plan.PNG, WANTED, recursive)
    work = functools.partial(_work, model_file=model_file, device=device, max_pixels=max_pixels, force=force)
    show: Callable[[batch.Report], str] = json.dumps if as_json else _row if as_csv else _line
    if as_csv:
        click.echo(csv_text([COLUMNS]), nl=False)
    batch.run(tasks, work, show=show, verb="judged", threads=threads, device=device, executor=executor, replaces=force)


def _work(job: plan.Job, model_file: str, device: str, max_pixels: int, force: bool) -> batch.Done:
    if job.output:
        files.check_output(job, force)
    data = files.read_input(job.input, max_pixels)
    from aecodec.anomaly import overlay
    from aecodec.anomaly.pictures import opened
    from aecodec.images import writing

    model = _load(model_file)
    pixels = opened(data, device=device, max_pixels=max_pixels)
    start = time.perf_counter()
    verdict = model.judge(pixels, device=device)
    seconds = time.perf_counter() - start
    written = b""
    if job.output:
        written = writing.save(overlay.overlaid(pixels, verdict, model.threshold), "PNG")
        files.write_output(job, written)
    report = {
        "width": verdict.width, "height": verdict.height, "bad": verdict.bad, "score": verdict.score,
        "normalised": round(verdict.normalised, 6), "threshold": model.threshold.score,
        "regions": [asdict(region) for region in verdict.regions], "seconds": round(seconds, 4),
    }  # fmt: skip
    return batch.Done(report, len(data), len(written))


def _line(report: batch.Report) -> str:
    verdict = "bad " if report["bad"] else "good"
    return shell.printable(f"{verdict} {report['normalised']:.3f} {report['score']:10.4f} {report['input']}")


def _row(report: batch.Report) -> str:
    return csv_text([[*(report[name] for name in COLUMNS[:-1]), len(report["regions"])]]).removesuffix("\n")


@anomaly.command()
@model_argument
@click.argument("dataset", metavar="SET", type=options.folder_name)
@click.option("-o", "--output", metavar="PAGE", type=options.file_names, help="Write a page, one HTML file.")
@click.option("--csv", "table", metavar="TABLE", type=options.file_names, help="Write a row for each picture as CSV.")
@options.device
@options.max_pixels
@options.force
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as one JSON object.")
def evaluate(
    model_file: str,
    dataset: str,
    output: str | None,
    table: str | None,
    device: str,
    max_pixels: int,
    force: bool,
    as_json: bool,
) -> None:
    """Measure a model on a set whose bad pictures are known.

    \b
    aecodec anomaly evaluate parts.model SET --json
    aecodec anomaly evaluate parts.model SET -o page.html --csv table.csv

    SET is laid out as those of MVTec: test/good, test/KIND for each kind of defect, and masks in ground_truth/KIND, named
    NAME_mask.png. Pixels are compared at 512 pixels a side at most. The page has ROC curves, and the worst misses first.
    """
    for path in (output, table):
        if path:
            vectors.check_output(path, force)
    model = _open(model_file)
    from aecodec.anomaly import evaluation, sets

    try:
        count = len(sets.testing(dataset, WANTED))
        with batch.progress("judging", count) as step:
            found = evaluation.evaluate(
                model, dataset, WANTED, device=device, max_pixels=max_pixels, progress=step, with_pictures=bool(output)
            )
        if output:
            made = {"Set": Path(dataset).name, **provenance()}
            files.write_output(plan.Job("", output), evaluation.render(found, made).encode("utf-8", "replace"))
        if table:
            rows = [("path", "kind", "bad", "score", "normalised", "found")]
            text = csv_text([*rows, *([getattr(row, name) for name in rows[0]] for row in found.rows)])
            files.write_output(plan.Job("", table), text.encode("utf-8", "replace"))
    except AecodecError as error:
        vectors.fail(dataset, explain(error))
    click.echo(json.dumps(found.numbers) if as_json else "\n".join(_summary(found.numbers)))


def _summary(numbers: batch.Report) -> Iterable[str]:
    def three(name: str) -> str:
        return "-" if numbers[name] is None else f"{numbers[name]:.3f}"

    yield f"pictures  AUROC {three('image_auroc')}, average precision {three('image_ap')}, F1 {three('image_f1')}"
    yield f"pixels    AUROC {three('pixel_auroc')}, AUPRO {three('pixel_aupro')}"
    yield f"{numbers['missed']} of {numbers['bad']} bad missed"
    yield f"{numbers['false_alarms']} of {numbers['good']} good taken for bad"
    for kind, own in numbers["kinds"].items():
        yield shell.printable(f"  {kind}: AUROC {own['auroc']:.3f}, {own['found']} of {own['pictures']} found")


def _open(path: str) -> Model:
    """Return a model, or end the process."""
    try:
        return _load(path)
    except AecodecError as error:
        vectors.fail(path, explain(error))


def _load(path: str) -> Model:
    """Return the model of a file; a worker of a cluster lives on while the model is fitted again."""
    try:
        return _load_once(path, files.stamp_of(path))
    except OSError as error:
        raise AecodecError(reason(error)) from None


@functools.lru_cache(maxsize=1)
def _load_once(path: str, stamp: tuple[int, int]) -> Model:
    from aecodec.anomaly.model import Model

    return Model.load(path)
