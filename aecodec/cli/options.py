"""Define options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypedDict, TypeVar

import click
from click.core import ParameterSource

from aecodec.cli import batch, files, plan, shell
from aecodec.cli.advice import fail
from aecodec.defaults import DEFAULT_WEIGHTS, MAX_PIXELS
from aecodec.errors import AecodecError, MissingPackageError
from aecodec.stores import names


class Finite(click.FloatRange):
    """A number in a range; click's own type accepts "nan"."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = super().convert(value, param, ctx)
        return number if math.isfinite(number) else self.fail(f"{value} is not a finite number", param, ctx)


def _installed(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of installed weights, for shell completion."""
    return _names(incomplete, restoring=False)


def _installed_restorers(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of installed networks that restore, for shell completion."""
    return _names(incomplete, restoring=True)


def _names(incomplete: str, restoring: bool) -> list[str]:
    from aecodec.weights import cards

    return [name for name in cards.names(restoring) if name.startswith(incomplete)]


def _extension(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """Return the extension that --format stands for. The default is not looked up: that would import Pillow."""
    extension = "." + value.lower().lstrip(".")
    if extension != plan.PNG:
        try:
            files.format_of(shell.STANDARD, extension)
        except AecodecError as error:
            raise click.BadParameter(str(error)) from None
    return extension


def _executor(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """Return the name of an executor. The process ends where its package is missing."""
    if value == batch.PROCESSES:
        return value
    from aecodec import executors

    try:
        executors.check_name(value)
    except MissingPackageError as error:
        fail(error)
    except AecodecError as error:
        raise click.BadParameter(str(error)) from None
    return value


def check_format(paths: Sequence[str], output_dir: str | None) -> None:
    """Raise click.UsageError where --format is given and OUT's extension stands for another format."""
    context = click.get_current_context()
    if output_dir is not None or context.get_parameter_source("extension") is not ParameterSource.COMMANDLINE:
        return
    own, given = names.suffix(paths[-1]), context.params["extension"]
    if paths[-1] != shell.STANDARD and files.format_of(shell.STANDARD, given) != files.format_of(paths[-1]):
        raise click.UsageError(f"OUT has the extension {own!r} and --format says {given[1:]!r}; give one of the two")


class _Name(click.Path):
    """A path or a URL; of a file:// URL the path. The process ends where the URL's store cannot be used."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        name = names.local_path(str(value))
        if not name:
            self.fail("a name is empty", param, ctx)
        if not names.is_url(name):
            return super().convert(name, param, ctx)
        from aecodec.stores import remote

        try:
            remote.check_url(name)
        except AecodecError as error:
            fail(error)
        return name


# click.Path only so that shells complete the names of files; what is there is looked at when its turn comes
file_names = _Name(readable=False)
folder_name = _Name(file_okay=False)
weights = click.option(
    "--weights",
    shell_complete=_installed,
    help=f"Installed weights, or a folder with weights.  [default: {DEFAULT_WEIGHTS}]",
)
weights_argument = click.argument("name", default=DEFAULT_WEIGHTS, shell_complete=_installed)
decoder = click.option(
    "--decoder",
    default=DEFAULT_WEIGHTS,
    show_default=True,
    type=file_names,
    shell_complete=_installed,
    help="The codec's weights whose decoder makes the picture, installed or a folder.",
)
frame = click.option("--frame", type=click.IntRange(min=0), metavar="N", help="Take this frame or page, counted from 0.")
device = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where the networks run.",
)
threads = click.option(
    "-j",
    "--threads",
    type=click.IntRange(min=1),
    help="CPU threads in total. Many pictures are shared among processes, or among threads if a GPU "
    "computes.  [default: all cores]",
)
executor = click.option(
    "--executor",
    metavar="NAME",
    default=batch.PROCESSES,
    show_default=True,
    callback=_executor,
    help="Where the work is done: processes of this machine, or the workers of a Dask cluster, dask://HOST:8786; "
    "dask:// starts some on this machine. Needs 'aecodec[dask]'.",
)
force = click.option("-f", "--force", is_flag=True, help="Replace existing files.")
model = click.option(
    "--model",
    type=click.Path(exists=True, file_okay=False),
    metavar="MODEL",
    help="Describe pictures by the codes of this autoencoder (aecodec autoencoder fit).",
)
output_dir = click.option(
    "--output-dir",
    type=folder_name,
    metavar="DIR",
    help="Write one file per IN into this folder, which is made if it is missing. Subfolders of an IN are kept.",
)
picture_format = click.option(
    "--format",
    "extension",
    metavar="EXT",
    default="png",
    show_default=True,
    callback=_extension,
    help="Format for --output-dir and standard output: jpg, webp, tif or another.",
)
recursive = click.option("-r", "--recursive", is_flag=True, help="Descend into subfolders.")
update = click.option(
    "--update",
    is_flag=True,
    help="Skip an IN whose OUT is not empty and newer than the last change of IN, of its content, name "
    "or permissions. Replace all others. Settings are not compared.",
)
preserve = click.option(
    "--preserve", is_flag=True, help="Give OUT the permissions and the times of access and modification of IN."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per file, as they finish.")
max_pixels = click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=MAX_PIXELS,
    show_default=True,
    help="Refuse larger pictures before memory is taken for them.",
)


Command = TypeVar("Command", bound=Callable[..., object])


class FileSettings(TypedDict):
    """Of ``files_to_files``, what the work on each file needs."""

    update: bool
    preserve: bool
    device: str
    max_pixels: int
    force: bool


def restorer(default: str) -> Callable[[Command], Command]:
    """Add ``--weights``, of a network that restores."""
    return click.option(
        "--weights",
        default=default,
        show_default=True,
        type=file_names,
        shell_complete=_installed_restorers,
        help="Installed weights that restore, or a folder with such weights.",
    )


def files_to_files(command: Command) -> Command:
    """Add the options of a command that turns each of many files into one, on this machine or on many."""
    return _with((output_dir, recursive, update, preserve, device, threads, executor, max_pixels, force, as_json), command)


def files_to_files_here(command: Command) -> Command:
    """Add the same options, but for that of where the work runs."""
    return _with((output_dir, recursive, update, preserve, device, threads, max_pixels, force, as_json), command)


def _with(options: Sequence[Callable[[Command], Command]], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
