"""Open a file for inspection: its parts, its latents with every symbol, and decoding of an area from any latents."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aecodec.codec.decoder import synthesise_area, weights_of
from aecodec.codec.tiling import latent_area, open_workers
from aecodec.container import bitstream, exact
from aecodec.container.bitstream import EXACT, LOSSLESS, Header, Stream
from aecodec.container.tiles import Box, Grid, whole
from aecodec.defaults import MAX_PIXELS
from aecodec.entropy import latents
from aecodec.entropy.architecture import LATENT_STRIDE
from aecodec.entropy.latents import CodedLatents
from aecodec.errors import WeightsError
from aecodec.images import samples
from aecodec.runtime import Synthesis, open_synthesis
from aecodec.weights.store import Source, Weights, load

Pixels = NDArray[np.uint8]
Latents = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Opened:
    """A file's bytes, its parts, and the weights that it needs, None where every pixel is exact."""

    data: bytes
    stream: Stream
    weights: Weights | None
    device: str = "auto"

    @classmethod
    def open(
        cls, data: bytes, weights: Source | None = None, device: str = "auto", max_pixels: int | None = MAX_PIXELS
    ) -> Opened:
        """Open the bytes of an .aec file. ``weights`` are those of the file where they are not installed.

        Raises BitstreamError, LimitError and WeightsError as ``aecodec.decode`` does.
        """
        stream = bitstream.read(data, max_pixels)
        if LOSSLESS in stream.chunks:
            return cls(data, stream, None, device)
        return cls(data, stream, load(weights_of(stream.header, weights)), device)

    @property
    def header(self) -> Header:
        return self.stream.header

    @property
    def learned(self) -> Weights:
        """Return the weights. Raises WeightsError for a picture without loss, which has none."""
        if self.weights is None:
            raise WeightsError("every pixel of the file is exact, so it has no latents")
        return self.weights

    @functools.cached_property
    def synthesis(self) -> Synthesis:
        return open_synthesis(self.learned, self.device)

    @property
    def area(self) -> Box:
        """Return the picture's area in pixels."""
        return whole(self.header.height, self.header.width)

    @property
    def latent_area(self) -> Box:
        """Return the area of the latents, in positions, padding included."""
        return latent_area(self.header.height, self.header.width)

    @property
    def tiles(self) -> Grid:
        return Grid(self.latent_area, self.header.tile // LATENT_STRIDE)

    def trace(self, index: int) -> CodedLatents:
        """Return a tile's latents with the symbols that its payload holds. Raises BitstreamError where it is damaged."""
        model, shape = self.learned.entropy_model, self.tiles[index].shape
        return latents.trace(model, self.stream.payloads[index], shape, self.header.rate)

    @functools.cached_property
    def latents(self) -> Sequence[Latents]:
        """Return the latents (h, w, M) int32 of each tile: 8 bytes a pixel of the picture."""
        model = self.learned.entropy_model

        def decode(index: int) -> Latents:
            return latents.decode(model, self.stream.payloads[index], self.tiles[index].shape, self.header.rate)

        with open_workers(len(self.tiles) > 1) as workers:
            return list(workers.map(decode, range(len(self.tiles))))

    def latents_of(self, box: Box) -> Latents:
        """Return the latents (h, w, M) of a box of positions."""
        return self.tiles.assemble(box, self.latents.__getitem__)

    @functools.cached_property
    def exact(self) -> exact.Exact | None:
        """Return the exact pixels, None where there are none."""
        head, chunks = self.header, self.stream.chunks
        if LOSSLESS in chunks:
            return exact.read_whole(chunks[LOSSLESS], head.height, head.width)
        return exact.read_some(chunks[EXACT], head.height, head.width) if EXACT in chunks else None

    def synthesise(self, area: Box, latents_of: Callable[[int], Latents] | None = None) -> Pixels:
        """Return an area, in pixels, as the networks decode it: (h, w, 3) uint8, without the exact pixels.

        ``latents_of`` returns other latents than the file's for a tile, by its number.
        """
        known = latents_of or self.latents.__getitem__

        def of_tile(index: int, shape: tuple[int, int]) -> Latents:
            return known(index)

        return self._in_mode(synthesise_area(self.header, self.learned.arch, lambda: self.synthesis, area, of_tile))

    def decode(self, area: Box) -> Pixels:
        """Return an area, in pixels, of the decoded colour: (h, w, 3) uint8."""
        found = None if self.exact is None else self.exact.decode(area)
        if self.weights is None and found is not None:
            return found[..., :3]
        shown = self.synthesise(area)
        return shown if found is None else np.where(found[..., 3:] > 0, found[..., :3], shown)

    def synthesise_window(self, values: Latents, rate: int | None = None) -> Pixels:
        """Return the picture (16 h, 16 w, 3) uint8 of latents (h, w, M) alone, with nothing around them."""
        return self._in_mode(self.synthesis.synthesise(values, self.header.rate if rate is None else rate))

    def _in_mode(self, pixels: Pixels) -> Pixels:
        """Return a gray picture as gray, repeated in the three channels, as a decoder writes it."""
        return samples.to_array(samples.from_array(pixels, self.header.mode))


def middle(area: Box, side: int) -> Box:
    """Return the middle of an area in pixels, at most ``side`` each way; its corner is that of a latent position."""
    top, left = (max(0, length - side) // 2 // LATENT_STRIDE * LATENT_STRIDE for length in area.shape)
    return Box(top, left, min(top + side, area.bottom), min(left + side, area.right))
