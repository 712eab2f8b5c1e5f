"""Repair a damaged picture: through a restoring encoder and the codec's own decoder, at its top quality."""

from __future__ import annotations

import warnings
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec.codec.encoder import Encoder
from aecodec.container import metadata
from aecodec.container.bitstream import EXIF
from aecodec.defaults import MAX_PIXELS
from aecodec.errors import PictureError
from aecodec.images import embedded, formats, samples
from aecodec.quality import MAX_INDEX
from aecodec.restore import fill, hint
from aecodec.weights.store import Source, restoring

Method = Literal["learned", "classical"]
THRESHOLD = 128  # a mask is white, and the pixel missing, from here on
_TURN_BACK = {  # from how a picture is shown to how it is stored, by its EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # fmt: skip


def denoise(
    image: formats.Source,
    sigma: float | None = None,
    *,
    weights: Source = "denoise",
    decoder: Source | None = None,
    device: str = "auto",
    max_pixels: int | None = MAX_PIXELS,
    frame: int | None = None,
) -> Image.Image:
    """Return a picture without noise; see ``aecodec.denoise``."""
    opened = restoring(weights, decoder, "denoise")
    encoder = Encoder(image, weights=opened, hint=hint.of_sigma(sigma), device=device, max_pixels=max_pixels, frame=frame)
    return encoder.show(encoder.quantise(MAX_INDEX))


def inpaint(
    image: formats.Source,
    mask: formats.Source,
    *,
    method: Method = "learned",
    weights: Source = "inpaint",
    decoder: Source | None = None,
    device: str = "auto",
    max_pixels: int | None = MAX_PIXELS,
    frame: int | None = None,
) -> tuple[Image.Image, int]:
    """Return a picture without holes, see ``aecodec.inpaint``, and the number of pixels that were missing."""
    if method not in get_args(Method):
        raise ValueError(f"method must be one of {', '.join(get_args(Method))}, not {method!r}")
    opened = restoring(weights, decoder, "inpaint") if method == "learned" else None
    missing = read_mask(mask, max_pixels)
    image = formats.as_picture(image, max_pixels)
    bits = formats.load(image, frame, max_pixels)
    chunks = metadata.read(image, strip=False)
    colour, alpha = samples.separate(image, bits)
    missing = _laid_on(missing, colour.size, chunks.get(EXIF, b""))
    array = samples.to_array(colour)
    if not missing.any():
        warnings.warn("the mask marks nothing: no pixel of it is white (128 or more) and opaque", stacklevel=2)
    else:
        array = fill.smooth(array, missing)
        if opened is not None:
            filled = samples.from_array(array, colour.mode)
            encoder = Encoder(filled, weights=opened, hint=hint.of_mask(missing), device=device, max_pixels=None)
            restored = encoder.reconstruct(encoder.quantise(MAX_INDEX))
            array = np.where(missing[..., None], restored, array)  # what is known stays as it was, bit for bit
    result = samples.from_array(array, colour.mode)
    if alpha is not None:
        result.putalpha(alpha)
    if missing.any() and EXIF in chunks:  # the thumbnail may show what was to go
        chunks[EXIF] = metadata.without_thumbnail(chunks[EXIF])
    result.info.update(embedded.info_of(chunks, colour.mode == "L"))
    return result, int(missing.sum())


def read_mask(mask: formats.Source, max_pixels: int | None = MAX_PIXELS) -> NDArray[np.bool_]:
    """Return a mask as it is shown, (H, W) bool: True where it is white and, if it has alpha, opaque.

    An array of bool is True where it is True.
    """
    if isinstance(mask, np.ndarray) and mask.dtype == bool:
        mask = np.where(mask, np.uint8(255), np.uint8(0))
    mask = formats.as_picture(mask, max_pixels)
    bits = formats.load(mask, None, max_pixels)
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
