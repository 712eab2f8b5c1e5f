"""Other formats: what comes out, and what is said of the difference."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from PIL import Image, ImageOps

from aecodec.errors import AecodecError
from aecodec.images import writing

ICC = bytes(16) + b"RGB " + bytes(108)
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"


def said(function, *args) -> tuple:
    """What a function returns, and its warnings in one text."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return function(*args), "; ".join(str(w.message) for w in caught)


def decorated(photo, mode: str) -> Image.Image:
    image = photo(20, 10).convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.fromarray(np.arange(200, dtype=np.uint8).reshape(10, 20)))
    exif = Image.Exif()
    exif[0x010F] = "maker"
    exif[0x0112] = 6
    image.info = {"icc_profile": ICC, "exif": exif.tobytes(), "xmp": XMP}
    return image


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "JPEG2000", "TGA", "BMP", "PPM", "GIF"])
def test_what_is_lost_on_the_way_out_is_told_and_nothing_else(photo, kind, mode):
    """Read back what was written: it is in the file, or a warning says that it is not. And all show it upright."""
    Image.init()
    if kind not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {kind}")
    image = decorated(photo, mode)
    data, warned = said(writing.save, image, kind)
    with Image.open(io.BytesIO(data)) as written:
        written.load()
        assert (written.info.get("icc_profile") == ICC) == ("ICC profile" not in warned)
        assert (written.getexif().get(0x010F) == "maker") == ("EXIF" not in warned)
        assert (written.info.get("xmp") == XMP) == ("XMP" not in warned)
        if mode in ("LA", "RGBA"):
            assert written.has_transparency_data == ("transparency" not in warned)
        shown = ImageOps.exif_transpose(written)
    assert shown.size == (10, 20)
    if "transparency" not in warned:
        difference = np.asarray(shown.convert("RGBA"), int) - np.asarray(ImageOps.exif_transpose(image).convert("RGBA"))
        assert np.abs(difference[..., 3]).max() == 0 or kind == "AVIF"
        if kind in ("PNG", "TIFF", "TGA", "BMP", "PPM", "JPEG2000") or (kind == "WEBP" and "A" not in mode):
            assert np.abs(difference[..., :3]).max() == 0


def test_a_picture_that_is_made_smaller_is_told(photo):
    """An icon of 256 pixels was all that was left of a photograph, without a word."""
    assert "this one is 256 x 192" in said(writing.save, photo(400, 300), "ICO")[1]
    assert said(writing.save, photo(64, 64), "ICO")[1] == ""


def test_transparency_is_laid_on_white(photo):
    """A page is white; what was hidden stays hidden, and opaque alpha is no loss to speak of."""
    image = photo(16, 16).convert("RGBA")
    image.putalpha(0)
    data, warned = said(writing.save, image, "JPEG")
    assert "white" in warned
    assert np.asarray(Image.open(io.BytesIO(data))).min() > 250
    image.putalpha(255)
    data, warned = said(writing.save, image, "JPEG")
    assert warned == ""
    assert Image.open(io.BytesIO(data)).mode == "RGB"


def test_metadata_too_large_for_jpeg_costs_no_picture(photo):
    """A JPEG's EXIF ends at 64 kB; that must not be where the picture ends."""
    image = photo(8, 8)
    image.info["xmp"] = b"<x/>" + bytes(70000)
    data, warned = said(writing.save, image, "JPEG")
    assert "XMP" in warned
    assert Image.open(io.BytesIO(data)).size == (8, 8)


def test_what_pillow_cannot_write_is_told(photo):
    """One error, whatever the format."""
    with pytest.raises(AecodecError, match="XBM"):
        writing.save(photo(8, 8), "XBM")


def test_gray_with_a_profile_of_colour_is_written_as_colour(photo):
    """A gray PNG with a profile of RGB is no valid file."""
    image = photo(20, 10, "L")
    image.info["icc_profile"] = ICC
    for kind in ("PNG", "JPEG", "TIFF", "WEBP"):
        written = Image.open(io.BytesIO(writing.save(image, kind)))
        assert written.mode == "RGB"
        assert written.info["icc_profile"] == ICC
