"""Return the vector of an .aec file, from its latents and without decoding a pixel, or of any picture."""

from __future__ import annotations

import builtins
import os
import warnings
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec.codec import decoder
from aecodec.codec.encoder import Original
from aecodec.container import bitstream, metadata
from aecodec.container.bitstream import EXACT, EXIF, LOSSLESS, MAGIC, Stream
from aecodec.container.tiles import whole
from aecodec.defaults import DEFAULT_QUALITY, MAX_PIXELS
from aecodec.errors import FramesError, WeightsError
from aecodec.images import reading, samples
from aecodec.quality import index_of_quality
from aecodec.retrieval import pooling, thumbnails, whitening
from aecodec.runtime import open_transforms
from aecodec.weights.cards import locate
from aecodec.weights.store import Weights, at_gain_one, inverse_gain, load

Floats = NDArray[np.float32]
Source = reading.Source | bytes | bytearray | memoryview
LARGEST = 2**18  # pixels of a picture that is analysed; a larger one is scaled down, since a vector hardly shows the size


@dataclass(frozen=True)
class Description:
    """What is known of a picture: its vector (LENGTH,) of unit length, its size as it is shown, and its file.

    bytes: of the file, 0 where there is none; quality: of an .aec file, None of anything else; from_latents: whether the
    vector comes from the latents in the file, without decoded pixels; thumbnail: a small WebP, b"" where none was wanted.
    """

    vector: Floats
    width: int
    height: int
    bytes: int = 0
    quality: float | None = None
    from_latents: bool = False
    thumbnail: builtins.bytes = b""  # the field above has the plain name


@dataclass(frozen=True)
class Space:
    """What vectors are of: an id, since those of two spaces do not compare, their length, and how they are compared."""

    id: str
    length: int
    distance: str = "cosine"


def codec_space() -> Space:
    """Return the space of the vectors that ``describe`` gives."""
    return Space(whitening.installed().id, whitening.LENGTH)


def describe(
    source: Source, *, device: str = "auto", max_pixels: int | None = MAX_PIXELS, thumbnail: int = 0
) -> Description:
    """Return the description of a picture: an .aec file or any other one (bytes or path), an image or an array.

    The vector comes from the latents of an .aec file where they are those of the weights that the vectors are fitted to and
    stand for the whole picture, upright. Otherwise (other weights, exact pixels in the file, an EXIF orientation) the file
    is decoded and its picture analysed. ``thumbnail`` is the longer side of the thumbnail, 0 for none. Raises as
    ``aecodec.encode`` and ``aecodec.decode`` do.
    """
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            source = file.read()
    if not isinstance(source, (bytes, bytearray, memoryview)):
        return _of_picture(reading.as_picture(source, max_pixels), device, max_pixels, thumbnail)
    data = bytes(source)
    if not data.startswith(MAGIC[:4]):  # with another line end it is a damaged .aec
        return replace(_of_picture(reading.open_picture(data, max_pixels), device, max_pixels, thumbnail), bytes=len(data))
    stream = bitstream.read(data, max_pixels)
    if has_usable_latents(stream):
        found = _of_latents(stream, thumbnail)
    else:
        picture = decoder.decode_samples(data, device=device, max_pixels=max_pixels).image()
        found = _of_picture(picture, device, max_pixels, thumbnail)
    return replace(found, bytes=len(data), quality=stream.header.quality)


def fitted_weights() -> Weights:
    """Return the weights that the vectors are fitted to. Raises WeightsError where they are not installed."""
    wanted = whitening.installed().weights
    try:
        return load(locate(wanted[:8]))
    except WeightsError as error:
        raise WeightsError(f"the vectors are fitted to weights that are not there: {error}") from None


def has_usable_latents(stream: Stream) -> bool:
    """Return whether the latents of a file stand for its whole picture, upright, and are of the weights in use."""
    if stream.header.weights != whitening.installed().weights[:8] or {EXACT, LOSSLESS} & stream.chunks.keys():
        return False
    return metadata.orientation(stream.chunks.get(EXIF, b"")) == 1


def _of_latents(stream: Stream, thumbnail: int) -> Description:
    """Return the description of a file whose latents are usable."""
    head, weights = stream.header, fitted_weights()
    klt = weights.tensors["synthesis.klt.weight"]
    pool = pooling.Pool(head.height, head.width, weights.arch.latents)
    small = thumbnails.Small(head.height, head.width)
    for box, latents in decoder.tiles_of_latents(stream, weights):
        at_one = at_gain_one(latents, weights, head.rate)
        pool.add(box, at_one)
        if thumbnail:
            small.add(box, at_one, klt)
    vector = whitening.installed().apply(pool.statistics())
    data = thumbnails.webp(small.image(), thumbnail) if thumbnail else b""
    return Description(vector, head.width, head.height, from_latents=True, thumbnail=data)


def _of_picture(image: Image.Image, device: str, max_pixels: int | None, thumbnail: int) -> Description:
    """Return the description of a Pillow image. Of an animation it is the first frame's."""
    weights = fitted_weights()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nothing is written, so nothing is lost
        try:
            original = Original.open(image, strip=True, max_pixels=max_pixels)
        except FramesError:
            original = Original.open(image, strip=True, max_pixels=max_pixels, frame=0)
    statistics = statistics_of_picture(_reduced(original.image), weights, device)
    small = thumbnails.webp(original.image, thumbnail) if thumbnail else b""
    return Description(whitening.installed().apply(statistics), *original.image.size, thumbnail=small)


def _reduced(image: Image.Image) -> Image.Image:
    """Return a picture of LARGEST pixels at most."""
    factor = (LARGEST / (image.width * image.height)) ** 0.5
    if factor >= 1:
        return image
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3)


def statistics_of_picture(image: Image.Image, weights: Weights, device: str = "auto") -> Floats:
    """Return the pooled statistics of the latents, not quantised, of an "L" or "RGB" picture."""
    rate = index_of_quality(DEFAULT_QUALITY)
    latents = open_transforms(weights, device).analyse(padded(image), rate)
    at_one = latents * inverse_gain(weights, rate)
    return pooling.statistics(at_one, image.height, image.width)


def padded(image: Image.Image) -> NDArray[np.uint8]:
    """Return an "L" or "RGB" picture as (H, W, 3) uint8, with sides that the networks take."""
    return samples.window(samples.to_array(image), whole(*samples.padded_size(image.height, image.width)))
