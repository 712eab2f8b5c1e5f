"""The library as it is imported: what its functions take, and what they say of anything else."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import aecodec
from aecodec import weights
from aecodec.errors import AecodecError, LimitError, PictureError, WeightsError


def test_everything_that_is_promised_is_there():
    """A name in __all__ that fails is a broken ``from aecodec import *``."""
    assert all(getattr(aecodec, name) is not None for name in aecodec.__all__)
    with pytest.raises(AttributeError, match="no-such"):
        getattr(aecodec, "no-such")


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_an_array_is_the_picture_that_it_holds(photo, mode):
    """Half of all Python programs have pictures as arrays."""
    picture = photo(24, 16).convert(mode)
    assert aecodec.encode(np.asarray(picture), 40) == aecodec.encode(picture, 40)
    if mode == "L":
        assert aecodec.encode(np.asarray(picture)[..., None], 40) == aecodec.encode(picture, 40)


@pytest.mark.parametrize(
    "array",
    [np.zeros((8, 8, 3), np.float32), np.zeros((8, 8, 5), np.uint8), np.zeros((3, 8), bool), np.zeros((0, 8), np.uint8),
     np.zeros(8, np.uint8), np.zeros((), np.uint8), np.zeros((2, 8, 8, 3), np.uint8)],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)  # fmt: skip
def test_another_array_is_refused_with_what_is_wanted(array):
    """Floats in 0..1 would be stored as black, and channels in front as a strip."""
    with pytest.raises(PictureError, match="must be uint8"):
        aecodec.encode(array)


def test_paths_are_opened(photo, tmp_path):
    """The shortest program that encodes a file must be one line."""
    photo(24, 16).save(tmp_path / "x.png")
    data = aecodec.encode(tmp_path / "x.png", 40)
    assert data == aecodec.encode(str(tmp_path / "x.png"), 40) == aecodec.encode(photo(24, 16), 40)
    (tmp_path / "x.aec").write_bytes(data)
    assert aecodec.info(tmp_path / "x.aec") == aecodec.info(bytearray(data))
    assert np.array_equal(np.asarray(aecodec.decode(tmp_path / "x.aec")), np.asarray(aecodec.decode(memoryview(data))))
    with pytest.raises(FileNotFoundError):
        aecodec.encode("no-such.png")
    with pytest.raises(LimitError):
        aecodec.encode(tmp_path / "x.png", max_pixels=24 * 16 - 1)


@pytest.mark.parametrize("wrong", [b"bytes", None, [[1]], io.BytesIO()], ids=lambda wrong: type(wrong).__name__)
def test_other_things_are_no_pictures(wrong):
    """An AttributeError from inside says nothing of what was wanted."""
    with pytest.raises(TypeError, match="Pillow image, a NumPy array or a path"):
        aecodec.encode(wrong)


def test_other_things_are_no_files():
    """A picture given to decode must not end in a traceback from a parser."""
    with pytest.raises(TypeError, match="bytes or a path"):
        aecodec.decode(Image.new("RGB", (2, 2)))


def test_strip_and_the_limit_are_those_of_the_command(photo):
    """Who publishes pictures must be able to leave out where they were taken."""
    picture = photo(24, 16)
    exif = picture.getexif()
    exif[0x010F], exif[0x0112] = "maker", 6
    picture.info["exif"] = exif.tobytes()
    kept, stripped = aecodec.encode(picture, 40), aecodec.encode(picture, 40, strip=True)
    assert "exif" in aecodec.decode(kept).info
    assert "exif" not in aecodec.decode(stripped).info
    assert aecodec.decode(stripped).size == (16, 24)
    with pytest.raises(LimitError):
        aecodec.encode(picture, max_pixels=24 * 16 - 1)


def test_weights_are_a_name_a_path_or_open(photo, tiny):
    """A program that encodes a thousand pictures opens its weights once, and paths come as pathlib gives them."""
    folder = Path(tiny[1])
    files = {aecodec.encode(photo(24, 16), 40, weights=given) for given in (folder, str(folder), weights.load(folder))}
    assert len(files) == 1
    (data,) = files
    pictures = [aecodec.decode(data, weights=given) for given in (folder, str(folder), weights.load(folder))]
    assert len({picture.tobytes() for picture in pictures}) == 1
    with pytest.raises(WeightsError, match="needs the weights"):
        aecodec.decode(data, weights=weights.load())


def test_a_restored_picture_is_not_compared_with_the_given_one(photo):
    """The quality that is nearest to a noisy picture is the one that keeps its noise."""
    for other in ({"target": aecodec.Psnr(30)}, {"lossless": True}):
        with pytest.raises(ValueError, match="restored"):
            aecodec.encode(photo(24, 16), restore="denoise", **other)


@pytest.mark.slow
def test_restoring_weights_may_be_open_and_masks_arrays(photo, tiny, restorer):
    """They are the slowest to open."""
    picture = photo(24, 16)
    opened, model = weights.load_restorer(restorer), weights.load(tiny[1])
    given = aecodec.denoise(picture, weights=Path(restorer), decoder=tiny[1])
    assert aecodec.denoise(np.asarray(picture), weights=opened, decoder=model).tobytes() == given.tobytes()
    missing = np.zeros((16, 24), bool)
    missing[4:9, 5:15] = True
    by_array = aecodec.inpaint(picture, missing, method="classical")
    assert by_array.tobytes() == aecodec.inpaint(picture, Image.fromarray(missing), method="classical").tobytes()
    with pytest.raises(AecodecError, match="not a network that restores"):
        aecodec.denoise(picture, weights=tiny[1])
