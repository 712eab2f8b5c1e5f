"""From a file to a picture, with the installed weights: parts of it, and files that are damaged or hostile."""

from __future__ import annotations

import functools
import random
import zlib

import numpy as np
import pytest

from aecodec.codec import decoder
from aecodec.codec.decoder import decode
from aecodec.codec.encoder import Encoder
from aecodec.container import alpha, bitstream, exact
from aecodec.container.bitstream import Header, Stream
from aecodec.errors import BitstreamError, PictureError, WeightsError
from aecodec.quality import index_of_quality


@pytest.fixture(scope="module")
def coded(photo):
    """coded(tile) is a file of a picture of 300 x 264, and the whole of what it shows; made once for each tile."""
    encoder = Encoder(photo(300, 264))

    @functools.cache
    def encoded_and_decoded(tile):
        data = encoder.encode(index_of_quality(40), tile).data
        return data, np.asarray(decode(data), int)

    return encoded_and_decoded


@pytest.mark.slow
@pytest.mark.parametrize("tile", [0, 256])
@pytest.mark.parametrize("crop", [(0, 0, 1, 1), (150, 100, 20, 60), (299, 263, 1, 1), (3, 200, 290, 64), (0, 0, 300, 264)])
def test_a_crop_is_that_part_of_the_picture(coded, small_blocks, crop, tile):
    """Whoever asks for a region gets it, as it is in the whole picture."""
    data, whole = coded(tile)
    left, top, width, height = crop
    part = decode(data, crop=crop)
    assert part.size == (width, height)
    assert np.abs(np.asarray(part, int) - whole[top : top + height, left : left + width]).max() <= 1


def test_a_crop_decodes_only_the_tiles_that_it_needs(photo, monkeypatch):
    """A detail of a huge picture must not cost what the picture costs."""
    data = Encoder(photo(1000, 300)).encode(index_of_quality(40), 256).data
    decoded = []
    original = decoder._decode_tile
    monkeypatch.setattr(decoder, "_decode_tile", lambda *a: decoded.append(a[-1]) or original(*a))
    decode(data, crop=(10, 10, 50, 50))
    assert decoded == [0]  # its halo of 128 pixels ends within the tile


@pytest.mark.parametrize("crop", [(0, 0, 0, 5), (-1, 0, 5, 5), (90, 0, 7, 1), (0, 64, 1, 1), (200, 200, 1, 1)])
def test_a_crop_outside_is_refused(file, crop):
    """An empty or shifted picture would be taken for the region that was asked for."""
    with pytest.raises(PictureError, match="crop"):
        decode(file, crop=crop)


def test_a_damaged_tile_is_one_error(photo):
    """The workers' errors are the caller's."""
    stream = bitstream.read(Encoder(photo(600, 300)).encode(index_of_quality(40), 256).data)
    payloads = [*stream.payloads[:3], stream.payloads[2], *stream.payloads[4:]]
    with pytest.raises(BitstreamError):
        decode(bitstream.write(Stream(stream.header, payloads)))


@pytest.mark.parametrize("body", [b"", b"\0rubbish", *(b"\0" + zlib.compress(bytes(size)) for size in (95 * 64, 10**6))])
def test_hostile_alpha_is_refused(file, body):
    """Right checksums around alpha of another size, or a bomb, must end in the one known way."""
    stream = bitstream.read(file)
    with pytest.raises(BitstreamError, match="alpha"):
        decode(bitstream.write(Stream(stream.header, stream.payloads, {bitstream.ALPHA: body})))


def test_foreign_weights_are_named(file):
    """The message is all that leads from a file of other weights to the package that has them."""
    stream = bitstream.read(file)
    foreign = Header(96, 64, "RGB", "0badcafe", stream.header.rate)
    with pytest.raises(WeightsError, match="0badcafe"):
        decode(bitstream.write(Stream(foreign, stream.payloads)))


def test_no_flipped_bit_goes_unnoticed(file):
    """A damaged file must be refused, not shown as a wrong picture and not end in a crash."""
    positions = random.Random(9)
    for _ in range(200):
        damaged = bytearray(file)
        damaged[positions.randrange(len(file))] ^= 1 << positions.randrange(8)
        with pytest.raises((BitstreamError, WeightsError)):
            decode(bytes(damaged))


def test_hostile_payloads_are_refused_or_pictures(file):
    """Checksums keep out accidents, not malice: with right checksums, any payload must end in one known way."""
    stream = bitstream.read(file)
    positions = random.Random(10)
    refused = 0
    for _ in range(60):
        payload = bytearray(stream.payloads[0])
        payload[positions.randrange(len(payload))] ^= 1 << positions.randrange(8)
        try:
            image = decode(bitstream.write(Stream(stream.header, [bytes(payload)])))
        except BitstreamError:
            refused += 1
        else:
            assert image.size == (96, 64)
    assert refused > 50


@pytest.mark.parametrize(("width", "height", "rate"), [(96, 65, 0), (1, 1, 0), (4096, 4096, 0), (96, 64, 2048)])
def test_headers_of_another_picture_are_refused(file, width, height, rate):
    """Sizes in a header are claims: they must neither be believed nor cost the memory that they claim."""
    stream = bitstream.read(file)
    head = Header(width, height, "RGB", stream.header.weights, rate)
    with pytest.raises(BitstreamError, match="damaged"):
        decode(bitstream.write(Stream(head, stream.payloads)))


@pytest.mark.parametrize("kind", [bitstream.EXACT, bitstream.LOSSLESS])
@pytest.mark.parametrize("body", [b"", b"\0", b"\5rubbish", exact.encode_whole(np.zeros((64, 95, 3), np.uint8))])
def test_hostile_exact_pixels_are_refused(file, kind, body):
    """Right checksums around pixels of another picture must end in the one known way, before any network runs."""
    stream = bitstream.read(file)
    payloads = stream.payloads if kind == bitstream.EXACT else []
    with pytest.raises(BitstreamError, match=r"damaged|truncated"):
        decode(bitstream.write(Stream(stream.header, payloads, {kind: body})))


def test_alpha_elsewhere_must_be_there(file):
    """Alpha that is said to stand with exact pixels, in a file that has none, is damage."""
    stream = bitstream.read(file)
    with pytest.raises(BitstreamError, match="alpha"):
        decode(bitstream.write(Stream(stream.header, stream.payloads, {bitstream.ALPHA: alpha.ELSEWHERE})))
