"""The whole way of a picture: to a file's bytes, and from a file's bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image

from aecodec.container import alpha, bitstream, metadata
from aecodec.container.bitstream import ALPHA, EXIF, MAX_PIXELS, Header, Stream
from aecodec.container.tiles import BLOCK, Box, Grid, tile_side, whole
from aecodec.entropy import latents
from aecodec.entropy.architecture import LATENT_STRIDE, Architecture
from aecodec.entropy.entropy_model import EntropyModel
from aecodec.entropy.latents import CodedLatents
from aecodec.errors import PictureError
from aecodec.images import formats, samples
from aecodec.runtime import Transforms, open_transforms, preload
from aecodec.threads import thread_count
from aecodec.weights.cards import DEFAULT, locate
from aecodec.weights.store import Weights, find, load

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
    latents: Sequence[np.ndarray]


class Encoder:
    """One picture, ready to be encoded at any number of qualities.

    ``image`` is its colour.  Raises PictureError where it cannot be encoded as it is (animation without a ``frame``) and
    LimitError over ``max_pixels``; warns where something of it will be lost.  With ``strip`` EXIF and XMP are dropped and
    the EXIF orientation is applied.  ``hint`` is what restoring weights are told of the damage (``restore/hint.py``).
    """

    def __init__(
        self,
        image: Image.Image,
        *,
        weights: str | Weights = DEFAULT,
        hint: np.ndarray | int = 0,
        device: str = "auto",
        strip: bool = False,
        max_pixels: int | None = MAX_PIXELS,
        frame: int | None = None,
    ) -> None:
        bits = formats.load(image, frame, max_pixels)
        self._chunks = metadata.read(image, strip)
        if strip:
            image = metadata.upright(image)
        self.image, plane = samples.split(image, bits)
        if plane:
            self._chunks[ALPHA] = alpha.encode(np.asarray(plane))
        self.array = samples.to_array(self.image)
        self.weights = load(weights) if isinstance(weights, str) else weights
        self._seen = self.array
        if self.weights.arch.restores:
            self._seen = np.dstack([self.array, np.broadcast_to(np.uint8(hint), self.array.shape[:2])])
        self._transforms = open_transforms(self.weights, device)

    def encode(self, rate: int, tile: int | None = None) -> Encoded:
        """Return the file at a rate index (``quality.index_of_quality``).

        ``tile`` is as in ``bitstream.Header``, None to choose.  The latents of a large picture are never there all at once.
        """
        header, payloads = self._code(rate, tile, lambda coded: coded.payload)
        return Encoded(bitstream.write(Stream(header, payloads, self._chunks)), rate)

    def quantise(self, rate: int, tile: int | None = None) -> Quantised:
        """Return what ``encode`` would write, with its latents, so that it can be shown without decoding them."""
        header, coded = self._code(rate, tile, lambda coded: (coded.payload, coded.latents))
        payloads, values = zip(*coded)
        return Quantised(Stream(header, payloads, self._chunks), values)

    def write(self, quantised: Quantised) -> Encoded:
        """Return the file that ``encode`` gives."""
        return Encoded(bitstream.write(quantised.stream), quantised.stream.header.rate)

    def show(self, quantised: Quantised) -> Image.Image:
        """Return the picture that ``decode`` gives for the file."""
        area = whole(*self.array.shape[:2])
        return _picture(self._synthesise(quantised), quantised.stream, area)

    def reconstruct(self, quantised: Quantised) -> np.ndarray:
        """Return the colour of that picture, (H, W, 3) uint8; gray is repeated in the three channels."""
        return samples.to_array(samples.from_array(self._synthesise(quantised), self.image.mode))

    def _synthesise(self, quantised: Quantised) -> np.ndarray:
        area, arch = whole(*self.array.shape[:2]), self.weights.arch
        latents_of = lambda index, shape: quantised.latents[index]  # noqa: E731
        return _synthesise_area(quantised.stream.header, arch, lambda: self._transforms, area, latents_of)

    def _code(self, rate: int, tile: int | None, keep: Callable[[CodedLatents], Kept]) -> tuple[Header, list[Kept]]:
        """Analyse, quantise and code the picture; ``keep`` takes from each tile's latents what is wanted of them."""
        height, width = self.array.shape[:2]
        model, side = self.weights.entropy_model, tile_side(height, width) if tile is None else tile
        area = _latent_area(height, width)

        def code(y: np.ndarray, z: np.ndarray) -> Kept:
            return keep(latents.encode(model, y, z, rate))

        coded: dict[Box, Future] = {}
        with _workers(side > 0) as workers:
            for group in Grid(area, max(side, BLOCK // side * side) // LATENT_STRIDE if side else 0):
                y = self._analyse(group, area, rate)
                wait(coded.values())  # or latents would pile up where coding is the slower part
                for tile in Grid(group, side // LATENT_STRIDE):
                    part = np.ascontiguousarray(y[tile.relative(group).slices])
                    coded[tile] = workers.submit(code, part, self._transforms.hyper_analyse(part, rate))
        header = Header(width, height, self.image.mode, self.weights.id, rate, side)
        return header, [coded[tile].result() for tile in sorted(coded)]

    def _analyse(self, box: Box, area: Box, rate: int) -> np.ndarray:
        """Latents (h, w, M) of a box of the latents' area."""
        blocks = Grid(box, BLOCK // LATENT_STRIDE)

        def analyse(index: int) -> np.ndarray:
            wide = blocks[index].grown(self.weights.arch.analysis_halo, area)
            pixels = samples.window(self._seen, wide.scaled(LATENT_STRIDE))
            return self._transforms.analyse(pixels, rate)[blocks[index].relative(wide).slices]

        return blocks.assemble(box, analyse)

    @property
    def pixels(self) -> int:
        return self.image.width * self.image.height

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height as a viewer shows the picture, turned as its EXIF says."""
        return metadata.shown_size(self.image.size, self._chunks.get(EXIF, b""))


def decode(
    data: bytes,
    *,
    weights: str | None = None,
    device: str = "auto",
    crop: tuple[int, int, int, int] | None = None,
    max_pixels: int | None = MAX_PIXELS,
) -> Image.Image:
    """See ``aecodec.decode``."""
    stream = bitstream.read(data, max_pixels)
    head = stream.header
    area = whole(head.height, head.width)
    if crop is not None:
        left, top, width, height = crop
        inside = Box(top, left, top + height, left + width)
        if not inside or inside & area != inside:
            raise PictureError(f"the crop {left},{top},{width},{height} is not inside {head.width} x {head.height}")
        area = inside
    name = locate(head.weights, weights)
    with ThreadPoolExecutor(1) as starter:  # the runtime starts while weights are read and latents decoded
        starter.submit(preload, device)
        model = load(name)
        transforms = starter.submit(_ready_transforms, model, device)

        def latents_of(index: int, shape: tuple[int, int]) -> np.ndarray:
            return _decode_tile(stream, model.entropy_model, shape, index)

        array = _synthesise_area(head, model.arch, transforms.result, area, latents_of)
    return _picture(array, stream, area)


def _picture(array: np.ndarray, stream: Stream, area: Box) -> Image.Image:
    """The decoded colour (h, w, 3) of an area, with its alpha and the metadata."""
    head = stream.header
    image = samples.from_array(array, head.mode)
    if ALPHA in stream.chunks:
        plane = alpha.decode(stream.chunks[ALPHA], head.height, head.width)
        image.putalpha(Image.fromarray(plane[area.slices]))
    image.info.update(metadata.from_chunks(stream.chunks))
    return image


def _ready_transforms(weights: Weights, device: str) -> Transforms:
    transforms = open_transforms(weights, device)
    transforms.prepare_synthesis()
    return transforms


def _synthesise_area(
    head: Header,
    arch: Architecture,
    transforms: Callable[[], Transforms],
    area: Box,
    latents_of: Callable[[int, tuple[int, int]], np.ndarray],
) -> np.ndarray:
    """An area, in pixels, of the decoded picture: (h, w, 3) uint8.  Only the tiles that it needs are asked for.

    ``latents_of`` gives the latents (h, w, M) of a tile by its number and its shape (h, w), in a thread of its own where
    there are several.  ``transforms`` gives the runtime, and is not asked before there are latents.
    """
    latent_area = _latent_area(head.height, head.width)
    tiles = Grid(latent_area, head.tile // LATENT_STRIDE)
    blocks = Grid(area.scaled(1, LATENT_STRIDE), BLOCK // LATENT_STRIDE)
    windows = [block.grown(arch.synthesis_halo, latent_area) for block in blocks]
    last_use = {tile: index for index, window in enumerate(windows) for tile in tiles.touching(window)}
    result = np.empty((*area.shape, 3), np.uint8)
    with _workers(len(last_use) > 1) as workers:
        decoded: dict[int, Future] = {}
        for index, (block, window) in enumerate(zip(blocks, windows)):
            for ahead in windows[index : index + 2]:  # the workers go on while a block is synthesised
                for tile in tiles.touching(ahead):
                    if tile not in decoded:
                        decoded[tile] = workers.submit(latents_of, tile, tiles[tile].shape)
            values = tiles.assemble(window, lambda tile: decoded[tile].result())
            pixels = transforms().synthesise(values, head.rate)
            origin = window.scaled(LATENT_STRIDE)
            common = block.scaled(LATENT_STRIDE) & area
            result[common.relative(area).slices] = pixels[common.relative(origin).slices]
            for tile in [tile for tile in decoded if last_use[tile] <= index]:
                del decoded[tile]
    return result


def _decode_tile(stream: Stream, model: EntropyModel, shape: tuple[int, int], index: int) -> np.ndarray:
    return latents.decode(model, stream.payloads[index], shape, stream.header.rate)


class _Inline(Executor):
    """Does the work when it is submitted: one tile needs no thread."""

    def submit(self, function, /, *args) -> Future:
        future: Future = Future()
        future.set_result(function(*args))
        return future


def _workers(parallel: bool) -> Executor:
    return ThreadPoolExecutor(thread_count()) if parallel else _Inline()


def decode_latents(stream: Stream, model: EntropyModel | None = None) -> np.ndarray:
    """The integer latents (h, w, M) in a file: the part of decoding that is the same bits on every machine."""
    head = stream.header
    model = model or find(head.weights).entropy_model
    area = _latent_area(head.height, head.width)
    tiles = Grid(area, head.tile // LATENT_STRIDE)
    return tiles.assemble(area, lambda index: _decode_tile(stream, model, tiles[index].shape, index))


def _latent_area(height: int, width: int) -> Box:
    return whole(*samples.padded_size(height, width)).scaled(1, LATENT_STRIDE)
