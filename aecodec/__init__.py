"""aecodec: a learned image codec.

    data = aecodec.encode(Image.open("photo.png"), quality=60)
    image = aecodec.decode(data)

Importing this module loads neither torch nor numpy nor Pillow; the functions below do when they are called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aecodec.errors import AecodecError, BitstreamError, LimitError, PictureError, TargetError, WeightsError

if TYPE_CHECKING:
    from PIL.Image import Image

    from aecodec.codec.bitstream import Header

__version__ = "0.1.0"
__all__ = [
    "AecodecError",
    "BitstreamError",
    "LimitError",
    "PictureError",
    "TargetError",
    "WeightsError",
    "decode",
    "encode",
    "info",
]


def encode(image: Image, quality: float = 60, *, weights: str = "photo", device: str = "auto") -> bytes:
    """A picture as the bytes of an .aec file.

    ``quality`` is 0..100, ``weights`` an installed name or a folder, ``device`` "auto", "cpu" or "cuda".  ICC, EXIF and
    XMP that Pillow found in the picture are kept.  Raises PictureError, WeightsError, or ValueError for a quality out of
    range.
    """
    from aecodec.codec import pipeline
    from aecodec.codec.quality import index_of_quality

    return pipeline.Encoder(image, weights=weights, device=device).encode(index_of_quality(quality)).data


def decode(
    data: bytes,
    *,
    weights: str | None = None,
    device: str = "auto",
    crop: tuple[int, int, int, int] | None = None,
    max_pixels: int | None = 2**28,
) -> Image:
    """The picture in an .aec file, mode "RGB" or "L", with its ICC, EXIF and XMP in ``info``.

    ``weights`` is a folder to take the weights from where they are not installed; ``crop`` (left, top, width, height) is a
    part to decode, in pixels as they are stored; the rest of a large picture costs no time then.  Raises BitstreamError
    where the data is damaged, LimitError over ``max_pixels`` (None: no limit), PictureError for a crop that is not inside,
    WeightsError where the weights that the file names are not there.
    """
    from aecodec.codec import pipeline

    return pipeline.decode(data, weights=weights, device=device, crop=crop, max_pixels=max_pixels)


def info(data: bytes) -> Header:
    """What the header says, without decoding.  Raises BitstreamError where there is none."""
    from aecodec.codec import bitstream

    return bitstream.read_header(data, max_pixels=None)
