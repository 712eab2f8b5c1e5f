"""Compute results from the measurements: means, files at equal PSNR, lines for the terminal, a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from statistics import fmean
from typing import Any

from aecodec.defaults import DEFAULT_QUALITY
from aecodec.eval.measure import Failure
from aecodec.eval.restoration.measure import FILE_QUALITIES, Curve, Measured
from aecodec.eval.restoration.methods import BOUND, CASES, DAMAGED, OURS, Method

METRICS = {"psnr_missing": "PSNR of the missing pixels, dB", "psnr_rgb": "PSNR-RGB, dB", "ssim": "SSIM"}
BELOW_BEST = (0.0, 0.1, 0.5)  # dB; at its best the plain curve is flat, and what is saved there is most

Results = dict[str, Any]


def bytes_at_equal_psnr(plain: Curve, other: Curve, below: float = 0.0) -> float | None:
    """Return the bytes of another file in percent of the plain one's, so many dB ``below`` the best plain PSNR.

    Plain files of a noisy picture have a best quality, since files beyond it spend more bits on noise. Returns None where
    the other files do not reach that PSNR.
    """
    target = max(psnr for _, psnr in plain) - below
    size, others = _bytes_for(plain, target), _bytes_for(other, target)
    return None if size is None or others is None else 100 * others / size


def _bytes_for(curve: Curve, target: float) -> float | None:
    """Return the least bytes that reach a PSNR, interpolated in the logarithm between qualities."""
    if curve[0][1] >= target:
        return curve[0][0]
    for (low, below), (high, above) in pairwise(curve):
        if below < target <= above:
            size: float = low * (high / low) ** ((target - below) / (above - below))
            return size
    return None


def summarise(
    task: str,
    methods: Sequence[Method],
    measured: Sequence[Measured],
    absent: dict[str, str],
    failures: Sequence[Failure] = (),
) -> Results:
    """Return everything that was measured, and the means of each method in each case, as plain JSON.

    ``failures`` are those from before the first measurement. Means are over the pictures that every method restored, and in
    dB where the metric is; ``best`` is the classical method with the highest mean of the first metric.
    """
    names = [method.name for method in methods]
    first = "psnr_missing" if task == "inpaint" else "psnr_rgb"
    cases: Results = {}
    for case in CASES[task]:
        images = {each.picture: each.values for each in measured if each.case == case.name}
        whole = [values for values in images.values() if set(values) == set(names)]
        means = {
            name: {metric: fmean(values[name][metric] for values in whole) for metric in whole[0][name]} for name in names
        } if whole else {}  # fmt: skip
        classical = [name for name in means if name not in (OURS, DAMAGED, BOUND)]
        best = max(classical, key=lambda name: means[name][first], default=None)
        cases[case.name] = {"pictures": len(whole), "best": best, "means": means, "images": images}
        if files := {each.picture: each.files for each in measured if each.case == case.name and each.files}:
            at_best = [_compared(list(files.values()), below) for below in BELOW_BEST]
            by_quality = [_at_quality(list(files.values()), index) for index in range(len(FILE_QUALITIES))]
            cases[case.name]["files"] = {"at": at_best, "qualities": by_quality, "images": files}
    return {
        "task": task, "metric": first, "cases": cases, "absent": absent,
        "methods": {method.name: method.settings for method in methods},
        "failures": [asdict(failure) for failure in [*failures, *(one for each in measured for one in each.failures)]],
    }  # fmt: skip


def _compared(curves: Sequence[dict[str, Curve]], below: float) -> Results:
    """Return mean percentages of ``bytes_at_equal_psnr`` over the pictures whose files reach it, and their number."""
    shares = [
        tuple(bytes_at_equal_psnr(each["plain"], each[other], below) for other in ("restored", BOUND)) for each in curves
    ]
    reached = [pair for pair in shares if None not in pair]
    percent, bound = map(fmean, zip(*reached, strict=True)) if reached else (None, None)
    return {"below": below, "percent": percent, BOUND: bound, "reached": len(reached)}


def _at_quality(curves: Sequence[dict[str, Curve]], index: int) -> Results:
    """Compare restored files with the plain ones of one quality.

    Returns mean percentages of bytes at their PSNR (over ``reached`` pictures) and at the same quality, and the dB gained
    there.
    """
    pairs = [(each["plain"][index], each["restored"]) for each in curves]
    found = [(size, _bytes_for(restored, psnr)) for (size, psnr), restored in pairs]
    equal = [100 * other / size for size, other in found if other is not None]
    return {
        "quality": FILE_QUALITIES[index], "percent": fmean(equal) if equal else None, "reached": len(equal),
        "percent_same_quality": fmean(100 * restored[index][0] / size for (size, _), restored in pairs),
        "gain_db": fmean(restored[index][1] - psnr for (_, psnr), restored in pairs),
    }  # fmt: skip


def headlines(results: Results) -> list[str]:
    """Return a line for each case: the first metric of every method."""
    lines = [f"{METRICS[results['metric']]}, mean of each picture's:"]
    for name, case in results["cases"].items():
        cells = [f"{method} {means[results['metric']]:.2f}" for method, means in case["means"].items()]
        lines.append(f"  {name} ({case['pictures']} pictures): {', '.join(cells) or 'nothing'}")
        lines += [f"  {name}: {line}" for line in lines_on_files(case["files"])] if "files" in case else []
    return lines


def lines_on_files(files: Results) -> list[str]:
    """Return lines that compare restored files with plain ones."""
    lines = []
    for at in files["at"]:
        where = f"{at['below']:g} dB below the best PSNR" if at["below"] else "the best PSNR"
        if at["percent"] is None:
            lines.append(f"no restored file reaches {where} of the plain ones")
            continue
        lines.append(
            f"restored files take {at['percent']:.1f} % of the bytes at {where} of the plain files, those of the clean "
            f"picture would take {at[BOUND]:.1f} % ({at['reached']} of {len(files['images'])} pictures)"
        )
    usual = next(each for each in files["qualities"] if each["quality"] == DEFAULT_QUALITY)
    lines.append(
        f"at quality {DEFAULT_QUALITY:g} they take {usual['percent_same_quality']:.1f} % of the bytes and are "
        f"{usual['gain_db']:.2f} dB nearer to the clean picture"
        + (f"; {usual['percent']:.1f} % at equal PSNR" if usual["percent"] is not None else "")
    )
    return lines


def as_csv(results: Results) -> str:
    """Return one line for each picture, case and method."""
    metrics = [*metrics_of(results), "seconds"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "case", "method", "settings", *metrics])
    for name, case in results["cases"].items():
        for image, methods in case["images"].items():
            for method, values in methods.items():
                row = [image, name, method, results["methods"][method]]
                writer.writerow(row + [values[metric] for metric in metrics])
    return text.getvalue()


def metrics_of(results: Results) -> list[str]:
    """Return the names of the metrics of a task."""
    inpainting = results["task"] == "inpaint"
    return [metric for metric in METRICS if inpainting or metric != "psnr_missing"]
