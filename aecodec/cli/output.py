"""Word what several commands write: numbers of pictures, CSV, and how a page came to be."""

from __future__ import annotations

import csv
import io
import math
import shlex
import sys
from collections.abc import Iterable, Sequence
from datetime import date

from aecodec import __version__
from aecodec.stores import names


def pictures(count: int) -> str:
    """Return "1 picture" or "2 pictures"."""
    return f"{count} picture{'' if count == 1 else 's'}"


def share(value: float) -> float:
    """Return a share with four digits, rounded down: only the whole is 1."""
    return math.floor(value * 10000) / 10000


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV with line feeds, one behind the last row, too. Names may be any bytes."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return names.as_text(text.getvalue())


def command_line() -> str:
    """Return the command that runs, as a shell takes it; URLs lose their secrets."""
    return shlex.join(["aecodec", *map(names.masked, sys.argv[1:])])


def provenance() -> dict[str, str]:
    """Return what a page says of its making: command, date and version."""
    return {"Command": command_line(), "Date": str(date.today()), "aecodec": __version__}
