"""Speak to a shell: its name of standard streams, exit codes, and lines on standard error."""

from __future__ import annotations

from typing import TextIO

import click

from aecodec.stores import names

STANDARD = "-"
FAILED, DAMAGED, INTERRUPTED = 1, 3, 130


def printable(text: object) -> str:
    """Return a text on one line without control characters.

    Names and messages from elsewhere could move the cursor, or have characters that cannot be encoded. URLs lose their
    secrets.
    """
    return "".join(c if c.isprintable() else "?" for c in " ".join(names.masked(str(text)).split()))


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a standard stream, None where it is closed, is a terminal."""
    return stream is not None and stream.isatty()


def complain(path: str, message: object) -> None:
    """Print one line on standard error."""
    name = "standard input" if path == STANDARD else names.shown(path)
    click.echo("aecodec: " + printable(f"{name}: {message}"), err=True)
