"""Write the page of a comparison: one file with everything inside, which opens from disk without a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from aecodec import pages
from aecodec.autoencoders.compare import DRAWN, SIGMA, Comparison

SHEET_QUALITY = 88


def numbers(found: Comparison) -> dict[str, Any]:
    """Return what a comparison found, as JSON can hold it."""
    facts = {"pictures": found.pictures, "held_out": found.held_out, "classes": found.classes, "floor": found.floor}
    return {**facts, "sigma": SIGMA, "drawn": min(DRAWN, found.held_out), "rows": [asdict(row) for row in found.rows]}


def render(found: Comparison, title: str, made: Mapping[str, str]) -> str:
    """Return the page. ``made`` says how it was made, by words such as "Command"."""
    sheets = [[pages.picture_uri(image, SHEET_QUALITY) for image in row] for row in found.sheets]
    originals = [pages.picture_uri(image, SHEET_QUALITY) for image in found.originals]
    data = {**numbers(found), "title": title, "made": dict(made), "sheets": sheets, "originals": originals}
    return pages.report("aecodec.autoencoders", "compare", "aecodec autoencoder compare", data)
