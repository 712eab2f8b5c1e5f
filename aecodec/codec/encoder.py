"""Turn a picture into a file: analyse it in blocks, quantise and code it in tiles, at any number of qualities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec.codec.decoder import picture_of, synthesise_area
from aecodec.codec.tiling import latent_area, open_workers
from aecodec.container import alpha, bitstream, metadata
from aecodec.container.bitstream import ALPHA, EXIF, Header, Stream
from aecodec.container.tiles import BLOCK, Box, Grid, tile_side, whole
from aecodec.defaults import DEFAULT_WEIGHTS, MAX_PIXELS
from aecodec.entropy import latents
from aecodec.entropy.architecture import LATENT_STRIDE
from aecodec.entropy.latents import CodedLatents
from aecodec.images import formats, samples
from aecodec.runtime import open_transforms
from aecodec.weights.store import Source, load

Kept = TypeVar("Kept")


@dataclass(frozen=True)
class Encoded:
    """A file's bytes, and the rate index that it was coded at."""

    data: bytes
    rate: int


@dataclass(frozen=True)
class Quantised:
    """What a file will hold, and the latents (h, w, M) int32 that each of its payloads stands for: 8 bytes a pixel."""

    stream: Stream
    latents: Sequence[NDArray[np.int32]]


class Encoder:
    """One picture, ready to be encoded at any number of qualities.

        encoder = Encoder(Image.open("photo.png"))
        files = [encoder.encode(aecodec.quality.index_of_quality(quality)).data for quality in (30, 60, 90)]

    The attribute ``image`` is its colour. Raises PictureError where the picture cannot be encoded as it is (an animation
    without a ``frame``) and LimitError over ``max_pixels``; warns where something will be lost. With ``strip`` EXIF and XMP
    are dropped and the EXIF orientation is applied. ``hint`` describes the damage to a restoring encoder
    (``restore/hint.py``).
    """

    def __init__(
        self,
        image: formats.Source,
        *,
        weights: Source = DEFAULT_WEIGHTS,
        hint: NDArray[np.uint8] | int = 0,
        device: str = "auto",
        strip: bool = False,
        max_pixels: int | None = MAX_PIXELS,
        frame: int | None = None,
    ) -> None:
        image = formats.as_picture(image, max_pixels)
        bits = formats.load(image, frame, max_pixels)
        self._chunks = metadata.read(image, strip)
        if strip:
            image = metadata.upright(image)
        self.image, plane = samples.split(image, bits)
        if plane:
            self._chunks[ALPHA] = alpha.encode(np.asarray(plane))
        self.array = samples.to_array(self.image)
        self.weights = load(weights)
        self._seen = self.array
        if self.weights.arch.restores:
            self._seen = np.dstack([self.array, np.broadcast_to(np.uint8(hint), self.array.shape[:2])])
        self._transforms = open_transforms(self.weights, device)

    def encode(self, rate: int, tile: int | None = None) -> Encoded:
        """Return the file at a rate index (``quality.index_of_quality``).

        ``tile`` is as in ``bitstream.Header``, None to choose. The latents of a large picture are never in memory all at
        once.
        """
        header, payloads = self._code(rate, tile, lambda coded: coded.payload)
        return Encoded(bitstream.write(Stream(header, payloads, self._chunks)), rate)

    def quantise(self, rate: int, tile: int | None = None) -> Quantised:
        """Return what ``encode`` would write, with its latents, so that it can be shown without decoding them."""
        header, coded = self._code(rate, tile, lambda coded: (coded.payload, coded.latents))
        payloads, values = zip(*coded, strict=True)
        return Quantised(Stream(header, payloads, self._chunks), values)

    def write(self, quantised: Quantised) -> Encoded:
        """Return the file that ``encode`` gives."""
        return Encoded(bitstream.write(quantised.stream), quantised.stream.header.rate)

    def show(self, quantised: Quantised) -> Image.Image:
        """Return the picture that ``decode`` gives for the file."""
        area = whole(*self.array.shape[:2])
        return picture_of(self._synthesise(quantised), quantised.stream, area)

    def reconstruct(self, quantised: Quantised) -> NDArray[np.uint8]:
        """Return the colour of that picture, (H, W, 3) uint8; gray is repeated in the three channels."""
        return samples.to_array(samples.from_array(self._synthesise(quantised), self.image.mode))

    def _synthesise(self, quantised: Quantised) -> NDArray[np.uint8]:
        area, arch = whole(*self.array.shape[:2]), self.weights.arch

        def latents_of(index: int, shape: tuple[int, int]) -> NDArray[np.int32]:
            return quantised.latents[index]

        return synthesise_area(quantised.stream.header, arch, lambda: self._transforms, area, latents_of)

    def _code(self, rate: int, tile: int | None, keep: Callable[[CodedLatents], Kept]) -> tuple[Header, list[Kept]]:
        """Analyse, quantise and code the picture; ``keep`` picks what is wanted of each tile's latents."""
        height, width = self.array.shape[:2]
        model, side = self.weights.entropy_model, tile_side(height, width) if tile is None else tile
        area = latent_area(height, width)

        def code(y: NDArray[np.float32], z: NDArray[np.float32]) -> Kept:
            return keep(latents.encode(model, y, z, rate))

        coded: dict[Box, Future[Kept]] = {}
        with open_workers(side > 0) as workers:
            for group in Grid(area, max(side, BLOCK // side * side) // LATENT_STRIDE if side else 0):
                y = self._analyse(group, area, rate)
                wait(coded.values())  # or latents would pile up where coding is the slower part
                for box in Grid(group, side // LATENT_STRIDE):
                    part = np.ascontiguousarray(y[box.relative(group).slices])
                    coded[box] = workers.submit(code, part, self._transforms.hyper_analyse(part, rate))
        header = Header(width, height, self.image.mode, self.weights.id, rate, side)
        return header, [coded[box].result() for box in sorted(coded)]

    def _analyse(self, box: Box, area: Box, rate: int) -> NDArray[np.float32]:
        """Return the latents (h, w, M) of a box of the latents' area."""
        blocks = Grid(box, BLOCK // LATENT_STRIDE)

        def analyse(index: int) -> NDArray[np.float32]:
            wide = blocks[index].grown(self.weights.arch.analysis_halo, area)
            pixels = samples.window(self._seen, wide.scaled(LATENT_STRIDE))
            return self._transforms.analyse(pixels, rate)[blocks[index].relative(wide).slices]

        return blocks.assemble(box, analyse)

    @property
    def pixels(self) -> int:
        return self.image.width * self.image.height

    @property
    def shown_size(self) -> tuple[int, int]:
        """Return width and height as a viewer shows the picture, turned as its EXIF says."""
        return metadata.shown_size(self.image.size, self._chunks.get(EXIF, b""))
