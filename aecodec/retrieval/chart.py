"""Write the map of a folder: one page with everything inside, which opens from disk without a network."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from aecodec import pages
from aecodec.retrieval import layout, thumbnails
from aecodec.retrieval.journal import Row
from aecodec.stores.names import as_text

SIDE = 96  # pixels of a thumbnail
ACROSS = 10  # thumbnails in a row of a sheet, which has as many rows
UNITS = 2**16 - 1  # of coordinates


def render(rows: Sequence[Row], title: str, kind: str = "tsne") -> str:
    """Return the page of pictures, whose rows have thumbnails, in a layout of ``layout.LAYOUTS``."""
    vectors = np.array([row.vector for row in rows], np.float32)
    points = layout.place(vectors, kind)
    found = layout.clusters(points)
    data = {
        "title": title,
        "side": SIDE,
        "across": ACROSS,
        "folders": _shortened(_folders(rows)),
        "length": vectors.shape[1],
        "pictures": _columns(rows, points, found),
        "vectors": _vectors(vectors),
        "sheets": [_sheet(rows[start : start + ACROSS**2]) for start in range(0, len(rows), ACROSS**2)],
    }
    return pages.report("aecodec.retrieval", "map", "Map of pictures", data, images="data: blob:")


def _folders(rows: Sequence[Row]) -> list[str]:
    """Return the folders of pictures, sorted."""
    return sorted({str(Path(row.path).parent) for row in rows})


def _shortened(folders: list[str]) -> list[str]:
    """Return folders from the one that holds them all."""
    parts = [Path(folder).parts for folder in folders]
    common = 0
    while len(folders) > 1 and len({part[: common + 1] for part in parts}) == 1:
        common += 1
    return [as_text(str(Path(*part[common:]))) for part in parts]


def _columns(rows: Sequence[Row], points: layout.Floats, found: np.ndarray[Any, Any]) -> dict[str, list[Any]]:
    """Return what the page knows of each picture, by columns: thousands of named fields would fill it."""
    folders = {name: number for number, name in enumerate(_folders(rows))}
    return {
        "path": [as_text(row.path) for row in rows],
        "folder": [folders[str(Path(row.path).parent)] for row in rows],
        "width": [row.width for row in rows],
        "height": [row.height for row in rows],
        "bytes": [row.size for row in rows],
        "quality": [row.quality for row in rows],
        "cluster": found.tolist(),
        "x": np.rint(points[:, 0] * UNITS).astype(int).tolist(),
        "y": np.rint(points[:, 1] * UNITS).astype(int).tolist(),
    }


def _vectors(vectors: layout.Floats) -> dict[str, Any]:
    """Return vectors as signed bytes and the value of one unit: the error of a similarity is about 0.002."""
    peak = float(np.abs(vectors).max(initial=1e-9))
    small = np.rint(vectors * (127 / peak)).astype(np.int8)
    return {"unit": peak / 127, "bytes": base64.b64encode(small.tobytes()).decode()}


def _sheet(rows: Sequence[Row]) -> dict[str, Any]:
    """Return thumbnails side by side in one WebP, and the width and height of each: browsers open it at once."""
    deep = -(-len(rows) // ACROSS)
    sheet = Image.new("RGB", (SIDE * min(ACROSS, len(rows)), SIDE * deep))
    sizes = []
    for number, row in enumerate(rows):
        small = Image.open(io.BytesIO(row.thumbnail))
        sheet.paste(small, (number % ACROSS * SIDE, number // ACROSS * SIDE))
        sizes.append(small.size)
    buffer = io.BytesIO()
    sheet.save(buffer, "WEBP", quality=thumbnails.QUALITY, method=2)
    return {"image": base64.b64encode(buffer.getvalue()).decode(), "sizes": sizes}
