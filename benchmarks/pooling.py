"""Compare what the vectors of ``aecodec features`` could be made of; docs/features.md has the result.

    python benchmarks/pooling.py FIT_FOLDER TEST_FOLDER [--fit 400] [--test 60]

Fits each choice to copies of the pictures in one folder and tests it on copies of those in the other, both as
scripts/fit_features.py makes them. Printed are how many copies are nearest to their own original, and how many are found
at the similarity that one in a thousand pairs of other pictures reaches.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image

from aecodec.retrieval import pooling, vectors, whitening
from aecodec.runtime import open_transforms
from aecodec.weights import store

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
import fit_features

CELLS = pooling.GRID**2
# name: cells each way, combinations of channels, texture, features of the entropy model, whether copies count
CHOICES = {
    "means of 6 combinations in 4 x 4 cells, texture": (4, 6, True, False, True),
    "the same by principal components alone": (4, 6, True, False, False),
    "3 combinations": (4, 3, True, False, True),
    "12 combinations": (4, 12, True, False, True),
    "24 combinations": (4, 24, True, False, True),
    "2 x 2 cells": (2, 6, True, False, True),
    "one cell": (1, 6, True, False, True),
    "without texture": (4, 6, False, False, True),
    "texture alone": (0, 0, True, False, True),
    "hyper-latents and features in place of texture": (4, 6, False, True, True),
    "hyper-latents and features besides": (4, 6, True, True, True),
    "hyper-latents and features alone": (0, 0, False, True, True),
}


def hyper_statistics(y: np.ndarray, weights: store.Weights, rate: int, height: int, width: int) -> np.ndarray:
    """Return means and mean magnitudes of the hyper-latents and means of the entropy model's features."""
    z = (
        np.rint(open_transforms(weights, "cpu").hyper_analyse(np.ascontiguousarray(y), rate))
        .clip(-127, 127)
        .astype(np.int32)
    )
    rows, columns = (max(1, round(side / 16)) for side in (height, width))
    features = weights.entropy_model.features(z, rate)[:rows, :columns].mean((0, 1))
    inside = z[: -(-rows // 4), : -(-columns // 4)]
    return np.concatenate([inside.mean((0, 1)), np.abs(inside).mean((0, 1)), features])


def measure(folder: Path, count: int, weights: store.Weights) -> tuple[np.ndarray, np.ndarray]:
    """Return the statistics (pictures, copies, n) of pictures, and those of their hyper-latents."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in fit_features.EXTENSIONS)
    np.random.default_rng(0).shuffle(paths)
    transforms, found = open_transforms(weights, "cpu"), []
    real, size = transforms.analyse, []

    def analyse(picture: np.ndarray, rate: int) -> np.ndarray:
        y = real(picture, rate)
        found.append(hyper_statistics(y, weights, rate, *size[-1]))
        return y

    def padded(image: Image.Image, real: object = vectors.padded) -> np.ndarray:
        size.append((image.height, image.width))
        return real(image)

    rows, start = [], time.monotonic()
    with mock.patch.object(transforms, "analyse", analyse), mock.patch.object(vectors, "padded", padded):
        for number, path in enumerate(paths[:count], 1):
            rows.append(fit_features.statistics(path, weights, np.random.default_rng(number)))
            if number % 50 == 0:
                print(f"{number} of {min(count, len(paths))}, {time.monotonic() - start:.0f} s", file=sys.stderr)
    table = np.stack(rows).astype(np.float32)
    return table, np.array(found, np.float32).reshape(*table.shape[:2], -1)


def selected(
    table: np.ndarray, hyper: np.ndarray, combine: np.ndarray, choice: tuple[int, int, bool, bool, bool]
) -> np.ndarray:
    """Return the statistics of a choice."""
    cells, combinations, texture, entropy, _ = choice
    channels, parts = len(combine), []
    if cells:
        means = table[..., : CELLS * channels].reshape(*table.shape[:2], pooling.GRID, pooling.GRID, channels)
        step = pooling.GRID // cells
        means = means.reshape(*table.shape[:2], cells, step, cells, step, channels).mean((3, 5))
        parts.append((means @ combine[:, :combinations]).reshape(*table.shape[:2], -1))
    if texture:
        parts.append(table[..., CELLS * channels :])
    if entropy:
        parts.append(hyper)
    return np.concatenate(parts, -1)


def fitted(x: np.ndarray, y: np.ndarray, copies_count: bool) -> np.ndarray:
    """Return vectors of unit length of y, by a discriminant fitted to x or by principal components of it."""
    mean, centres = x.mean((0, 1)), x.mean(1)
    differences = (x - centres[:, None]).reshape(-1, x.shape[-1]) if copies_count else x[:, 0] - mean
    unit = differences.std(0) + 1e-6
    covariance = (differences / unit).T @ (differences / unit) / len(differences)
    shrunk = (1 - whitening.SHRINKAGE) * covariance + whitening.SHRINKAGE * np.eye(len(covariance))
    values, axes = np.linalg.eigh(shrunk.astype(np.float64))
    if copies_count:
        whiten = axes / np.sqrt(values)
        directions = whiten @ np.linalg.svd((centres - mean) / unit @ whiten, full_matrices=False)[2][: whitening.LENGTH].T
    else:
        directions = (axes / np.sqrt(values))[:, ::-1][:, : whitening.LENGTH]
    made = ((y - mean) / unit) @ directions
    return made / np.linalg.norm(made, axis=-1, keepdims=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fit_folder", type=Path)
    parser.add_argument("test_folder", type=Path)
    parser.add_argument("--fit", type=int, default=400, help="pictures")
    parser.add_argument("--test", type=int, default=60, help="pictures")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    weights = store.load()
    table, hyper = measure(arguments.fit_folder, arguments.fit, weights)
    test, test_hyper = measure(arguments.test_folder, arguments.test, weights)
    report(weights.arch.latents, table, hyper, test, test_hyper)


def report(channels: int, table: np.ndarray, hyper: np.ndarray, test: np.ndarray, test_hyper: np.ndarray) -> None:
    """Print a row for each choice."""
    cells = table[:, 0, : CELLS * channels].reshape(-1, channels).astype(np.float64)
    combine = np.linalg.eigh(np.cov(cells.T))[1][:, ::-1].astype(np.float32)
    count = len(test)
    print(f"fitted to {len(table)} pictures, tested on {count * (test.shape[1] - 1)} copies of {count} others\n")
    print("| statistics | numbers | nearest to its original | found at 0.1 % wrong pairs |\n|---|---|---|---|")
    for name, choice in CHOICES.items():
        x, y = selected(table, hyper, combine, choice), selected(test, test_hyper, combine, choice)
        made = fitted(x, y, choice[-1])
        similarity = np.einsum("icd,jd->icj", made[:, 1:], made[:, 0])
        nearest = (similarity.argmax(-1) == np.arange(count)[:, None]).mean()
        same = similarity[np.arange(count), :, np.arange(count)]
        others = np.sort(similarity[~np.eye(count, dtype=bool)[:, None, :].repeat(similarity.shape[1], 1)])
        limit = others[-max(1, len(others) // 1000)]
        print(f"| {name} | {x.shape[-1]} | {nearest:.1%} | {(same > limit).mean():.1%} |", flush=True)


if __name__ == "__main__":
    main()
