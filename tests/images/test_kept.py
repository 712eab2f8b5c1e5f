"""Metadata from file to file: bytes that come out as they went in, whatever the formats, or a word about what does not."""

from __future__ import annotations

import io
import struct
import warnings

import numpy as np
import pytest
from PIL import Image

import aecodec
import aecodec.pillow
from aecodec.container import metadata
from aecodec.container.bitstream import EXIF
from aecodec.images import formats, tiff

ARTIST = "Jürgen Müller, 写真".encode() + b"\0"


def camera_exif(order: str = "<") -> bytes:
    """EXIF as a camera writes it: maker's notes whose places count from the TIFF header, and a thumbnail behind a gap."""

    def directory(at: int, entries: list[tuple[int, int, int, bytes]], following: int = 0) -> None:
        table = struct.pack(f"{order}H", len(entries))
        for tag, kind, count, value in entries:
            table += struct.pack(f"{order}HHI", tag, kind, count) + value
        block[at : at + len(table) + 4] = table + struct.pack(f"{order}I", following)

    def place(value: int) -> bytes:
        return struct.pack(f"{order}I", value)

    def short(value: int) -> bytes:
        return struct.pack(f"{order}H", value) + b"\0\0"

    thumbnail = io.BytesIO()
    Image.new("RGB", (16, 12), "red").save(thumbnail, "JPEG")
    block = bytearray(700 + len(thumbnail.getvalue()))
    block[:8] = (b"II*\0" if order == "<" else b"MM\0*") + place(8)
    block[200 : 200 + len(ARTIST)] = ARTIST
    block[240:246] = b"Canon\0"
    directory(8, [(0x10F, 2, 6, place(240)), (0x112, 3, 1, short(6)), (0x13B, 2, len(ARTIST), place(200)),
                  (0x8769, 4, 1, place(300))], 600)  # fmt: skip
    directory(300, [(0x927C, 7, 60, place(400))])
    directory(400, [(6, 2, 24, place(436))])
    block[436:460] = b"IMG:EOS 20D JPEG".ljust(24, b"\0")
    directory(600, [(0x103, 3, 1, short(6)), (0x201, 4, 1, place(700)), (0x202, 4, 1, place(len(block) - 700))])
    block[700:] = thumbnail.getvalue()
    return b"Exif\0\0" + bytes(block)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunks_of(data: bytes, strip: bool = False) -> dict[bytes, bytes]:
    """What an encoder would keep of a file."""
    image = formats.open_picture(data, None)
    formats.load(image, None, None)
    return metadata.read(image, strip)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_is_kept_byte_for_byte(photo, kind, order):
    """A photographer's name, makers' notes and the thumbnail: a writer that sorts them anew breaks them."""
    exif = camera_exif(order)
    assert chunks_of(saved(photo(20, 10), kind, exif=exif))[EXIF] == exif


def test_exif_passes_through_an_encoded_file(photo, reopened):
    """The whole way, as a library user goes it."""
    exif = camera_exif()
    decoded = aecodec.decode(aecodec.encode(reopened(photo(20, 10), "JPEG", exif=exif)))
    assert decoded.info["exif"] == exif
    again = io.BytesIO()
    decoded.save(again, "AEC")
    assert Image.open(again).info["exif"] == exif


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_leaves_byte_for_byte(photo, kind):
    """On the way out, too."""
    image = photo(20, 10)
    image.info["exif"] = exif = camera_exif()
    written = Image.open(io.BytesIO(formats.save(image, kind))).info["exif"]
    assert written.removeprefix(b"Exif\0\0") == exif.removeprefix(b"Exif\0\0")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_a_tiff_keeps_exif_where_it_was(photo, mode, order):
    """A TIFF's own directory takes over EXIF's; makers' notes count from the file's first byte and must not move."""
    image = photo(300, 400).convert(mode)
    exif = camera_exif(order)
    image.info.update(exif=exif, icc_profile=b"profile", xmp=b"<xmp/>")
    data = formats.save(image, "TIFF")
    assert data[8 : len(exif) - 6] == exif[14:]
    written = Image.open(io.BytesIO(data))
    found = {tag: entry.value for tag, entry in next(tiff.Tiff(data).pages()).items()}
    assert found[0x13B] == ARTIST
    assert written.getexif()[0x112] == 6
    assert (written.info["icc_profile"], written.info["xmp"]) == (b"profile", b"<xmp/>")
    written.load()  # turns it
    assert np.array_equal(np.asarray(written), np.asarray(image.transpose(Image.Transpose.ROTATE_270)))


def test_an_avif_keeps_exif_but_for_the_orientation(photo):
    """Which an AVIF has in a place of its own."""
    Image.init()
    if "AVIF" not in Image.SAVE:
        pytest.skip("this Pillow writes no AVIF")
    image = photo(20, 10)
    image.info["exif"] = exif = camera_exif()
    assert metadata.with_orientation(exif, 1).removeprefix(b"Exif\0\0") in formats.save(image, "AVIF")


def test_every_tag_of_a_tiff_becomes_exif(photo):
    """A TIFF has no EXIF block: one is made, with the bytes of every tag that does not say how the pixels lie."""
    exif = camera_exif()
    block = tiff.Tiff(exif[6:])
    private = tiff.Entry(65000, 7, 5, b"\0\1\2\3\4")
    source = photo(20, 10)
    entries = [tiff.with_children(block, entry) for entry in next(block.pages()).values()]
    made = b"Exif\0\0II*\0\x08\0\0\0" + tiff.serialise([*entries, private], "<", 8)
    data = tiff.write(np.asarray(source), exif=made)
    found = tiff.Tiff(chunks_of(data)[EXIF][6:])
    page = next(found.pages())
    assert {tag: entry.value for tag, entry in page.items() if tag != 0x8769} == {
        0x10F: b"Canon\0", 0x13B: ARTIST, 65000: b"\0\1\2\3\4"
    }  # without the orientation, which is spent  # fmt: skip
    notes = found.directory(int(page[0x8769].numbers("<")[0]))[0][0x927C]
    assert notes.value == exif[6 + 400 : 6 + 460]


def test_exif_that_a_program_changed_is_the_changed_one(photo, reopened):
    """Whoever deletes the place from a picture must not find it again in the file."""
    image = reopened(photo(20, 10), "JPEG", exif=camera_exif())
    exif = image.getexif()
    assert metadata.exif_of(image) == camera_exif()
    del exif[0x13B]
    exif.get_ifd(0x8825)[1] = "N"
    kept = Image.Exif()
    kept.load(metadata.exif_of(image))
    assert 0x13B not in kept
    assert kept[0x10F] == "Canon"
    assert kept.get_ifd(0x8825)[1] == "N"


def test_text_that_a_program_adds_is_utf_8(photo):
    """Pillow writes "?" for it."""
    image = photo(20, 10)
    image.getexif()[0x13B] = "Jürgen 写真"
    assert "Jürgen 写真".encode() in metadata.exif_of(image)


def test_exif_of_imagemagick_is_kept(photo, reopened):
    """Its PNGs have EXIF as hexadecimal text."""
    from PIL.PngImagePlugin import PngInfo

    exif = camera_exif()
    texts = PngInfo()
    texts.add_text("Raw profile type exif", f"\nexif\n{len(exif):8}\n{exif.hex()}", zip=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert chunks_of(saved(photo(20, 10), "PNG", pnginfo=texts))[EXIF] == exif


@pytest.mark.parametrize("block", [b"Exif\0\0hello", b"Exif\0\0", b"hello"])
def test_exif_that_is_none_is_told(photo, block):
    """And costs no picture."""
    image = photo(20, 10)
    image.info["exif"] = block
    with pytest.warns(UserWarning, match="damaged"):
        assert EXIF not in metadata.read(image, strip=False)


def test_strip_drops_it(photo):
    """The one who asks for it does not want the name in the file."""
    assert EXIF not in chunks_of(saved(photo(20, 10), "JPEG", exif=camera_exif()), strip=True)
