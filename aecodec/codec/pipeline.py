"""The whole way of a picture: to a file's bytes, and from a file's bytes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np
from PIL import Image

from aecodec.container import alpha, bitstream, metadata
from aecodec.container.bitstream import ALPHA, EXIF, MAX_PIXELS, Header, Stream
from aecodec.container.tiles import BLOCK, Box, Grid, tile_side, whole
from aecodec.entropy import latents
from aecodec.entropy.architecture import LATENT_STRIDE
from aecodec.entropy.entropy_model import EntropyModel
from aecodec.errors import PictureError
from aecodec.images import formats, samples
from aecodec.runtime import Transforms, open_transforms, preload
from aecodec.threads import thread_count
from aecodec.weights.cards import DEFAULT, locate
from aecodec.weights.store import Weights, find, load


@dataclass(frozen=True)
class Encoded:
    """A file's bytes, the rate index that it was coded at, and the bits that the model says its payloads should take."""

    data: bytes
    rate: int
    estimate: float


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
        """The file at a rate index (``quality.index_of_quality``); ``tile`` as in ``bitstream.Header``, None to choose."""
        height, width = self.array.shape[:2]
        model, side = self.weights.entropy_model, tile_side(height, width) if tile is None else tile
        area = _latent_area(height, width)

        def code(y: np.ndarray, z: np.ndarray) -> tuple[bytes, float]:
            coded = latents.encode(model, y, z, rate)
            return coded.payload, latents.estimate_bits(model, coded)

        coded: dict[Box, Future] = {}
        with _workers(side > 0) as workers:
            for group in Grid(area, max(side, BLOCK // side * side) // LATENT_STRIDE if side else 0):
                y = self._analyse(group, area, rate)
                wait(coded.values())  # or latents would pile up where coding is the slower part
                for tile in Grid(group, side // LATENT_STRIDE):
                    part = np.ascontiguousarray(y[tile.relative(group).slices])
                    coded[tile] = workers.submit(code, part, self._transforms.hyper_analyse(part, rate))
        payloads, estimates = zip(*(coded[tile].result() for tile in sorted(coded)))
        header = Header(width, height, self.image.mode, self.weights.id, rate, side)
        return Encoded(bitstream.write(Stream(header, payloads, self._chunks)), rate, sum(estimates))

    def _analyse(self, box: Box, area: Box, rate: int) -> np.ndarray:
        """Latents (h, w, M) of a box of the latents' area."""
        blocks = Grid(box, BLOCK // LATENT_STRIDE)

        def analyse(index: int) -> np.ndarray:
            wide = blocks[index].grown(self.weights.arch.analysis_halo, area)
            pixels = samples.window(self._seen, wide.scaled(LATENT_STRIDE))
            return self._transforms.analyse(pixels, rate)[blocks[index].relative(wide).slices]

        return blocks.assemble(box, analyse)

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height as a viewer shows the picture, turned as its EXIF says."""
        return metadata.shown_size(self.image.size, self._chunks.get(EXIF, b""))

    def reconstruct(self, encoded: Encoded) -> np.ndarray:
        """What a decoder will show, (H, W, 3) uint8."""
        stream = bitstream.read(encoded.data, None)
        decoded = _decode_area(stream, self.weights, lambda: self._transforms, whole(*self.array.shape[:2]))
        return samples.to_array(samples.from_array(decoded, self.image.mode))


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
        array = _decode_area(stream, model, transforms.result, area)
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


def _decode_area(stream: Stream, model: Weights, transforms: Callable[[], Transforms], area: Box) -> np.ndarray:
    """An area, in pixels, of the decoded picture: (h, w, 3) uint8.  Only the tiles that it needs are decoded.

    ``transforms`` gives the runtime, and is not asked before there are latents.
    """
    head = stream.header
    latent_area = _latent_area(head.height, head.width)
    tiles = Grid(latent_area, head.tile // LATENT_STRIDE)
    blocks = Grid(area.scaled(1, LATENT_STRIDE), BLOCK // LATENT_STRIDE)
    windows = [block.grown(model.arch.synthesis_halo, latent_area) for block in blocks]
    last_use = {tile: index for index, window in enumerate(windows) for tile in tiles.touching(window)}
    result = np.empty((*area.shape, 3), np.uint8)
    with _workers(len(last_use) > 1) as workers:
        decoded: dict[int, Future] = {}
        for index, (block, window) in enumerate(zip(blocks, windows)):
            for ahead in windows[index : index + 2]:  # the workers go on while a block is synthesised
                for tile in tiles.touching(ahead):
                    if tile not in decoded:
                        decoded[tile] = workers.submit(_decode_tile, stream, model.entropy_model, tiles[tile].shape, tile)
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
