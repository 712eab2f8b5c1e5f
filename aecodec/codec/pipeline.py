"""The whole way of a picture: to a file's bytes, and from a file's bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from aecodec.codec import alpha, bitstream, formats, latents, metadata, picture
from aecodec.codec.bitstream import ALPHA, EXIF, MAX_PIXELS, Header, Stream
from aecodec.codec.config import LATENT_STRIDE
from aecodec.codec.latents import CodedLatents
from aecodec.runtime import open_transforms
from aecodec.weights import DEFAULT, Weights, find, load

DISTORTION = 25.0  # of rate-distortion optimised rounding, in bits per squared step; found on held-out pictures


@dataclass(frozen=True)
class Encoded:
    """A file's bytes, the rate index that it was coded at, and the latents in it."""

    data: bytes
    rate: int
    coded: CodedLatents


class Encoder:
    """One picture, ready to be encoded at any number of qualities.

    ``image`` is its colour.  Raises PictureError where it cannot be encoded as it is (animation without a ``frame``) and
    LimitError over ``max_pixels``; warns where something of it will be lost.  With ``strip`` EXIF and XMP are dropped and
    the EXIF orientation is applied.
    """

    def __init__(
        self,
        image: Image.Image,
        *,
        weights: str = DEFAULT,
        device: str = "auto",
        strip: bool = False,
        max_pixels: int | None = MAX_PIXELS,
        frame: int | None = None,
    ) -> None:
        bits = formats.load(image, frame, max_pixels)
        self._chunks = metadata.read(image, strip)
        if strip:
            image = metadata.upright(image)
        self.image, plane = picture.split(image, bits)
        if plane:
            self._chunks[ALPHA] = alpha.encode(np.asarray(plane))
        self.array = picture.to_array(self.image)
        self.weights = load(weights)
        self._transforms = open_transforms(self.weights, device)
        self._padded = picture.pad(self.array)

    def encode(self, rate: int) -> Encoded:
        """The file at a rate index (``quality.index_of_quality``)."""
        y, z = self._transforms.analyse(self._padded, rate)
        coded = latents.encode(self.weights.entropy_model, y, z, rate, DISTORTION)
        header = Header(self.image.width, self.image.height, self.image.mode, self.weights.id, rate)
        data = bitstream.write(Stream(header, coded.payload, self._chunks))
        return Encoded(data, rate, coded)

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height as a viewer shows the picture, turned as its EXIF says."""
        width, height = self.image.size
        return (height, width) if metadata.orientation(self._chunks.get(EXIF, b"")) > 4 else (width, height)

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
    if ALPHA in stream.chunks:
        image.putalpha(Image.fromarray(alpha.decode(stream.chunks[ALPHA], head.height, head.width)))
    image.info.update(metadata.from_chunks(stream.chunks))
    return image


def decode_latents(stream: Stream, weights: Weights | None = None) -> np.ndarray:
    """The integer latents (h, w, M) in a file: the part of decoding that is the same bits on every machine."""
    weights = weights or find(stream.header.weights)
    height, width = picture.padded_size(stream.header.height, stream.header.width)
    shape = (height // LATENT_STRIDE, width // LATENT_STRIDE, weights.arch.latents)
    return latents.decode(weights.entropy_model, stream.payload, shape, stream.header.rate)
