"""Measure what a filter across the borders of blocks is worth to a linear codec: rate at equal error, against blocks alone.

    python benchmarks/lapping.py --data FOLDER [--windows 4 8 16] [--psnr 27 30 33 36 40]

The filter is the orthogonal one of Tran, Liang and Tu ("Lapped transform via time-domain pre- and post-filtering", IEEE
Trans. Signal Processing 2003), of so many pixels astride each border, along both directions. The components behind it are
fitted again to training pictures. Each held-out picture is a Gaussian source of its own, as in ``linear_path.py``. No
network and no context takes part.
"""

from __future__ import annotations

import argparse

import numpy as np
from linear_path import PEAK, least_rate
from scipy.fft import dct

from aecodec.entropy.architecture import LATENT_STRIDE, Architecture
from aecodec.training import data
from aecodec.training.klt import principal_components

PICTURES = 500  # to fit the components to
BLOCKS = 120  # of each
SIDE = 512  # of a held-out picture, at most


def prefilter(window: int) -> np.ndarray:
    """Return the orthogonal matrix (window, window) for the pixels astride a border."""
    half = window // 2
    one, zero = np.eye(half), np.zeros((half, half))
    flip = one[::-1]
    butterfly = np.block([[one, flip], [flip, -one]]) / np.sqrt(2)
    dct_2, dct_4 = (dct(one, type=kind, norm="ortho", axis=0) for kind in (2, 4))
    return butterfly @ np.block([[one, zero], [zero, flip @ dct_2.T @ dct_4 @ flip]]) @ butterfly


def blocks(picture: np.ndarray, matrix: np.ndarray | None) -> np.ndarray:
    """Return samples (n, 768) of the inner blocks of a filtered picture (H, W, 3), less 127.5."""
    n = LATENT_STRIDE
    height, width = (side // n for side in picture.shape[:2])
    x = picture[: height * n, : width * n] - np.float32(127.5)
    for _ in range(2):
        if matrix is not None:
            half = len(matrix) // 2
            for border in range(n, len(x), n):
                window = slice(border - half, border + half)
                x[window] = np.tensordot(matrix, x[window], 1)
        x = np.ascontiguousarray(x.transpose(1, 0, 2))
    x = x.reshape(height, n, width, n, 3)[1:-1, :, 1:-1]
    return x.transpose(0, 2, 4, 1, 3).reshape(-1, 3 * n * n)


def rates(matrix: np.ndarray | None, training: list, held: list, psnr: list[float]) -> list[float]:
    """Return the least bits per pixel at each PSNR."""
    rng, covariance = np.random.default_rng(0), 0
    for picture in training:
        rows = blocks(picture, matrix).astype(np.float64)
        rows = rows[rng.permutation(len(rows))[:BLOCKS]]
        covariance = covariance + rows.T @ rows / len(rows)
    basis, _ = principal_components(covariance / len(training))
    variance = np.stack([np.square(blocks(a[:SIDE, :SIDE], matrix) @ basis.T.astype(np.float32)).mean(0) for a in held])
    return [least_rate(variance, Architecture().latents, PEAK**2 / 10 ** (db / 10)) for db in psnr]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, action="append")
    parser.add_argument("--windows", type=int, nargs="+", default=[4, 8, 16])
    parser.add_argument("--psnr", type=float, nargs="+", default=[27, 30, 33, 36, 40])
    parser.add_argument("--held-out", type=float, default=0.05)
    arguments = parser.parse_args()
    held, training = [], []
    for path in data.find(arguments.data):
        (held if data.is_held_out(path.name, arguments.held_out) else training).append(path)
    training = [training[i] for i in np.random.default_rng(0).permutation(len(training))[:PICTURES]]
    both = [
        [a for a in data.load(files, print).arrays if min(a.shape[:2]) >= 4 * LATENT_STRIDE] for files in (training, held)
    ]
    alone = rates(None, *both, arguments.psnr)
    print("| window | " + " | ".join(f"{db:g} dB" for db in arguments.psnr) + " |")
    print("|---|" + "---|" * len(arguments.psnr))
    print("| none | " + " | ".join(f"{rate:.3f} bpp" for rate in alone) + " |")
    for window in arguments.windows:
        row = zip(rates(prefilter(window), *both, arguments.psnr), alone, strict=True)
        print(f"| {window} | " + " | ".join(f"{rate:.3f} bpp ({100 * (rate / of - 1):+.1f} %)" for rate, of in row) + " |")


if __name__ == "__main__":
    main()
