"""Read and write PGM and PPM of more than 8 bits, whose colours Pillow rounds to 8 (netpbm.sourceforge.net/doc)."""

from __future__ import annotations

import re

import numpy as np

from aecodec.images.deep import Deep, of_values

_HEADER = re.compile(rb"P([56])" + 3 * rb"(?:\s|#[^\n]*\n)+(\d{1,9})" + rb"\s")


def read(data: bytes) -> Deep | None:
    """Return the samples of a binary PGM or PPM of more than 8 bits, None for any other file."""
    match = _HEADER.match(data)
    if match is None:
        return None
    channels = 1 if match[1] == b"5" else 3
    width, height, peak = (int(match[i]) for i in (2, 3, 4))
    size = 2 * width * height * channels
    if not 255 < peak < 65536 or len(data) - match.end() < size:
        return None
    values = np.frombuffer(data, ">u2", size // 2, match.end()).reshape(height, width, channels)
    return of_values(np.minimum(values, peak), peak)


def write(samples: np.ndarray[tuple[int, ...], np.dtype[np.uint16]], depth: int) -> bytes:
    """Return samples (H, W, 1) or (H, W, 3) of more than 8 bits as a PGM or PPM."""
    height, width, channels = samples.shape
    head = f"P{5 if channels == 1 else 6}\n{width} {height}\n{2**depth - 1}\n"
    return head.encode() + samples.astype(">u2").tobytes()
