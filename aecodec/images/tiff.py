"""TIFF files as they lie on the disk: their directories, what Pillow reads wrongly, and files of our own.

TIFF 6.0; BigTIFF; Adobe's DNG 1.7 and TIFF/EP for what a camera's raw file looks like.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from aecodec.container.exif import PREFIX
from aecodec.errors import PictureError
from aecodec.images import deep

Number = int | float
Samples = np.ndarray[Any, np.dtype[Any]]
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}  # by kind
_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_MAX_PAGES = 65536
_MAX_CHANNELS = 16
_STRIP = 2**18  # bytes

SUBFILE, OLD_SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 255, 256, 257, 258, 259, 262
OFFSETS, ORIENTATION, SAMPLES, ROWS, COUNTS, PLANAR, PREDICTOR = 273, 274, 277, 278, 279, 284, 317
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS = 322, 323, 324, 325
SUB_DIRECTORIES, EXTRA_SAMPLES, SAMPLE_FORMAT, XMP = 330, 338, 339, 700
IPTC, RESOURCES, EXIF_DIRECTORY, ICC, GPS_DIRECTORY = 33723, 34377, 34665, 34675, 34853
INTEROPERABILITY, DNG_VERSION = 40965, 50706
_POINTERS = (EXIF_DIRECTORY, GPS_DIRECTORY, INTEROPERABILITY)
LAYERS = 37724  # Photoshop's
# What only says how a file's pixels lie, or has a chunk of its own; 50255 are Photoshop's notes
LAYOUT = frozenset((
    *range(254, 260), PHOTOMETRIC, *range(263, 267), OFFSETS, *range(277, 282), PLANAR, *range(288, 294), PREDICTOR,
    *range(320, 331), 332, 334, EXTRA_SAMPLES, SAMPLE_FORMAT, *range(340, 348), *range(512, 522), *range(529, 533), 400,
    559, XMP, IPTC, RESOURCES, ICC, LAYERS, 50255,
))  # fmt: skip
_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3, 9: 3, 10: 3}  # samples of a colour, by PHOTOMETRIC
_CFA, _LINEAR_RAW = 32803, 34892
_REDUCED, _MASK = 1, 4  # bits of SUBFILE


MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_TURNS = {  # from how a picture lies in its file to how it is shown, as Pillow does with what it reads
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A tag, its kind and how many values it has, and these as bytes in the file's order."""

    tag: int
    kind: int
    count: int
    value: bytes
    children: tuple[Entry, ...] = ()  # of a pointer to another directory

    def numbers(self, order: str) -> tuple[Number, ...]:
        """Return the values, none for text and rationals; ``order`` is "<" or ">"."""
        code = _CODES.get(self.kind)
        return struct.unpack(f"{order}{self.count}{code}", self.value) if code else ()


Directory = dict[int, Entry]


class Tiff:
    """A TIFF file of which only the directories are read; nothing is believed that lies outside of the file."""

    def __init__(self, data: bytes) -> None:
        """Find the first directory. Raises PictureError where this is no TIFF file."""
        kinds = {b"II*\0": ("<", False), b"MM\0*": (">", False), b"II+\0": ("<", True), b"MM\0+": (">", True)}
        if data[:4] not in kinds:
            raise PictureError("this is not a TIFF file")
        self.data = data
        self.order, self.big = kinds[data[:4]]
        self._start = self._number("Q", 8) if self.big else self._number("I", 4)

    def _number(self, code: str, position: int) -> int:
        try:
            return int(struct.unpack_from(self.order + code, self.data, position)[0])
        except struct.error:
            return 0

    def _count(self, position: int) -> int:
        """Return how many entries the directory at a position has within the file."""
        entry, head = (20, 8) if self.big else (12, 2)
        room = max(len(self.data) - position - head, 0) // entry
        return min(self._number("Q" if self.big else "H", position), room)

    def directory(self, position: int) -> tuple[Directory, int]:
        """Return the directory at a position, and where the next one is: 0 for none."""
        entry, inline, head = (20, 8, 8) if self.big else (12, 4, 2)
        code = "Q" if self.big else "I"
        found: Directory = {}
        if not position:
            return found, 0
        count = self._count(position)
        first = position + head
        left = len(self.data)  # values do not overlap, so that all of them are no longer than the file
        for at in range(first, first + entry * count, entry):
            tag, kind, length = struct.unpack_from(f"{self.order}HH{code}", self.data, at)
            size = _BYTES.get(kind, 0) * length
            where = at + entry - inline
            if size > inline:
                where = self._number(code, where)
            if kind not in _BYTES or tag in found or size > left or where + size > len(self.data):
                continue
            left -= size
            found[tag] = Entry(tag, kind, length, self.data[where : where + size])
        return found, self._number(code, first + entry * count)

    def raw_entries(self) -> Iterator[Entry]:
        """Yield the first directory's entries with what stands in it for their values: these, or where they are."""
        count = self._number("H", self._start)
        for at in range(self._start + 2, min(self._start + 2 + 12 * count, len(self.data) - 11), 12):
            tag, kind, length = struct.unpack_from(f"{self.order}HHI", self.data, at)
            yield Entry(tag, kind, length, self.data[at + 8 : at + 12])

    def pages(self) -> Iterator[Directory]:
        """Yield the directories of the pages."""
        position = self._start
        seen: set[int] = set()
        left = len(self.data)  # bytes; directories do not overlap either, nor do their values
        while position and position not in seen and len(seen) < _MAX_PAGES and left > 0:
            seen.add(position)
            left -= 12 * self._count(position)
            found, position = self.directory(position)
            left -= sum(len(entry.value) for entry in found.values())
            yield found

    def numbers(self, directory: Directory, tag: int) -> tuple[Number, ...]:
        """Return a tag's values, none where it is not there."""
        return directory[tag].numbers(self.order) if tag in directory else ()

    def number(self, directory: Directory, tag: int, default: int) -> int:
        """Return a tag's first value."""
        values = self.numbers(directory, tag)
        return int(values[0]) if values else default

    def children(self, directory: Directory) -> Iterator[Directory]:
        """Yield the directories that a page points to (SubIFDs)."""
        for position in self.numbers(directory, SUB_DIRECTORIES)[:64]:
            yield self.directory(int(position))[0]

    def is_reduced(self, directory: Directory) -> bool:
        """Return whether a page is a smaller copy, or a mask, of another."""
        return bool(self.number(directory, SUBFILE, 0) & (_REDUCED | _MASK)) or self.number(directory, OLD_SUBFILE, 1) == 2

    def main_page(self) -> tuple[int, int]:
        """Return which page is the picture, counted from 0, and how many there are beside smaller copies and masks."""
        full = [index for index, page in enumerate(self.pages()) if not self.is_reduced(page)]
        return (full[0], len(full)) if full else (0, 1)

    def is_raw(self) -> bool:
        """Return whether it is a camera's raw file, of which Pillow reads the preview."""
        first = next(self.pages(), {})
        if DNG_VERSION in first or self.data[8:10] == b"CR" or (self.data[:4] == b"II*\0" and self.data[8:12] == b"HEAP"):
            return True
        children = list(self.children(first))
        if any(self.number(part, PHOTOMETRIC, 0) in (_CFA, _LINEAR_RAW) for part in (first, *children)):
            return True
        pixels = self.number(first, WIDTH, 0) * self.number(first, HEIGHT, 0)
        larger = (self.number(part, WIDTH, 0) * self.number(part, HEIGHT, 0) > pixels for part in children)
        return self.is_reduced(first) and any(larger)


def exif_of(tiff: Tiff, page: int) -> bytes:
    """Return what a page says that is not its layout as an EXIF block, b"" where that is nothing.

    Every tag keeps its kind and its bytes. The orientation is left out, since Pillow turns what it reads from a TIFF.
    """
    directory = next((found for index, found in enumerate(tiff.pages()) if index == page), {})
    kept = [entry for tag, entry in directory.items() if tag not in LAYOUT and tag != ORIENTATION]
    entries = [with_children(tiff, entry) for entry in kept]
    if not entries:
        return b""
    head = (b"II*\0" if tiff.order == "<" else b"MM\0*") + struct.pack(f"{tiff.order}I", 8)
    return PREFIX + head + serialise(entries, tiff.order, 8)


def with_children(tiff: Tiff, entry: Entry) -> Entry:
    """Return an entry with the directory that it points to, and numbers of 64 bits as ones of 32."""
    if entry.tag in _POINTERS and (values := entry.numbers(tiff.order)):
        found, _ = tiff.directory(int(values[0]))
        parts = [part for tag, part in found.items() if tag not in _POINTERS or tag == INTEROPERABILITY != entry.tag]
        return Entry(entry.tag, 4, 1, b"", tuple(with_children(tiff, part) for part in parts))
    if entry.kind in (16, 17, 18):
        values = entry.numbers(tiff.order)
        limited = [min(max(int(value), 0), 2**32 - 1) for value in values]
        return Entry(entry.tag, 4, entry.count, struct.pack(f"{tiff.order}{entry.count}I", *limited))
    return entry


def serialise(entries: Sequence[Entry], order: str, at: int) -> bytes:
    """Return a directory for the position ``at`` (even) in a file, with all that its entries hold behind it."""
    table = struct.pack(f"{order}H", len(entries))
    heap = bytearray()
    base = at + 2 + 12 * len(entries) + 4
    for entry in sorted(entries, key=lambda entry: entry.tag):
        value = entry.value
        if entry.children:
            value, body = struct.pack(f"{order}I", base + len(heap)), serialise(entry.children, order, base + len(heap))
        elif len(value) > 4:
            value, body = struct.pack(f"{order}I", base + len(heap)), value
        else:
            body = b""
        heap += body + bytes(len(body) & 1)
        table += struct.pack(f"{order}HHI", entry.tag, entry.kind, entry.count) + value.ljust(4, b"\0")
    return table + bytes(4) + bytes(heap)


def is_misread(tiff: Tiff, directory: Directory) -> bool:
    """Return whether Pillow takes a page's integers for others: 16-bit colour, planes, negatives, and signed samples."""
    bits, formats = set(tiff.numbers(directory, BITS)), set(tiff.numbers(directory, SAMPLE_FORMAT)) or {1}
    if tiff.number(directory, PHOTOMETRIC, 1) not in (0, 1, 2, 5):
        return False
    if bits == {8}:
        return formats == {2}
    several = tiff.number(directory, SAMPLES, 1) > 1
    special = several or tiff.number(directory, PHOTOMETRIC, 1) == 0 or formats == {2} or TILE_OFFSETS in directory
    return bits == {16} and formats <= {1, 2} and special


def read_samples(tiff: Tiff, directory: Directory, wanted: int) -> Samples:
    """Return the first ``wanted`` samples (H, W, C) of a page of integers of 8 or 16 bits, as ``is_misread`` names them.

    Pillow decodes each strip or tile as 16-bit gray without a predictor, which it reads rightly; the rest is done here.
    Raises PictureError for a colour space that is not known here, and what Pillow raises for damaged data.
    """
    width, height = (tiff.number(directory, tag, 0) for tag in (WIDTH, HEIGHT))
    channels = tiff.number(directory, SAMPLES, 1)
    planar = tiff.number(directory, PLANAR, 1) == 2 and channels > 1
    bits = tiff.number(directory, BITS, 8)
    if not (wanted <= channels <= _MAX_CHANNELS and width and height):
        raise PictureError("the TIFF file has an impossible layout")
    tiled = TILE_OFFSETS in directory
    offsets = tiff.numbers(directory, TILE_OFFSETS if tiled else OFFSETS)
    sizes = tiff.numbers(directory, TILE_COUNTS if tiled else COUNTS)
    columns, rows = tiff.number(directory, TILE_WIDTH if tiled else WIDTH, width), height
    rows = min(tiff.number(directory, TILE_HEIGHT if tiled else ROWS, height), 2**31 if tiled else height)
    if not (columns and rows) or (tiled and max(columns, rows) > 2 * max(width, height) + 1024):
        raise PictureError("the TIFF file has an impossible layout")
    across, down = -(-width // columns), -(-height // rows)
    planes = channels if planar else 1
    if len(offsets) < across * down * planes or len(sizes) < across * down * planes:
        raise PictureError("the TIFF file has fewer strips than it needs")
    together = 1 if planar else channels  # samples that lie side by side
    result = np.empty((height, width, wanted), np.dtype(f"u{bits // 8}"))
    for index in range(across * down * min(planes, wanted)):
        plane, place = divmod(index, across * down)
        row, column = divmod(place, across)
        top, left = row * rows, column * columns
        block_rows = rows if tiled else min(rows, height - top)
        begin, size = int(offsets[index]), int(sizes[index])
        block = _block(tiff, directory, tiff.data[begin : begin + size], columns * together, block_rows)
        block = block.reshape(block_rows, columns, together)
        if tiff.number(directory, PREDICTOR, 1) == 2:
            block = np.cumsum(block, axis=1, dtype=block.dtype)
        part = block[: height - top, : width - left, :wanted]
        result[top : top + rows, left : left + columns, slice(plane, plane + 1) if planar else slice(None)] = part
    return result


def _block(tiff: Tiff, directory: Directory, data: bytes, columns: int, rows: int) -> Samples:
    """Return a strip or tile (rows, columns), decompressed; neither predictor nor meaning is applied."""
    bits = tiff.number(directory, BITS, 8)
    dtype = np.dtype(f"{'<' if tiff.order == '<' else '>'}u{bits // 8}")
    compression = tiff.number(directory, COMPRESSION, 1)
    if compression == 1:
        need = columns * rows * dtype.itemsize
        if len(data) < need:
            raise PictureError("the TIFF file is truncated")
        return np.frombuffer(data[:need], dtype).reshape(rows, columns).astype(dtype.newbyteorder("="))
    if compression in (6, 7):
        raise PictureError("a TIFF file with JPEG data of this depth is not supported")
    entries = [(WIDTH, columns), (HEIGHT, rows), (BITS, bits), (COMPRESSION, compression), (PHOTOMETRIC, 1), (OFFSETS, 8),
               (SAMPLES, 1), (ROWS, rows), (COUNTS, len(data))]  # fmt: skip
    table = [Entry(tag, 4, 1, struct.pack(f"{tiff.order}I", value)) for tag, value in entries]
    at = 8 + len(data) + (len(data) & 1)
    head = (b"II*\0" if tiff.order == "<" else b"MM\0*") + struct.pack(f"{tiff.order}I", at)
    file = head + data + bytes(len(data) & 1) + serialise(table, tiff.order, at)
    block = np.asarray(Image.open(io.BytesIO(file)))
    return block.astype(dtype.newbyteorder("="))


def spare_channels(tiff: Tiff, page: Directory) -> list[str]:
    """Return the name of what a page has beside colour and alpha, which no picture keeps: at most one."""
    colours = _COLOURS.get(tiff.number(page, PHOTOMETRIC, 1))
    if colours is None:
        return []
    extra = tiff.numbers(page, EXTRA_SAMPLES)
    spare = tiff.number(page, SAMPLES, colours) - colours - (bool(extra) and extra[0] in (1, 2))
    return [f"{spare} more channel{'s' if spare > 1 else ''} of the TIFF file"] if spare > 0 else []


def picture_of(tiff: Tiff, directory: Directory) -> Image.Image:
    """Return a page that ``is_misread`` as a picture, turned as it says.

    Gray of 16 bits comes as it is, other samples of 16 bits rounded to 8; the picture carries these (``deep.detach``).
    Raises PictureError where nobody can say what the samples mean.
    """
    bits, photometric = tiff.number(directory, BITS, 8), tiff.number(directory, PHOTOMETRIC, 1)
    colours, channels = _COLOURS[photometric], tiff.number(directory, SAMPLES, 1)
    extra = tiff.numbers(directory, EXTRA_SAMPLES)
    has_alpha = channels > colours and bool(extra) and extra[0] in (1, 2) and colours < 4
    values = read_samples(tiff, directory, colours + has_alpha)
    peak = 2**bits - 1
    if 2 in tiff.numbers(directory, SAMPLE_FORMAT):
        if values.max() > peak // 2:
            raise PictureError("negative samples have no fixed range; convert them to 8 or 16 unsigned bits first")
        peak //= 2
    if photometric == 0:
        values = np.concatenate([peak - values[..., :1], values[..., 1:]], -1).astype(values.dtype)
    if values.shape[2] == 1 and bits == 16:
        return _turned(Image.fromarray(np.ascontiguousarray(values[..., 0])), tiff, directory)
    if has_alpha and extra[0] == 1:
        values, peak = _unassociated(values, peak), 2**bits - 1
    if bits == 16 and colours < 4:
        found = deep.of_values(deep.turned(values, tiff.number(directory, ORIENTATION, 1)), peak)
        return deep.to_image(found)
    scaled = deep.scaled(values, peak, 255).astype(np.uint8)
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "CMYK" if colours == 4 else "RGBA"}[scaled.shape[2]]
    image = Image.frombytes(mode, (scaled.shape[1], scaled.shape[0]), np.ascontiguousarray(scaled).tobytes())
    return _turned(image, tiff, directory)


def _turned(image: Image.Image, tiff: Tiff, directory: Directory) -> Image.Image:
    turn = _TURNS.get(tiff.number(directory, ORIENTATION, 1))
    return image if turn is None else image.transpose(turn)


def _unassociated(values: Samples, peak: int) -> Samples:
    """Return samples (H, W, C) of which the last is alpha that the others were multiplied by, as ones that were not.

    Their peak becomes that of their type.
    """
    top = float(np.iinfo(values.dtype).max)
    alpha = values[..., -1:].astype(np.float64)
    colour = np.divide(values[..., :-1] * top, alpha, out=np.zeros(values[..., :-1].shape), where=alpha > 0)
    result: Samples = np.rint(np.concatenate([colour, alpha * (top / peak)], -1)).clip(0, top).astype(values.dtype)
    return result


def write(
    samples: Samples,
    *,
    exif: bytes = b"",
    icc: bytes = b"",
    xmp: bytes = b"",
    resources: bytes = b"",
    iptc: bytes = b"",
    dpi: tuple[float, float] | None = None,
) -> bytes:
    """Return a TIFF file of samples (H, W, C) uint8 or uint16: gray or RGB, the last of two or four is alpha.

    The file begins with the EXIF block as it is, so that nothing moves in it: makers' notes count from its first byte.
    ``exif`` has its prefix; ``resources`` are Photoshop's, ``iptc`` what is IPTC in them.
    """
    height, width, channels = samples.shape
    block = exif.removeprefix(PREFIX) or b"II*\0\x08\0\0\0\0\0\0\0\0\0"
    old = Tiff(block)
    order = old.order
    body = bytearray(block + bytes(-len(block) % 16))
    size = samples.dtype.itemsize
    rows = max(1, _STRIP // (width * channels * size))
    pixels = np.ascontiguousarray(samples, samples.dtype.newbyteorder("<" if order == "<" else ">")).tobytes()
    bits, size = 8 * size, rows * width * channels * size
    strips = range(0, len(pixels), size)
    offsets = [len(body) + at for at in strips]
    counts = [min(size, len(pixels) - at) for at in strips]
    body += pixels + bytes(len(pixels) & 1)

    def entry(tag: int, kind: int, *values: int) -> Entry:
        return Entry(tag, kind, len(values), struct.pack(f"{order}{len(values)}{_CODES[kind]}", *values))

    entries = {found.tag: found for found in old.raw_entries() if found.tag not in LAYOUT}
    if dpi is not None and not {282, 283} & entries.keys():
        for tag, value in zip((282, 283), dpi, strict=False):
            entries[tag] = Entry(tag, 5, 1, struct.pack(f"{order}II", round(value * 100), 100))
        entries[296] = entry(296, 3, 2)  # inches
    new = [
        entry(WIDTH, 4, width), entry(HEIGHT, 4, height), entry(BITS, 3, *[bits] * channels), entry(COMPRESSION, 3, 1),
        entry(PHOTOMETRIC, 3, 2 if channels > 2 else 1), entry(OFFSETS, 4, *offsets), entry(SAMPLES, 3, channels),
        entry(ROWS, 4, rows), entry(COUNTS, 4, *counts), entry(PLANAR, 3, 1),
    ]  # fmt: skip
    new += [entry(EXTRA_SAMPLES, 3, 2)] if channels in (2, 4) else []
    opaque = ((XMP, 1, xmp), (IPTC, 7, iptc), (RESOURCES, 7, resources), (ICC, 7, icc))
    new += [Entry(tag, kind, len(value), value) for tag, kind, value in opaque if value]
    entries |= {found.tag: found for found in new}
    directory = len(body)
    body += serialise(list(entries.values()), order, directory)
    body[4:8] = struct.pack(f"{order}I", directory)
    return bytes(body)
