"""Measure how many components the linear path needs: what fewer of them lose at best, and what that costs in rate.

    python benchmarks/linear_path.py --data FOLDER [--components 192 320 448 768]

The components are those that training starts from. The blocks in the middles of held-out pictures stand for a Gaussian
source each. Printed are the PSNR that so many components cannot exceed, and the least rate at a mean squared error (reverse
water-filling, one level for all pictures). No network takes part: what it guesses of missing components comes on top, and
so does what it saves of the others.
"""

from __future__ import annotations

import argparse

import numpy as np

from aecodec.entropy.architecture import LATENT_STRIDE
from aecodec.training import data
from aecodec.training.klt import block_covariance, principal_components

PEAK = 255.0


def variances(crops: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Return (B, 768) mean squares of each component of crops (B, H, W, 3), H and W multiples of 16."""
    count, height, width, _ = crops.shape
    rows, columns = height // LATENT_STRIDE, width // LATENT_STRIDE
    blocks = (crops - np.float32(127.5)).reshape(count, rows, LATENT_STRIDE, columns, LATENT_STRIDE, 3)
    blocks = blocks.transpose(0, 1, 3, 5, 2, 4).reshape(count, rows * columns, -1)
    return np.square(blocks @ basis.T.astype(np.float32)).mean(1)


def least_rate(variance: np.ndarray, kept: int, error: float) -> float:
    """Return bits per pixel of Gaussian components (B, 768), of which ``kept`` are coded, at a mean squared error.

    It is infinite where the error cannot be reached.
    """
    lost = variance[:, kept:].sum(1)
    low, high = 1e-6, PEAK**2
    for _ in range(100):
        level = np.sqrt(low * high)
        reached = (np.minimum(variance[:, :kept], level).sum(1) + lost).mean() / variance.shape[1]
        low, high = (low, level) if reached > error else (level, high)
    if reached > 1.001 * error:
        return np.inf
    bits = 0.5 * np.log2(np.maximum(variance[:, :kept] / level, 1)).sum(1)
    return float(bits.mean() / LATENT_STRIDE**2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, action="append")
    parser.add_argument("--components", type=int, nargs="+", default=[192, 256, 320, 384, 448, 512, 768])
    parser.add_argument("--psnr", type=float, nargs="+", default=[30, 33, 36, 38, 40])
    parser.add_argument("--held-out", type=float, default=0.05)
    arguments = parser.parse_args()
    files = data.find(arguments.data)
    held = [path for path in files if data.is_held_out(path.name, arguments.held_out)]
    pictures = data.load([path for path in files if path not in set(held)], print)
    basis, _ = principal_components(block_covariance(pictures, np.random.default_rng(0)))
    variance = variances(data.centres(data.load(held, print), len(held), 256), basis)
    errors = [PEAK**2 / 10 ** (db / 10) for db in arguments.psnr]
    rates = {count: [least_rate(variance, count, error) for error in errors] for count in arguments.components}
    whole = [least_rate(variance, variance.shape[1], error) for error in errors]
    print("| components | ceiling | " + " | ".join(f"{db:g} dB" for db in arguments.psnr) + " |")
    print("|---|" + "---|" * (len(arguments.psnr) + 1))
    for count, row in rates.items():
        lost = variance[:, count:].sum(1).mean() / variance.shape[1]
        ceiling = f"{10 * np.log10(PEAK**2 / lost):.1f} dB" if lost > 1e-3 else "none"
        cells = [f"{rate:.3f} bpp ({100 * (rate / best - 1):+.1f} %)" if np.isfinite(rate) else "-"
                 for rate, best in zip(row, whole, strict=True)]  # fmt: skip
        print(f"| {count} | {ceiling} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
