"""Screens, text and drawings: bytes at quality 60 beside lossless WebP and AVIF, and BD-rates by SSIMULACRA2.

    python benchmarks/screens.py FOLDER [--every 4] [--speed 6] [--crop 448x336] [--kept screens] [--weights photo]

AVIF is 4:4:4 with ``tune=iq``, quality 60 in the first table. "all learned" is aecodec without exact pixels. BD-rates are
on mean curves, pchip, against AVIF; equal pictures score 100. Measurements are kept in a folder (one JSON file a codec),
and only missing ones are made; those of aecodec go by the weights' id, so a change of the code needs another folder.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from aecodec.codec.encoder import Encoder
from aecodec.defaults import DEFAULT_WEIGHTS
from aecodec.eval.bdrate import bd_rate, mean_curve
from aecodec.eval.codecs import AVIF_QUALITIES, avif
from aecodec.eval.measure import find_pictures, read_picture
from aecodec.metrics import ssimulacra2
from aecodec.quality import index_of_quality

QUALITIES = (15, 30, 45, 60, 75, 90)
AT = 60
Row = tuple[int, float, float]  # bytes, SSIMULACRA2, share of exact pixels


def score(original: Image.Image, shown: np.ndarray) -> float:
    given = np.asarray(original)
    return 100.0 if np.array_equal(given, shown) else ssimulacra2(given, shown)


def aecodec_rows(image: Image.Image, all_learned: bool = False, weights: str = DEFAULT_WEIGHTS) -> dict[str, Row]:
    encoder = Encoder(image, weights=weights, device="cpu", strip=True, all_learned=all_learned)
    rows = {}
    for quality in QUALITIES:
        quantised = encoder.quantise(index_of_quality(quality))
        encoded = encoder.write(quantised)
        rows[str(quality)] = len(encoded.data), score(image, encoder.reconstruct(quantised)), encoded.exact
    return rows


def webp_rows(image: Image.Image) -> dict[str, Row]:
    """Return the smaller one of two efforts: for some drawings more effort makes larger files."""
    sizes = []
    for method, effort in ((4, 75), (6, 100)):
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", lossless=True, method=method, quality=effort)
        sizes.append(buffer.tell())
    return {str(AT): (min(sizes), 100.0, 1.0)}


def avif_rows(image: Image.Image, speed: int) -> dict[str, Row]:
    codec = avif(f"avif-iq-{speed}", "4:4:4", speed, "iq")
    if isinstance(codec, str):
        raise SystemExit(f"AVIF {codec}")
    rows = {}
    for quality in AVIF_QUALITIES:
        data = codec.encode(image, quality)
        rows[f"{quality:g}"] = len(data), score(image, np.asarray(codec.decode(data).convert("RGB"))), 0.0
    return rows


def part(image: Image.Image, crop: str | None) -> Image.Image:
    """Return the middle of a picture, ``crop`` is "WIDTHxHEIGHT"."""
    if crop is None:
        return image
    width, height = (min(wanted, given) for wanted, given in zip(map(int, crop.split("x")), image.size, strict=True))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def measured(
    kept: Path, name: str, images: dict[str, Image.Image], rows_of: Callable[[Image.Image], dict[str, Row]]
) -> dict:
    path = kept / f"{name}.json"
    rows = json.loads(path.read_text()) if path.is_file() else {}
    for picture, image in images.items():
        if picture not in rows:
            rows[picture] = rows_of(image)
            path.write_text(json.dumps(rows))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="+", help="files or folders")
    parser.add_argument("--every", type=int, default=1, help="every so manyth picture")
    parser.add_argument("--speed", type=int, default=6, help="AVIF's; 4 takes several seconds a picture")
    parser.add_argument("--crop", help="the middle of each picture, as 448x336")
    parser.add_argument("--kept", type=Path, default=Path("screens"), help="folder of measurements")
    parser.add_argument("--weights", default=DEFAULT_WEIGHTS, help="aecodec's")
    arguments = parser.parse_args()
    arguments.kept.mkdir(parents=True, exist_ok=True)
    images = {}
    for path in find_pictures(arguments.pictures)[:: arguments.every]:
        image = part(read_picture(path).convert("RGB"), arguments.crop)
        image.info.clear()
        images[path.name] = image
    weights = arguments.weights
    learned = f"all learned {Encoder(next(iter(images.values())), weights=weights).weights.id}"
    makers: dict[str, Callable[[Image.Image], dict[str, Row]]] = {
        learned.replace("all learned", "aecodec"): lambda image: aecodec_rows(image, weights=weights),
        learned: lambda image: aecodec_rows(image, all_learned=True, weights=weights),
        "WebP lossless": webp_rows,
        f"AVIF speed {arguments.speed}": lambda image: avif_rows(image, arguments.speed),
    }
    rows = {name: measured(arguments.kept, name, images, rows_of) for name, rows_of in makers.items()}
    print("| picture | " + " | ".join(rows) + " |\n|---|" + "---|" * len(rows))
    for picture in images:
        print(f"| {picture} | " + " | ".join(cell(rows[name][picture][str(AT)]) for name in rows) + " |")
    mean = [statistics.fmean(rows[name][picture][str(AT)][0] for picture in images) for name in rows]
    print("| mean bytes | " + " | ".join(f"{value:.0f}" for value in mean) + " |\n")
    ours = rows[next(iter(rows))]
    print("largest files at any quality, compared with WebP lossless:")
    over = [
        (row[0] / rows["WebP lossless"][name][str(AT)][0] - 1, name, at)
        for name in images
        for at, row in ours[name].items()
    ]
    print("\n".join(f"    {share:+.1%} {name}, quality {at}" for share, name, at in sorted(over)[:-6:-1]))
    anchor = list(rows)[-1]
    for name in list(rows)[:2]:
        found = bd_rate(curve(rows[anchor], images), curve(rows[name], images))
        print(f"{name} against {anchor}: {found.percent:+.1f} % (SSIMULACRA2 {found.low:.0f} to {found.high:.0f})")


def cell(row: Row) -> str:
    size, value, exact = row
    return f"{size} B, {value:.0f}" + (f", {exact:.0%} exact" if exact > 0 else "")


def curve(rows: dict, images: dict[str, Image.Image]) -> list[tuple[float, float]]:
    per_picture = []
    for name, image in images.items():
        points = sorted(rows[name].items(), key=lambda entry: float(entry[0]))
        per_picture.append([(8 * row[0] / (image.width * image.height), row[1]) for _, row in points])
    return mean_curve(per_picture)


if __name__ == "__main__":
    main()
