"""aecodec: a learned image codec.

    data = aecodec.encode("photo.png", quality=60)
    data = aecodec.encode(Image.open("photo.png"), target=aecodec.Ssimulacra2(80))
    image = aecodec.decode(data)

A picture is a Pillow image, a NumPy array or the path of a file. An array is uint8 or uint16: (H, W) gray, (H, W, 2) gray
with alpha, (H, W, 3) RGB or (H, W, 4) RGBA. A file is its bytes or its path. Weights are an installed name, the path of a
folder, or the result of ``aecodec.weights.load``.

Importing this module loads neither torch nor numpy nor Pillow; the functions below load them when they are called.
"""

from __future__ import annotations

import importlib

from aecodec.defaults import DEFAULT_WEIGHTS, DENOISER, INPAINTER, MAX_PIXELS, SHARPENER
from aecodec.errors import (
    AecodecError,
    BitstreamError,
    DeviceError,
    FramesError,
    LimitError,
    MissingPackageError,
    NoRestoringWeightsError,
    NotAModelError,
    PictureError,
    SettingsError,
    TargetError,
    TrainingError,
    TruncatedError,
    WeightsError,
)

TYPE_CHECKING = False  # that of typing, whose import takes as long as starting Python
if TYPE_CHECKING:
    from typing import Any, Literal

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from aecodec.codec.encoder import Encoder
    from aecodec.codec.rate_control import BitsPerPixel, Psnr, Size, Ssimulacra2, Target
    from aecodec.container import bitstream
    from aecodec.container.bitstream import Header
    from aecodec.images import reading
    from aecodec.weights import store
    from aecodec.weights.restorer import RestorerSource

__version__ = "0.1.0"
__all__ = [
    "AecodecError",
    "BitsPerPixel",
    "BitstreamError",
    "DeviceError",
    "Encoder",
    "FramesError",
    "Header",
    "LimitError",
    "MissingPackageError",
    "NoRestoringWeightsError",
    "NotAModelError",
    "PictureError",
    "Psnr",
    "SettingsError",
    "Size",
    "Ssimulacra2",
    "Target",
    "TargetError",
    "TrainingError",
    "TruncatedError",
    "WeightsError",
    "deblur",
    "decode",
    "decode_array",
    "denoise",
    "encode",
    "features",
    "info",
    "inpaint",
    "register_pillow",
    "upscale",
]
_LAZY = {
    "Encoder": "aecodec.codec.encoder",
    "Header": "aecodec.container.bitstream",
    **dict.fromkeys(("BitsPerPixel", "Psnr", "Size", "Ssimulacra2", "Target"), "aecodec.codec.rate_control"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def encode(
    image: reading.Source,
    quality: float | None = None,
    *,
    target: Target | None = None,
    lossless: bool = False,
    weights: store.Source | None = None,
    restore: Literal["denoise", "deblur"] | None = None,
    restorer: RestorerSource | None = None,
    device: str = "auto",
    strip: bool = False,
    max_pixels: int | None = MAX_PIXELS,
    frame: int | None = None,
    hashed: bool = False,
) -> bytes:
    """Return a picture as the bytes of an .aec file.

    ``quality`` is 0..100; the default is 60. ``target`` can replace it: ``Size(40_000)`` bytes or ``BitsPerPixel(0.5)`` at
    most, ``Psnr(34)`` dB or ``Ssimulacra2(80)`` at least. ``lossless`` keeps every pixel as it is and needs no weights;
    colour under an alpha of 0 is not kept.

    ``restore`` removes noise or blur on the way, by the network ``restorer`` or the one that is installed for it; such a
    picture has no ``target`` of fidelity and is not ``lossless``.

    ``device`` is "auto", "cpu" or "cuda"; ``frame`` selects one frame of an animation, from 0. ICC profile, EXIF, XMP, IPTC
    and resolution are kept, and alpha is kept without loss, at 8 bits. Colours of 9 to 16 bits keep their depth, but not
    with ``restore``; ``lossless`` refuses them. With ``hashed`` the file has a hash of its decoded samples, which
    ``decode`` checks; one without loss always has it. A UserWarning names all that is lost. With ``strip`` EXIF, XMP and
    IPTC are dropped, and the picture is turned as its EXIF says.

    Raises PictureError for input that is no picture, or that ``lossless`` cannot keep, LimitError over ``max_pixels``
    (None: no limit), WeightsError, DeviceError, TargetError where no quality meets the target, MissingPackageError where
    the package that measures it is not installed, and ValueError for a quality out of range or for two of quality, target
    and lossless.
    """
    from aecodec import codec

    if restore is not None:
        from aecodec.codec.rate_control import Fidelity
        from aecodec.restore import pictures

        if lossless or isinstance(target, Fidelity):
            raise ValueError("a restored picture departs from the given one, with which lossless and this target compare")
        image = pictures.before_encoding(
            image, restore, weights=restorer, device=device, max_pixels=max_pixels, frame=frame
        )
        frame = None
    return codec.encode(
        image, quality, target=target, lossless=lossless, weights=weights, device=device, strip=strip,
        max_pixels=max_pixels, frame=frame, hashed=hashed,
    )  # fmt: skip


def decode(
    data: bitstream.Source,
    *,
    weights: store.Source | None = None,
    device: str = "auto",
    crop: tuple[int, int, int, int] | None = None,
    scale: int = 1,
    max_pixels: int | None = MAX_PIXELS,
    verify: bool = True,
    preview: bool = False,
) -> Image:
    """Return the picture in an .aec file, mode "RGB", "L", "RGBA" or "LA", with its metadata in ``info``.

    These are ``icc_profile``, ``exif``, ``xmp`` and ``dpi``; ``image_resources``, which are Photoshop's and hold IPTC; and
    ``cicp``, what the colours are by ITU-T H.273 (primaries, transfer, matrix, range). Samples of more than 8 bits are
    rounded to 8, with a UserWarning; ``decode_array`` keeps them.

    As with Pillow's own formats, the picture is not turned as its EXIF says; ``PIL.ImageOps.exif_transpose`` does that.

    ``weights`` are those of the file where they are not installed. ``crop`` (left, top, width, height) is a part to decode,
    in pixels as they are stored; the rest of a large picture then costs no time. With ``verify`` a whole picture must have
    the hash that its file says, if that says one. A ``scale`` of 2, 4, 8 or 16 makes a picture that many times smaller each
    way, for thumbnails, in a fraction of the time and always on the CPU; of a crop, that is the part of the smaller picture
    that shows it. With ``preview`` a file that ends early becomes the picture that its beginning tells, with a UserWarning;
    its header and a first byte of its picture must be there.

    Raises TruncatedError where the file ends early, BitstreamError where it is damaged otherwise, LimitError over
    ``max_pixels`` (None: no limit), PictureError for a crop that is not inside, WeightsError where the weights that the
    file names are not installed, and ValueError for another scale.
    """
    from aecodec.codec import decoder

    return decoder.decode(
        data, weights=weights, device=device, crop=crop, scale=scale, max_pixels=max_pixels, verify=verify, preview=preview
    )


def decode_array(
    data: bitstream.Source,
    bits: Literal[8, 16] | None = None,
    *,
    weights: store.Source | None = None,
    device: str = "auto",
    crop: tuple[int, int, int, int] | None = None,
    max_pixels: int | None = MAX_PIXELS,
    verify: bool = True,
    preview: bool = False,
) -> NDArray[Any]:
    """Return the samples in an .aec file, (H, W) gray, (H, W, 2) gray with alpha, (H, W, 3) RGB or (H, W, 4) RGBA.

    They are uint8 or, of 16 ``bits``, uint16 up to 65535. None takes uint16 where the file has more than 8 bits. With 16 a
    file of 8 bits is decoded more finely than it was encoded. All else is as for ``decode``.
    """
    from aecodec.codec import decoder

    if bits not in (None, 8, 16):
        raise ValueError(f"bits must be 8, 16 or None, not {bits!r}")
    found = decoder.decode_samples(
        data, bits=bits, weights=weights, device=device, crop=crop, max_pixels=max_pixels, verify=verify, preview=preview
    )
    array = found.array(8 if (bits or found.depth) == 8 else 16)
    return array[..., 0] if array.shape[2] == 1 else array


def denoise(
    image: reading.Source,
    sigma: float | None = None,
    *,
    weights: RestorerSource = DENOISER,
    decoder: store.Source = DEFAULT_WEIGHTS,
    device: str = "auto",
    max_pixels: int | None = MAX_PIXELS,
    frame: int | None = None,
) -> Image:
    """Return a picture without its noise and JPEG artefacts, with its alpha and metadata, 8 bits a sample.

    ``sigma`` is the standard deviation of Gaussian noise, in levels of 0..255, where it is known. ``weights`` are a network
    that restores, and ``decoder`` a codec's: the picture is what ``decode`` gives of its file. Raises the errors of
    ``encode``, and NoRestoringWeightsError where ``weights`` are missing.
    """
    from aecodec.restore import pictures

    return pictures.denoise(
        image, sigma, weights=weights, decoder=decoder, device=device, max_pixels=max_pixels, frame=frame
    )


def deblur(
    image: reading.Source,
    *,
    weights: RestorerSource = SHARPENER,
    decoder: store.Source = DEFAULT_WEIGHTS,
    device: str = "auto",
    max_pixels: int | None = MAX_PIXELS,
    frame: int | None = None,
) -> Image:
    """Return a picture that was out of focus or in motion, sharper; all else is as for ``denoise``."""
    from aecodec.restore import pictures

    return pictures.deblur(image, weights=weights, decoder=decoder, device=device, max_pixels=max_pixels, frame=frame)


def upscale(
    image: reading.Source,
    factor: float = 2.0,
    *,
    weights: RestorerSource = SHARPENER,
    decoder: store.Source = DEFAULT_WEIGHTS,
    device: str = "auto",
    max_pixels: int | None = MAX_PIXELS,
    frame: int | None = None,
) -> Image:
    """Return a picture enlarged by a ``factor`` above 1 and up to 6, with its alpha; all else is as for ``denoise``.

    ``max_pixels`` holds for the large picture, too. Its dots per inch and the size in its EXIF are those of the large
    picture. Raises ValueError for another factor.
    """
    from aecodec.restore import pictures

    return pictures.upscale(
        image, factor, weights=weights, decoder=decoder, device=device, max_pixels=max_pixels, frame=frame
    )


def inpaint(
    image: reading.Source,
    mask: reading.Source,
    *,
    method: Literal["learned", "classical"] = "learned",
    weights: RestorerSource = INPAINTER,
    decoder: store.Source = DEFAULT_WEIGHTS,
    device: str = "auto",
    max_pixels: int | None = MAX_PIXELS,
    frame: int | None = None,
) -> Image:
    """Return a picture with its missing pixels filled in; all other pixels, alpha and metadata are unchanged.

    ``mask`` has the size of the picture as it is shown and is white (128 or more) where pixels are missing; an array may
    also be bool, True there. ``method`` "classical" needs no weights. All else is as for ``denoise``. Raises PictureError
    also for a mask of another size or one that is white everywhere.
    """
    from aecodec.restore import pictures

    return pictures.inpaint(
        image, mask, method=method, weights=weights, decoder=decoder, device=device, max_pixels=max_pixels, frame=frame
    )[0]


def features(
    source: reading.Source | bytes | bytearray | memoryview, *, device: str = "auto", max_pixels: int | None = MAX_PIXELS
) -> NDArray[np.float32]:
    """Return the vector of a picture, (256,) float32 of length 1; the scalar product of two says how alike they are.

    ``source`` is a picture, or the bytes of a file of one. The vector of an .aec file comes from its latents, and no pixel
    is decoded; only a file of other weights, with exact pixels or with an EXIF orientation is decoded first. Any other
    picture is analysed as for encoding. Raises the errors of ``encode`` and ``decode``.
    """
    from aecodec.retrieval import vectors

    return vectors.describe(source, device=device, max_pixels=max_pixels).vector


def info(data: bitstream.Source) -> Header:
    """Return what the file says before its payload, without decoding.

    The size is that of the picture as it is shown, turned as its EXIF says. The mode is the one that ``decode`` returns.
    Raises BitstreamError where the data is damaged up to there.
    """
    from aecodec.container import bitstream, metadata

    return metadata.shown(*bitstream.read_head(bitstream.bytes_of(data), max_pixels=None))


def register_pillow() -> None:
    """Make ``PIL.Image.open`` and ``Image.save`` know .aec files, as ``import aecodec.pillow`` does."""
    import aecodec.pillow  # noqa: F401  registers the format
