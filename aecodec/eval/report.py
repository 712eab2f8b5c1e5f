"""Write report.html: one file with everything inside, which opens from disk without a network."""

from __future__ import annotations

from typing import Any

from aecodec import pages
from aecodec.eval.results import METHODS, Results, spread
from aecodec.metrics import METRICS


def render(results: Results, embedded: list[dict[str, Any]]) -> str:
    """Return the page of ``results`` (``results.summarise``) with the pictures of ``sidebyside.embed``."""
    return pages.report("aecodec.eval", "report", "Image codecs compared", _page_data(results, embedded))


def _page_data(results: Results, embedded: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the data of the page. Points are rows of ``columns``: thousands of named fields would fill the file."""
    metrics = list(results["metrics"])
    columns = ["quality", "bytes", "bpp", *metrics, "encode_seconds", "decode_seconds"]

    def rows(points: list[Results]) -> list[list[float | None]]:
        return [[point.get(column) for column in columns] for point in points]

    return {
        "columns": columns,
        "metrics": {name: {**results["metrics"][name], "curve": METRICS[name].curve} for name in metrics},
        "images": {image["name"]: [image["width"], image["height"]] for image in results["images"]},
        "codecs": {
            name: {
                "version": codec["version"],
                "settings": codec["settings"],
                "speed": {way: codec.get(f"{way}_megapixels_per_second") for way in ("encode", "decode")},
                "points": rows(codec["points"]),
                "images": {image: rows(points) for image, points in codec["images"].items()},
                "bd": _bd(codec),
            }
            for name, codec in results["codecs"].items()
        },
        "references": {
            name: {
                "source": reference["source"],
                "description": reference["description"],
                "points": rows(reference["points"]),
                "bd": _bd(reference),
            }
            for name, reference in results["references"].items()
        },
        "embedded": embedded,
        **{key: results[key] for key in ("anchor", "against", "averaged", "failures", "absent", "environment")},
    }


def _bd(codec: Results) -> dict[str, Any] | None:
    """Return BD-rates by metric and method: of the mean curve, the spread, and percent or reason by picture."""
    if "bd_rate_details" not in codec:
        return None
    return {
        metric: {
            method: {
                "mean": details[method]["mean_curve"],
                "spread": spread(details[method]["images"]),
                "images": {
                    image: result.get("percent", result.get("error")) for image, result in details[method]["images"].items()
                },
            }
            for method in METHODS
        }
        for metric, details in codec["bd_rate_details"].items()
    }
