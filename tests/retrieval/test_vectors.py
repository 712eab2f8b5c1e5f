"""The vector of a picture: what it comes from, and what does not move it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

import aecodec
from aecodec.container import bitstream
from aecodec.container.bitstream import Header, Stream
from aecodec.errors import BitstreamError, LimitError, PictureError, WeightsError
from aecodec.retrieval import vectors, whitening


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(image: Image.Image) -> bytes:
    """A picture that is stored on its side, with an EXIF that says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(image.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif.tobytes())


def test_a_file_is_described_without_decoding_a_pixel(file, monkeypatch):
    """The point of it all: an archive would take ten times as long."""
    monkeypatch.setattr(vectors, "open_transforms", None)
    monkeypatch.setattr(vectors.decoder, "decode", None)
    found = vectors.describe(file, thumbnail=48)
    assert (found.width, found.height, found.bytes, found.quality) == (96, 64, len(file), 50.0)
    assert found.from_latents
    assert found.vector.shape == (whitening.LENGTH,)
    assert np.linalg.norm(found.vector) == pytest.approx(1, abs=1e-5)
    assert Image.open(io.BytesIO(found.thumbnail)).size == (48, 32)


@pytest.mark.slow
def test_copies_are_nearer_than_other_pictures(photo):
    """The search would answer with anything."""
    pictures = [photo(192, 128, seed=seed) for seed in range(6)]
    own = np.stack([aecodec.features(picture) for picture in pictures])
    copies = {
        "quality 20": aecodec.encode(pictures[0], 20),
        "quality 80": aecodec.encode(pictures[0], 80),
        "half": saved(pictures[0].resize((96, 64), Image.Resampling.LANCZOS)),
        "gray": saved(pictures[0].convert("L")),
        "JPEG": saved(pictures[0], "JPEG", quality=50),
        "turned": turned(pictures[0]),
        "turned .aec": aecodec.encode(Image.open(io.BytesIO(turned(pictures[0]))), 60),
    }
    for name, copy in copies.items():
        assert (own @ aecodec.features(copy)).argmax() == 0, name


def test_all_kinds_of_sources_are_one_picture(photo, tmp_path):
    """A vector that depends on how a picture is handed over compares with none in an index."""
    picture = photo(96, 64)
    picture.save(tmp_path / "x.png")
    wanted = aecodec.features(picture)
    for source in (np.asarray(picture), tmp_path / "x.png", str(tmp_path / "x.png"), (tmp_path / "x.png").read_bytes()):
        assert np.array_equal(aecodec.features(source), wanted)
    data = aecodec.encode(picture, 60)
    (tmp_path / "x.aec").write_bytes(data)
    assert np.array_equal(aecodec.features(tmp_path / "x.aec"), aecodec.features(memoryview(data)))


@pytest.mark.slow
def test_files_of_other_weights_and_lossless_ones_are_decoded_and_analysed(photo):
    """A vector from latents of other weights would be noise that looks like an answer."""
    picture = photo(96, 64)
    plain = vectors.describe(aecodec.encode(picture, lossless=True))
    assert not plain.from_latents
    assert plain.vector @ aecodec.features(picture) > 0.999
    other = aecodec.encode(picture, 60, weights="photo-psnr")
    found = vectors.describe(other)
    assert (found.from_latents, found.quality, found.bytes) == (False, 60.0, len(other))
    assert found.vector @ aecodec.features(picture) > 0.8
    foreign = bitstream.write(Stream(Header(64, 64, "RGB", "0badcafe", 0), [b""]))
    with pytest.raises(WeightsError, match="0badcafe"):
        aecodec.features(foreign)


def test_large_pictures_are_scaled_down_first(photo, monkeypatch):
    """A photograph of 50 megapixels would take a minute."""
    monkeypatch.setattr(vectors, "LARGEST", 96 * 64)
    seen = []
    monkeypatch.setattr(
        vectors, "statistics_of_picture", lambda image, *_: seen.append(image.size) or np.zeros(8704, np.float32)
    )
    found = vectors.describe(photo(384, 256))
    assert (seen, found.width, found.height) == ([(96, 64)], 384, 256)


def test_the_first_frame_of_an_animation_stands_for_it(photo):
    """One GIF would make a search over a folder end with exit 1."""
    frames = [photo(64, 64, seed=seed) for seed in (0, 1)]
    animation = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert aecodec.features(animation) @ aecodec.features(frames[0]) > aecodec.features(animation) @ aecodec.features(
        frames[1]
    )


def test_faults_are_errors_of_the_library(file, photo):
    """A caller could not skip the bad files of a folder."""
    with pytest.raises(BitstreamError):
        aecodec.features(file[:-1])
    with pytest.raises(PictureError):
        aecodec.features(b"no picture")
    with pytest.raises(LimitError):
        aecodec.features(photo(96, 64), max_pixels=100)
    with pytest.raises(TypeError):
        aecodec.features(3.5)


def test_weights_that_are_gone_are_named(monkeypatch, photo):
    """After a change of the default weights the reason must be in the message."""
    from dataclasses import replace

    other = replace(whitening.installed(), weights="0badcafe" * 8)
    monkeypatch.setattr(whitening, "installed", lambda: other)
    with pytest.raises(WeightsError, match="fitted to weights that are not there"):
        aecodec.features(photo(96, 64))
