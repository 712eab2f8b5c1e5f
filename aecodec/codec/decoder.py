"""Turn a file into a picture: decode tiles in threads, and synthesise the wanted area in blocks."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec.codec.scaled import SCALES, scaled_picture
from aecodec.codec.tiling import latent_area, open_workers
from aecodec.container import alpha, bitstream, digest, exact
from aecodec.container.bitstream import ALPHA, EXACT, HASH, LOSSLESS, Header, Stream
from aecodec.container.tiles import BLOCK, Box, Grid, whole
from aecodec.defaults import MAX_PIXELS
from aecodec.entropy import latents
from aecodec.entropy.architecture import LATENT_STRIDE, Architecture
from aecodec.entropy.entropy_model import EntropyModel
from aecodec.errors import BitstreamError, PictureError, TruncatedError, WeightsError
from aecodec.images import deep, embedded, samples
from aecodec.runtime import Synthesis, libaec, open_exact, open_synthesis, preload
from aecodec.weights.cards import locate
from aecodec.weights.store import Source, Weights, find, load

DecodePayload = Callable[[bytes, tuple[int, int], int], NDArray[np.int32]]  # of payload, shape (h, w) and rate index


@dataclass(frozen=True)
class Decoded:
    """A decoded picture, or an area of one.

    colour: (h, w) gray or (h, w, 3) RGB, uint8, or uint16 where ``depth`` is more than 8 bits; alpha: (h, w) or None; info:
    its metadata under Pillow's names; is_verified: whether it has the hash that its file says.
    """

    colour: NDArray[Any]
    alpha: NDArray[np.uint8] | None
    depth: int
    info: dict[str, Any]
    is_verified: bool = False

    def image(self) -> Image.Image:
        """Return the picture for Pillow, in 8 bits a sample."""
        image = Image.fromarray(deep.to_bytes(self.colour, self.depth) if self.depth > 8 else self.colour)
        if self.alpha is not None:
            image.putalpha(Image.fromarray(self.alpha))
        image.info.update(self.info)
        return image

    def array(self, depth: int) -> NDArray[Any]:
        """Return the samples (h, w, channels), rounded to a depth, with alpha as the last channel."""
        peak = 2**depth - 1
        channels = [deep.scaled(self.colour.reshape(*self.colour.shape[:2], -1), 2**self.depth - 1, peak)]
        if self.alpha is not None:
            channels.append(deep.scaled(self.alpha[..., None], 255, peak))
        return np.concatenate(channels, -1).astype(np.uint8 if depth == 8 else np.uint16)


def decode(
    data: bitstream.Source,
    *,
    weights: Source | None = None,
    device: str = "auto",
    crop: tuple[int, int, int, int] | None = None,
    scale: int = 1,
    max_pixels: int | None = MAX_PIXELS,
    verify: bool = True,
    preview: bool = False,
) -> Image.Image:
    """Return the picture in an .aec file; see ``aecodec.decode``."""
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(map(str, SCALES))}, not {scale!r}")
    if scale != 1:
        data = bitstream.bytes_of(data)
        try:
            stream = bitstream.read(data, max_pixels)
        except TruncatedError:
            if not preview:
                raise
            return _preview(data, weights, crop, scale, 8, max_pixels).image()
        area = _area_of(stream.header, crop).scaled(1, scale)
        exact_pixels(stream)
        found = None if LOSSLESS in stream.chunks else weights_of(stream.header, weights)
        return scaled_picture(stream, found, scale, area)
    decoded = decode_samples(
        data, weights=weights, device=device, crop=crop, max_pixels=max_pixels, verify=verify, preview=preview
    )
    if decoded.depth > 8:
        warnings.warn(f"{decoded.depth}-bit samples are rounded to 8 bits, which a Pillow image has", stacklevel=3)
    return decoded.image()


def decode_samples(
    data: bitstream.Source,
    *,
    bits: int | None = None,
    weights: Source | None = None,
    device: str = "auto",
    crop: tuple[int, int, int, int] | None = None,
    max_pixels: int | None = MAX_PIXELS,
    verify: bool = True,
    preview: bool = False,
) -> Decoded:
    """Return the picture in an .aec file, with at least ``bits`` a sample; None stands for those of the file.

    With ``verify`` it is compared with the hash in its file, where there is one: if it is whole, has the file's own depth,
    and was not computed in floats. Raises as ``aecodec.decode`` does.
    """
    data = bitstream.bytes_of(data)
    try:
        stream = bitstream.read(data, max_pixels)
    except TruncatedError:
        if not preview:
            raise
        return _preview(data, weights, crop, 1, bits, max_pixels)
    head = stream.header
    area = _area_of(head, crop)
    depth = max(head.depth, bits or 8)
    if LOSSLESS in stream.chunks:
        return _verified(lossless_samples(stream, area), stream, crop is None and verify, depth)
    pixels = exact_pixels(stream)  # before anything is allocated: what is damaged is refused
    found = weights_of(head, weights)
    decoder = open_exact(found, device)
    if decoder is not None:
        array, is_exact = _decode_area(stream, decoder.arch, decoder.decode_latents, lambda: decoder, area, depth), True
    else:
        array, is_exact = _decode_with_runtime(stream, found, device, area, depth)
    lay_exact(array, pixels, area, depth)
    is_comparable = is_exact and crop is None and verify and depth == head.depth
    return _verified(samples_of(array, stream, area, depth), stream, is_comparable, depth)


def _preview(
    data: bytes,
    weights: Source | None,
    crop: tuple[int, int, int, int] | None,
    scale: int,
    bits: int | None,
    max_pixels: int | None,
) -> Decoded:
    """Return what there is of a file that ends early, as docs/format.md, section 8.6, defines it; libaec decodes it."""
    head, chunks, has_payload = bitstream.read_beginning(data, max_pixels)
    area = _area_of(head, crop)
    channels, is_lossless = libaec.preview_info(data)
    decoder = None
    if has_payload and not is_lossless:
        decoder = libaec.open_decoder(weights_of(head, weights))
        if decoder is None:
            raise WeightsError(f"libaec cannot decode with the weights {head.weights}, and nothing else makes previews")
    depth = 8 if scale > 1 else max(head.depth, bits or 8)
    height, width = area.scaled(1, scale).shape
    array = np.empty((height, width, channels), np.uint8 if depth == 8 else np.uint16)
    libaec.preview(decoder, data, array, depth, scale, None if crop is None else area)
    warnings.warn("the file is truncated: the picture is a preview of what is there", stacklevel=4)
    colour = array[..., 0] if channels < 3 else array[..., :3]
    plane = None if channels % 2 else deep.to_bytes(array[..., -1], depth)
    return Decoded(colour, plane, depth, embedded.info_of(chunks, head.mode == "L"))


def _area_of(head: Header, crop: tuple[int, int, int, int] | None) -> Box:
    """Return the area, in pixels, that a crop (left, top, width, height) stands for. Raises PictureError."""
    area = whole(head.height, head.width)
    if crop is None:
        return area
    left, top, width, height = crop
    inside = Box(top, left, top + height, left + width)
    if not inside or inside & area != inside:
        raise PictureError(f"the crop {left},{top},{width},{height} is not inside {head.width} x {head.height}")
    return inside


def _decode_with_runtime(stream: Stream, found: Source, device: str, area: Box, depth: int) -> tuple[NDArray[Any], bool]:
    """Return the colour of an area, (h, w, 3), without libaec, and whether it is exact: latents are in numpy."""
    with ThreadPoolExecutor(1) as starter:  # the runtime starts while weights are read and latents decoded
        starter.submit(preload, device)
        model = load(found)
        synthesis = starter.submit(open_synthesis, model, device)
        decode_payload = functools.partial(latents.decode, model.entropy_model)
        array = _decode_area(stream, model.arch, decode_payload, synthesis.result, area, depth)
        return array, synthesis.result().is_exact


def _decode_area(
    stream: Stream,
    arch: Architecture,
    decode_payload: DecodePayload,
    synthesis: Callable[[], Synthesis],
    area: Box,
    depth: int,
) -> NDArray[Any]:
    """Return the colour of an area, (h, w, 3), of a stream with payloads."""

    def latents_of(index: int, shape: tuple[int, int]) -> NDArray[np.int32]:
        return _decode_tile(stream, decode_payload, shape, index)

    return synthesise_area(stream.header, arch, synthesis, area, latents_of, depth)


def _verified(found: Decoded, stream: Stream, is_comparable: bool, depth: int) -> Decoded:
    """Return a picture in ``depth`` bits. Raises BitstreamError where its hash is another than its file says."""
    if is_comparable and HASH in stream.chunks:
        if digest.of_samples(found.colour, found.alpha) != stream.chunks[HASH]:
            raise BitstreamError("the picture is not the one that was encoded (its hash differs)")
        found = replace(found, is_verified=True)
    if found.depth < depth:  # without loss
        wide = deep.scaled(found.colour, 2**found.depth - 1, 2**depth - 1).astype(np.uint16)
        found = replace(found, colour=wide, depth=depth)
    return found


def exact_pixels(stream: Stream) -> exact.Exact | None:
    """Return the exact pixels of a file that has payloads, None where it has none. Raises BitstreamError."""
    head = stream.header
    return exact.read_some(stream.chunks[EXACT], head.height, head.width) if EXACT in stream.chunks else None


def lay_exact(array: NDArray[Any], pixels: exact.Exact | None, area: Box, depth: int = 8) -> None:
    """Write the exact pixels of an area over its decoded colour (h, w, 3), in place."""
    if pixels is not None:
        found = pixels.decode(area)
        colour = deep.scaled(found[..., :3], 255, 2**depth - 1).astype(array.dtype) if depth > 8 else found[..., :3]
        np.copyto(array, colour, where=found[..., 3:] > 0)


def lossless_samples(stream: Stream, area: Box) -> Decoded:
    """Return an area of a picture without loss, with its metadata."""
    head = stream.header
    found = exact.read_whole(stream.chunks[LOSSLESS], head.height, head.width).decode(area)
    return samples_of(found if stream.chunks.get(ALPHA) == alpha.ELSEWHERE else found[..., :3], stream, area)


def samples_of(array: NDArray[Any], stream: Stream, area: Box, depth: int = 8) -> Decoded:
    """Return the picture of the decoded colour (h, w, 3) of an area, with the alpha and metadata of its stream.

    A fourth channel is the alpha, where it stands with the colour.
    """
    head = stream.header
    plane = None
    if array.shape[2] == 4:
        plane = array[..., 3]
    elif ALPHA in stream.chunks:
        plane = alpha.decode(stream.chunks[ALPHA], head.height, head.width)[area.slices]
    colour = samples.gray_mean(array[..., :3]) if head.mode == "L" else array[..., :3]
    return Decoded(colour, plane, depth, embedded.info_of(stream.chunks, head.mode == "L"))


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
    depth: int = 8,
) -> NDArray[Any]:
    """Return an area, in pixels, of the decoded picture: (h, w, 3) uint8, or uint16 of more than 8 bits.

    It asks only for the tiles that it needs.

    ``latents_of`` returns the latents (h, w, M) of a tile by its number and its shape (h, w); it runs in threads of its own
    where there are several tiles. ``synthesis`` returns what computes, and is called only once there are latents.
    """
    whole_area = latent_area(head.height, head.width)
    tiles = Grid(whole_area, head.tile // LATENT_STRIDE)
    blocks = Grid(area.scaled(1, LATENT_STRIDE), BLOCK // LATENT_STRIDE)
    windows = [block.grown(arch.synthesis_halo, whole_area) for block in blocks]
    last_use = {tile: index for index, window in enumerate(windows) for tile in tiles.touching(window)}
    result = np.empty((*area.shape, 3), np.uint8 if depth == 8 else np.uint16)
    with open_workers(len(last_use) > 1) as workers:
        decoded: dict[int, Future[NDArray[np.int32]]] = {}
        for index, (block, window) in enumerate(zip(blocks, windows, strict=True)):
            for ahead in windows[index : index + 2]:  # the workers go on while a block is synthesised
                for tile in tiles.touching(ahead):
                    if tile not in decoded:
                        decoded[tile] = workers.submit(latents_of, tile, tiles[tile].shape)
            values = tiles.assemble(window, lambda tile: decoded[tile].result())
            pixels = synthesis().synthesise(values, head.rate, depth)
            origin = window.scaled(LATENT_STRIDE)
            common = block.scaled(LATENT_STRIDE) & area
            result[common.relative(area).slices] = pixels[common.relative(origin).slices]
            for tile in [tile for tile in decoded if last_use[tile] <= index]:
                del decoded[tile]
    return result


def _decode_tile(stream: Stream, decode_payload: DecodePayload, shape: tuple[int, int], index: int) -> NDArray[np.int32]:
    return decode_payload(stream.payloads[index], shape, stream.header.rate)


def decode_latents(stream: Stream, model: EntropyModel | None = None) -> NDArray[np.int32]:
    """Return the integer latents (h, w, M) in a file: the part of decoding that is the same bits on every machine."""
    head = stream.header
    decode_payload = functools.partial(latents.decode, model or find(head.weights).entropy_model)
    area = latent_area(head.height, head.width)
    tiles = Grid(area, head.tile // LATENT_STRIDE)
    return tiles.assemble(area, lambda index: _decode_tile(stream, decode_payload, tiles[index].shape, index))


def tiles_of_latents(stream: Stream, weights: Weights) -> Iterator[tuple[Box, NDArray[np.int32]]]:
    """Yield the latents of a file tile by tile, each (h, w, M) with its box in latent positions.

    ``weights`` are those of the file.
    """
    head = stream.header
    decoder = open_exact(weights)
    decode_payload = functools.partial(latents.decode, weights.entropy_model) if decoder is None else decoder.decode_latents
    for index, box in enumerate(Grid(latent_area(head.height, head.width), head.tile // LATENT_STRIDE)):
        yield box, _decode_tile(stream, decode_payload, box.shape, index)
