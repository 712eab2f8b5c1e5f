"""Advise a user of the command line on the library's errors, which state facts."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from aecodec.cli import shell
from aecodec.errors import (
    AecodecError,
    DeviceError,
    FramesError,
    LimitError,
    NoRestoringWeightsError,
    NotAModelError,
    TruncatedError,
)


def explain(error: AecodecError) -> str:
    """Return an error's message with the options that help, on one line."""
    advice = _advice(error)
    return f"{error}; {advice}" if advice else str(error)


def fail(error: AecodecError) -> NoReturn:
    """Print an error with the options that help on standard error, and end the process."""
    click.echo(f"aecodec: {shell.printable(explain(error))}", err=True)
    sys.exit(shell.FAILED)


def _advice(error: AecodecError) -> str:
    if isinstance(error, LimitError):
        return "--max-pixels raises the limit"
    if isinstance(error, TruncatedError) and error.has_header:
        return "decode --preview shows what there is of it"
    if isinstance(error, FramesError):
        return "--frame N takes one of them, counted from 0"
    if isinstance(error, NotAModelError):
        return "see encode --restorer"
    if isinstance(error, DeviceError):
        return "use --device cpu"
    if isinstance(error, NoRestoringWeightsError):
        return "aecodec weights list names those that are; aecodec train denoise, sharpen or inpaint makes others"
    return ""
