"""libaec's decoder for lossless WebP, against libwebp in Pillow: exact pixels must be the same ones in both."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from aecodec.container import exact
from aecodec.errors import BitstreamError
from aecodec.runtime import libaec

pytestmark = pytest.mark.skipif(not (libaec.is_compiled() and exact.is_installed()), reason="libaec or libwebp is missing")


def decoded(stream: bytes, shape: tuple[int, int]) -> np.ndarray:
    """The pixels (h, w, 4) uint8 that libaec finds in a bare stream."""
    pixels = np.empty(shape, np.uint32)
    libaec._compiled.decode_webp(stream, pixels)
    return np.stack([pixels >> shift & 255 for shift in (16, 8, 0, 24)], -1).astype(np.uint8)


def check(pixels: np.ndarray, effort: tuple[int, int]) -> None:
    stream = exact._write_webp(pixels, effort)
    found = decoded(stream, pixels.shape[:2])
    assert np.array_equal(found, exact._read_webp(stream))
    assert np.array_equal(found[..., :3][found[..., 3] > 0], pixels[..., :3][found[..., 3] > 0])


def page(size: int = 120) -> Image.Image:
    """Lines, text and a gradient: what screens are made of."""
    image = Image.fromarray(np.add.outer(np.arange(size), np.arange(size)).astype(np.uint8)).convert("RGB")
    draw = ImageDraw.Draw(image)
    draw.rectangle((20, 30, 100, 90), "white", "navy")
    for row in range(4):
        draw.text((24, 32 + 13 * row), f"line {row} of text", "black" if row % 2 else "#b03060")
    return image


@pytest.mark.parametrize("method", range(7))
def test_it_decodes_what_every_effort_of_libwebp_writes(photo, method):
    """Which tools of the format a stream uses depends on the effort that its writer had."""
    for quality in (0, 40, 100):
        for image in (page(), photo(61, 47)):
            check(np.asarray(image), (method, quality))
            image.putalpha(photo(*image.size, "L", 4).point(lambda value: max(0, 2 * value - 200)))
            check(np.asarray(image), (method, quality))


@pytest.mark.parametrize("colours", [1, 2, 3, 4, 5, 16, 17, 256, 257, 1500])
def test_it_decodes_palettes_of_every_size(colours):
    """Up to 16 colours several pixels share a byte; beyond 256 there is a cache of colours."""
    rng = np.random.default_rng(colours)
    table = rng.integers(0, 256, (colours, 4), np.uint8)
    for shape in ((1, 1), (1, 9), (40, 33)):
        pixels = table[np.minimum(rng.geometric(0.05, shape) - 1, colours - 1)]
        for method in (0, 3, 6):
            check(np.ascontiguousarray(pixels[..., :3]), (method, 75))
            check(pixels, (method, 75))


NEAR = sorted(
    ((x, y) for y in range(8) for x in range(-7, 9) if y or x > 0),
    key=lambda place: (place[0] ** 2 + place[1] ** 2, abs(place[0]), place[0] < 0),
)
ORDER = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)  # of the lengths of code lengths
Code = dict[int, list[int]]  # the bits of each symbol


def canonical(lengths: dict[int, int]) -> Code:
    """The code of symbols with these lengths; a single symbol has no bits."""
    if len(lengths) == 1:
        return {symbol: [] for symbol in lengths}
    result, code, before = {}, 0, 0
    for length, symbol in sorted((length, symbol) for symbol, length in lengths.items()):
        code <<= length - before
        result[symbol] = [code >> bit & 1 for bit in reversed(range(length))]
        code, before = code + 1, length
    return result


class Writer:
    """Writes a stream of random pixels with every tool of the format, in every order, which no encoder uses together."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.bits: list[int] = []

    def below(self, limit: int) -> int:
        return int(self.rng.integers(limit))

    def put(self, value: int, count: int) -> int:
        self.bits += [value >> bit & 1 for bit in range(count)]
        return value

    def stream(self, width: int, height: int) -> bytes:
        self.put(0x2F, 8), self.put(width - 1, 14), self.put(height - 1, 14), self.put(self.below(2), 1), self.put(0, 3)
        for kind in self.rng.permutation(4)[: self.below(5)].tolist():
            self.put(1, 1)
            self.put(kind, 2)
            if kind == 3:
                colours = 1 + self.put(self.below(256 if self.below(2) else 20), 8)
                self.image(colours, 1)
                width = -(-width >> (0 if colours > 16 else 1 if colours > 4 else 2 if colours > 2 else 3))
            elif kind != 2:
                bits = 2 + self.put(self.below(4), 3)
                self.image(-(-width >> bits), -(-height >> bits))
        self.put(0, 1)
        self.image(width, height, picture=True)
        return np.packbits(np.array(self.bits + [0] * 64, np.uint8), bitorder="little").tobytes()

    def image(self, width: int, height: int, picture: bool = False) -> None:
        cache = self.put(1 + self.below(11), 4) if self.put(self.below(2), 1) else 0
        numbers, bits = [0], 30
        if picture and self.put(self.below(2), 1):
            bits = 2 + self.put(self.below(4), 3)
            numbers = self.numbers(-(-width >> bits) * -(-height >> bits))
        alphabet = 280 + (1 << cache if cache else 0)
        groups = [
            [self.code(alphabet)] + [self.code(256) for _ in range(3)] + [self.code(40)] for _ in range(max(numbers) + 1)
        ]
        at = 0
        while at < width * height:
            part = (at // width >> bits) * -(-width >> bits) + (at % width >> bits)
            at += self.symbol(groups[numbers[part]], at, width, width * height)

    def numbers(self, count: int) -> list[int]:
        """Write an image of the numbers of groups: they are greens; the other codes have a single symbol."""
        self.put(0, 1)
        most = self.below(2)
        self.simple(list(range(most + 1)))
        for _ in range(4):
            self.simple([0])
        return [self.put(self.below(2), 1) if most else 0 for _ in range(count)]

    def code(self, alphabet: int) -> Code:
        """Write a code of some symbols of an alphabet, one of them below 256, and return it."""
        count = min(alphabet, 1 + self.below(4 if self.below(2) else 300))
        chosen = {self.below(min(alphabet, 256)), *self.rng.choice(alphabet, count - 1, replace=False).tolist()}
        if len(chosen) <= 2 and max(chosen) < 256 and self.below(2):
            self.simple(sorted(chosen))
            return canonical(dict.fromkeys(chosen, 1))
        lengths = dict(zip(chosen, self.tree(len(chosen), 15), strict=True))
        self.put(0, 1)
        self.put(15, 4)
        of_tokens = dict(enumerate(self.tree(19, 7)))
        for token in ORDER:
            self.put(of_tokens[token], 3)
        tokens = self.tokens([lengths.get(symbol, 0) for symbol in range(max(lengths) + 1)])
        if self.put(int(len(tokens) > 1 and self.below(2)), 1):  # their number follows, zeros at the end are left out
            self.put(5, 3)
            self.put(len(tokens) - 2, 12)
        else:
            tokens = self.tokens([lengths.get(symbol, 0) for symbol in range(alphabet)])
        coded = canonical(of_tokens)
        for token, extra, bits in tokens:
            self.bits += coded[token]
            self.put(extra, bits)
        return canonical(lengths)

    def simple(self, symbols: list[int]) -> None:
        self.put(1, 1)
        self.put(len(symbols) - 1, 1)
        self.put(symbols[0], 8 if self.put(int(symbols[0] > 1 or self.below(2)), 1) else 1)
        for symbol in symbols[1:]:
            self.put(symbol, 8)

    def tree(self, leaves: int, longest: int) -> list[int]:
        """Lengths of a complete code."""
        lengths = [0]
        while len(lengths) < leaves:
            at = self.below(len(lengths))
            if lengths[at] < longest:
                lengths[at] += 1
                lengths.append(lengths[at])
        return lengths if leaves > 1 else [1 + self.below(longest)]

    def tokens(self, lengths: list[int]) -> list[tuple[int, int, int]]:
        """Lengths as a stream has them: token, the bits after it, how many these are."""
        result, at, previous = [], 0, 8
        while at < len(lengths):
            run = next((i for i, length in enumerate(lengths[at:]) if length != lengths[at]), len(lengths) - at)
            for token, least, most, bits in ((18, 11, 138, 7), (17, 3, 10, 3), (16, 3, 6, 2)):
                if run >= least and lengths[at] == (previous if token == 16 else 0) and self.below(4):
                    run = min(run, most)
                    result.append((token, run - least, bits))
                    break
            else:
                run, previous = 1, lengths[at] or previous
                result.append((lengths[at], 0, 0))
            at += run
        return result

    def number(self, symbol: int) -> tuple[int, int, int]:
        """A number that a symbol for lengths or distances may stand for, the bits after it, and how many these are."""
        if symbol < 4:
            return symbol + 1, 0, 0
        bits = (symbol - 2) >> 1
        extra = self.below(1 << min(bits, 6))
        return ((2 + (symbol & 1)) << bits) + extra + 1, extra, bits

    def symbol(self, codes: list[Code], at: int, width: int, size: int) -> int:
        """Write a pixel, or a copy if one fits, and return how many pixels it makes."""
        green, *others, distance = codes
        symbol = list(green)[self.below(len(green))]
        if 256 <= symbol < 280:
            length, *after = self.number(symbol - 256)
            far_symbol = list(distance)[self.below(len(distance))]
            far, *far_after = self.number(far_symbol)
            back = far - 120 if far > 120 else max(1, NEAR[far - 1][0] + NEAR[far - 1][1] * width)
            if length <= size - at and back <= at:
                self.bits += green[symbol]
                self.put(*after)
                self.bits += distance[far_symbol]
                self.put(*far_after)
                return length
            symbol = min(green)
        self.bits += green[symbol]
        if symbol < 256:
            for code in others:
                self.bits += code[list(code)[self.below(len(code))]]
        return 1


@pytest.mark.parametrize("seed", range(12))
def test_it_decodes_what_the_format_allows(seed):
    """A writer other than libwebp may use the format's tools in ways that libwebp does not."""
    rng = np.random.default_rng(seed)
    for _ in range(5):
        shape = tuple(rng.integers(1, 45, 2).tolist())
        stream = Writer(int(rng.integers(2**32))).stream(shape[1], shape[0])
        assert np.array_equal(decoded(stream, shape), exact._read_webp(stream))


def test_damaged_streams_are_refused_or_decoded(photo):
    """Streams come from strangers: none may crash the decoder, and what libwebp refuses is no picture here."""
    rng = np.random.default_rng(6)
    stream = exact._write_webp(np.asarray(page()), (5, 90))
    refused = 0
    for _ in range(150):
        damaged = bytearray(stream)
        for at in rng.integers(5, len(damaged), 2):
            damaged[at] ^= 1 << int(rng.integers(8))
        damaged = bytes(damaged[: rng.integers(5, len(damaged) + 1)] if rng.random() < 0.5 else damaged)
        try:
            found = decoded(damaged, (120, 120))
        except ValueError:
            refused += 1
            with pytest.raises(BitstreamError):
                exact._read_webp(damaged)
        else:
            assert np.array_equal(found, exact._read_webp(damaged))
    assert 50 < refused < 150


def test_the_head_of_a_stream_is_checked():
    """A reader takes memory for the size that stands there."""
    stream = exact._write_webp(np.zeros((3, 5, 3), np.uint8), (0, 0))
    with pytest.raises(TypeError):
        decoded(stream, (5, 5))
    for at, value in ((0, 0x2E), (4, stream[4] | 0x20)):
        with pytest.raises(ValueError, match="exact pixels"):
            decoded(stream[:at] + bytes([value]) + stream[at + 1 :], (3, 5))
    for size in range(8):
        with pytest.raises(ValueError, match="exact pixels"):
            decoded(stream[:size], (3, 5))
