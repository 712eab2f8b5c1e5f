"""Fit the vectors of ``aecodec features`` to the default weights: run it when these change.

    python scripts/fit_features.py FOLDER...

Takes the pictures in the folders but every fifth one, which are left for measuring (benchmarks/features.py --held-out).
There should be 400 or more; 500 take about two minutes of a CPU core. Writes aecodec/retrieval/whitening.npz, with the
hash of the weights in it. Every vector changes, so indexes must be made again.
"""

from __future__ import annotations

import argparse
import io
import time
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from aecodec.entropy import latents
from aecodec.quality import index_of_quality
from aecodec.retrieval import pooling, vectors, whitening
from aecodec.runtime import open_transforms
from aecodec.weights import store

FILE = Path(__file__).parents[1] / "aecodec" / "retrieval" / whitening.FILE
BOX = (192, 128)  # pixels that a picture is scaled down to, one way or the other: many are done in little time
COPIES = 4  # of each picture, drawn from KINDS
HELD_OUT = 5  # of so many pictures one is left out
EXTENSIONS = {".jpg", ".jpeg", ".png", ".webp"}


def reduced(picture: Image.Image, factor: float) -> Image.Image:
    """Return a picture scaled down into BOX times a factor."""
    box = BOX if picture.width >= picture.height else BOX[::-1]
    factor = min(1, *(factor * side / own for side, own in zip(box, picture.size, strict=True)))
    width, height = (max(1, round(side * factor)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def cropped(picture: Image.Image, share: float, random: np.random.Generator) -> Image.Image:
    """Return a picture without a share of its area, cut off anywhere."""
    width, height = (round(side * (1 - share) ** 0.5) for side in picture.size)
    left, top = random.integers(picture.width - width + 1), random.integers(picture.height - height + 1)
    return picture.crop((left, top, left + width, top + height))


def recompressed(picture: Image.Image, quality: int) -> Image.Image:
    """Return a picture after its way through a JPEG."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def recoloured(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """Return a picture with another brightness, contrast and saturation."""
    for kind in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        picture = kind(picture).enhance(random.uniform(0.7, 1.35))
    return picture


# What must not move a vector, each with how often it is drawn.  "file" is a file of any quality.
KINDS = {"half": 1, "double": 1, "gray": 1, "jpeg": 1, "crop": 3, "colour": 1, "file": 3}


def statistics(path: Path, weights: store.Weights, random: np.random.Generator) -> np.ndarray:
    """Return the statistics (1 + COPIES, n) of a picture and of copies of it, float16."""
    original = Image.open(path).convert("RGB")
    picture = reduced(original, 1)
    rows = [vectors.statistics_of_picture(picture, weights, "cpu")]
    chances = np.array(list(KINDS.values())) / sum(KINDS.values())
    for kind in random.choice(list(KINDS), COPIES, p=chances):
        if kind == "file":
            rows.append(statistics_of_file(picture, weights, index_of_quality(random.uniform(10, 95))))
            continue
        if kind == "half":
            copy = reduced(picture, 0.5)
        elif kind == "double":
            copy = reduced(original, 2)
        elif kind == "gray":
            copy = picture.convert("L")
        elif kind == "jpeg":
            copy = recompressed(picture, int(random.integers(30, 80)))
        elif kind == "crop":
            copy = cropped(picture, random.uniform(0.03, 0.2), random)
        else:
            copy = recoloured(picture, random)
        rows.append(vectors.statistics_of_picture(copy, weights, "cpu"))
    return np.array(rows, np.float16)


def statistics_of_file(picture: Image.Image, weights: store.Weights, rate: int) -> np.ndarray:
    """Return the statistics of the latents in the picture's file at a rate index."""
    transforms = open_transforms(weights, "cpu")
    y = transforms.analyse(vectors.padded(picture), rate)
    coded = latents.encode(weights.entropy_model, y, transforms.hyper_analyse(y, rate), rate).latents
    at_one = store.at_gain_one(coded, weights, rate)
    return pooling.statistics(at_one, picture.height, picture.width)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    paths = sorted(path for folder in arguments.folders for path in folder.iterdir() if path.suffix.lower() in EXTENSIONS)
    paths = [path for number, path in enumerate(paths, 1) if number % HELD_OUT]
    weights, start, rows = store.load(), time.monotonic(), []
    for number, path in enumerate(paths, 1):
        rows.append(statistics(path, weights, np.random.default_rng(number)))
        if number % 50 == 0:
            print(f"{number} of {len(paths)}, {time.monotonic() - start:.0f} s", flush=True)
    fitted = whitening.fit(np.stack(rows), weights.arch.latents, weights.card["sha256"])
    FILE.write_bytes(fitted.to_bytes())
    print(f"wrote {FILE}: {FILE.stat().st_size} bytes, for the weights {weights.id}")


if __name__ == "__main__":
    main()
