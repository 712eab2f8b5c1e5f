"""EXIF, XMP and ICC of pictures, and what is said of the rest."""

from __future__ import annotations

import warnings

import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from aecodec.container import metadata
from aecodec.container.bitstream import ALPHA, EXIF, ICC, XMP, Header

HEADER = Header(20, 10, "L", "00000000", 0)


def exif_of(orientation: object, endian: str = ">") -> bytes:
    exif = Image.Exif()
    exif.endian = endian
    exif[0x010F] = "maker"
    exif[0x0112] = orientation
    return exif.tobytes()


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("orientation", [0, 1, 2, 5, 6, 8, 9])
def test_orientation_is_read_as_pillow_reads_it(photo, orientation, endian):
    """``info`` must give the size that a viewer shows, and does so without Pillow."""
    exif = exif_of(orientation, endian)
    image = photo(20, 10)
    image.info["exif"] = exif
    assert metadata.orientation(exif) == (orientation if 1 <= orientation <= 8 else 1)
    shown = metadata.shown(HEADER, {EXIF: exif})
    assert (shown.width, shown.height) == ImageOps.exif_transpose(image).size


@pytest.mark.parametrize("cut", range(len(exif_of(6))))
def test_damaged_exif_has_no_orientation(cut):
    """``info`` is for looking into files that are broken."""
    assert metadata.orientation(exif_of(6)[:cut]) in (1, 6)
    assert metadata.orientation(b"\xff" * cut) == 1


def test_alpha_is_in_the_shown_mode():
    """Whoever asks for the mode wants to know what decoding gives."""
    assert metadata.shown(HEADER, {ALPHA: b""}).mode == "LA"
    assert metadata.shown(HEADER, {}) == HEADER


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_metadata_of_every_format_is_found(photo, reopened, kind):
    """A profile or a date that is lost on the way in is lost for good."""
    if kind not in Image.SAVE and (Image.init() or kind not in Image.SAVE):
        pytest.skip(f"this Pillow writes no {kind}")
    exif = Image.Exif()
    exif[0x010F] = "maker"
    values = {"exif": exif, "icc_profile": bytes(16) + b"RGB " + bytes(108), "xmp": b"<x:xmpmeta/>"}
    if kind == "PNG":
        values["pnginfo"] = PngInfo()
        values["pnginfo"].add_itxt("XML:com.adobe.xmp", values.pop("xmp").decode())
    elif kind == "TIFF":
        exif[700] = values.pop("xmp")
    source = reopened(photo(20, 10), kind, **values)
    source.load()
    chunks = metadata.read(source, strip=False)
    assert chunks[ICC] == values["icc_profile"]
    assert chunks[XMP] == b"<x:xmpmeta/>"
    found = Image.Exif()
    found.load(chunks[EXIF])
    assert dict(found) == {0x010F: "maker"}
    assert list(metadata.read(source, strip=True)) == [ICC]


@pytest.mark.parametrize(
    ("info", "message"),
    [({"comment": b"for Ada"}, "comments"), ({"gamma": 1.0}, "a gamma of 1"), ({"gamma": 0.45455}, None),
     ({"gamma": 1.0, "srgb": 0}, None), ({"dpi": (72, 72)}, None)],
)  # fmt: skip
def test_what_has_no_chunk_is_told(photo, info, message):
    """Never a silent loss, and no warning where nothing is lost."""
    image = photo(8, 8)
    image.info.update(info)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        metadata.read(image, strip=False)
    assert [str(w.message) for w in caught] == ([f"not kept: {message}"] if message else [])


def test_texts_of_a_png_are_told(photo, reopened):
    """A caption in a PNG is a caption."""
    texts = PngInfo()
    texts.add_text("Description", "my house")
    image = reopened(photo(8, 8), pnginfo=texts)
    image.load()
    with pytest.warns(UserWarning, match="comments"):
        metadata.read(image, strip=False)
    metadata.read(image, strip=True)


def test_upright_turns_and_says_so():
    """Turned twice is turned wrongly."""
    image = Image.new("L", (20, 10))
    image.info["exif"] = exif_of(6)
    turned = metadata.upright(image)
    assert turned.size == (10, 20)
    assert metadata.orientation(turned.info["exif"]) == 1
    image.info["exif"] = b"Exif\0\0XX*\0rubbish"
    assert metadata.upright(image).size == (20, 10)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP"])
def test_the_resolution_of_a_scan_is_kept(photo, reopened, kind):
    """A page that was scanned at 300 dots an inch is printed at its size because of that number."""
    source = reopened(photo(20, 10), kind, dpi=(300, 150))
    source.load()
    exif = Image.Exif()
    exif.load(metadata.read(source, strip=False)[EXIF])
    assert (float(exif[282]), float(exif[283]), exif[296]) == (pytest.approx(300, abs=0.1), pytest.approx(150, abs=0.1), 2)
    plain = reopened(photo(20, 10), "PNG", dpi=(72, 72))
    plain.load()
    assert EXIF not in metadata.read(plain, strip=False)
