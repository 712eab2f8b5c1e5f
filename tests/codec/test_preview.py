"""Previews: what there is of a file that ends early. docs/format.md, section 8.6, defines every sample of them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import aecodec
from aecodec import weights
from aecodec.codec.decoder import decode_samples
from aecodec.codec.tiling import latent_area
from aecodec.container import bitstream
from aecodec.container.bitstream import EXACT, LOSSLESS, PAYLOAD, Reader
from aecodec.container.tiles import Grid
from aecodec.entropy import _rans_python, latents
from aecodec.entropy.architecture import HYPER_STRIDE, LATENT_STRIDE
from aecodec.entropy.gaussian import LEVELS
from aecodec.errors import BitstreamError, TruncatedError
from aecodec.images import samples
from aecodec.metrics import psnr
from aecodec.runtime import libaec
from aecodec.runtime.integer_synthesis import IntegerSynthesis

pytestmark = pytest.mark.skipif(not libaec.is_compiled(), reason="libaec was not compiled")

FOLDER = Path(__file__).parents[1] / "conformance"
NAMES = sorted(json.loads((FOLDER / "index.json").read_text()))
GRAY = 128


def shown(data: bytes, **options) -> np.ndarray:
    """The samples of a preview, (h, w, channels)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        array = aecodec.decode_array(data, preview=True, **options)
    return array if array.ndim == 3 else array[..., None]


def start_of(data: bytes, kinds: bytes) -> int:
    """Where the first chunk of one of some types begins."""
    reader = Reader(data)
    bitstream._read_header(reader, None)
    while data[reader.position] not in kinds:
        reader.take(1)
        reader.take(reader.varint() + 4)
    return reader.position


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_beginning_of_a_file_is_shown(name):
    """A viewer would stop at some byte of a download, or show a picture of another size."""
    data = (FOLDER / f"{name}.aec").read_bytes()
    first = start_of(data, PAYLOAD + EXACT + LOSSLESS)
    whole = shown(data)
    assert np.array_equal(whole, np.asarray(aecodec.decode_array(data)).reshape(whole.shape))
    for size in {*range(0, len(data), -(-len(data) // 6)), first, first + 1, first + 2, len(data) - 1}:
        if size <= first:
            with pytest.raises(BitstreamError, match=r"truncated|empty"):
                shown(data[:size])
        else:
            found = shown(data[:size])
            assert (found.shape, found.dtype) == (whole.shape, whole.dtype)
    assert np.array_equal(shown(data[:-1]), whole)  # all is there but a byte of the checksum
    with pytest.raises(TruncatedError):
        aecodec.decode(data[:-1])


def by_the_page(data: bytes) -> np.ndarray:
    """The colour of a preview as docs/format.md defines it, from a coder and a synthesis in Python."""
    head, _, _ = bitstream.read_beginning(data)
    model = weights.find(head.weights)
    area = latent_area(head.height, head.width)
    tiles = Grid(area, head.tile // LATENT_STRIDE)
    reader = Reader(data)
    reader.position = start_of(data, PAYLOAD)

    def payload() -> bytes:
        try:
            reader.take(1)
            length = reader.varint()
        except BitstreamError:
            return b""
        body = bytes(reader.data[reader.position : reader.position + length])
        reader.position = min(reader.position + length + 4, len(data))
        return body

    parts = [rebuilt(model, payload(), tile.shape, head.rate) for tile in tiles]
    values = tiles.assemble(area, parts.__getitem__)
    pixels = IntegerSynthesis.of(model).synthesise(values, head.rate)[: head.height, : head.width]
    return samples.gray_mean(pixels)[..., None] if head.mode == "L" else pixels


def rebuilt(model: weights.Weights, payload: bytes, shape: tuple[int, int], rate: int) -> np.ndarray:
    """The latents of a payload of which the end is missing."""
    entropy = model.entropy_model
    missing = np.iinfo(np.int32).min
    state = None
    if len(payload) >= 16:
        state = *(int.from_bytes(payload[at : at + 8], "little") for at in (0, 8)), 16

    def read(levels: np.ndarray, stride: int) -> np.ndarray:
        nonlocal state
        symbols = np.full(levels.size, missing, np.int32)
        tables = entropy.tables
        try:
            if state is not None:
                arrays = tables.radius, tables.cdf, tables.start, tables.lookup
                state = _rans_python.decode(payload, levels, symbols, state, *arrays, stride)
        except ValueError:
            state = None
        symbols[symbols == missing] = 0
        return symbols

    levels = entropy.hyper_levels((shape[0] // HYPER_STRIDE, shape[1] // HYPER_STRIDE), rate)
    z = read(levels.ravel(), 0).reshape(levels.shape)
    return latents._rebuild(entropy, z, rate, lambda step, levels, coded: read(levels, LEVELS))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rgb-middle", "gray", "tiles"])
def test_a_preview_is_what_the_format_defines(name):
    """Each program would show another picture of the same bytes, and nobody could say which is right."""
    data = (FOLDER / f"{name}.aec").read_bytes()
    first = start_of(data, PAYLOAD)
    for share in (0, 0.02, 0.3, 0.8):
        part = data[: first + 1 + int(share * (len(data) - first - 2))]
        assert np.array_equal(shown(part), by_the_page(part)), share


def test_more_bytes_make_a_better_picture(photo):
    """Waiting for the rest of a file would be of no use."""
    picture = photo(192, 128)
    data = aecodec.encode(picture, 60)
    found = [psnr(np.asarray(picture), shown(data[: len(data) * part // 4])) for part in (1, 2, 3, 4)]
    assert found == sorted(found)
    assert found[-1] - found[0] > 5
    assert np.array_equal(shown(data), np.asarray(aecodec.decode(data)))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_a_picture_without_loss_is_shown_from_the_top(photo, mode):
    """Half of a screenshot would be nothing at all."""
    picture = photo(60, 90).convert(mode)
    if mode == "RGBA":
        picture.putalpha(photo(60, 90, "L", 4).point(lambda value: max(1, value)))
    data = aecodec.encode(picture, lossless=True)
    whole, counts = shown(data), []
    for part in (3, 5, 7):
        found = shown(data[: len(data) * part // 8])
        same = (found == whole).all((1, 2))
        counts.append(int(same.argmin()) if not same.all() else len(same))
        rest = found[counts[-1] + 1 :]
        assert (rest[..., :3] == GRAY).all()
        assert mode != "RGBA" or (rest[..., 3] == 0).all()
    assert 0 < counts[0] < counts[1] < counts[2] < 90


def test_exact_pixels_come_over_gray_and_then_over_the_picture():
    """The text of a screen is the first that is there, and a viewer would not show it."""
    data = (FOLDER / "page.aec").read_bytes()
    payload = start_of(data, PAYLOAD)
    whole, before, after = shown(data), shown(data[:payload]), shown(data[: payload + 1])
    exact = (before != GRAY).any(-1)
    assert exact.mean() > 0.2
    for found in (before, after):
        assert np.array_equal(found[exact], whole[exact])
    assert (after[~exact] != GRAY).mean() > 0.5


def test_a_preview_can_be_smaller_a_part_or_deeper(photo):
    """A page that loads a large picture wants a small one first."""
    data = aecodec.encode(photo(96, 64), 60)[:-300]
    whole = shown(data)
    assert np.array_equal(shown(data, crop=(10, 20, 30, 40)), whole[20:60, 10:40])
    with pytest.warns(UserWarning, match="preview"):
        small = np.asarray(aecodec.decode(data, scale=4, preview=True))
    assert small.shape == (16, 24, 3)
    assert psnr(whole.reshape(16, 4, 24, 4, 3).mean((1, 3)).round().astype(np.uint8), small) > 30
    deep = shown(data, bits=16)
    assert np.abs(deep / 257 - whole).max() < 1


def test_metadata_in_front_of_the_end_is_kept(photo):
    """A photograph would lie on its side until its last byte came."""
    picture = photo(40, 24)
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.info["exif"] = exif.tobytes()
    data = aecodec.encode(picture, 40)
    with pytest.warns(UserWarning, match="preview"):
        assert aecodec.decode(data[:-50], preview=True).getexif()[0x0112] == 6


def test_damage_in_front_of_the_end_is_refused():
    """A preview of a damaged file would look like one of a sound one."""
    data = (FOLDER / "page.aec").read_bytes()
    part = bytearray(data[: start_of(data, PAYLOAD) + 40])
    part[len(part) - 60] ^= 1
    with pytest.raises(BitstreamError, match="checksum"):
        shown(bytes(part))
    assert not decode_samples(data, preview=True).is_verified


def test_a_file_without_a_whole_header_is_not_previewed(fails, tmp_path, file):
    """The advice to use --preview, given in answer to --preview, leads nowhere."""
    (tmp_path / "part.aec").write_bytes(file[:12])
    for command in (["info", "part.aec"], ["decode", "--preview", "part.aec", "out.png"]):
        assert fails(3, *command) == "aecodec: part.aec: the file is truncated"


def test_the_command_shows_it_only_when_asked(cli, fails, tmp_path, photo):
    """A broken download would pass for a whole picture."""
    (tmp_path / "part.aec").write_bytes(aecodec.encode(photo(96, 64), 60)[:-300])
    assert "--preview" in fails(3, "decode", "part.aec", "out.png")
    result = cli("decode", "--preview", "part.aec", "out.png")
    assert result.exit_code == 0
    assert "preview" in result.stderr
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), shown((tmp_path / "part.aec").read_bytes()))
    assert cli("decode", "--preview", "--scale", "1/4", "part.aec", "small.png").exit_code == 0
    assert Image.open(tmp_path / "small.png").size == (24, 16)
