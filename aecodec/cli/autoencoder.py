"""Define ``aecodec autoencoder``: learn a code for pictures of one kind, compare kinds, and look at what they learned."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aecodec.cli import files, options, plan, shell, vectors
from aecodec.cli.advice import fail
from aecodec.cli.output import pictures as counted, provenance
from aecodec.errors import AecodecError, SettingsError, reason
from aecodec.stores import names

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from aecodec.autoencoders import Autoencoder
    from aecodec.autoencoders.compare import Row

# aecodec.autoencoders has them; this module imports no torch
KINDS = (
    "linear", "tied", "deep", "stacked", "conv", "sparse", "contractive", "denoising", "vae", "beta-vae", "vq-vae",
    "adversarial",
)  # fmt: skip
LOSSES = ("mse", "bce", "ssim", "perceptual")
LEAST = 16  # pixels a side of what is compared

size = click.option(
    "--size",
    type=click.IntRange(min=4),
    default=64,
    show_default=True,
    help="Cut and scale pictures to SIZE x SIZE pixels.",
)
loss = click.option(
    "--loss",
    type=click.Choice(LOSSES),
    default="mse",
    show_default=True,
    help="What is minimised; perceptual is the codec's mix.",
)
seed = click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything that is drawn.")
model_argument = click.argument("model", type=click.Path(exists=True, file_okay=False))
sheet_output = click.option(
    "-o", "--output", metavar="SHEET", required=True, type=options.file_names, help="The contact sheet, such as sheet.png."
)


def _epochs(default: int) -> Callable[[options.Command], options.Command]:
    return click.option(
        "--epochs", type=click.IntRange(min=1), default=default, show_default=True, help="Passes over all pictures."
    )


def _batch(default: int) -> Callable[[options.Command], options.Command]:
    return click.option("--batch", type=click.IntRange(min=1), default=default, show_default=True, help="Pictures a step.")


@click.group()
def autoencoder() -> None:
    """Learn a compact code for pictures of one kind: fit, compare, sample.

    \b
    aecodec autoencoder fit -r photos --kind vae -o model
    aecodec autoencoder sample model -o sheet.png
    aecodec autoencoder compare -r photos --kinds all -o page.html

    Needs pip install 'aecodec[autoencoders]'. docs/autoencoders.md describes the kinds.
    """


@autoencoder.command()
@click.argument("paths", metavar="FOLDER...", nargs=-1, required=True, type=options.file_names)
@click.option("--kind", type=click.Choice(KINDS), default="conv", show_default=True, help="Kind of autoencoder.")
@click.option("--latent", type=click.IntRange(min=1), default=32, show_default=True, help="Numbers of a code.")
@size
@click.option(
    "-o",
    "--output",
    "folder",
    required=True,
    metavar="MODEL",
    type=click.Path(file_okay=False),
    help="The folder of the model.",
)
@loss
@_epochs(60)
@_batch(64)
@click.option(
    "--learning-rate",
    type=options.Finite(0, min_open=True),
    default=2e-3,
    show_default=True,
    help="Learning rate at its peak.",
)
@click.option(
    "--held-out",
    type=options.Finite(0, 1, max_open=True),
    default=0.1,
    show_default=True,
    help="Share of pictures that is kept for validation.",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the kind, such as beta=2.")
@seed
@options.recursive
@options.device
@options.max_pixels
@options.force
@click.option("--json", "as_json", is_flag=True, help="Print what was learned as one JSON object.")
def fit(
    paths: tuple[str, ...],
    kind: str,
    latent: int,
    size: int,
    folder: str,
    loss: str,
    epochs: int,
    batch: int,
    learning_rate: float,
    held_out: float,
    settings: tuple[str, ...],
    seed: int,
    recursive: bool,
    device: str,
    max_pixels: int,
    force: bool,
    as_json: bool,
) -> None:
    """Learn a code for the pictures in folders.

    \b
    aecodec autoencoder fit -r photos --kind vae --latent 32 --size 64 -o model
    aecodec autoencoder fit tiles --kind sparse --set penalty=kl --set target=0.1 -o model

    MODEL becomes a folder with card.toml, model.safetensors and log.csv, which has the loss and the score of held-out
    pictures for each epoch. After an interruption the same command goes on where it stopped.
    """
    from aecodec.weights.cards import CARD

    place = Path(folder)
    if (place / CARD).exists() and not force:
        vectors.fail(folder, "exists; --force replaces it")
    try:
        from aecodec.autoencoders import Autoencoder
        from aecodec.autoencoders.kinds import with_options
        from aecodec.autoencoders.store import save
        from aecodec.training.checkpoint import CHECKPOINT

        chosen = with_options(kind, dict(map(_setting, settings))) if settings else kind
        model = Autoencoder(
            chosen, latent, size=size, epochs=epochs, batch=batch, learning_rate=learning_rate, loss=loss,
            held_out=held_out, seed=seed, device=device, max_pixels=max_pixels,
        )  # fmt: skip
        pictures, kept = _load(paths, recursive, size, max_pixels)
        place.mkdir(parents=True, exist_ok=True)
        with _progress(epochs) as show:
            for epoch in model.fit_epochs(pictures, place):
                show(epoch.epoch, f"loss {epoch.loss:.4g}")
        identity = save(model, place, {"pictures": len(kept)})
        (place / CHECKPOINT).unlink(missing_ok=True)
    except AecodecError as error:
        fail(error)
    except OSError as error:
        vectors.fail(error.filename or folder, reason(error))
    last = model.history_[-1]
    report = {
        "output": folder, "id": identity, "kind": kind, "numbers": model.model_.length, "pictures": len(kept),
        "epochs": last.epoch, "loss": last.loss, "validation": last.validation, "seconds": round(last.seconds, 1),
    }  # fmt: skip
    if as_json:
        click.echo(json.dumps(report))
    else:
        validation = "" if last.validation is None else f", held-out score {last.validation:.4g}"
        codes = f"{kind}, codes of {model.model_.length} numbers"
        click.echo(
            shell.printable(f"{folder}: {codes}, {counted(len(kept))}, loss {last.loss:.4g}{validation}; {identity}")
        )


@autoencoder.command()
@click.argument("paths", metavar="FOLDER...", nargs=-1, required=True, type=options.file_names)
@click.option("--kinds", default="all", show_default=True, metavar="KIND,...", help="Kinds to compare, or all.")
@click.option(
    "--latent",
    "latents",
    type=click.IntRange(min=1),
    multiple=True,
    default=(32,),
    show_default=True,
    help="Numbers of a code. Given several times, the page shows how much more numbers bring.",
)
@size
@click.option("-o", "--output", metavar="PAGE", type=options.file_names, help="The page to write, one HTML file.")
@loss
@_epochs(20)
@_batch(32)
@click.option(
    "--models", type=click.Path(file_okay=False), metavar="DIR", help="Keep models; those in DIR are not fitted again."
)
@seed
@options.recursive
@options.device
@options.max_pixels
@options.force
@click.option("--json", "as_json", is_flag=True, help="Print the numbers of the page as one JSON object.")
def compare(
    paths: tuple[str, ...],
    kinds: str,
    latents: tuple[int, ...],
    size: int,
    output: str | None,
    loss: str,
    epochs: int,
    batch: int,
    models: str | None,
    seed: int,
    recursive: bool,
    device: str,
    max_pixels: int,
    force: bool,
    as_json: bool,
) -> None:
    """Compare kinds on the pictures in folders: error, bits, a linear probe, sharpness, noise, samples, time.

    \b
    aecodec autoencoder compare -r photos --kinds all -o page.html
    aecodec autoencoder compare -r photos --kinds tied,conv --latent 4 --latent 16 --latent 64 -o elbow.html

    A fifth of the pictures is held out to judge the kinds. Where pictures are in several folders, these are the classes of
    the probe. The page is one file and needs no network.
    """
    if not output and not as_json:
        raise click.UsageError("give -o PAGE, --json or both")
    chosen = list(KINDS) if kinds == "all" else [kind.strip() for kind in kinds.split(",")]
    if unknown := [kind for kind in chosen if kind not in KINDS]:
        raise click.UsageError(f"unknown kind {unknown[0]!r}; the kinds are {', '.join(KINDS)}")
    if size < LEAST:
        raise click.UsageError(f"--size must be at least {LEAST}")
    if output:
        vectors.check_output(output, force)
    try:
        from aecodec.autoencoders import Autoencoder, page
        from aecodec.autoencoders.compare import compare as compare_kinds

        settings = Autoencoder(
            size=size, epochs=epochs, batch=batch, loss=loss, seed=seed, device=device, max_pixels=max_pixels
        )
        pictures, kept = _load(paths, recursive, size, max_pixels)
        every = len(chosen) * len(latents) * 1000
        with _progress(every) as show:
            todo = [(kind, latent) for kind in chosen for latent in latents]

            def tell(kind: str, latent: int, share: float) -> None:
                show(round(1000 * (todo.index((kind, latent)) + share)), f"{kind}, {latent}")

            labels = [names.parent(path) for path in kept]
            found = compare_kinds(
                pictures, labels, chosen, latents, settings, folder=Path(models) if models else None, tell=tell
            )
    except AecodecError as error:
        fail(error)
    if output:
        title = "Autoencoders on " + ", ".join(names.base(names.identity(path)) for path in paths)
        text = page.render(found, shell.printable(title), provenance())
        vectors.replace(output, lambda path: path.write_text(text, "utf-8"))
    if as_json:
        click.echo(json.dumps(page.numbers(found)))
    else:
        click.echo(_table(found.rows))


@autoencoder.command()
@model_argument
@sheet_output
@click.option(
    "-n", "--count", type=click.IntRange(1, 1024), default=64, show_default=True, help="Number of pictures to draw."
)
@seed
@options.device
@options.force
def sample(model: str, output: str, count: int, seed: int, device: str, force: bool) -> None:
    """Draw new pictures from a model's prior, as a contact sheet.

    \b
    aecodec autoencoder sample model -n 64 -o sheet.png
    """

    def work(opened: Autoencoder) -> Image.Image:
        from aecodec.autoencoders.sheets import check_pictures, sheet

        check_pictures(opened)
        return sheet(opened.sample(count, seed), max(1, round(count**0.5)))

    _write_sheet(model, output, device, force, work)


@autoencoder.command()
@model_argument
@click.argument("first", metavar="A", type=click.Path(exists=True, dir_okay=False))
@click.argument("second", metavar="B", type=click.Path(exists=True, dir_okay=False))
@sheet_output
@click.option("--steps", type=click.IntRange(2, 64), default=8, show_default=True, help="Blends between the two.")
@options.device
@options.force
def interpolate(model: str, first: str, second: str, output: str, steps: int, device: str, force: bool) -> None:
    """Walk from one picture to another through their codes, as a contact sheet.

    \b
    aecodec autoencoder interpolate model a.png b.png -o sheet.png

    The row has picture A, its reconstruction, the blends, the reconstruction of B, and B.
    """

    def work(opened: Autoencoder) -> Image.Image:
        from aecodec.autoencoders.sheets import interpolation, sheet

        return sheet(interpolation(opened, first, second, steps), steps + 2)

    _write_sheet(model, output, device, force, work)


@autoencoder.command()
@model_argument
@sheet_output
@click.option(
    "--start", type=click.Path(exists=True, dir_okay=False), help="A picture to start from.  [default: the mean code]"
)
@click.option(
    "--numbers", type=click.IntRange(1, 64), default=8, show_default=True, help="Numbers of the code to show, a row each."
)
@click.option("--steps", type=click.IntRange(2, 64), default=9, show_default=True, help="Pictures in a row.")
@click.option(
    "--reach",
    type=options.Finite(0, min_open=True),
    default=3.0,
    show_default=True,
    help="Ends of a row, in standard deviations.",
)
@options.device
@options.force
def traverse(
    model: str, output: str, start: str | None, numbers: int, steps: int, reach: float, device: str, force: bool
) -> None:
    """Show what each number of a code does, as a contact sheet with a row for each.

    \b
    aecodec autoencoder traverse model -o sheet.png
    aecodec autoencoder traverse model --start photo.jpg --numbers 4 -o sheet.png

    The rows are of the numbers that change the picture most. The name of a row is the place of the number in the code.
    """

    def work(opened: Autoencoder) -> Image.Image:
        from aecodec.autoencoders.sheets import sheet, traversal

        pictures, chosen = traversal(opened, start, numbers, steps, reach)
        return sheet(pictures, steps, [f"number {number}" for number in chosen])

    _write_sheet(model, output, device, force, work)


def _write_sheet(folder: str, output: str, device: str, force: bool, work: Callable[[Autoencoder], Image.Image]) -> None:
    """Write the sheet that ``work`` makes of a model, whole or not at all."""
    job = plan.Job("", output)
    try:
        files.check_output(job, force)
        kind = files.format_of(output)
        from aecodec.autoencoders import load
        from aecodec.images import writing

        files.write_output(job, writing.save(work(load(folder, device)), kind))
    except AecodecError as error:
        fail(error)


def _load(paths: Sequence[str], recursive: bool, size: int, max_pixels: int) -> tuple[NDArray[np.uint8], list[str]]:
    """Return the pictures in folders and their paths; one that cannot be read is named and left out."""
    from aecodec.autoencoders import pictures

    found = []
    for each in plan.expand(paths, vectors.WANTED, recursive):
        if each.problem:
            shell.complain(each.path, each.problem)
        else:
            found.append(each.path)
    return pictures.load(found, size, lambda path, error: shell.complain(path, f"left out: {error}"), max_pixels)


@contextlib.contextmanager
def _progress(length: int) -> Iterator[Callable[[int, str], None]]:
    """Return a function that moves a bar on a terminal's standard error to a place, with a word on what is done."""
    if not shell.is_terminal(sys.stderr):
        yield lambda place, word: None
        return
    with click.progressbar(length=length, show_eta=True, file=sys.stderr) as bar:

        def show(place: int, word: str) -> None:
            bar.label = word
            bar.update(place - bar.pos)

        yield show


def _table(rows: Sequence[Row]) -> str:
    """Return rows as text in columns."""
    heads = ("kind", "latent", "numbers", "bits", "PSNR", "SSIM", "noisy", "sharp", "Frechet", "probe", "seconds")
    lines = [heads]
    for row in rows:
        probe = "-" if row.probe is None else f"{row.probe:.1%}"
        lines.append((
            row.kind, str(row.latent), str(row.numbers), f"{row.bits:.0f}", f"{row.psnr:.2f}", f"{row.ssim:.3f}",
            f"{row.noisy:.2f}", f"{row.sharpness:.0%}", f"{row.frechet:.3f}", probe, f"{row.seconds:.0f}",
        ))  # fmt: skip
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if not at else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def _setting(text: str) -> tuple[str, Any]:
    """Return key and value of "key=value"; the value is a number, true or false, numbers with commas, or a word."""
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise SettingsError(f"{text!r} is not KEY=VALUE")
    if "," in value or value == "()":
        return key, tuple(int(each) for each in value.strip("()").split(",") if each.strip())
    for kind in (int, float):
        try:
            return key, kind(value)
        except ValueError:
            continue
    return key, {"true": True, "false": False}.get(value, value)
