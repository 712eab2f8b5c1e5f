"""Define ``aecodec eval``."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aecodec.cli import batch, files, options, plan, shell
from aecodec.cli.advice import fail
from aecodec.cli.batch import progress, terminated_as_exit
from aecodec.cli.output import command_line
from aecodec.errors import AecodecError, MissingPackageError, reason
from aecodec.threads import use_threads

if TYPE_CHECKING:
    from aecodec.eval.codecs import Codec
    from aecodec.eval.measure import Picture
    from aecodec.eval.results import Results
    from aecodec.executors.dask import DaskExecutor

JOURNAL = "measurements.jsonl"


@click.command()
@click.argument("inputs", metavar="IN...", nargs=-1)
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="Folder for report.html, results.json, results.csv, bdrate.csv and the measurements so far.",
)
@click.option("-r", "--recursive", is_flag=True, help="Descend into subfolders.")
@click.option(
    "--codecs",
    metavar="NAME,...",
    help="Some of aecodec, jpeg, webp, avif, avif444, avif444-iq, jxl, jpeg2000.  [default: all]",
)
@click.option(
    "--weights",
    metavar="NAME,...",
    help="Weights to measure as aecodec, by name or folder.  [default: all that are installed]",
)
@click.option(
    "--qualities",
    multiple=True,
    metavar="N | Q,Q,... | CODEC=Q,Q,...",
    help="How many of each codec's default qualities to measure at most; or a list of qualities for all codecs, "
    "or for one, on a codec's own scale.",
)
@click.option(
    "--metrics",
    metavar="NAME,...",
    help="Some of ssimulacra2, cvvdp, ms_ssim, psnr_rgb, psnr_y, ssim. The report's headline uses the first.  "
    "[default: all that are installed]",
)
@click.option("--anchor", metavar="NAME", help="The codec that BD-rates compare with.  [default: jpeg, or else the first]")
@click.option(
    "--reference",
    "references",
    multiple=True,
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Draw a published curve too, from JSON in CompressAI's form.",
)
@click.option("-j", "--processes", type=click.IntRange(min=1), default=1, show_default=True, help="Measurements at a time.")
@options.executor
@click.option(
    "--task",
    type=click.Choice(["denoise", "dejpeg", "deblur", "upscale", "inpaint"]),
    help="Compare a network that restores (--weights) with classical methods, in place of codecs.",
)
@click.option(
    "--compare",
    nargs=2,
    type=click.Path(dir_okay=False),
    metavar="A B",
    help="Say what changed from one results.json to another; measure nothing.",
)
def eval(
    inputs: tuple[str, ...],
    folder: str | None,
    recursive: bool,
    codecs: str | None,
    weights: str | None,
    qualities: tuple[str, ...],
    metrics: str | None,
    anchor: str | None,
    references: tuple[str, ...],
    processes: int,
    executor: str,
    task: str | None,
    compare: tuple[str, str] | None,
) -> None:
    """Compare codecs or restoration methods on your own pictures, and write a report.

    \b
    aecodec eval photos -o report
    aecodec eval photos --codecs aecodec,jpeg,webp --qualities 5 -o report
    aecodec eval --compare old/results.json new/results.json
    aecodec eval photos --task denoise -o report

    IN is any number of pictures, folders and patterns. To continue an interrupted run, repeat the command: it measures only
    what is missing. Seconds are measured on one CPU with one thread.
    """
    click.get_current_context().with_resource(terminated_as_exit())
    try:
        if compare:
            if inputs or folder:
                raise click.UsageError("--compare takes two results.json and nothing else")
            _compare(*map(Path, compare))
            return
        if not inputs or not folder:
            raise click.UsageError("give at least one IN, and -o FOLDER")
        if task:
            if codecs or qualities or metrics or anchor or references:
                raise click.UsageError("--task goes with --weights, -r, -j and --executor only")
            weights = weights and batch.as_seen_by_workers(weights, executor)
            with _opened(executor, processes) as cluster:
                failed = _restoration(inputs, Path(folder), recursive, weights, task, processes, cluster)
        else:
            models = weights and [batch.as_seen_by_workers(name, executor) for name in _words(weights) or ()]
            with _opened(executor, processes) as cluster:
                failed = _report(
                    inputs, Path(folder), recursive, _words(codecs), models, qualities, _words(metrics), anchor,
                    references, processes, cluster,
                )  # fmt: skip
    except AecodecError as error:
        fail(error)
    except KeyboardInterrupt:
        kept = "nothing was written" if task else "all measurements are kept, and the same command continues from there"
        click.echo(f"aecodec: interrupted; {kept}", err=True)
        sys.exit(shell.INTERRUPTED)
    if failed:
        sys.exit(shell.FAILED)


@contextlib.contextmanager
def _opened(name: str, processes: int) -> Iterator[DaskExecutor | None]:
    """Open the executor of this name; None stands for processes of this machine."""
    if name == batch.PROCESSES:
        yield None
        return
    from aecodec import executors

    if processes > 1 and not executors.is_local(name):
        raise click.UsageError("--processes is for this machine; a cluster has its own number of workers")
    use_threads(1)  # in workers that start on this machine
    executor = executors.open_executor(name, processes)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def _absolute(paths: Sequence[Path], cluster: DaskExecutor | None) -> list[Path]:
    """Return paths that workers, which may run in another folder, find."""
    return [Path(os.path.abspath(path)) for path in paths] if cluster else list(paths)


def _words(text: str | None) -> list[str] | None:
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]


def _compare(before: Path, after: Path) -> None:
    _need_packages()
    from aecodec.eval import results

    for line in results.compare(results.read_results(before), results.read_results(after)):
        click.echo(line)


def _report(
    inputs: Sequence[str],
    folder: Path,
    recursive: bool,
    codecs: Sequence[str] | None,
    weights: Sequence[str] | None,
    qualities: Sequence[str],
    metrics: Sequence[str] | None,
    anchor: str | None,
    references: Sequence[str],
    processes: int,
    cluster: DaskExecutor | None,
) -> bool:
    """Measure what is missing and write the report. Returns True where something could not be measured."""
    use_threads(1)  # here and in the processes, so that CPU seconds are comparable
    _need_packages()
    from aecodec.eval import measure, report, results
    from aecodec.metrics import METRICS, open_metrics

    if unknown := [name for name in metrics or () if name not in METRICS]:
        raise click.UsageError(f"there is no metric {unknown[0]!r}; the metrics are {', '.join(METRICS)}")
    published = dict(results.read_reference(Path(path)) for path in references)
    found, absent = _open_codecs(codecs, weights, qualities, published)
    names = [codec.name for codec in found]
    if anchor is None:
        anchor = "jpeg" if "jpeg" in names else names[0]
    if anchor not in names:
        raise click.UsageError(f"the anchor {anchor!r} is not one of the codecs {', '.join(names)}")
    paths = _absolute(measure.find_pictures(inputs, recursive), cluster)
    metrics, without = open_metrics(metrics or None)
    if not metrics:
        raise AecodecError(_reasons(without))
    absent |= without
    _make(folder)
    journal = measure.Journal(folder / JOURNAL)
    for name, why in absent.items():
        shell.complain(name, f"left out: {why}")
    pictures, failures = measure.open_pictures(paths)
    tasks = measure.missing(pictures, found, metrics, journal)
    with progress("measuring", len(tasks)) as step:
        for failure in measure.measure_all(tasks, journal, processes, cluster):
            step()
            if failure:
                failures.append(failure)
    for failure in failures:
        shell.complain(failure.picture, failure)
    if len(failures) and not any(journal.find(p, c, q) for p in pictures for c in found for q in c.qualities):
        raise AecodecError("nothing could be measured")
    summary = results.summarise(pictures, found, metrics, journal, anchor, failures, published)
    summary["absent"] = absent
    summary["environment"] = results.environment(command_line(), processes)
    page = report.render(summary, _side_by_side(pictures, found, summary, processes))
    _write(folder, summary, {"results.csv": results.as_csv(summary), "bdrate.csv": results.against_as_csv(summary)}, page)
    click.echo("\n".join([*results.headlines(summary), str(folder / "report.html")]))
    return bool(failures)


def _open_codecs(
    codecs: Sequence[str] | None, weights: Sequence[str] | None, qualities: Sequence[str], published: Collection[str]
) -> tuple[list[Codec], dict[str, str]]:
    """Return the codecs that can be measured, and why the others cannot; none has the name of a published curve."""
    from aecodec.eval import codecs as known

    found, absent = known.open_codecs(known.names() if codecs is None else codecs, weights)
    found = known.with_qualities(found, qualities)
    if not found:
        raise AecodecError(_reasons(absent) or "no codec is chosen")
    if clash := set(published) & {codec.name for codec in found}:
        raise AecodecError(f"a published curve and a codec are both named {clash.pop()!r}")
    return found, absent


def _side_by_side(
    pictures: Sequence[Picture], codecs: Sequence[Codec], summary: Results, processes: int
) -> list[dict[str, Any]]:
    """Return the pictures that the report shows, coded by each codec at equal bytes."""
    from aecodec.eval import sidebyside

    shown = [picture for name in sidebyside.choose(summary) for picture in pictures if picture.name == name]
    embedded = []
    with progress("pictures side by side", len(shown)) as step:
        for entry in sidebyside.embed(shown, codecs, summary, processes):
            embedded.append(entry)
            step()
    return embedded


def _restoration(
    inputs: Sequence[str],
    folder: Path,
    recursive: bool,
    weights: str | None,
    task: str,
    processes: int,
    cluster: DaskExecutor | None,
) -> bool:
    """Measure restoration methods and write the report. Returns True where something could not be measured."""
    use_threads(1)
    from aecodec.eval import measure, results
    from aecodec.eval.restoration.measure import measure_all
    from aecodec.eval.restoration.methods import CASES, PACKAGES, open_methods
    from aecodec.eval.restoration.report import render
    from aecodec.eval.restoration.results import as_csv, headlines, summarise

    if importlib.util.find_spec("scipy") is None:
        raise MissingPackageError("eval --task", "scipy", "'aecodec[eval,restore]'")
    paths = _absolute(measure.find_pictures(inputs, recursive), cluster)
    methods, absent = open_methods(task, weights)
    _make(folder)
    for name, why in absent.items():
        shell.complain(name, f"left out: {why}")
    pictures, unread = measure.open_pictures(paths)
    failures, measured = list(unread), []
    with progress("measuring", len(pictures) * len(CASES[task])) as step:
        for each in measure_all(pictures, task, methods, processes, cluster):
            measured.append(each)
            failures += each.failures
            step()
    for failure in failures:
        shell.complain(failure.picture, failure)
    if not any(each.values for each in measured):
        raise AecodecError("nothing could be measured")
    summary = summarise(task, methods, measured, absent, unread)
    summary["environment"] = results.environment(command_line(), processes, PACKAGES)
    _write(folder, summary, {"results.csv": as_csv(summary)}, render(summary, measured))
    click.echo("\n".join([*headlines(summary), str(folder / "report.html")]))
    return bool(failures)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AecodecError(f"cannot make {folder}: {reason(error)}") from None


def _reasons(absent: dict[str, str]) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in absent.items())


def _write(folder: Path, summary: dict[str, Any], tables: dict[str, str], page: str) -> None:
    text = json.dumps(summary, indent=1, allow_nan=False) + "\n"
    for name, content in {"results.json": text, **tables, "report.html": page}.items():
        files.write_output(plan.Job("", str(folder / name)), content.encode("utf-8", "replace"))  # names may be any bytes


def _need_packages() -> None:
    """Raise MissingPackageError where the extra is not installed: better now than after hours of measuring."""
    for package in ("bjontegaard", "scipy", "ssimulacra2"):
        if importlib.util.find_spec(package) is None:
            raise MissingPackageError("eval", package, "'aecodec[eval]'")
