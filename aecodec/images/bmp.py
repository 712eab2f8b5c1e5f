"""Run lengths of a BMP, which Pillow up to 12.0 reads wrongly where a run of 4-bit pixels has an odd length."""

from __future__ import annotations

import struct

from PIL import Image

from aecodec.defaults import MAX_PIXELS

_RLE8, _RLE4 = 1, 2


def run_lengths(data: bytes) -> Image.Image | None:
    """Return the picture in a run-length coded BMP, in mode "P", None where it is coded in another way or damaged."""
    if len(data) < 54 or data[:2] != b"BM":
        return None
    start, header, width, height = struct.unpack_from("<IIii", data, 10)
    bits, coding = struct.unpack_from("<HI", data, 28)
    if (
        header < 40
        or (coding, bits) not in ((_RLE8, 8), (_RLE4, 4))
        or width <= 0
        or not 0 < abs(height) * width <= MAX_PIXELS  # more are left to Pillow and its limits
    ):
        return None
    colours = struct.unpack_from("<I", data, 46)[0] or 1 << bits
    palette = data[14 + header : 14 + header + 4 * min(colours, 256)]
    picture = Image.frombytes("P", (width, abs(height)), _pixels(data[start:], width, abs(height), bits == 4))
    picture.putpalette(palette, "BGRX")
    return picture if height < 0 else picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)


def _pixels(data: bytes, width: int, height: int, is_half: bool) -> bytes:
    """Return the rows, the lowest first; what no run covers is colour 0."""
    rows = bytearray(width * height)
    x = y = position = 0
    while y < height and position + 2 <= len(data):
        count, value = data[position], data[position + 1]
        position += 2
        if count:
            run = bytes([value >> 4, value & 15]) * (count // 2 + 1) if is_half else bytes([value]) * count
        elif value == 0:
            x, y = 0, y + 1
            continue
        elif value == 1:
            break
        elif value == 2:
            if position + 2 > len(data):
                break
            x, y = x + data[position], y + data[position + 1]
            position += 2
            continue
        else:
            count = value
            size = (count + 1) // 2 if is_half else count
            run = data[position : position + size]
            if is_half:
                run = bytes(part for byte in run for part in (byte >> 4, byte & 15))
            position += size + (size & 1)
        run = run[: max(min(count, width - x), 0)]
        if y < height:
            rows[y * width + x : y * width + x + len(run)] = run
        x += count
    return bytes(rows)
