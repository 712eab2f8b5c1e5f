"""The header of JPEG XL, which must be known before anything is decoded."""

from __future__ import annotations

import io

import pytest

from aecodec.errors import LimitError, PictureError
from aecodec.images import jxl, reading
from aecodec.images.jxl import Header


def stream(*fields: tuple[int, int]) -> bytes:
    """A codestream's beginning out of (value, bits)."""
    value = position = 0
    for field, bits in fields:
        value |= field << position
        position += bits
    return b"\xff\x0a" + value.to_bytes(-(-position // 8), "little")


LARGE = [(0, 1), (3, 2), (2**30 - 1, 30), (0, 3), (3, 2), (2**30 - 1, 30)]
SMALL = [(1, 1), (3, 5), (0, 3), (7, 5)]  # 64 x 32
SQUARE = [(0, 1), (1, 2), (999, 13), (1, 3)]
WIDE = [(0, 1), (0, 2), (89, 9), (5, 3)]
PLAIN, FIELDS = [(1, 1)], [(0, 1), (1, 1), (5, 3)]  # orientation 6
FRAMES = [(0, 1), (0, 1), (1, 1), (2, 2), (24, 10), (3, 2), (7, 10), (1, 2), (3, 3), (0, 1)]


@pytest.mark.parametrize(
    ("fields", "header"),
    [
        (LARGE + PLAIN, Header(2**30, 2**30)),
        (SMALL + PLAIN, Header(64, 32)),
        (SQUARE + PLAIN, Header(1000, 1000)),
        (WIDE + PLAIN, Header(160, 90)),
        ([*SMALL, (0, 1), (0, 1), (0, 1), (1, 2)], Header(64, 32, 10)),
        ([*SMALL, (0, 1), (0, 1), (0, 1), (3, 2), (15, 6)], Header(64, 32, 16)),
        ([*SMALL, (0, 1), (0, 1), (1, 1), (0, 2)], Header(64, 32, 32)),
        (SMALL + FIELDS + FRAMES + [(0, 1), (0, 2)], Header(64, 32, 8, True)),
        (SMALL + FIELDS + [(1, 1)] + SQUARE + FRAMES[1:] + [(0, 1), (2, 2)], Header(64, 32, 12, True)),
        (SMALL + FIELDS + [(0, 1), (1, 1)], Header(64, 32)),
    ],
)
def test_header(fields, header):
    """Bit by bit as the standard has it, bare and in a container."""
    data = stream(*fields)
    assert jxl.read_header(data) == header
    signature = b"\0\0\0\x0cJXL \r\n\x87\n"
    boxed = (len(data) + 8).to_bytes(4, "big") + b"jxlc" + data
    assert jxl.read_header(signature + boxed) == header
    assert jxl.read_header(signature + b"\0\0\0\x01jxlp" + (len(data) + 20).to_bytes(8, "big") + bytes(4) + data) == header
    assert jxl.read_header(signature + b"\0\0\0\0jxlc" + data) == header


def test_any_bytes_end():
    """A box of size 2 must not be a loop without an end."""
    for size in range(9):
        list(jxl.boxes(b"\0\0\0\x0cJXL \r\n\x87\n" + bytes([0, 0, 0, size]) + b"xml abc"))
    for cut in range(8):
        jxl.read_header(stream(*LARGE)[:cut])


def test_a_huge_picture_is_refused_before_its_plugin_sees_it():
    """The plugin decodes when it opens: 29 kB would cost 34 s and 1.8 GB."""
    with pytest.raises(LimitError, match="1073741824 x 1073741824"):
        reading.open_picture(stream(*LARGE, *PLAIN), 2**28)


def test_what_pillow_writes(photo):
    """The header of real files; XMP that the plugin leaves in its box; and a picture that it turned is not turned again."""
    pytest.importorskip("pillow_jxl")
    for size in ((40, 24), (64, 64), (301, 200)):
        buffer = io.BytesIO()
        exif = photo(*size).getexif()
        exif[0x0112] = 6
        photo(*size).save(buffer, "JXL", exif=exif.tobytes(), use_container=True)
        data = buffer.getvalue()
        assert jxl.read_header(data) == Header(*size)
        xmp = b"<x:xmpmeta/>"
        image = reading.open_picture(data + (len(xmp) + 8).to_bytes(4, "big") + b"xml " + xmp, None)
        assert reading.load(image, None, None) == 8
        assert image.info["xmp"] == xmp
        assert image.getexif().get(0x0112, 1) == 1


def test_frames_are_not_dropped_in_silence(photo, monkeypatch):
    """The plugin shows the first frame of an animation as if it were all."""
    pytest.importorskip("pillow_jxl")
    buffer = io.BytesIO()
    photo(16, 16).save(buffer, "JXL")
    image = reading.open_picture(buffer.getvalue(), None)
    monkeypatch.setattr(jxl, "read_header", lambda data: Header(16, 16, 8, True))
    with pytest.raises(PictureError, match="animated"):
        reading.load(image, None, None)
