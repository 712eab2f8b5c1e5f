"""Measure the methods of aecodec anomaly.

    python benchmarks/anomaly.py sets SET... --methods damage gaussian:patches    one row for each method and set
    python benchmarks/anomaly.py mnist FOLDER                                     each digit as good in turn
    python benchmarks/anomaly.py speed SET                                        pictures of 512 x 512, on one core

A method is NAME, NAME:FEATURES ("gaussian:patches") or reconstruction:KIND:ERROR ("reconstruction:linear:ssim").
"""

from __future__ import annotations

import argparse
import gzip
import time
from pathlib import Path

import numpy as np
from PIL import Image

from aecodec.anomaly import evaluation, learned, metrics
from aecodec.anomaly.method import Options
from aecodec.anomaly.model import Model
from aecodec.images import folders


def options_of(name: str) -> tuple[str, Options]:
    """Return the method and the options that a name stands for."""
    method, *rest = name.split(":")
    if method == "reconstruction":
        kind, error = (*rest, *("conv", "pixel")[len(rest) :])
        return method, Options(kind=kind, error=error)
    return method, Options(features=rest[0]) if rest else Options()


def sets(args: argparse.Namespace) -> None:
    print("| method | set | image AUROC | AP | F1 | pixel AUROC | AUPRO | fit, s | pictures/s | kinds |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in args.methods:
        method, options = options_of(name)
        for folder in args.folders:
            good = sorted((folder / "train" / "good").iterdir())
            start = time.process_time()
            model = Model.fit(good, method, options, side=args.size)
            seconds = time.process_time() - start
            found = evaluation.evaluate(model, folder, folders.EXTENSIONS, with_pictures=False).numbers
            kinds = ", ".join(f"{kind} {own['auroc']:.3f}" for kind, own in found["kinds"].items())
            figures = [found[key] for key in ("image_auroc", "image_ap", "image_f1", "pixel_auroc", "pixel_aupro")]
            row = " | ".join("-" if each is None else f"{each:.3f}" for each in figures)
            speed = f"{seconds:.0f} | {found['pictures_per_second']:.1f}"
            print(f"| {name} | {folder.name} | {row} | {speed} | {kinds} |", flush=True)


def digits(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the pictures (n, 28, 28) and labels (n,) of MNIST's test set, in a fixed random order."""
    pictures, labels = (
        np.frombuffer(gzip.decompress((folder / f"t10k-{name}-ubyte.gz").read_bytes()), np.uint8, offset=offset)
        for name, offset in (("images-idx3", 16), ("labels-idx1", 8))
    )
    order = np.random.default_rng(0).permutation(len(labels))
    return pictures.reshape(-1, 28, 28)[order], labels[order]


def mnist(args: argparse.Namespace) -> None:
    pictures, labels = digits(args.folder)
    tested, judged = slice(0, args.test), labels[: args.test]
    for name in args.methods:
        method, options = options_of(name)
        found = []
        for digit in args.digits:
            learned = pictures[args.test :][labels[args.test :] == digit][: args.train]
            model = Model.fit(list(learned), method, options)
            scores = np.array([model.judge(picture).score for picture in pictures[tested]])
            found.append(metrics.auroc(scores, judged != digit))
            print(f"{name}, digit {digit}: {found[-1]:.4f}", flush=True)
        print(f"{name}: mean {np.mean(found):.4f}, least {min(found):.4f}", flush=True)


def speed(args: argparse.Namespace) -> None:
    learned.DAMAGED = 20  # few lessons: only the time of a verdict is measured
    good = sorted((args.folder / "train" / "good").iterdir())[:20]
    for name in args.methods:
        method, options = options_of(name)
        for size in (320, 512):
            model = Model.fit(
                [np.asarray(Image.open(path).resize((512, 512))) for path in good], method, options, side=size
            )
            picture = np.asarray(Image.open(good[0]).convert("RGB").resize((512, 512)))
            model.judge(picture)
            times = []
            for _ in range(7):
                start = time.process_time()
                model.judge(picture)
                times.append(time.process_time() - start)
            print(f"{name}, size {size}: {1 / np.median(times):.1f} pictures a second of CPU time", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for function in (sets, mnist, speed):
        command = commands.add_parser(function.__name__)
        command.set_defaults(function=function)
        command.add_argument("--methods", nargs="+", default=["damage"])
        if function is sets:
            command.add_argument("folders", nargs="+", type=Path)
            command.add_argument("--size", type=int, default=320)
        else:
            command.add_argument("folder", type=Path)
        if function is mnist:
            command.add_argument("--train", type=int, default=400)
            command.add_argument("--test", type=int, default=1000)
            command.add_argument("--digits", nargs="+", type=int, default=list(range(10)))
    args = parser.parse_args()
    args.function(args)


if __name__ == "__main__":
    main()
