"""Turn a picture into a file: analyse it in blocks, quantise and code it in tiles, at any number of qualities."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec.codec import regions
from aecodec.codec.decoder import exact_pixels, lay_exact, lossless_samples, samples_of, synthesise_area
from aecodec.codec.tiling import latent_area, open_workers
from aecodec.container import alpha, banded, bitstream, digest, exact, metadata
from aecodec.container.bitstream import ALPHA, EXACT, EXIF, HASH, LOSSLESS, NO_WEIGHTS, Header, Stream
from aecodec.container.tiles import BLOCK, Box, Grid, tile_side, whole
from aecodec.defaults import DEFAULT_WEIGHTS, MAX_PIXELS
from aecodec.entropy import latents
from aecodec.entropy.architecture import LATENT_STRIDE
from aecodec.entropy.latents import CodedLatents
from aecodec.errors import PictureError, WeightsError
from aecodec.images import deep, reading, samples
from aecodec.quality import MAX_INDEX
from aecodec.runtime import Synthesis, open_synthesis, open_transforms
from aecodec.weights.store import Source, load

Kept = TypeVar("Kept")
LOSSLESS_GAIN = 0.5  # of the bytes of a fast lossless coder, that a slow one takes at least


@dataclass(frozen=True)
class Encoded:
    """A file's bytes, the rate index that it was coded at, and the shares of its pixels, 0..1, that are not learned.

    exact: without loss; near: in fewer colours.
    """

    data: bytes
    rate: int
    exact: float = 0.0
    near: float = 0.0


@dataclass(frozen=True)
class Quantised:
    """What a file will hold, and the latents (h, w, M) int32 that each of its payloads stands for: 8 bytes a pixel."""

    stream: Stream
    latents: Sequence[NDArray[np.int32]]


@dataclass(frozen=True)
class Original:
    """A picture as a file can hold it: its colour, "L" or "RGB", its alpha, "L" or None, and the chunks of its metadata.

    Where samples have more than 8 bits, ``depth`` says how many, ``deep`` has the colour, (H, W, 1 or 3) uint16, and
    ``image`` is that rounded to 8.
    """

    image: Image.Image
    alpha: Image.Image | None
    metadata: dict[bytes, bytes]
    deep: NDArray[np.uint16] | None = None
    depth: int = 8

    @classmethod
    def open(
        cls,
        source: reading.Source,
        *,
        strip: bool = False,
        max_pixels: int | None = MAX_PIXELS,
        frame: int | None = None,
    ) -> Original:
        """Open and decode a picture; arguments, errors and warnings are those of ``Encoder``."""
        image = reading.as_picture(source, max_pixels)
        bits = reading.load(image, frame, max_pixels, keeps_depth=True)
        chunks = metadata.read(image, strip)
        if strip:
            image = deep.upright(image)
        return cls(*(split := samples.split_deep(image, bits))[:2], chunks, *split[2:])

    def in_8_bits(self) -> Original:
        """Return the picture rounded to 8 bits a sample, with a warning where that changes it."""
        if self.deep is not None:
            warnings.warn(f"{self.depth}-bit samples are rounded to 8 bits", stacklevel=3)
        return replace(self, deep=None, depth=8)

    def colour(self) -> NDArray[Any]:
        """Return the colour at its depth, (H, W, 3) uint8 or uint16; gray is repeated in the three channels."""
        return samples.to_array(self.image) if self.deep is None else np.broadcast_to(self.deep, (*self.deep.shape[:2], 3))

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height as a viewer shows the picture, turned as its EXIF says."""
        return metadata.shown_size(self.image.size, self.metadata.get(EXIF, b""))

    def encode(self) -> Encoded:
        """Return the file that has every pixel without loss; colour under an alpha of 0 is not kept.

        Raises PictureError where a sample has more than 8 bits, MissingPackageError where WebP is needed and missing.
        """
        return Encoded(bitstream.write(self.lossless()), MAX_INDEX, 1.0)

    def lossless(self, rate: int = MAX_INDEX, *, is_estimate: bool = False) -> Stream:
        """Return what that file holds; ``is_estimate`` as in ``exact.encode_some``.

        Alpha stands with the colour or in a chunk of its own, where it is smaller. A rate index below MAX_INDEX says that
        this is a picture in fewer colours than the given one. The hash of the samples costs next to nothing here.
        """
        if self.deep is not None:
            raise PictureError(f"a picture of {self.depth} bits a sample cannot be kept without loss, only one of 8")
        array, chunks = samples.to_array(self.image), dict(self.metadata)
        plane = None if self.alpha is None else np.asarray(self.alpha)
        is_photograph = not regions.may_have_exact(array)
        encoded = functools.partial(exact.encode_whole, is_photograph=is_photograph, is_estimate=is_estimate)
        if plane is None:
            chunks[LOSSLESS] = encoded(array)
        else:
            array = array * (plane > 0)[..., None]
            apart: dict[bytes, bytes] = {ALPHA: alpha.encode(plane), LOSSLESS: encoded(array)}
            together: dict[bytes, bytes] = {
                ALPHA: alpha.ELSEWHERE,
                LOSSLESS: encoded(np.dstack([array, plane])),
            }
            chunks |= apart if _size(apart) < _size(together) else together
        chunks[HASH] = digest.of_samples(array[..., 0] if self.image.mode == "L" else array, plane)
        return Stream(Header(*self.image.size, self.image.mode, NO_WEIGHTS, rate), [], chunks)


@dataclass(frozen=True, eq=False)
class _Drawing:
    """A picture whose pixels may be kept in part or all: the given one, or that in fewer colours.

    array: (H, W, 3), its colour; visible: (H, W), which pixels are seen; measured: (H, W), bits of each pixel without loss,
    None where the coder of contexts takes long; error: (H, W), what its errors are worth in bits; rate: the rate index that
    its colours are right for, MAX_INDEX where they are as given.
    """

    original: Original
    array: NDArray[np.uint8]
    visible: regions.Mask
    measured: regions.Floats | None
    error: regions.Floats
    rate: int = MAX_INDEX

    @classmethod
    def as_given(cls, original: Original, array: NDArray[np.uint8]) -> _Drawing:
        """Return an original as it is; array: (H, W, 3), its colour."""
        shape = array.shape[:2]
        visible = np.ones(shape, bool) if original.alpha is None else np.asarray(original.alpha) > 0
        return cls(original, array, visible, banded.measure(array, visible), np.zeros(shape, np.float32))

    def in_fewer_colours(self, rate: int) -> _Drawing:
        """Return it with only those colours that are worth their bits at a rate index."""
        array, measured = regions.fewer_colours(self.array, self.estimate, self.activity, rate, self.visible)
        error = regions.worth_of_errors(self.activity, rate) * regions.squared_error(self.array, array) * self.visible
        image = samples.from_array(array, self.original.image.mode)
        return _Drawing(replace(self.original, image=image), array, self.visible, measured, error, rate)

    @functools.cached_property
    def estimate(self) -> regions.Floats:
        """About what each pixel (H, W) costs, by its colours alone."""
        return regions.bits_without_loss(self.array)

    @functools.cached_property
    def activity(self) -> regions.Floats:
        """``regions.activity`` (H, W)."""
        return regions.activity(self.array)

    @functools.cached_property
    def bits(self) -> regions.Floats:
        """What each pixel (H, W) costs without loss."""
        if self.measured is not None:
            return self.measured
        return self.estimate * np.float32(8 * self.about_whole / max(float(self.estimate.sum()), 1.0))

    @functools.cached_property
    def about_whole(self) -> int:
        """About the bytes of the whole picture."""
        if self.measured is not None:
            return int(self.measured.sum()) // 8
        return len(bitstream.write(self.original.lossless(is_estimate=True)))

    @functools.cached_property
    def whole(self) -> Stream:
        """What a file holds that has the whole picture."""
        return self.original.lossless(rate=self.rate)

    def some(self, mask: regions.Mask, *, is_estimate: bool = False) -> bytes:
        """Return the chunk that has these pixels (H, W); ``is_estimate`` as in ``exact.encode_some``."""
        return exact.encode_some(self.array, mask, as_given=self.rate == MAX_INDEX, is_estimate=is_estimate)

    def search(self, learned: regions.Floats) -> regions.Choice:
        """Return the blocks to keep; ``learned`` as in ``regions.search``."""
        height, width = self.visible.shape

        def size_of(blocks: regions.Mask) -> float:
            return 8 * len(self.some(regions.pixels_of(blocks, height, width), is_estimate=True))

        sums = regions.block_sums(self.bits), regions.block_sums(self.error)
        return regions.search(learned, *sums, size_of if self.measured is None else None)


class Encoder:
    """One picture, ready to be encoded at any number of qualities.

        encoder = Encoder(Image.open("photo.png"))
        files = [encoder.encode(aecodec.quality.index_of_quality(quality)).data for quality in (30, 60, 90)]

    ``image`` is its colour; ``tries_exact`` says whether pixels may be kept without loss. Raises PictureError where the
    picture cannot be encoded as it is (an animation without a ``frame``) and LimitError over ``max_pixels``; warns where
    something will be lost. With ``strip`` EXIF and XMP are dropped and the EXIF orientation is applied. With ``hashed``
    files have a hash of their decoded samples. With ``all_learned`` no pixel is kept without loss, not even of text and
    drawings, to see what that brings.
    """

    def __init__(
        self,
        image: reading.Source,
        *,
        weights: Source = DEFAULT_WEIGHTS,
        device: str = "auto",
        strip: bool = False,
        max_pixels: int | None = MAX_PIXELS,
        frame: int | None = None,
        hashed: bool = False,
        all_learned: bool = False,
    ) -> None:
        self.original = Original.open(image, strip=strip, max_pixels=max_pixels, frame=frame)
        self.weights = load(weights)
        self.image, self._chunks = self.original.image, dict(self.original.metadata)
        if self.original.alpha is not None:
            self._chunks[ALPHA] = alpha.encode(np.asarray(self.original.alpha))
        self.array = samples.to_array(self.image)
        self.depth = self.original.depth
        self._hashed = hashed
        self._seen: NDArray[Any] = self.array if self.original.deep is None else self.original.deep
        self._device = device
        self._transforms = open_transforms(self.weights, device)
        may_be_exact = not all_learned and self.depth == 8 and exact.is_installed()
        self.tries_exact = may_be_exact and regions.may_have_exact(self.array)

    def encode(self, rate: int, tile: int | None = None) -> Encoded:
        """Return the file at a rate index (``quality.index_of_quality``).

        ``tile`` is as in ``bitstream.Header``, None to choose. The latents of a large photograph are never in memory all at
        once.
        """
        if self.tries_exact or self._hashed:
            return self.write(self.quantise(rate, tile))
        header, payloads = self._code(self._seen, rate, tile, lambda coded: coded.payload)
        return Encoded(bitstream.write(Stream(header, payloads, self._chunks)), rate)

    def quantise(self, rate: int, tile: int | None = None) -> Quantised:
        """Return what ``encode`` would write, with its latents, so that it can be shown without decoding them."""
        if self.tries_exact:
            return self._quantise_with_exact(rate, tile)
        header, coded = self._code(self._seen, rate, tile, lambda coded: (coded.payload, coded.latents))
        payloads, values = zip(*coded, strict=True)
        return Quantised(Stream(header, payloads, self._chunks), values)

    def write(self, quantised: Quantised) -> Encoded:
        """Return the file that ``encode`` gives."""
        stream = quantised.stream
        if self._hashed and HASH not in stream.chunks:
            stream = replace(stream, chunks=stream.chunks | {HASH: self._hash(quantised)})
        return Encoded(bitstream.write(stream), stream.header.rate, *exact.shares(stream))

    def _hash(self, quantised: Quantised) -> bytes:
        """Return the hash of the samples that every exact decoder gives. Raises WeightsError where libaec has none."""
        synthesis = open_synthesis(self.weights, "cpu")
        if not synthesis.is_exact:
            raise WeightsError("a hash needs libaec, which is not compiled or cannot decode with these weights")
        stream = quantised.stream
        shown = self._synthesise(quantised, lambda: synthesis)
        found = samples_of(shown, stream, whole(*self.array.shape[:2]), self.depth)
        return digest.of_samples(found.colour, found.alpha)

    def show(self, quantised: Quantised) -> Image.Image:
        """Return the picture that ``decode`` gives for the file, in 8 bits a sample."""
        area = whole(*self.array.shape[:2])
        if LOSSLESS in quantised.stream.chunks:
            return lossless_samples(quantised.stream, area).image()
        return samples_of(self._synthesise(quantised), quantised.stream, area, self.depth).image()

    def reconstruct(self, quantised: Quantised) -> NDArray[np.uint8]:
        """Return the colour of that picture in 8 bits, as ``array`` has it; ``reconstruct_deep`` rounds nothing."""
        shown = self.reconstruct_deep(quantised)
        return shown if self.depth == 8 else deep.to_bytes(shown, self.depth)

    def reconstruct_deep(self, quantised: Quantised) -> NDArray[Any]:
        """Return the colour of that picture at its depth, (H, W, 3) uint8 or uint16; gray is repeated in three channels.

        With exact pixels the colour that alpha hides is as in ``array``, so that it counts as no error.
        """
        stream = quantised.stream
        if LOSSLESS in stream.chunks:
            shown = samples.to_array(self.show(quantised).convert(self.image.mode))
        else:
            shown = self._synthesise(quantised)
            if self.image.mode == "L":
                shown = np.repeat(samples.gray_mean(shown)[..., None], 3, -1)
        if EXACT in stream.chunks or LOSSLESS in stream.chunks:
            shown = np.where(self._drawing.visible[..., None], shown, self.array)
        return shown

    def _quantise_with_exact(self, rate: int, tile: int | None) -> Quantised:
        """``quantise`` with blocks of the drawing, or all of it: of these the one of least bits + lambda * error."""
        model = self.weights.entropy_model

        def keep(coded: CodedLatents) -> tuple[bytes, NDArray[np.int32], regions.Floats]:
            return coded.payload, coded.latents, latents.position_bits(model, coded)

        header, coded = self._code(self._seen, rate, tile, keep)
        payloads, values, bits = zip(*coded, strict=True)
        plain = Quantised(Stream(header, payloads, self._chunks), values)
        error = self._error(self._synthesise(plain), rate)
        area = latent_area(*error.shape)
        tiles = Grid(area, header.tile // LATENT_STRIDE)
        learned = regions.block_sums(error)
        learned += tiles.assemble(area, lambda index: bits[index][..., None])[: len(learned), : learned.shape[1], 0]
        drawing, blocks = self._choose(learned, rate)
        cost, best = 8 * len(bitstream.write(plain.stream)) + float(error.sum()), plain
        if blocks.any() and not blocks.all():
            mask = regions.grown(self.array, blocks) & self._drawing.visible
            mixed = self._quantise_around(drawing, mask, rate, tile)
            mixed_cost = 8 * len(bitstream.write(mixed.stream)) + float(np.where(mask, drawing.error, error).sum())
            cost, best = min((cost, best), (mixed_cost, mixed), key=lambda choice: choice[0])
        for candidate in dict.fromkeys((drawing, self._drawing)):
            distortion = float(candidate.error.sum())
            if 8 * LOSSLESS_GAIN * candidate.about_whole + distortion < cost:
                whole_cost = 8 * len(bitstream.write(candidate.whole)) + distortion
                if whole_cost <= cost:
                    cost, best = whole_cost, Quantised(candidate.whole, ())
        return best

    def _choose(self, learned: regions.Floats, rate: int) -> tuple[_Drawing, regions.Mask]:
        """Return the drawing, as given or in fewer colours, and its blocks to keep, none where none is better so.

        learned: bits and weighted error of each block as the networks code it.
        """
        given, (height, width) = self._drawing, self.array.shape[:2]
        exactly = given.search(learned)
        if rate == MAX_INDEX:
            return given, exactly.blocks
        near = given.in_fewer_colours(rate)
        nearly = near.search(learned)
        lost = height * width * regions.exactness(rate, float((exactly.blocks & nearly.blocks).mean()))
        if nearly.total(learned) + lost < exactly.total(learned):
            return near, nearly.blocks
        return given, exactly.blocks

    def _quantise_around(self, drawing: _Drawing, mask: regions.Mask, rate: int, tile: int | None) -> Quantised:
        """Return the picture with pixels of a drawing; the networks see a smooth continuation of the others there."""
        seen = np.where(drawing.visible & ~mask, np.uint8(255), np.uint8(0))
        filled = samples.to_array(samples.fill(self.image, Image.fromarray(seen)))
        header, coded = self._code(filled, rate, tile, lambda coded: (coded.payload, coded.latents))
        payloads, values = zip(*coded, strict=True)
        return Quantised(Stream(header, payloads, self._chunks | {EXACT: drawing.some(mask)}), values)

    def _error(self, shown: NDArray[np.uint8], rate: int) -> regions.Floats:
        """Return what each pixel's error in the networks' picture is worth in bits, (H, W); hidden colour has none."""
        error: regions.Floats = np.float32(regions.lagrangian(rate)) * regions.squared_error(self.array, shown)
        return error if self.original.alpha is None else error * self._drawing.visible

    @functools.cached_property
    def _drawing(self) -> _Drawing:
        """The picture as given."""
        return _Drawing.as_given(self.original, self.array)

    def _synthesise(self, quantised: Quantised, synthesis: Callable[[], Synthesis] | None = None) -> NDArray[Any]:
        area, arch = whole(*self.array.shape[:2]), self.weights.arch

        def latents_of(index: int, shape: tuple[int, int]) -> NDArray[np.int32]:
            return quantised.latents[index]

        synthesis = synthesis or self._synthesis
        shown = synthesise_area(quantised.stream.header, arch, synthesis, area, latents_of, self.depth)
        lay_exact(shown, exact_pixels(quantised.stream), area)
        return shown

    def _synthesis(self) -> Synthesis:
        """Return the decoder's synthesis, so that a search sees the pixels that a reader will see."""
        return open_synthesis(self.weights, self._device)

    def _code(
        self, seen: NDArray[Any], rate: int, tile: int | None, keep: Callable[[CodedLatents], Kept]
    ) -> tuple[Header, list[Kept]]:
        """Analyse, quantise and code ``seen``; ``keep`` picks what is wanted of each tile's latents."""
        height, width = self.array.shape[:2]
        model, side = self.weights.entropy_model, tile_side(height, width) if tile is None else tile
        area = latent_area(height, width)

        def code(y: NDArray[np.float32], z: NDArray[np.float32]) -> Kept:
            return keep(latents.encode(model, y, z, rate))

        coded: dict[Box, Future[Kept]] = {}
        with open_workers(side > 0) as workers:
            for group in Grid(area, max(side, BLOCK // side * side) // LATENT_STRIDE if side else 0):
                y = self._analyse(seen, group, area, rate)
                wait(coded.values())  # or latents would pile up where coding is the slower part
                for box in Grid(group, side // LATENT_STRIDE):
                    part = np.ascontiguousarray(y[box.relative(group).slices])
                    coded[box] = workers.submit(code, part, self._transforms.hyper_analyse(part, rate))
        header = Header(width, height, self.image.mode, self.weights.id, rate, side, self.depth)
        return header, [coded[box].result() for box in sorted(coded)]

    def _analyse(self, seen: NDArray[Any], box: Box, area: Box, rate: int) -> NDArray[np.float32]:
        """Return the latents (h, w, M) of ``seen``, of a box of the latents' area.

        It is uint8 (H, W, 3) or, of more than 8 bits, uint16 with 1 or 3 channels.
        """
        blocks = Grid(box, BLOCK // LATENT_STRIDE)

        def analyse(index: int) -> NDArray[np.float32]:
            wide = blocks[index].grown(self.weights.arch.analysis_halo, area)
            pixels = samples.window(seen, wide.scaled(LATENT_STRIDE))
            if self.depth > 8:
                levels = pixels.astype(np.float32) * np.float32(255 / (2**self.depth - 1))
                pixels = np.ascontiguousarray(np.broadcast_to(levels, (*levels.shape[:2], 3)))
            return self._transforms.analyse(pixels, rate)[blocks[index].relative(wide).slices]

        return blocks.assemble(box, analyse)

    @property
    def pixels(self) -> int:
        return self.image.width * self.image.height


def _size(chunks: Mapping[bytes, bytes]) -> int:
    """Return the bytes of the bodies of chunks."""
    return sum(map(len, chunks.values()))
