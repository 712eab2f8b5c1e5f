"""Write the page of a report: one file with everything inside, which opens from disk without a network."""

from __future__ import annotations

from collections.abc import Mapping

from aecodec import pages
from aecodec.inspect.report import Report


def render(report: Report, made: Mapping[str, str]) -> str:
    """Return the page. ``made`` says how it was made, by words such as "Command"."""
    data = {"numbers": report.numbers, "pictures": report.pictures, "made": dict(made)}
    return pages.report("aecodec.inspect", "inspect", "aecodec inspect", data)
