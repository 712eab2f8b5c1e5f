"""Define the methods, and the damage of each case, which is made again from its seed for every method.

A case is a kind of damage at one strength. The methods are ours and those that pip can install under a free licence. These
get the true standard deviation of the noise, or the true point spread function of the blur; ours does not. "codec" is the
undamaged picture through the codec at its top quality, which no restored picture that its decoder shows can be expected to
surpass.
"""

from __future__ import annotations

import importlib.util
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from aecodec.codec.encoder import Encoder
from aecodec.defaults import DENOISER, INPAINTER, SHARPENER
from aecodec.errors import WeightsError
from aecodec.metrics import mse
from aecodec.quality import MAX_INDEX
from aecodec.restore import damage, fill, pictures
from aecodec.restore.damage import Mask, Noise
from aecodec.weights.restorer import load_restorer
from aecodec.weights.store import load

OURS, DAMAGED, BOUND = "aecodec", "damaged", "codec"
PACKAGES = ("numpy", "opencv-python-headless", "openvino", "pillow", "PyWavelets", "scikit-image", "scipy")


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
        Case("camera, 100 photons, JPEG 90", damage.Camera(100, 2, 90)),
    ),
    "deblur": (
        Case("Gaussian blur, 1.6 pixels", damage.Blur("gaussian", 1.6)),
        Case("out of focus, radius 3", damage.Blur("disc", 3)),
        Case("motion, 9 pixels at 30 degrees", damage.Blur("motion", 9, 30)),
        Case(
            "Gaussian blur, 1.6 pixels, noise of sigma 2", damage.Chain((damage.Blur("gaussian", 1.6), damage.Gaussian(2)))
        ),
    ),
    "upscale": tuple(Case(f"from bicubic, {factor} times", damage.Downscale(factor)) for factor in (2, 3, 4)),
    "inpaint": (
        Case("scratches and text", mask=damage.Union((damage.Scratches(8), damage.Text(4, 20)))),
        Case("random pixels, 25 %", mask=damage.RandomPixels(0.25)),
        Case("hole of 64 x 64", mask=damage.Hole(64, 64)),
    ),
    "dejpeg": tuple(Case(f"JPEG, quality {quality}", damage.Jpeg(quality)) for quality in (10, 20, 30, 40)),
}


@dataclass(frozen=True)
class Example:
    """A damaged picture, (H, W, 3) uint8, and the truth about it; only the bound looks at ``clean``.

    Where the damage is a blur, ``kernel`` (k, k) is its point spread function; where it is a small size, ``small`` is the
    picture in that size and ``factor`` how much larger ``clean`` is.
    """

    clean: NDArray[np.uint8]
    damaged: NDArray[np.uint8]
    missing: NDArray[np.bool_] | None = None
    kernel: NDArray[np.float64] | None = None
    small: NDArray[np.uint8] | None = None
    factor: float = 1.0

    @property
    def sigma(self) -> float:
        """Return the standard deviation of the damage, in levels."""
        return float(mse(self.clean, self.damaged) ** 0.5)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """``missing``.  Raises ValueError where nothing is."""
        if self.missing is None:
            raise ValueError("nothing of this picture is missing")
        return self.missing


@dataclass(frozen=True)
class Method:
    """``restore`` maps an example to a picture (H, W, 3) uint8; ``weights`` are those that do the same for files."""

    name: str
    settings: str
    restore: Callable[[Example], NDArray[np.uint8]]
    weights: str | None = None


def example(clean: NDArray[np.uint8], case: Case, name: str) -> Example:
    """Return a picture (H, W, 3) uint8 with the damage of a case; the seed is made of the names of both.

    Raises ValueError where the damage changes nothing.
    """
    rng = np.random.default_rng([zlib.crc32(os.fsencode(text)) for text in (name, case.name)])
    if isinstance(case.noise, damage.Downscale):
        return _small_example(clean, case.noise, rng)
    if case.noise is not None:
        return Example(clean, case.noise(clean, rng), kernel=_kernel_of(case.noise))
    if case.mask is None:
        raise ValueError(f"the case {case.name} has neither a noise nor a mask")
    height, width = clean.shape[:2]
    missing = case.mask(height, width, rng)
    if not missing.any():
        raise ValueError("the picture is too small for this damage")
    return Example(clean, np.where(missing[..., None], np.uint8(0), clean), missing)


def _small_example(clean: NDArray[np.uint8], shrinkage: damage.Downscale, rng: np.random.Generator) -> Example:
    """Return a picture, cut to a multiple of the factor, and how it looks when it was small."""
    sides = [int(side // shrinkage.factor) for side in clean.shape[:2]]
    if not all(sides):
        raise ValueError("the picture is too small for this damage")
    clean = clean[: round(sides[0] * shrinkage.factor), : round(sides[1] * shrinkage.factor)]
    return Example(clean, shrinkage(clean, rng), small=shrinkage.small(clean, rng), factor=shrinkage.factor)


def _kernel_of(noise: Noise) -> NDArray[np.float64] | None:
    parts = noise.parts if isinstance(noise, damage.Chain) else (noise,)
    return next((part.kernel for part in parts if isinstance(part, damage.Blur)), None)


def open_methods(task: str, weights: str | None = None) -> tuple[list[Method], dict[str, str]]:
    """Return the methods of a task that work on this machine, and for each of the others the reason.

    ``weights`` are a network that restores, by name or folder; None for the installed one.
    """
    restore, own = _OURS[task]
    name = own if weights is None else weights
    found = [Method(DAMAGED, "as it is", _damaged)]
    absent = {}
    try:
        restorer, model = load_restorer(name), load()
        settings = f"weights {restorer.name} {restorer.id}, decoder {model.name} {model.id}"
        found.append(Method(OURS, settings, partial(restore, weights=name), name))
    except WeightsError as error:
        if weights is not None:
            raise
        absent[OURS] = str(error)
    needs = {"skimage": "scikit-image", "cv2": "opencv-python-headless", "pywt": "PyWavelets"}
    for method, modules in _OTHERS[task]:
        missing = [needs[module] for module in modules if importlib.util.find_spec(module) is None]
        if missing:
            absent[method.name] = f"needs pip install {' '.join(missing)}"
        else:
            found.append(method)
    return [*found, Method(BOUND, f"the undamaged picture, weights {load().name} {load().id}, quality 100", _bound)], absent


def _damaged(given: Example) -> NDArray[np.uint8]:
    return given.damaged


def _denoise(given: Example, weights: str) -> NDArray[np.uint8]:
    return np.asarray(pictures.denoise(Image.fromarray(given.damaged), weights=weights, device="cpu"))


def _inpaint(given: Example, weights: str) -> NDArray[np.uint8]:
    mask = Image.fromarray(given.mask)
    return np.asarray(pictures.inpaint(Image.fromarray(given.damaged), mask, weights=weights, device="cpu")[0])


def _deblur(given: Example, weights: str) -> NDArray[np.uint8]:
    return np.asarray(pictures.deblur(Image.fromarray(given.damaged), weights=weights, device="cpu"))


def _upscale(given: Example, weights: str) -> NDArray[np.uint8]:
    return np.asarray(pictures.upscale(_small(given), given.factor, weights=weights, device="cpu"))


def _small(given: Example) -> Image.Image:
    if given.small is None:
        raise ValueError("this picture was never small")
    return Image.fromarray(given.small)


def _bound(given: Example) -> NDArray[np.uint8]:
    encoder = Encoder(Image.fromarray(given.clean), device="cpu", max_pixels=None)
    restored = encoder.reconstruct(encoder.quantise(MAX_INDEX))
    return restored if given.missing is None else np.where(given.missing[..., None], restored, given.clean)


def _nlm(given: Example) -> NDArray[np.uint8]:
    from skimage.restoration import denoise_nl_means

    sigma = given.sigma / 255
    restored = denoise_nl_means(
        given.damaged / 255, patch_size=5, patch_distance=6, h=0.5 * sigma, sigma=sigma, fast_mode=True, channel_axis=-1
    )
    return _to_levels(restored)


def _wavelet(given: Example) -> NDArray[np.uint8]:
    from skimage.restoration import denoise_wavelet

    sigma = given.sigma / 255
    restored = denoise_wavelet(given.damaged / 255, sigma, convert2ycbcr=True, channel_axis=-1, rescale_sigma=True)
    return _to_levels(restored)


def _total_variation(given: Example) -> NDArray[np.uint8]:
    from skimage.restoration import denoise_tv_chambolle

    return _to_levels(denoise_tv_chambolle(given.damaged / 255, 0.6 * given.sigma / 255, channel_axis=-1))


def _opencv_nlm(given: Example) -> NDArray[np.uint8]:
    import cv2

    strength = 0.5 * given.sigma
    blue_first = np.ascontiguousarray(given.damaged[..., ::-1])
    restored = cv2.fastNlMeansDenoisingColored(blue_first, None, strength, strength, 5, 13)
    return np.asarray(restored, np.uint8)[..., ::-1]


def _median(given: Example) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(given.damaged).filter(ImageFilter.MedianFilter(3)))


def _lanczos(given: Example) -> NDArray[np.uint8]:
    height, width = given.clean.shape[:2]
    return np.asarray(_small(given).resize((width, height), Image.Resampling.LANCZOS))


def _opencv_lanczos(given: Example) -> NDArray[np.uint8]:
    import cv2

    return np.asarray(cv2.resize(np.asarray(_small(given)), given.clean.shape[1::-1], interpolation=cv2.INTER_LANCZOS4))


def _unsharp_mask(given: Example) -> NDArray[np.uint8]:
    from skimage.filters import unsharp_mask

    # channel by channel: with channel_axis, scikit-image 0.26 returns memory that nothing was written to
    planes = [unsharp_mask(given.damaged[..., channel] / 255, radius=2, amount=1) for channel in range(3)]
    return _to_levels(np.stack(planes, -1))


def _richardson_lucy(given: Example) -> NDArray[np.uint8]:
    from skimage.restoration import richardson_lucy

    return _by_channels(given, lambda plane, kernel: richardson_lucy(plane, kernel, num_iter=20))


def _wiener(given: Example) -> NDArray[np.uint8]:
    from skimage.restoration import wiener

    return _by_channels(given, lambda plane, kernel: wiener(plane, kernel, balance=0.003))


def _by_channels(
    given: Example, restore: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.uint8]:
    """Return the damaged picture with each channel, in 0..1, deconvolved; beyond its edges it is mirrored."""
    if given.kernel is None:
        raise ValueError("this picture is not blurred")
    reach = 2 * len(given.kernel)
    inside = slice(reach, -reach)
    padded = np.pad(given.damaged / 255, ((reach, reach), (reach, reach), (0, 0)), "symmetric")
    planes = [restore(padded[..., channel], given.kernel)[inside, inside] for channel in range(3)]
    return _to_levels(np.stack(planes, -1))


def _smooth(given: Example) -> NDArray[np.uint8]:
    return fill.smooth(given.damaged, given.mask)


def _opencv_inpaint(given: Example, flag: str) -> NDArray[np.uint8]:
    import cv2

    return np.asarray(cv2.inpaint(given.damaged, given.mask.astype(np.uint8), 3, getattr(cv2, flag)), np.uint8)


def _biharmonic(given: Example) -> NDArray[np.uint8]:
    from skimage.restoration import inpaint_biharmonic

    return _to_levels(inpaint_biharmonic(given.damaged / 255, given.mask, split_into_regions=True, channel_axis=-1))


def _to_levels(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    levels: NDArray[np.uint8] = np.rint(values * 255).clip(0, 255).astype(np.uint8)
    return levels


# Each with the modules that it needs.  What scales with sigma was chosen on training pictures for the best PSNR.
_DENOISERS = (
    (Method("nlm", "scikit-image, fast non-local means, 5 x 5 within 6, h = 0.5 sigma", _nlm), ("skimage",)),
    (Method("wavelet", "scikit-image, BayesShrink in YCbCr", _wavelet), ("skimage", "pywt")),
    (Method("tv", "scikit-image, Chambolle's total variation, weight 0.6 sigma", _total_variation), ("skimage",)),
    (Method("opencv-nlm", "OpenCV, non-local means, 5 x 5 within 13 x 13, h = 0.5 sigma", _opencv_nlm), ("cv2",)),
    (Method("median", "Pillow, median of 3 x 3", _median), ()),
)
_DEBLURRERS = (
    (Method("unsharp-mask", "scikit-image, radius 2, amount 1", _unsharp_mask), ("skimage",)),
    (Method("richardson-lucy", "scikit-image, 20 iterations, the true kernel", _richardson_lucy), ("skimage",)),
    (Method("wiener", "scikit-image, balance 0.003, the true kernel", _wiener), ("skimage",)),
)
_UPSCALERS = (
    (Method("lanczos", "Pillow", _lanczos), ()),
    (Method("opencv-lanczos", "OpenCV, INTER_LANCZOS4", _opencv_lanczos), ("cv2",)),
)
_INPAINTERS = (
    (Method("smooth", "aecodec's classical fill", _smooth), ()),
    (Method("navier-stokes", "OpenCV, radius 3", partial(_opencv_inpaint, flag="INPAINT_NS")), ("cv2",)),
    (Method("telea", "OpenCV, radius 3", partial(_opencv_inpaint, flag="INPAINT_TELEA")), ("cv2",)),
    (Method("biharmonic", "scikit-image, region by region", _biharmonic), ("skimage",)),
)
_OURS = {
    "denoise": (_denoise, DENOISER), "dejpeg": (_denoise, DENOISER), "deblur": (_deblur, SHARPENER),
    "upscale": (_upscale, SHARPENER), "inpaint": (_inpaint, INPAINTER),
}  # fmt: skip
_OTHERS = {
    "denoise": _DENOISERS, "dejpeg": _DENOISERS, "deblur": _DEBLURRERS, "upscale": _UPSCALERS, "inpaint": _INPAINTERS,
}  # fmt: skip
