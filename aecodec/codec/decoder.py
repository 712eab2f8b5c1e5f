"""Turn a file into a picture: decode tiles in threads, and synthesise the wanted area in blocks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec.codec.scaled import SCALES, scaled_picture
from aecodec.codec.tiling import latent_area, open_workers
from aecodec.container import alpha, bitstream, exact, metadata
from aecodec.container.bitstream import ALPHA, EXACT, LOSSLESS, Header, Stream
from aecodec.container.tiles import BLOCK, Box, Grid, whole
from aecodec.defaults import MAX_PIXELS
from aecodec.entropy import latents
from aecodec.entropy.architecture import LATENT_STRIDE, Architecture
from aecodec.entropy.entropy_model import EntropyModel
from aecodec.errors import PictureError, WeightsError
from aecodec.images import samples
from aecodec.runtime import Synthesis, open_exact, open_synthesis, preload
from aecodec.weights.cards import locate
from aecodec.weights.store import Source, Weights, find, load

DecodePayload = Callable[[bytes, tuple[int, int], int], NDArray[np.int32]]  # of payload, shape (h, w) and rate index


def decode(
    data: bitstream.Source,
    *,
    weights: Source | None = None,
    device: str = "auto",
    crop: tuple[int, int, int, int] | None = None,
    scale: int = 1,
    max_pixels: int | None = MAX_PIXELS,
) -> Image.Image:
    """Return the picture in an .aec file; see ``aecodec.decode``."""
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(map(str, SCALES))}, not {scale!r}")
    if scale != 1 and crop is not None:
        raise ValueError("crop and scale exclude each other")
    stream = bitstream.read(bitstream.bytes_of(data), max_pixels)
    head = stream.header
    if scale != 1:
        exact_pixels(stream)
        return scaled_picture(stream, None if LOSSLESS in stream.chunks else weights_of(head, weights), scale)
    area = whole(head.height, head.width)
    if crop is not None:
        left, top, width, height = crop
        inside = Box(top, left, top + height, left + width)
        if not inside or inside & area != inside:
            raise PictureError(f"the crop {left},{top},{width},{height} is not inside {head.width} x {head.height}")
        area = inside
    if LOSSLESS in stream.chunks:
        return lossless_picture(stream, area)
    pixels = exact_pixels(stream)  # before anything is allocated: what is damaged is refused
    found = weights_of(head, weights)
    decoder = open_exact(found, device)
    if decoder is not None:
        array = _decode_area(stream, decoder.arch, decoder.decode_latents, lambda: decoder, area)
    else:
        array = _decode_with_runtime(stream, found, device, area)
    lay_exact(array, pixels, area)
    return picture_of(array, stream, area)


def _decode_with_runtime(stream: Stream, found: Source, device: str, area: Box) -> NDArray[np.uint8]:
    """Return the colour of an area, (h, w, 3), without libaec: latents in numpy, the synthesis in a runtime's floats."""
    with ThreadPoolExecutor(1) as starter:  # the runtime starts while weights are read and latents decoded
        starter.submit(preload, device)
        model = load(found)
        synthesis = starter.submit(open_synthesis, model, device)
        decode_payload = functools.partial(latents.decode, model.entropy_model)
        return _decode_area(stream, model.arch, decode_payload, synthesis.result, area)


def _decode_area(
    stream: Stream, arch: Architecture, decode_payload: DecodePayload, synthesis: Callable[[], Synthesis], area: Box
) -> NDArray[np.uint8]:
    """Return the colour of an area, (h, w, 3), of a stream with payloads."""

    def latents_of(index: int, shape: tuple[int, int]) -> NDArray[np.int32]:
        return _decode_tile(stream, decode_payload, shape, index)

    return synthesise_area(stream.header, arch, synthesis, area, latents_of)


def exact_pixels(stream: Stream) -> exact.Exact | None:
    """Return the exact pixels of a file that has payloads, None where it has none. Raises BitstreamError."""
    head = stream.header
    return exact.read_some(stream.chunks[EXACT], head.height, head.width) if EXACT in stream.chunks else None


def lay_exact(array: NDArray[np.uint8], pixels: exact.Exact | None, area: Box) -> None:
    """Write the exact pixels of an area over its decoded colour (h, w, 3), in place."""
    if pixels is not None:
        found = pixels.decode(area)
        np.copyto(array, found[..., :3], where=found[..., 3:] > 0)


def lossless_picture(stream: Stream, area: Box) -> Image.Image:
    """Return an area of a picture without loss, with its metadata."""
    head = stream.header
    found = exact.read_whole(stream.chunks[LOSSLESS], head.height, head.width).decode(area)
    return picture_of(found if stream.chunks.get(ALPHA) == alpha.ELSEWHERE else found[..., :3], stream, area)


def picture_of(array: NDArray[np.uint8], stream: Stream, area: Box) -> Image.Image:
    """Return the picture of the decoded colour (h, w, 3) of an area, with the alpha and metadata of its stream.

    A fourth channel is the alpha, where it stands with the colour.
    """
    head = stream.header
    image = samples.from_array(array[..., :3], head.mode)
    if array.shape[2] == 4:
        image.putalpha(Image.fromarray(array[..., 3]))
    elif ALPHA in stream.chunks:
        plane = alpha.decode(stream.chunks[ALPHA], head.height, head.width)
        image.putalpha(Image.fromarray(plane[area.slices]))
    image.info.update(metadata.from_chunks(stream.chunks))
    return image


def weights_of(head: Header, given: Source | None) -> Source:
    """Return the weights that a file needs: ``given``, or installed ones.

    Raises WeightsError where ``given`` are not those of the file.
    """
    if not isinstance(given, Weights):
        return locate(head.weights, given)
    if given.id != head.weights:
        raise WeightsError(f"the file needs the weights {head.weights}; {given.name} has the id {given.id}")
    return given


def synthesise_area(
    head: Header,
    arch: Architecture,
    synthesis: Callable[[], Synthesis],
    area: Box,
    latents_of: Callable[[int, tuple[int, int]], NDArray[np.int32]],
) -> NDArray[np.uint8]:
    """Return an area, in pixels, of the decoded picture: (h, w, 3) uint8. It asks only for the tiles that it needs.

    ``latents_of`` returns the latents (h, w, M) of a tile by its number and its shape (h, w); it runs in threads of its own
    where there are several tiles. ``synthesis`` returns what computes, and is called only once there are latents.
    """
    whole_area = latent_area(head.height, head.width)
    tiles = Grid(whole_area, head.tile // LATENT_STRIDE)
    blocks = Grid(area.scaled(1, LATENT_STRIDE), BLOCK // LATENT_STRIDE)
    windows = [block.grown(arch.synthesis_halo, whole_area) for block in blocks]
    last_use = {tile: index for index, window in enumerate(windows) for tile in tiles.touching(window)}
    result = np.empty((*area.shape, 3), np.uint8)
    with open_workers(len(last_use) > 1) as workers:
        decoded: dict[int, Future[NDArray[np.int32]]] = {}
        for index, (block, window) in enumerate(zip(blocks, windows, strict=True)):
            for ahead in windows[index : index + 2]:  # the workers go on while a block is synthesised
                for tile in tiles.touching(ahead):
                    if tile not in decoded:
                        decoded[tile] = workers.submit(latents_of, tile, tiles[tile].shape)
            values = tiles.assemble(window, lambda tile: decoded[tile].result())
            pixels = synthesis().synthesise(values, head.rate)
            origin = window.scaled(LATENT_STRIDE)
            common = block.scaled(LATENT_STRIDE) & area
            result[common.relative(area).slices] = pixels[common.relative(origin).slices]
            for tile in [tile for tile in decoded if last_use[tile] <= index]:
                del decoded[tile]
    return result


def _decode_tile(stream: Stream, decode_payload: DecodePayload, shape: tuple[int, int], index: int) -> NDArray[np.int32]:
    return decode_payload(stream.payloads[index], shape, stream.header.rate)


def decode_latents(
    stream: Stream, model: EntropyModel | None = None, decode_payload: DecodePayload | None = None
) -> NDArray[np.int32]:
    """Return the integer latents (h, w, M) in a file: the part of decoding that is the same bits on every machine.

    ``decode_payload`` computes them, such as libaec's; without it, ``model`` does, by default that of the file's weights.
    """
    head = stream.header
    if decode_payload is None:
        decode_payload = functools.partial(latents.decode, model or find(head.weights).entropy_model)
    area = latent_area(head.height, head.width)
    tiles = Grid(area, head.tile // LATENT_STRIDE)
    return tiles.assemble(area, lambda index: _decode_tile(stream, decode_payload, tiles[index].shape, index))
