"""Measure how far a decoded picture is from its original.

Pictures are uint8 arrays (H, W, 3) of RGB. Every function raises ValueError for anything else and for two pictures of
different size. SSIM and its relatives need the packages of the extra ``eval``, CVVDP those of ``cvvdp``. They are imported
when they are called.
"""

from __future__ import annotations

import functools
import io
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PEAK = 255
LUMA_PER_MILLE = (299, 587, 114)  # of R, G, B: Rec. ITU-R BT.601-7, section 2.5.1
SSIM_WINDOW = 11  # taps of a Gaussian of SSIM_SIGMA pixels
SSIM_SIGMA = 1.5
SSIM_C1, SSIM_C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of five scales, the finest first
MS_SSIM_SIDE = (SSIM_WINDOW - 1) * 2 ** (len(MS_SSIM_WEIGHTS) - 1) + 1  # so that the coarsest scale holds a window
SSIMULACRA2_SIDE = 8  # the package leaves smaller scales out, and so would compare nothing
CVVDP_DISPLAY = "standard_fhd"  # 24 inches, 1920 x 1080, 200 cd/m2 in an office, seen from 60 cm
CVVDP_SIDE = 13  # below it the package leaves a part of its masking out in the two finest bands
CVVDP_BEST = 10  # JOD


def mse(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Return the mean squared error over all pixels and channels, on the 0..255 scale."""
    return float(np.mean(np.square(_difference(a, b)), dtype=np.float64))


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Return PSNR-RGB in dB: 10 log10(255^2 / MSE) with one MSE over the three channels.

    It is infinite for equal pictures.
    """
    return _decibels(mse(a, b))


def deep_psnr(a: NDArray[np.uint16], b: NDArray[np.uint16], depth: int) -> float:
    """Return PSNR-RGB in dB of samples of ``depth`` bits, whose peak is the largest of them.

    Raises ValueError for two pictures of different size.
    """
    if a.shape != b.shape:
        raise ValueError(f"the pictures differ in size: {a.shape} and {b.shape}")
    error = np.subtract(a, b, dtype=np.float64) * (PEAK / (2**depth - 1))
    return _decibels(float(np.mean(np.square(error))))


def psnr_y(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Return the PSNR in dB of the BT.601 luma, Y = 0.299 R + 0.587 G + 0.114 B; infinite for equal luma.

    Y is full range (0..255, as in JFIF, Rec. ITU-T T.871) and unrounded. The studio-range luma (16..235) of MATLAB's
    ``rgb2ycbcr``, usual in super-resolution papers, gives values that are 1.32 dB higher.
    """
    # Integer weights, so that equal luma is an error of exactly 0 and not of 1e-14.
    error = _difference(a, b) @ np.array(LUMA_PER_MILLE, np.int32) / 1000
    return _decibels(float(np.mean(np.square(error))))


def ssim(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Return structural similarity, at most 1: the mean over R, G and B and over every position that holds a whole window.

    Z. Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE Trans. Image Processing
    13, 2004, with its constants. Raises ValueError also where a side is shorter than the window.
    """
    _check_side(a, b, SSIM_WINDOW, "SSIM")
    return float(_similarity(a.astype(np.float64), b.astype(np.float64))[0].mean())


def ms_ssim(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Return multi-scale structural similarity, 0..1: the mean of that of R, G and B.

    Z. Wang, E. Simoncelli and A. Bovik, "Multi-scale structural similarity for image quality assessment", Asilomar 2003.
    Details follow the package pytorch-msssim, as papers on learned codecs do: negative terms count as 0, and an odd side
    gets a line of zeros before it is halved. Raises ValueError also for a side shorter than MS_SSIM_SIDE.
    """
    _check_side(a, b, MS_SSIM_SIDE, "MS-SSIM")
    x, y = a.astype(np.float64), b.astype(np.float64)
    product = np.ones(3)
    for scale, weight in enumerate(MS_SSIM_WEIGHTS, 1):
        whole, contrast = _similarity(x, y)
        last = scale == len(MS_SSIM_WEIGHTS)
        product *= np.maximum(whole if last else contrast, 0) ** weight
        if not last:
            x, y = _halve(x), _halve(y)
    return float(product.mean())


def ssimulacra2(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Return SSIMULACRA 2.1 from the package ``ssimulacra2``.

    100 is equal, at 90 a difference is hardly visible, 30 is poor, and the value may be negative. J. Sneyers, "SSIMULACRA
    2", github.com/cloudinary/ssimulacra2. Raises ValueError also for a side under 8 pixels.
    """
    _check_side(a, b, SSIMULACRA2_SIDE, "SSIMULACRA2")
    from PIL import Image
    from ssimulacra2 import compute_ssimulacra2

    files = io.BytesIO(), io.BytesIO()  # the package takes files and nothing else
    for file, picture in zip(files, (a, b), strict=True):
        Image.fromarray(picture).save(file, "PPM")
    return float(compute_ssimulacra2(*files))


def cvvdp(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Return ColorVideoVDP from the package ``cvvdp``, in JOD (just objectionable differences) on CVVDP_DISPLAY.

    10 is equal. R. Mantiuk et al., "ColorVideoVDP: A visual difference predictor for image, video and display distortions",
    ACM Trans. Graphics 43, 2024. ``a`` is the reference; exchanging the two changes the value a little. Takes some 350
    bytes of memory a pixel. Raises ValueError also for a side shorter than CVVDP_SIDE, ImportError without the extra
    ``cvvdp``.
    """
    _check_side(a, b, CVVDP_SIDE, "CVVDP")
    import torch

    module, metric = _cvvdp_metric()
    # Arrays that can be written to: torch warns about others.
    source = module.video_source_array(b.copy(), a.copy(), 0, dim_order="HWC", display_photometry=metric.display_photometry)
    source.warning_shown = True  # it takes a dark picture for linear light, and would say so on standard error
    with torch.inference_mode():
        return float(metric.predict_video_source(source)[0])


@functools.cache
def _cvvdp_metric() -> tuple[Any, Any]:
    """Return the package's module and its metric, made once a process because that takes seconds.

    Raises ImportError where the package is not installed.
    """
    from aecodec.imports import import_cvvdp

    module = import_cvvdp()
    import torch

    return module, module.cvvdp(display_name=CVVDP_DISPLAY, device=torch.device("cpu"), quiet=True)


def similarity_decibels(similarity: float) -> float:
    """Return -10 log10(1 - s) in dB, which spreads similarities near 1; infinite for 1."""
    return -10 * math.log10(1 - similarity) if similarity < 1 else math.inf


def jod_logarithm(jod: float) -> float:
    """Return -ln(10 - JOD), which spreads values near 10; infinite for 10."""
    return -math.log(CVVDP_BEST - jod) if jod < CVVDP_BEST else math.inf


# The page has the same functions under the same names.
CURVES: dict[str, Callable[[float], float]] = {
    "plain": lambda value: value,
    "similarity": similarity_decibels,
    "jod": jod_logarithm,
}
_INVERSES: dict[str, Callable[[float], float]] = {
    "plain": lambda value: value,
    "similarity": lambda decibels: 1 - 10 ** (-decibels / 10),
    "jod": lambda logarithm: CVVDP_BEST - math.exp(-logarithm),
}


@dataclass(frozen=True)
class Metric:
    """A metric as reports use it; more is better.

    Curves of it are compared and drawn as CURVES[``curve``] of its value. That rises with the value, and is infinite for
    equal pictures if the metric has a best value. Means are taken on that scale, too. ``extra`` is the optional part of
    aecodec that ``load`` needs. ``load`` raises the reason why the metric does not work.
    """

    name: str
    title: str
    measure: Callable[[NDArray[np.uint8], NDArray[np.uint8]], float]
    definition: str
    curve: str = "plain"
    extra: str | None = None
    load: Callable[[], object] | None = None

    def on_curve(self, value: float) -> float:
        """Return the value on the scale of curves."""
        return CURVES[self.curve](value)

    def mean(self, values: Sequence[float]) -> float:
        """Return the value whose place on a curve is the mean of the places of these values."""
        return _INVERSES[self.curve](statistics.fmean(map(self.on_curve, values)))


# In the order of reports, whose headline and first plot are of the first: what models an eye, then what others publish.
METRICS = {
    metric.name: metric
    for metric in (
        Metric("ssimulacra2", "SSIMULACRA2", ssimulacra2, "SSIMULACRA 2.1 of the package ssimulacra2"),
        Metric(
            "cvvdp", "CVVDP, −ln(10 − JOD)", cvvdp,
            f"ColorVideoVDP of the package cvvdp in JOD, display {CVVDP_DISPLAY}; curves are of −ln(10 − JOD)",
            "jod", "cvvdp", _cvvdp_metric,
        ),
        Metric(
            "ms_ssim", "MS-SSIM, dB", ms_ssim, "Wang 2003 as pytorch-msssim; in dB -10 log10(1 - MS-SSIM)", "similarity"
        ),
        Metric("psnr_rgb", "PSNR-RGB, dB", psnr, "10 log10(255² / MSE), one MSE over R, G and B"),
        Metric("psnr_y", "PSNR-Y, dB", psnr_y, "the same of the full-range BT.601 luma"),
        Metric("ssim", "SSIM, dB", ssim, "Wang 2004, mean over R, G and B; in dB -10 log10(1 - SSIM)", "similarity"),
    )
}  # fmt: skip


def open_metrics(wanted: Sequence[str] | None = None) -> tuple[list[str], dict[str, str]]:
    """Return the names of the wanted metrics (None: all) that work here, and for each other one the reason.

    Loads what is optional, so that a missing package shows before hours of measuring. Raises KeyError for an unknown name.
    """
    found: list[str] = []
    absent: dict[str, str] = {}
    for name in dict.fromkeys(METRICS if wanted is None else wanted):
        metric = METRICS[name]
        try:
            if metric.load is not None:
                metric.load()
        except ImportError as error:
            absent[name] = f"needs pip install 'aecodec[{metric.extra}]' ({error})"
        except Exception as error:  # noqa: BLE001  of an installation that is broken in some other way
            absent[name] = f"its package does not work here: {' '.join(str(error).split())}"
        else:
            found.append(name)
    return found, absent


def _similarity(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return SSIM and its contrast-structure factor, (3,) each: means over whole windows of float pictures (H, W, 3)."""
    mean_x, mean_y = _blur(x), _blur(y)
    covariance = 2 * (_blur(x * y) - mean_x * mean_y) + SSIM_C2
    contrast = covariance / (_blur(x * x + y * y) - mean_x**2 - mean_y**2 + SSIM_C2)
    luminance = (2 * mean_x * mean_y + SSIM_C1) / (mean_x**2 + mean_y**2 + SSIM_C1)
    return (luminance * contrast).mean((0, 1)), contrast.mean((0, 1))


def _blur(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Gaussian means of (H, W, 3) where a whole window fits, (H - 10, W - 10, 3)."""
    from scipy.ndimage import correlate1d

    radius = SSIM_WINDOW // 2
    taps = np.exp(-np.square(np.arange(-radius, radius + 1) / SSIM_SIGMA) / 2)
    taps /= taps.sum()
    rows = correlate1d(x, taps, 0)[radius:-radius]
    means: NDArray[np.float64] = correlate1d(rows, taps, 1)[:, radius:-radius]
    return means


def _halve(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return means of 2 x 2 blocks of (H, W, 3), after a line of zeros before an odd side."""
    height, width = x.shape[:2]
    x = np.pad(x, ((height % 2, 0), (width % 2, 0), (0, 0)))
    means: NDArray[np.float64] = (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4
    return means


def _check_side(a: NDArray[np.uint8], b: NDArray[np.uint8], least: int, name: str) -> None:
    """Raise ValueError unless both arrays are pictures of one size with sides of at least ``least`` pixels."""
    _check(a, b)
    if min(a.shape[:2]) < least:
        raise ValueError(f"{name} needs sides of at least {least} pixels, not {a.shape[1]} x {a.shape[0]}")


def _check(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> None:
    for picture in (a, b):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
            raise ValueError(f"a picture must be uint8 (H, W, 3), not {picture.dtype} {picture.shape}")
    if a.shape != b.shape:
        raise ValueError(f"the pictures differ in size: {a.shape} and {b.shape}")


def _difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return a - b as int32 (H, W, 3), in which neither the difference nor its square overflows."""
    _check(a, b)
    return np.subtract(a, b, dtype=np.int32)


def _decibels(error: float) -> float:
    """Return the PSNR in dB of a mean squared error on the 0..255 scale."""
    return 10 * math.log10(PEAK**2 / error) if error else math.inf
