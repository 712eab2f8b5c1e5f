"""Repair damaged pictures: a network restores the pixels, and the codec's encoder and decoder carry the result.

So a picture that ``denoise`` writes is the one that ``encode --restore denoise`` keeps in a file at the top quality, and
every decoder can show it.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec.codec.encoder import Encoder, Original
from aecodec.container import metadata
from aecodec.container.bitstream import EXIF
from aecodec.defaults import DEFAULT_WEIGHTS, DENOISER, INPAINTER, MAX_PIXELS, SHARPENER
from aecodec.errors import PictureError
from aecodec.images import embedded, reading, samples
from aecodec.quality import MAX_INDEX
from aecodec.restore import fill, hint
from aecodec.restore.network import restored
from aecodec.weights.restorer import RestorerSource, load_restorer
from aecodec.weights.store import Source

Method = Literal["learned", "classical"]
Task = Literal["denoise", "deblur"]  # that ``encode`` can do on the way
RESTORERS: dict[Task, str] = {"denoise": DENOISER, "deblur": SHARPENER}
THRESHOLD = 128  # a mask is white, and the pixel missing, from here on
_TURN_BACK = {  # from how a picture is shown to how it is stored, by its EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # fmt: skip


def before_encoding(
    image: reading.Source,
    task: Task = "denoise",
    *,
    sigma: float | None = None,
    weights: RestorerSource | None = None,
    device: str = "auto",
    max_pixels: int | None = MAX_PIXELS,
    frame: int | None = None,
) -> Image.Image:
    """Return a picture as the network restores it, 8 bits a sample, with its alpha and metadata.

    ``sigma`` is as in ``aecodec.denoise``; without ``weights`` the task's own of RESTORERS restore. Raises the errors of
    ``aecodec.denoise``.
    """
    if task not in get_args(Task):
        raise ValueError(f"a restoration before encoding must be one of {', '.join(get_args(Task))}, not {task!r}")
    original = Original.open(image, max_pixels=max_pixels, frame=frame).in_8_bits()
    array = samples.to_array(original.image)
    sharpness = hint.UNSHARP if task == "deblur" else 0
    seen = hint.beside(array, noise=hint.of_sigma(sigma), sharpness=sharpness)
    restorer = load_restorer(RESTORERS[task] if weights is None else weights)
    return _picture(original, restored(seen, restorer, device))


def denoise(
    image: reading.Source,
    sigma: float | None = None,
    *,
    weights: RestorerSource = DENOISER,
    decoder: Source = DEFAULT_WEIGHTS,
    device: str = "auto",
    max_pixels: int | None = MAX_PIXELS,
    frame: int | None = None,
) -> Image.Image:
    """Return a picture without noise; see ``aecodec.denoise``."""
    clean = before_encoding(image, sigma=sigma, weights=weights, device=device, max_pixels=max_pixels, frame=frame)
    return _decoded(clean, decoder, device)


def deblur(
    image: reading.Source,
    *,
    weights: RestorerSource = SHARPENER,
    decoder: Source = DEFAULT_WEIGHTS,
    device: str = "auto",
    max_pixels: int | None = MAX_PIXELS,
    frame: int | None = None,
) -> Image.Image:
    """Return a sharper picture; see ``aecodec.deblur``."""
    sharp = before_encoding(image, "deblur", weights=weights, device=device, max_pixels=max_pixels, frame=frame)
    return _decoded(sharp, decoder, device)


def upscale(
    image: reading.Source,
    factor: float = 2.0,
    *,
    weights: RestorerSource = SHARPENER,
    decoder: Source = DEFAULT_WEIGHTS,
    device: str = "auto",
    max_pixels: int | None = MAX_PIXELS,
    frame: int | None = None,
) -> Image.Image:
    """Return a larger picture; see ``aecodec.upscale``."""
    if not 1 < factor <= hint.MAX_FACTOR:
        raise ValueError(f"a picture can be enlarged by more than 1 and at most {hint.MAX_FACTOR}, not by {factor:g}")
    small = Original.open(image, max_pixels=max_pixels, frame=frame).in_8_bits()
    width, height = (max(1, round(side * factor)) for side in small.image.size)
    samples.check_size(width, height, max_pixels)
    size, bicubic = (width, height), Image.Resampling.BICUBIC
    original = replace(
        small,
        image=small.image.resize(size, bicubic),
        alpha=None if small.alpha is None else small.alpha.resize(size, bicubic),
        metadata=metadata.enlarged(small.metadata, size, factor),
    )
    seen = hint.beside(samples.to_array(original.image), sharpness=hint.of_factor(factor))
    return _decoded(_picture(original, restored(seen, load_restorer(weights), device)), decoder, device)


def _picture(original: Original, array: NDArray[np.uint8]) -> Image.Image:
    """Return a picture with other colour (H, W, 3) than the original's."""
    image = samples.from_array(array, original.image.mode)
    if original.alpha is not None:
        image.putalpha(original.alpha)
    image.info.update(embedded.info_of(original.metadata, original.image.mode == "L"))
    return image


def _decoded(image: Image.Image, weights: Source, device: str) -> Image.Image:
    """Return the picture that ``decode`` gives of it at the top quality."""
    encoder = Encoder(image, weights=weights, device=device, max_pixels=None)
    return encoder.show(encoder.quantise(MAX_INDEX))


def inpaint(
    image: reading.Source,
    mask: reading.Source,
    *,
    method: Method = "learned",
    weights: RestorerSource = INPAINTER,
    decoder: Source = DEFAULT_WEIGHTS,
    device: str = "auto",
    max_pixels: int | None = MAX_PIXELS,
    frame: int | None = None,
) -> tuple[Image.Image, int]:
    """Return a picture without holes, see ``aecodec.inpaint``, and the number of pixels that were missing."""
    if method not in get_args(Method):
        raise ValueError(f"method must be one of {', '.join(get_args(Method))}, not {method!r}")
    restorer = load_restorer(weights) if method == "learned" else None
    missing = read_mask(mask, max_pixels)
    image = reading.as_picture(image, max_pixels)
    bits = reading.load(image, frame, max_pixels)
    chunks = metadata.read(image, strip=False)
    colour, alpha = samples.separate(image, bits)
    missing = _laid_on(missing, colour.size, chunks.get(EXIF, b""))
    array = samples.to_array(colour)
    if not missing.any():
        warnings.warn("the mask marks nothing: no pixel of it is white (128 or more) and opaque", stacklevel=2)
    else:
        array = fill.smooth(array, missing)
        if restorer is not None:
            whole = restored(hint.beside(array, missing=hint.of_mask(missing)), restorer, device)
            decoded = samples.to_array(_decoded(samples.from_array(whole, colour.mode), decoder, device))
            array = np.where(missing[..., None], decoded, array)  # what is known stays as it was, bit for bit
    result = samples.from_array(array, colour.mode)
    if alpha is not None:
        result.putalpha(alpha)
    if missing.any() and EXIF in chunks:  # the thumbnail may show what was to go
        chunks[EXIF] = metadata.without_thumbnail(chunks[EXIF])
    result.info.update(embedded.info_of(chunks, colour.mode == "L"))
    return result, int(missing.sum())


def read_mask(mask: reading.Source, max_pixels: int | None = MAX_PIXELS) -> NDArray[np.bool_]:
    """Return a mask as it is shown, (H, W) bool: True where it is white and, if it has alpha, opaque.

    An array of bool is True where it is True.
    """
    if isinstance(mask, np.ndarray) and mask.dtype == bool:
        mask = np.where(mask, np.uint8(255), np.uint8(0))
    mask = reading.as_picture(mask, max_pixels)
    bits = reading.load(mask, None, max_pixels)
    plane, alpha = samples.separate(metadata.upright(mask), bits)
    white = np.asarray(plane.convert("L")) >= THRESHOLD
    return white if alpha is None else white & (np.asarray(alpha) >= THRESHOLD)


def _laid_on(missing: NDArray[np.bool_], size: tuple[int, int], exif: bytes) -> NDArray[np.bool_]:
    """Return a mask that fits a picture as it is shown, for the picture as it is stored, ``size`` wide and high.

    Raises PictureError where it has another size or leaves nothing of the picture.
    """
    width, height = metadata.shown_size(size, exif)
    if missing.shape != (height, width):
        rows, columns = missing.shape
        raise PictureError(f"the mask is {columns} x {rows} and the picture {width} x {height}; they must be of one size")
    if missing.all():
        raise PictureError("the mask is white everywhere: no pixel of the picture is known")
    turn = _TURN_BACK.get(metadata.orientation(exif))
    return missing if turn is None else np.asarray(Image.fromarray(missing).transpose(turn))
