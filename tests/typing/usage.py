"""What a user of the library writes.  mypy checks it, and nobody runs it.

Where a type is wrong or lost, a user's own type checker complains, or takes everything for Any without a word.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from typing_extensions import assert_type

import aecodec
from aecodec import weights
from aecodec.codec.encoder import Encoded, Quantised
from aecodec.container.bitstream import Header
from aecodec.entropy import rans
from aecodec.metrics import psnr


def encode_and_decode(picture: Image.Image, array: NDArray[np.uint8], path: Path) -> None:
    data = aecodec.encode(picture, target=aecodec.Size(40_000))
    assert_type(data, bytes)
    assert_type(aecodec.encode(array, 60), bytes)
    assert_type(aecodec.encode(path, quality=60.5, weights="photo", strip=True, max_pixels=None), bytes)
    assert_type(aecodec.decode(data), Image.Image)
    assert_type(aecodec.decode(path, crop=(0, 0, 64, 64), device="cpu"), Image.Image)
    assert_type(aecodec.info(data), Header)
    assert_type(aecodec.info(data).quality, float)


def repair(picture: Image.Image, mask: NDArray[np.bool_]) -> None:
    assert_type(aecodec.denoise(picture, 25), Image.Image)
    assert_type(aecodec.inpaint(picture, mask, method="classical"), Image.Image)


def one_picture_at_several_qualities(picture: Image.Image) -> None:
    encoder = aecodec.Encoder(picture, weights=weights.load("photo"))
    encoded = encoder.encode(1024)
    assert_type(encoded, Encoded)
    assert_type(encoded.data, bytes)
    quantised = encoder.quantise(1024)
    assert_type(quantised, Quantised)
    shown = encoder.reconstruct(quantised)
    assert_type(shown.dtype, np.dtype[np.uint8])
    assert_type(psnr(encoder.array, shown), float)


def errors(data: bytes) -> str | None:
    try:
        aecodec.decode(data)
    except aecodec.LimitError as error:
        return f"over {error.limit}"
    except (aecodec.BitstreamError, aecodec.WeightsError) as error:
        return str(error)
    return None


def entropy_coder(symbols: NDArray[np.int32], levels: NDArray[np.uint8], tables: rans.Tables) -> None:
    stream = rans.encode(symbols, levels, tables)
    assert_type(stream, bytes)
    assert_type(rans.Decoder(stream, tables).decode(levels).dtype, np.dtype[np.int32])


def wrong_uses(picture: Image.Image) -> None:
    """Each must be an error: mypy says so where an ignore has nothing to ignore."""
    aecodec.encode(picture, target=40_000)  # type: ignore[arg-type]  # bytes or bits per pixel?
    aecodec.encode(picture, None, aecodec.Psnr(34))  # type: ignore[call-arg]  # by keyword only
    aecodec.decode(picture)  # type: ignore[arg-type]  # a picture is no file
    aecodec.inpaint(picture, picture, method="smart")  # type: ignore[arg-type]  # no such method
