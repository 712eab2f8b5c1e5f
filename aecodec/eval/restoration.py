"""Measuring restoration: the same damage for every method, made again from its seed, and what each makes of it.

A case is a kind of damage at one strength.  The methods are ours and those that pip can install under a free licence;
these are given the true standard deviation of the damage, ours is not.  "codec" is the undamaged picture through the codec
at its top quality, which no encoder for its decoder can be expected to pass.

In one case of noise the files are measured, too: what ``encode --restore`` saves at equal PSNR to the clean picture, and
what ``encode`` would, had it the clean one.
"""

from __future__ import annotations

import base64
import csv
import html
import importlib.util
import io
import os
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import partial
from importlib import resources
from itertools import pairwise
from statistics import fmean
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from aecodec.codec.encoder import Encoder
from aecodec.errors import AecodecError, WeightsError
from aecodec.eval.measure import Failure, Picture, open_pool, read_picture
from aecodec.metrics import mse, psnr, ssim
from aecodec.quality import DEFAULT_QUALITY, MAX_INDEX, index_of_quality
from aecodec.restore import damage, fill, pictures
from aecodec.restore.damage import Mask, Noise
from aecodec.weights.cards import DEFAULT
from aecodec.weights.store import load, restoring

Results = dict[str, Any]
OURS, DAMAGED, BOUND = "aecodec", "damaged", "codec"
FILES_CASE = "Gaussian, sigma 25"
FILE_QUALITIES = (0, 15, 30, 45, 60, 75, 90, 100)
BELOW_BEST = (0.0, 0.1, 0.5)  # dB; at its best the plain curve is flat, and what is saved there is most
Curve = list[tuple[int, float]]  # bytes and PSNR against the clean picture, in order of quality
SHOWN = 3  # pictures of each case in the report
SIDE = 224  # pixels of the part that is shown, each way
PACKAGES = ("numpy", "opencv-python-headless", "openvino", "pillow", "PyWavelets", "scikit-image", "scipy")
METRICS = {"psnr_missing": "PSNR of the missing pixels, dB", "psnr_rgb": "PSNR-RGB, dB", "ssim": "SSIM"}


@dataclass(frozen=True)
class Case:
    """One kind of damage: a noise, or a mask."""

    name: str
    noise: Noise | None = None
    mask: Mask | None = None


CASES = {
    "denoise": (
        *(Case(f"Gaussian, sigma {sigma}", damage.Gaussian(sigma)) for sigma in (15, 25, 50)),
        Case("Poisson-Gaussian, 100 photons, sigma 5", damage.PoissonGaussian(100, 5)),
        Case("salt and pepper, 5 %", damage.SaltPepper(0.05)),
    ),
    "inpaint": (
        Case("scratches and text", mask=damage.Union((damage.Scratches(8), damage.Text(4, 20)))),
        Case("random pixels, 25 %", mask=damage.RandomPixels(0.25)),
        Case("hole of 64 x 64", mask=damage.Hole(64, 64)),
    ),
    "dejpeg": tuple(Case(f"JPEG, quality {quality}", damage.Jpeg(quality)) for quality in (10, 20, 30, 40)),
}


@dataclass(frozen=True)
class Example:
    """A damaged picture, (H, W, 3) uint8, and what is true of it; only the bound looks at ``clean``."""

    clean: np.ndarray
    damaged: np.ndarray
    missing: np.ndarray | None = None

    @property
    def sigma(self) -> float:
        """The standard deviation of the damage, in levels."""
        return mse(self.clean, self.damaged) ** 0.5


@dataclass(frozen=True)
class Method:
    """``restore`` maps an example to a picture (H, W, 3) uint8; ``weights`` are those that do so for files."""

    name: str
    settings: str
    restore: Callable[[Example], np.ndarray]
    weights: str | None = None


def example(clean: np.ndarray, case: Case, name: str) -> Example:
    """A picture (H, W, 3) uint8 with the damage of a case; the seed is made of the names of both.

    Raises ValueError where the damage leaves it as it is.
    """
    rng = np.random.default_rng([zlib.crc32(os.fsencode(text)) for text in (name, case.name)])
    if case.noise is not None:
        return Example(clean, case.noise(clean, rng))
    missing = case.mask(*clean.shape[:2], rng)
    if not missing.any():
        raise ValueError("the picture is too small for this damage")
    return Example(clean, np.where(missing[..., None], np.uint8(0), clean), missing)


def open_methods(task: str, weights: str | None = None) -> tuple[list[Method], dict[str, str]]:
    """The methods of a task that this machine has, and for each that it has not the reason.

    ``weights`` are restoring weights, a name or a folder; None for those installed.
    """
    name = weights or ("inpaint" if task == "inpaint" else "denoise")
    found = [Method(DAMAGED, "as it is", _damaged)]
    absent = {}
    try:
        opened = restoring(name, None, "inpaint" if task == "inpaint" else "denoise")
        settings = f"weights {name}, decoder {opened.name} {opened.id}"
        found.append(Method(OURS, settings, partial(_inpaint if task == "inpaint" else _denoise, weights=name), name))
    except WeightsError as error:
        if weights is not None:
            raise
        absent[OURS] = str(error)
    needs = {"skimage": "scikit-image", "cv2": "opencv-python-headless", "pywt": "PyWavelets"}
    for method, modules in _INPAINTERS if task == "inpaint" else _DENOISERS:
        missing = [needs[module] for module in modules if importlib.util.find_spec(module) is None]
        if missing:
            absent[method.name] = f"needs pip install {' '.join(missing)}"
        else:
            found.append(method)
    return [*found, Method(BOUND, f"the undamaged picture, weights {load().name} {load().id}, quality 100", _bound)], absent


def _damaged(given: Example) -> np.ndarray:
    return given.damaged


def _denoise(given: Example, weights: str) -> np.ndarray:
    return np.asarray(pictures.denoise(Image.fromarray(given.damaged), weights=weights, device="cpu"))


def _inpaint(given: Example, weights: str) -> np.ndarray:
    mask = Image.fromarray(given.missing)
    return np.asarray(pictures.inpaint(Image.fromarray(given.damaged), mask, weights=weights, device="cpu")[0])


def _bound(given: Example) -> np.ndarray:
    encoder = Encoder(Image.fromarray(given.clean), device="cpu", max_pixels=None)
    restored = encoder.reconstruct(encoder.quantise(MAX_INDEX))
    return restored if given.missing is None else np.where(given.missing[..., None], restored, given.clean)


def _nlm(given: Example) -> np.ndarray:
    from skimage.restoration import denoise_nl_means

    sigma = given.sigma / 255
    restored = denoise_nl_means(
        given.damaged / 255, patch_size=5, patch_distance=6, h=0.5 * sigma, sigma=sigma, fast_mode=True, channel_axis=-1
    )
    return _to_levels(restored)


def _wavelet(given: Example) -> np.ndarray:
    from skimage.restoration import denoise_wavelet

    sigma = given.sigma / 255
    restored = denoise_wavelet(given.damaged / 255, sigma, convert2ycbcr=True, channel_axis=-1, rescale_sigma=True)
    return _to_levels(restored)


def _total_variation(given: Example) -> np.ndarray:
    from skimage.restoration import denoise_tv_chambolle

    return _to_levels(denoise_tv_chambolle(given.damaged / 255, 0.6 * given.sigma / 255, channel_axis=-1))


def _opencv_nlm(given: Example) -> np.ndarray:
    import cv2

    strength = 0.5 * given.sigma
    blue_first = np.ascontiguousarray(given.damaged[..., ::-1])
    return cv2.fastNlMeansDenoisingColored(blue_first, None, strength, strength, 5, 13)[..., ::-1]


def _median(given: Example) -> np.ndarray:
    return np.asarray(Image.fromarray(given.damaged).filter(ImageFilter.MedianFilter(3)))


def _smooth(given: Example) -> np.ndarray:
    return fill.smooth(given.damaged, given.missing)


def _opencv_inpaint(given: Example, flag: str) -> np.ndarray:
    import cv2

    return cv2.inpaint(given.damaged, given.missing.astype(np.uint8), 3, getattr(cv2, flag))


def _biharmonic(given: Example) -> np.ndarray:
    from skimage.restoration import inpaint_biharmonic

    return _to_levels(inpaint_biharmonic(given.damaged / 255, given.missing, split_into_regions=True, channel_axis=-1))


def _to_levels(values: np.ndarray) -> np.ndarray:
    return np.rint(values * 255).clip(0, 255).astype(np.uint8)


# Each with the modules that it needs.  What scales with sigma was chosen on training pictures for the best PSNR.
_DENOISERS = (
    (Method("nlm", "scikit-image, fast non-local means, 5 x 5 within 6, h = 0.5 sigma", _nlm), ("skimage",)),
    (Method("wavelet", "scikit-image, BayesShrink in YCbCr", _wavelet), ("skimage", "pywt")),
    (Method("tv", "scikit-image, Chambolle's total variation, weight 0.6 sigma", _total_variation), ("skimage",)),
    (Method("opencv-nlm", "OpenCV, non-local means, 5 x 5 within 13 x 13, h = 0.5 sigma", _opencv_nlm), ("cv2",)),
    (Method("median", "Pillow, median of 3 x 3", _median), ()),
)
_INPAINTERS = (
    (Method("smooth", "aecodec inpaint --method classical", _smooth), ()),
    (Method("navier-stokes", "OpenCV, radius 3", partial(_opencv_inpaint, flag="INPAINT_NS")), ("cv2",)),
    (Method("telea", "OpenCV, radius 3", partial(_opencv_inpaint, flag="INPAINT_TELEA")), ("cv2",)),
    (Method("biharmonic", "scikit-image, region by region", _biharmonic), ("skimage",)),
)


@dataclass(frozen=True)
class Measured:
    """One picture in one case: values by method and metric, what failed, and the parts to show by method."""

    picture: str
    case: str
    values: dict[str, dict[str, float]]
    failures: list[Failure]
    parts: dict[str, bytes]
    files: dict[str, Curve]


def measure_all(
    found: Sequence[Picture], task: str, methods: Sequence[Method], processes: int = 1
) -> Iterator[Measured]:
    """Every picture in every case, in order, ``processes`` at a time; parts to show of the first SHOWN pictures.

    Raises AecodecError where a process dies.
    """
    work = [(picture, case, index < SHOWN) for index, picture in enumerate(found) for case in CASES[task]]
    measure = partial(_measure, methods=methods)
    if processes == 1:
        yield from map(measure, work)
        return
    with open_pool(processes) as pool:
        try:
            yield from pool.map(measure, work)
        except BrokenProcessPool:
            raise AecodecError("a measuring process died, perhaps out of memory; fewer at a time (-j) take less") from None


def _measure(work: tuple[Picture, Case, bool], methods: Sequence[Method]) -> Measured:
    picture, case, shown = work
    result = Measured(picture.name, case.name, {}, [], {}, {})

    def note(error: Exception, *where: str) -> None:
        reason = " ".join(str(error).split()) or type(error).__name__
        result.failures.append(Failure(picture.name, f"{', '.join([*where, case.name])}: {reason}"))

    try:
        given = example(np.asarray(read_picture(picture.path)), case, picture.name)
    except Exception as error:  # of one picture must not cost the others theirs
        note(error)
        return result
    if shown:
        result.parts["clean"] = _part(given.clean, given)
    for method in methods:
        try:
            start = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                restored = method.restore(given)
            seconds = time.process_time() - start
            if method.weights is not None and case.name == FILES_CASE:
                result.files["plain"] = file_curve(given.damaged, given.clean)
                result.files["restored"] = file_curve(given.damaged, given.clean, method.weights)
                result.files[BOUND] = file_curve(given.clean, given.clean)
            result.values[method.name] = {**values_of(given, restored), "seconds": round(seconds, 4)}
        except Exception as error:  # one method that fails on one picture must not cost the others theirs
            note(error, method.name)
            continue
        if shown:
            result.parts[method.name] = _part(restored, given)
    return result


def file_curve(picture: np.ndarray, clean: np.ndarray, weights: str | None = None) -> Curve:
    """Files of a picture (H, W, 3) at FILE_QUALITIES, by ``encode`` or, with restoring weights, ``encode --restore``."""
    opened = DEFAULT if weights is None else restoring(weights, None, "denoise")
    encoder = Encoder(Image.fromarray(picture), weights=opened, device="cpu", max_pixels=None)
    files = (encoder.quantise(index_of_quality(quality)) for quality in FILE_QUALITIES)
    return [(len(encoder.write(file).data), psnr(clean, encoder.reconstruct(file))) for file in files]


def bytes_at_equal_psnr(plain: Curve, other: Curve, below: float = 0.0) -> float | None:
    """Bytes of another file in percent of the plain one's, so many dB ``below`` the best PSNR that the plain files reach.

    Plain files of a noisy picture have a best quality, since more of it is spent on noise.  None where the other files do
    not come so far.
    """
    target = max(psnr for _, psnr in plain) - below
    size, others = _bytes_for(plain, target), _bytes_for(other, target)
    return None if size is None or others is None else 100 * others / size


def _bytes_for(curve: Curve, target: float) -> float | None:
    """The least bytes that reach a PSNR, interpolated in the logarithm between qualities."""
    if curve[0][1] >= target:
        return curve[0][0]
    for (low, below), (high, above) in pairwise(curve):
        if below < target <= above:
            return low * (high / low) ** ((target - below) / (above - below))
    return None


def values_of(given: Example, restored: np.ndarray) -> dict[str, float]:
    """The metrics of a restored picture by name; PSNR in dB, at most 99 where nothing is wrong."""
    values = {"psnr_rgb": min(99.0, psnr(given.clean, restored)), "ssim": ssim(given.clean, restored)}
    if given.missing is not None:
        parts = [picture[given.missing][None] for picture in (given.clean, restored)]
        values = {"psnr_missing": min(99.0, psnr(*parts)), **values}
    return values


def _part(picture: np.ndarray, given: Example) -> bytes:
    """A PNG of the middle of a picture, or of what is missing from it."""
    where = np.ones(picture.shape[:2], bool) if given.missing is None else given.missing
    middle = [int(np.median(axis)) for axis in np.nonzero(where)]
    top, left = (min(max(0, at - SIDE // 2), max(0, side - SIDE)) for at, side in zip(middle, where.shape))
    file = io.BytesIO()
    Image.fromarray(picture[top : top + SIDE, left : left + SIDE]).save(file, "PNG")
    return file.getvalue()


def summarise(
    task: str, methods: Sequence[Method], measured: Sequence[Measured], absent: dict[str, str], failures: Sequence[Failure] = ()
) -> Results:
    """Everything that was measured and the means of each method in each case, as plain JSON.

    ``failures`` are those of before anything was measured.  Means are over the pictures that every method restored, and in dB where the metric is; ``best`` is the classical method
    with the highest mean of the first metric.
    """
    names = [method.name for method in methods]
    first = "psnr_missing" if task == "inpaint" else "psnr_rgb"
    cases = {}
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
    """Mean percentages of ``bytes_at_equal_psnr`` over the pictures whose files come so far, and their number."""
    shares = [
        tuple(bytes_at_equal_psnr(each["plain"], each[other], below) for other in ("restored", BOUND)) for each in curves
    ]
    reached = [pair for pair in shares if None not in pair]
    percent, bound = map(fmean, zip(*reached)) if reached else (None, None)
    return {"below": below, "percent": percent, BOUND: bound, "reached": len(reached)}


def _at_quality(curves: Sequence[dict[str, Curve]], index: int) -> Results:
    """Restored files against the plain ones of one quality: mean percentages of bytes at their PSNR (over ``reached``
    pictures) and at the same quality, and dB gained there."""
    pairs = [(each["plain"][index], each["restored"]) for each in curves]
    found = [(size, _bytes_for(restored, psnr)) for (size, psnr), restored in pairs]
    equal = [100 * other / size for size, other in found if other is not None]
    return {
        "quality": FILE_QUALITIES[index], "percent": fmean(equal) if equal else None, "reached": len(equal),
        "percent_same_quality": fmean(100 * restored[index][0] / size for (size, _), restored in pairs),
        "gain_db": fmean(restored[index][1] - psnr for (_, psnr), restored in pairs),
    }  # fmt: skip


def headlines(results: Results) -> list[str]:
    """A line for each case: the first metric of every method."""
    lines = [f"{METRICS[results['metric']]}, mean of each picture's:"]
    for name, case in results["cases"].items():
        cells = [f"{method} {means[results['metric']]:.2f}" for method, means in case["means"].items()]
        lines.append(f"  {name} ({case['pictures']} pictures): {', '.join(cells) or 'nothing'}")
        lines += [f"  {name}: {line}" for line in _on_files(case["files"])] if "files" in case else []
    return lines


def _on_files(files: Results) -> list[str]:
    lines = []
    for at in files["at"]:
        where = f"{at['below']:g} dB below the best PSNR" if at["below"] else "the best PSNR"
        if at["percent"] is None:
            lines.append(f"no file of encode --restore reaches {where} of the plain ones")
            continue
        lines.append(
            f"encode --restore takes {at['percent']:.1f} % of the bytes at {where} of the plain files, of the clean "
            f"picture encode would take {at[BOUND]:.1f} % ({at['reached']} of {len(files['images'])} pictures)"
        )
    usual = next(each for each in files["qualities"] if each["quality"] == DEFAULT_QUALITY)
    lines.append(
        f"at quality {DEFAULT_QUALITY:g} it takes {usual['percent_same_quality']:.1f} % of the bytes and is "
        f"{usual['gain_db']:.2f} dB nearer to the clean picture"
        + (f"; {usual['percent']:.1f} % at equal PSNR" if usual["percent"] is not None else "")
    )
    return lines


def as_csv(results: Results) -> str:
    """One line for each picture, case and method."""
    metrics = [*_metrics(results), "seconds"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "case", "method", "settings", *metrics])
    for name, case in results["cases"].items():
        for image, methods in case["images"].items():
            for method, values in methods.items():
                row = [image, name, method, results["methods"][method]]
                writer.writerow(row + [values[metric] for metric in metrics])
    return text.getvalue()


def _metrics(results: Results) -> list[str]:
    inpainting = results["task"] == "inpaint"
    return [metric for metric in METRICS if inpainting or metric != "psnr_missing"]


def render(results: Results, measured: Sequence[Measured]) -> str:
    """report.html, one file that needs no network: a table of each case, and damaged, ours, the best other, clean."""
    style = (resources.files("aecodec.eval") / "page" / "report.css").read_text("utf-8")
    sections = "".join(_section(results, name, measured) for name in results["cases"])
    methods = "".join(f"<dt>{_text(name)}</dt><dd>{_text(what)}</dd>" for name, what in results["methods"].items())
    methods += "".join(f"<dt>{_text(name)}</dt><dd>left out: {_text(why)}</dd>" for name, why in results["absent"].items())
    environment = dict(results["environment"])
    environment["versions"] = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    made = "".join(f"<dt>{_text(key)}</dt><dd>{_text(value)}</dd>" for key, value in environment.items())
    failures = "".join(f"<li>{_text(each['picture'])}: {_text(each['reason'])}</li>" for each in results["failures"])
    failures = f"<section><h2>What could not be measured</h2><ul>{failures}</ul></section>" if failures else ""
    title = f"Restoration: {_text(results['task'])}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
        "style-src 'unsafe-inline'\">\n"
        f"<style>\n{style}\n{_STYLE}</style></head>\n<body><header><p class=\"over\">aecodec eval</p><h1>{title}</h1>\n"
        f"<p class=\"note\">Means over pictures. The damage is made from seeds, clipped and rounded to 8 bits. Methods for "
        f"noise are given the true standard deviation, {OURS} is not. Seconds are those of one CPU.</p></header>\n"
        f"<main>{sections}{failures}\n<section><h2>How this was made</h2><dl>{methods}{made}</dl></section></main>"
        "</body></html>\n"
    )


_DIGITS = {"ssim": ".4f", "seconds": ".3f"}
_STYLE = (
    ".shown { display: flex; flex-wrap: wrap; gap: 0.6rem; margin-top: 0.8rem; }\n"
    ".shown figure { margin: 0; } .shown img { display: block; max-width: 100%; }\n"
    ".shown figcaption { color: var(--soft); font-size: 0.82rem; }\n"
)


def _section(results: Results, name: str, measured: Sequence[Measured]) -> str:
    """A case: its table, and a strip of four pictures for each that is shown."""
    case, metrics = results["cases"][name], [*_metrics(results), "seconds"]
    titles = "".join(f"<th>{_text(METRICS.get(metric, metric))}</th>" for metric in metrics)
    rows = ""
    for method, means in case["means"].items():
        cells = "".join(f"<td>{means[metric]:{_DIGITS.get(metric, '.2f')}}</td>" for metric in metrics)
        rows += f"<tr><td>{_text(method)}</td>{cells}</tr>"
    files = "".join(f"<p>{_text(line)}</p>" for line in _on_files(case["files"])) if "files" in case else ""
    strips = ""
    for each in measured:
        shown = [method for method in (DAMAGED, OURS, case["best"], "clean") if method in each.parts]
        if each.case != name or not shown:
            continue
        strips += f'<div class="shown">{"".join(_figure(each, method, results["metric"]) for method in shown)}</div>'
    return (
        f"\n<section><h2>{_text(name)}</h2><p class=\"note\">{case['pictures']} pictures</p><div class=\"scroll\"><table>"
        f"<tr><th>method</th>{titles}</tr>{rows}</table></div>{files}{strips}</section>"
    )


def _figure(each: Measured, method: str, metric: str) -> str:
    source = f"data:image/png;base64,{base64.b64encode(each.parts[method]).decode()}"
    caption = f"{each.picture}, {method}"
    if method in each.values:
        caption += f", {each.values[method][metric]:.2f} dB"
    return f'<figure><img src="{source}" alt="{_text(caption)}"><figcaption>{_text(caption)}</figcaption></figure>'


def _text(value: object) -> str:
    return html.escape(str(value))
