"""The whole way of a picture: to a file's bytes, and from a file's bytes."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image

from aecodec.codec import bitstream, latents, picture
from aecodec.codec.bitstream import EXIF, ICC, MAX_PIXELS, MAX_SIDE, XMP, Header, Stream
from aecodec.codec.config import LATENT_STRIDE
from aecodec.codec.latents import CodedLatents
from aecodec.errors import LimitError, PictureError
from aecodec.runtime import open_transforms
from aecodec.weights import DEFAULT, Weights, find, load

# TIFF tags that Pillow counts as EXIF but that say how a TIFF file is laid out, or hold XMP or ICC
_TIFF_LAYOUT = (
    *range(254, 260), 262, 266, 273, *range(277, 280), 284, 317, 320, *range(322, 326), 338, 339, 347, 700, 34675,
)  # fmt: skip
DISTORTION = 25.0  # of rate-distortion optimised rounding, in bits per squared step; found on held-out pictures
_METADATA = {ICC: "icc_profile", EXIF: "exif", XMP: "xmp"}


@dataclass(frozen=True)
class Encoded:
    """A file's bytes, the rate index that it was coded at, and the latents in it."""

    data: bytes
    rate: int
    coded: CodedLatents


class Encoder:
    """One picture, ready to be encoded at any number of qualities.

    Raises PictureError where it cannot be encoded as it is (animation) and LimitError over ``max_pixels``; warns where
    something of it will be lost.  With ``strip`` EXIF and XMP are dropped and the EXIF orientation is applied.
    """

    def __init__(
        self,
        image: Image.Image,
        *,
        weights: str = DEFAULT,
        device: str = "auto",
        strip: bool = False,
        max_pixels: int | None = MAX_PIXELS,
    ) -> None:
        check_size(*image.size, max_pixels)
        # an MPO is a photograph with a preview or a second view behind it, as many phones write them
        if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
            raise PictureError("the picture is animated; encode its frames one by one")
        image.load()
        self._metadata = _read_metadata(image, strip)
        if strip:
            image = _upright(image)
        self.image = _plain(image)
        self.array = picture.to_array(self.image)
        self.weights = load(weights)
        self._transforms = open_transforms(self.weights, device)
        self._padded = picture.pad(self.array)

    def encode(self, rate: int) -> Encoded:
        """The file at a rate index (``quality.index_of_quality``)."""
        y, z = self._transforms.analyse(self._padded, rate)
        coded = latents.encode(self.weights.entropy_model, y, z, rate, DISTORTION)
        header = Header(self.image.width, self.image.height, self.image.mode, self.weights.id, rate)
        data = bitstream.write(Stream(header, coded.payload, self._metadata))
        return Encoded(data, rate, coded)

    def reconstruct(self, encoded: Encoded) -> np.ndarray:
        """What a decoder will show, (H, W, 3) uint8, without parsing the file again."""
        decoded = self._transforms.synthesise(encoded.coded.latents, encoded.rate)
        image = picture.from_array(decoded[: self.image.height, : self.image.width], self.image.mode)
        return picture.to_array(image)


def decode(
    data: bytes, *, weights: str | None = None, device: str = "auto", max_pixels: int | None = MAX_PIXELS
) -> Image.Image:
    """See ``aecodec.decode``."""
    stream = bitstream.read(data, max_pixels)
    head = stream.header
    model = find(head.weights, weights)
    decoded = open_transforms(model, device).synthesise(decode_latents(stream, model), head.rate)
    image = picture.from_array(decoded[: head.height, : head.width], head.mode)
    for kind, name in _METADATA.items():
        if kind in stream.chunks:
            image.info[name] = stream.chunks[kind]
    return image


def decode_latents(stream: Stream, weights: Weights | None = None) -> np.ndarray:
    """The integer latents (h, w, M) in a file: the part of decoding that is the same bits on every machine."""
    weights = weights or find(stream.header.weights)
    height, width = picture.padded_size(stream.header.height, stream.header.width)
    shape = (height // LATENT_STRIDE, width // LATENT_STRIDE, weights.arch.latents)
    return latents.decode(weights.entropy_model, stream.payload, shape, stream.header.rate)


def check_size(width: int, height: int, max_pixels: int | None) -> None:
    """Raises LimitError, or PictureError where the format has no room for a side."""
    if max_pixels is not None and width * height > max_pixels:
        raise LimitError(f"{width} x {height} is over the limit of {max_pixels} pixels; --max-pixels raises it")
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise PictureError(f"a picture of {width} x {height} cannot be stored")


def _read_metadata(image: Image.Image, strip: bool) -> dict[bytes, bytes]:
    chunks = {}
    profile = image.info.get("icc_profile")
    if profile and image.mode not in ("CMYK", "LAB"):  # those are converted to sRGB, and their profile is spent
        chunks[ICC] = bytes(profile)
    if not strip:
        if exif := _exif(image):
            chunks[EXIF] = exif
        if xmp := image.info.get("xmp"):
            chunks[XMP] = xmp if isinstance(xmp, bytes) else str(xmp).encode()
    return chunks


def _exif(image: Image.Image) -> bytes:
    """EXIF as bytes, b"" where there is none; what only describes the file that it came from is left out."""
    try:
        exif = Image.Exif()
        exif.load(image.getexif().tobytes())
        for tag in _TIFF_LAYOUT:
            exif.pop(tag, None)
        return exif.tobytes() if exif else b""
    except Exception:  # Pillow's parser raises whatever it meets in damaged EXIF
        warnings.warn("EXIF is damaged and dropped", stacklevel=4)
        return b""


def _upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF says."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # as in _exif
        return image


def _plain(image: Image.Image) -> Image.Image:
    """The picture as "L" or "RGB"; a warning says what that loses."""
    if image.has_transparency_data:
        warnings.warn("transparency is dropped", stacklevel=3)
    if image.mode in ("L", "RGB"):
        return image
    if image.mode == "F":
        raise PictureError("floating-point samples have no fixed range; convert them to 8 or 16 bits first")
    if image.mode.startswith("I"):
        warnings.warn("16-bit samples are rounded to 8 bits", stacklevel=3)
        samples = np.asarray(image, np.float64)
        return Image.fromarray(np.rint(samples / 257).clip(0, 255).astype(np.uint8), "L")
    if image.mode not in ("1", "P", "YCbCr") and not image.has_transparency_data:
        warnings.warn(f"colours are converted from {image.mode} to sRGB", stacklevel=3)
        return _managed(image)
    return image.convert("L" if image.mode in ("1", "LA", "La") else "RGB")


def _managed(image: Image.Image) -> Image.Image:
    """A CMYK or Lab picture in sRGB, through its ICC profile where it has one."""
    if profile := image.info.get("icc_profile"):
        from PIL import ImageCms

        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            pass  # a broken profile; the plain conversion is what is left
    return image.convert("RGB")
