"""Turn a file into a smaller picture: from the linear path of the synthesis alone, much faster than the whole picture."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec.codec.tiling import latent_area, open_workers
from aecodec.container import alpha, exact, metadata
from aecodec.container.bitstream import ALPHA, EXACT, LOSSLESS, Stream
from aecodec.container.tiles import Box, Grid, whole
from aecodec.entropy import latents
from aecodec.entropy.architecture import LATENT_STRIDE
from aecodec.images import samples
from aecodec.runtime.integer_synthesis import IntegerSynthesis
from aecodec.runtime.libaec import open_decoder
from aecodec.weights.store import Source, load

SCALES = (1, 2, 4, 8, 16)  # how many times smaller each way

Pixels = NDArray[np.uint8]
Sums = NDArray[np.int64]


def scaled_picture(stream: Stream, weights: Source | None, scale: int, part: Box) -> Image.Image:
    """Return a part of a picture ``scale`` times smaller each way, sides rounded up, with its metadata.

    weights: those of the file; a picture without loss needs none. part: in pixels of the smaller picture.
    docs/format.md, section 8.5, defines every sample.
    """
    head = stream.header
    squares = part.scaled(scale) & whole(head.height, head.width)
    area = _sums(np.ones((*squares.shape, 1), np.uint8), scale)
    elsewhere = LOSSLESS in stream.chunks and stream.chunks.get(ALPHA) == alpha.ELSEWHERE
    if weights is None:
        colour = np.zeros((*part.shape, 3), np.uint8)
    else:
        colour = _gray_as(head.mode, _synthesise(stream, weights, scale, part))
    plane = None
    if EXACT in stream.chunks or LOSSLESS in stream.chunks:
        colour, seen = _mix(stream, colour, squares, area, elsewhere, scale)
        plane = seen if elsewhere else None
    image = samples.from_array(colour, head.mode)
    if ALPHA in stream.chunks and not elsewhere:
        pixels = alpha.decode(stream.chunks[ALPHA], head.height, head.width)[squares.slices]
        plane = _mean(pixels[..., None], area, scale)
    if plane is not None:
        image.putalpha(Image.fromarray(plane[..., 0]))
    image.info.update(metadata.from_chunks(stream.chunks))
    return image


def _synthesise(stream: Stream, weights: Source, scale: int, part: Box) -> Pixels:
    """Return the decoded colour (h, w, 3) of a part.  Only lapping looks beyond it, by half a block."""
    head = stream.header
    decoder = open_decoder(weights)
    synthesise: Callable[[NDArray[np.int32], int], Pixels]
    if decoder is not None:
        decode_payload: Callable[[bytes, tuple[int, int], int], NDArray[np.int32]] = decoder.decode_latents
        synthesise = functools.partial(decoder.synthesise, scale=scale)
    else:
        model = load(weights)
        decode_payload = functools.partial(latents.decode, model.entropy_model)
        synthesise = functools.partial(IntegerSynthesis.of(model).scaled, scale=scale)
    whole_area = latent_area(head.height, head.width)
    tiles = Grid(whole_area, head.tile // LATENT_STRIDE)

    def latents_of(index: int) -> NDArray[np.int32]:
        return decode_payload(stream.payloads[index], tiles[index].shape, head.rate)

    side = LATENT_STRIDE // scale
    window = part.scaled(1, side).grown(1, whole_area)
    wanted = tiles.touching(window)
    with open_workers(len(wanted) > 1) as workers:
        decoded = dict(zip(wanted, workers.map(latents_of, wanted), strict=True))
    pixels = synthesise(tiles.assemble(window, decoded.__getitem__), head.rate)
    return pixels[part.relative(window.scaled(side)).slices]


def _mix(stream: Stream, colour: Pixels, squares: Box, area: Sums, elsewhere: bool, scale: int) -> tuple[Pixels, Pixels]:
    """Return colour (h, w, 3) with the exact pixels of each square mixed in, and the mean of their alpha (h, w, 1)."""
    head = stream.header
    read, kind = (exact.read_whole, LOSSLESS) if LOSSLESS in stream.chunks else (exact.read_some, EXACT)
    pixels = read(stream.chunks[kind], head.height, head.width).decode(squares)
    seen = pixels[..., 3:]
    if not elsewhere:  # otherwise colour counts as much as it is seen
        seen = np.ones_like(seen) if kind == LOSSLESS else (seen > 0).astype(np.uint8)
    weight = _sums(seen, scale)
    total = np.maximum(weight, 1) if elsewhere else area
    sums = _sums(_gray_as(head.mode, pixels[..., :3]).astype(np.int64) * seen, scale)
    rest = 0 if elsewhere else (area - weight) * colour
    mixed = (rest + sums + total // 2) // total
    return mixed.astype(np.uint8), _mean(pixels[..., 3:], area, scale)


def _gray_as(mode: str, pixels: Pixels) -> Pixels:
    """Return pixels (h, w, 3), in mode "L" their rounded means three times."""
    if mode != "L":
        return pixels
    return np.repeat(samples.gray_mean(pixels)[..., None], 3, -1)


def _sums(pixels: NDArray[np.generic], scale: int) -> Sums:
    """Return the sums of squares of pixels (H, W, C), as far as these are in the picture."""
    rows = np.add.reduceat(pixels, np.arange(0, pixels.shape[0], scale), 0, np.int64)
    return np.asarray(np.add.reduceat(rows, np.arange(0, pixels.shape[1], scale), 1), np.int64)


def _mean(pixels: Pixels, area: Sums, scale: int) -> Pixels:
    """Return the rounded means of squares of pixels."""
    return ((_sums(pixels, scale) + area // 2) // area).astype(np.uint8)
