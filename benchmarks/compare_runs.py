"""Compare training runs step by step: how much less rate they need at equal PSNR, on held-out crops.

    python benchmarks/compare_runs.py runs/photo [runs/other ...] [--anchor runs/earlier]

The score in validation.csv is at fixed lambdas, and moves with the operating point too. This is the BD-rate (pchip) of the
nine quality knots, and of their lower and upper half, against the last row of the anchor, which is the first run unless
another is named. After them comes the slope -dR/dD from knot to knot of the run's last row, in lambdas of the quality
between the two (the D of mean decibels): where it is above 1, quantisation is finer than lambda asks for. Runs can be
compared only if they have the same validation (data, held_out, crop, seed of a restoration).
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from aecodec.eval.bdrate import Curve, bd_rate
from aecodec.metrics import PEAK
from aecodec.quality import INTERVALS, KNOTS, lambda_of_quality
from aecodec.training.run import VALIDATION

HALVES = {"all knots": slice(None), "lower half": slice(0, KNOTS // 2 + 1), "upper half": slice(KNOTS // 2, None)}


def rows(run: Path) -> list[tuple[int, Curve]]:
    """Return (step, curve of KNOTS points) of each line of a run's validation.csv."""
    with open(run / VALIDATION if run.is_dir() else run, newline="") as file:
        lines = [[float(value) for value in line] for line in csv.reader(file)]
    return [(int(line[0]), list(zip(line[3::2], line[4::2], strict=True))) for line in lines]


def slopes(curve: Curve) -> list[float]:
    """Return -dR/dD from each knot to the next, over the lambda half-way."""
    rate = np.array([rate for rate, _ in curve])
    distortion = PEAK**2 / 10 ** (np.array([db for _, db in curve]) / 10)
    middle = [lambda_of_quality(100 * (knot + 0.5) / INTERVALS) for knot in range(INTERVALS)]
    return list(-np.diff(rate) / np.diff(distortion) / middle)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs, or their validation.csv")
    parser.add_argument("--anchor", type=Path)
    arguments = parser.parse_args()
    _, anchor = rows(arguments.anchor or arguments.runs[0])[-1]
    for run in arguments.runs:
        print(run)
        print(f"{'step':>8}", *(f"{name:>12}" for name in HALVES))
        for step, curve in rows(run):
            print(f"{step:8}", *(f"{bd_rate(anchor, curve[half]).percent:+10.2f} %" for half in HALVES.values()))
        print("slopes in lambdas:", *(f"{slope:.2f}" for slope in slopes(curve)))


if __name__ == "__main__":
    main()
