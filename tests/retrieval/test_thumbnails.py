"""Small pictures from latents."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

import aecodec
from aecodec.retrieval import vectors


@pytest.mark.slow
def test_a_thumbnail_from_latents_looks_like_the_picture(photo):
    """The map would show false colours, or pictures upside down."""
    picture = photo(200, 120)
    data = aecodec.encode(picture, 60)
    small = Image.open(io.BytesIO(vectors.describe(data, thumbnail=25).thumbnail))
    assert small.size == (25, 15)
    error = np.asarray(small, np.float64) - np.asarray(picture.reduce(8), np.float64)
    assert np.sqrt((error**2).mean()) < 12
    assert np.abs(error.mean((0, 1))).max() < 4


@pytest.mark.slow
def test_tiles_are_put_together(photo):
    """The thumbnail of a large photograph would be black but for a corner."""
    picture = photo(1300, 64)
    small = Image.open(io.BytesIO(vectors.describe(aecodec.encode(picture, 60), thumbnail=163).thumbnail))
    error = np.asarray(small, np.float64) - np.asarray(picture.resize((163, 8)), np.float64)
    assert np.sqrt((error**2).mean()) < 15


def test_a_narrow_picture_keeps_a_pixel(photo):
    """A panorama of one line would end the page with an error."""
    found = vectors.describe(photo(300, 1), thumbnail=32)
    assert Image.open(io.BytesIO(found.thumbnail)).size == (32, 1)
