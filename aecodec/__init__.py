"""aecodec: a learned image codec.

    data = aecodec.encode(Image.open("photo.png"), quality=60)
    data = aecodec.encode(Image.open("photo.png"), target=aecodec.Ssimulacra2(80))
    image = aecodec.decode(data)

Importing this module loads neither torch nor numpy nor Pillow; the functions below do when they are called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from aecodec.codec.rate_control import BitsPerPixel, Psnr, Size, Ssimulacra2, Target
from aecodec.errors import AecodecError, BitstreamError, LimitError, PictureError, TargetError, WeightsError

if TYPE_CHECKING:
    from PIL.Image import Image

    from aecodec.container.bitstream import Header

__version__ = "0.1.0"
__all__ = [
    "AecodecError",
    "BitsPerPixel",
    "BitstreamError",
    "LimitError",
    "PictureError",
    "Psnr",
    "Size",
    "Ssimulacra2",
    "Target",
    "TargetError",
    "WeightsError",
    "decode",
    "denoise",
    "encode",
    "info",
    "inpaint",
    "register_pillow",
]


def encode(
    image: Image,
    quality: float | None = None,
    *,
    target: Target | None = None,
    weights: str = "photo",
    restore: str | None = None,
    device: str = "auto",
    frame: int | None = None,
) -> bytes:
    """A picture as the bytes of an .aec file.

    ``quality`` is 0..100, and 60 where nothing is given.  A ``target`` stands in its place: ``Size(40_000)`` bytes or
    ``BitsPerPixel(0.5)`` at most, ``Psnr(34)`` dB or ``Ssimulacra2(80)`` at least.

    ``weights`` is an installed name or a folder, ``device`` "auto", "cpu" or "cuda", ``frame`` one of an animation, from 0;
    ``restore`` are weights, such as "denoise", that take noise out on the way.  ICC, EXIF and XMP that Pillow found in the
    picture are kept, and alpha without loss; a UserWarning says what is not.

    Raises PictureError, WeightsError, TargetError where no quality meets the target, MissingPackageError where the
    package that measures it is not installed, ValueError for a quality out of range or for both a quality and a target.
    """
    from aecodec import codec

    return codec.encode(
        image, quality, target=target, weights=weights, restore=restore, device=device, frame=frame
    )


def decode(
    data: bytes,
    *,
    weights: str | None = None,
    device: str = "auto",
    crop: tuple[int, int, int, int] | None = None,
    max_pixels: int | None = 2**28,
) -> Image:
    """The picture in an .aec file, mode "RGB", "L", "RGBA" or "LA", with its ICC, EXIF and XMP in ``info``.

    As from Pillow's own formats, it is not turned as its EXIF says; ``PIL.ImageOps.exif_transpose`` does that.

    ``weights`` is a folder to take the weights from where they are not installed; ``crop`` (left, top, width, height) is a
    part to decode, in pixels as they are stored; the rest of a large picture costs no time then.  Raises BitstreamError
    where the data is damaged, LimitError over ``max_pixels`` (None: no limit), PictureError for a crop that is not inside,
    WeightsError where the weights that the file names are not there.
    """
    from aecodec.codec import decoder

    return decoder.decode(data, weights=weights, device=device, crop=crop, max_pixels=max_pixels)


def denoise(
    image: Image, sigma: float | None = None, *, weights: str = "denoise", decoder: str | None = None, device: str = "auto"
) -> Image:
    """A picture without its noise and JPEG artefacts, as ``decode`` gives one, with its alpha and metadata.

    ``sigma`` is the standard deviation of Gaussian noise in levels of 0..255 where it is known; ``weights`` an installed
    name or a folder, ``decoder`` the same for the weights that they were trained for, None for those installed.  Raises
    what ``encode`` does.
    """
    from aecodec.restore import pictures

    return pictures.denoise(image, sigma, weights=weights, decoder=decoder, device=device)


def inpaint(
    image: Image,
    mask: Image,
    *,
    method: Literal["learned", "classical"] = "learned",
    weights: str = "inpaint",
    decoder: str | None = None,
    device: str = "auto",
) -> Image:
    """A picture with what is missing filled in; its other pixels, alpha and metadata are as they were.

    ``mask`` has the size in which the picture is shown and is white (128 or more) where it is missing.  ``method``
    "classical" needs no weights; the rest is as for ``denoise``.  Raises PictureError also for a mask of another size or
    one that is white all over.
    """
    from aecodec.restore import pictures

    return pictures.inpaint(image, mask, method=method, weights=weights, decoder=decoder, device=device)[0]


def info(data: bytes) -> Header:
    """What the file says before its payload, without decoding: the size as the picture is shown, turned as its EXIF says,
    and the mode that ``decode`` gives.  Raises BitstreamError where the data is damaged up to there.
    """
    from aecodec.container import bitstream, metadata

    return metadata.shown(*bitstream.read_head(data, max_pixels=None))


def register_pillow() -> None:
    """Makes ``PIL.Image.open`` and ``Image.save`` know .aec files, as ``import aecodec.pillow`` does."""
    import aecodec.pillow  # noqa: F401
