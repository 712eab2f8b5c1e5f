"""Options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypedDict, TypeVar

import click

from aecodec.cli import files
from aecodec.defaults import DEFAULT_WEIGHTS, MAX_PIXELS
from aecodec.errors import AecodecError


class Finite(click.FloatRange):
    """A number in a range; click's own type takes "nan" for one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = super().convert(value, param, ctx)
        return number if math.isfinite(number) else self.fail(f"{value} is not a finite number", param, ctx)


def _installed(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of installed weights for shell completion."""
    return _names(incomplete, encoders=False)


def installed_encoders(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of installed weights for restoration."""
    return _names(incomplete, encoders=True)


def _names(incomplete: str, encoders: bool) -> list[str]:
    from aecodec.weights import cards

    return [name for name in cards.names(encoders) if name.startswith(incomplete)]


def _extension(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """The extension that --format stands for.  The default is not looked up: that would import Pillow."""
    extension = "." + value.lower().lstrip(".")
    if extension != files.PNG:
        try:
            files.format_of(files.STANDARD, extension)
        except AecodecError as error:
            raise click.BadParameter(str(error)) from None
    return extension


# click.Path only so that shells complete the names of files; what is there is looked at when its turn comes
file_names = click.Path(readable=False)
weights = click.option(
    "--weights",
    shell_complete=_installed,
    help=f"Installed weights, or a folder that holds some.  [default: {DEFAULT_WEIGHTS}]",
)
weights_argument = click.argument("name", default=DEFAULT_WEIGHTS, shell_complete=_installed)
decoder = click.option(
    "--decoder",
    metavar="FOLDER",
    type=file_names,
    help="The weights that those were trained for, where they are not installed.",
)
frame = click.option("--frame", type=click.IntRange(min=0), metavar="N", help="Take this frame or page of several, from 0.")
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
    help="CPU threads in all; many pictures are shared out among processes, or threads where a GPU "
    "computes.  [default: all cores]",
)
force = click.option("-f", "--force", is_flag=True, help="Replace existing files.")
output_dir = click.option(
    "--output-dir",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="Write one file per IN into this folder, made where it is missing, with the folders that "
    "an IN lies in below what was given.",
)
picture_format = click.option(
    "--format",
    "extension",
    metavar="EXT",
    default="png",
    show_default=True,
    callback=_extension,
    help="What --output-dir and standard output get: jpg, webp, tif or another.",
)
recursive = click.option("-r", "--recursive", is_flag=True, help="Descend into the folders in a folder.")
update = click.option(
    "--update",
    is_flag=True,
    help="Skip what is done: an OUT that is not empty and newer than the last change of its IN, of "
    "contents, name or rights. Others are replaced. Settings are not compared.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per file, as they finish.")
max_pixels = click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=MAX_PIXELS,
    show_default=True,
    help="Refuse larger pictures before anything is allocated.",
)


Command = TypeVar("Command", bound=Callable[..., object])


class FileSettings(TypedDict):
    """Of ``files_to_files``, what the work on each file needs."""

    update: bool
    device: str
    max_pixels: int
    force: bool


def files_to_files(command: Command) -> Command:
    """The options of a command that makes a file of each of many."""
    for option in reversed((output_dir, recursive, update, device, threads, max_pixels, force, as_json)):
        command = option(command)
    return command
