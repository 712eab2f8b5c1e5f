"""Define ``aecodec train``."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aecodec.cli import shell
from aecodec.cli.advice import fail
from aecodec.errors import AecodecError, MissingPackageError, reason

if TYPE_CHECKING:
    from types import FrameType

    from aecodec.training.run import Run
    from aecodec.training.settings import Settings


def _list_configs(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from aecodec.training import settings as keys

    for name, purpose in keys.configurations().items():
        click.echo(f"{name:12} {purpose}")
    ctx.exit()


def _show_config(ctx: click.Context, _: click.Parameter, name: str | None) -> None:
    if name is None or ctx.resilient_parsing:
        return
    from aecodec.training import settings as keys

    try:
        click.echo(keys.locate(name).read_text("utf-8").rstrip())
    except AecodecError as error:
        raise click.BadParameter(str(error)) from None
    ctx.exit()


@click.command()
@click.argument("config", required=False)
@click.option(
    "-o",
    "--output",
    "folder",
    required=True,
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="Folder for checkpoints, logs and weights. An interrupted run continues from its checkpoint there.",
)
@click.option("--data", multiple=True, metavar="FOLDER", help="Pictures to train on; may be given several times.")
@click.option("--init", metavar="WEIGHTS", help="Start from these weights: an installed name, a folder or a checkpoint.")
@click.option("--minutes", type=float, help="Train this long.")
@click.option("--steps", type=int, help="Train this many steps.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where to train.")
@click.option(
    "--list-configs",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_configs,
    help="List the configurations that come with aecodec.",
)
@click.option(
    "--show-config",
    metavar="NAME",
    is_eager=True,
    expose_value=False,
    callback=_show_config,
    help="Print one of them, to make your own from it.",
)
def train(
    config: str | None,
    folder: str,
    data: tuple[str, ...],
    init: str | None,
    minutes: float | None,
    steps: int | None,
    device: str | None,
) -> None:
    """Train weights, or fine-tune them on your own pictures.

    \b
    aecodec train --init photo --data scans --minutes 30 -o runs/scans
    aecodec encode --weights runs/scans/weights scan.png scan.aec
    aecodec train photo --data pictures -o runs/photo
    torchrun --nproc-per-node 8 -m aecodec train mine.toml -o runs/mine

    CONFIG is the path of a TOML file, or the name of one that comes with aecodec. docs/training.md describes its keys;
    options override them. Ctrl-C and SIGTERM write a checkpoint.
    """
    try:
        from aecodec.training import settings as keys

        given = {"data": list(data), "init": init, "minutes": minutes, "steps": steps, "device": device}
        overrides = {key: value for key, value in given.items() if value not in (None, [])}
        if not config and not data:
            raise click.UsageError("give a CONFIG, or --data FOLDER")
        _need_packages()
        settings = keys.read(keys.locate(config), **overrides) if config else keys.make(_with_init(overrides, Path(folder)))
        _train(settings, Path(folder))
    except AecodecError as error:
        fail(error)
    except OSError as error:
        shell.complain(error.filename or folder, reason(error))
        sys.exit(shell.FAILED)


def _with_init(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a configuration for a start from weights, where the user gave none.

    The architecture is that of the weights, the learning rate is gentle, and the name is that of the run's folder.
    """
    if "init" not in content:
        return content
    from aecodec.training.checkpoint import checkpoint_of
    from aecodec.weights import cards

    started = checkpoint_of(content["init"]) or cards.read_card(cards.folder_of(content["init"]))
    restores = started.get("task") == cards.RESTORE
    gentle = {"learning_rate": 1e-4, "warm_up": 50, "hyper_warm_up": 0, "name": folder.resolve().name}
    architecture = {"unet" if restores else "architecture": started["architecture"]}
    return {**gentle, **content, **({"task": cards.RESTORE} if restores else {}), **architecture}


def _need_packages() -> None:
    """Raise MissingPackageError where the extra is not installed: better now than when the card is written."""
    for package in ("torch", "tomli_w"):
        if importlib.util.find_spec(package) is None:
            raise MissingPackageError("training", package, "'aecodec[train]'")


def _train(settings: Settings, folder: Path) -> None:
    from aecodec.training.run import Run
    from aecodec.training.workers import is_first

    if is_first():
        folder.mkdir(parents=True, exist_ok=True)
    run = Run(settings, folder, lambda message: click.echo(f"aecodec: {message}", err=True))
    bar_file = sys.stderr if run.workers.first else io.StringIO()
    click.echo(f"{len(run.pictures.arrays)} pictures to train on, {run.device}", bar_file)
    progress = click.progressbar(length=1000, file=bar_file, label="training", show_eta=True)
    with progress as bar, _stopped_by_signals(run) as received:
        for report in run.progress():
            bar.label = f"step {report.step}  loss {report.loss:.4f}  {report.rate:.3f} bpp"
            bar.update(int(1000 * report.share) - bar.pos)
    if run.workers.first and not run.stopped:
        _save(run, folder)
    run.workers.leave()
    if run.stopped:
        click.echo(f"aecodec: stopped after {run.step} steps; the same command continues from there", bar_file)
        sys.exit(128 + (received or [signal.SIGINT])[0])


@contextlib.contextmanager
def _stopped_by_signals(run: Run) -> Iterator[list[int]]:
    """Let Ctrl-C and SIGTERM end the run after the current step, and yield the numbers of those that came.

    A second one ends the run at once.
    """
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        run.stop()
        for each, handler in before.items():
            signal.signal(each, handler)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, stop)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _save(run: Run, folder: Path) -> None:
    settings = run.settings.to_dict()
    training = {
        "pictures": len(run.pictures.arrays),
        "steps": run.step,
        "minutes": round(run.seconds / 60, 1),
        **({"workers": run.workers.size} if run.workers.size > 1 else {}),
        "settings": {key: value for key, value in settings.items() if key not in ("data", "architecture")},
    }
    run.average.cpu()
    identity = run.task.save(run.average, folder / "weights", {"training": training})
    click.echo(f"{folder / 'weights'}: weights {identity} after {run.step} steps")
