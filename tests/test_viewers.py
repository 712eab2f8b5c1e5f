"""Programs that others wrote, and that open .aec: each way of docs/viewers.md, with the program itself."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import aecodec
from aecodec import desktop

ROOT = Path(__file__).parents[1]
PLUGINS = ROOT / "libaec" / "plugins"
PROFILE = bytes(16) + b"RGB " + bytes(108)
LIMIT = 120  # seconds


def run(*arguments, **options) -> bytes:
    """Return what a program prints."""
    return subprocess.run([*map(str, arguments)], check=True, capture_output=True, timeout=LIMIT, **options).stdout


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user who has run ``aecodec desktop install``."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert not [step for step in desktop.install() if step.problem and step.done != "update-mime-database"]
    return tmp_path


@pytest.fixture(scope="module")
def loader(tmp_path_factory):
    """The list of gdk-pixbuf's loaders that names ours, built from these sources."""
    programs = [shutil.which(name) for name in ("make", "cc", "pkg-config", "gdk-pixbuf-pixdata", "update-mime-database")]
    if None in programs or subprocess.run(["pkg-config", "gdk-pixbuf-2.0"]).returncode:
        pytest.skip("gdk-pixbuf cannot be built for (Debian: libgdk-pixbuf-2.0-dev shared-mime-info)")
    folder = tmp_path_factory.mktemp("gdk-pixbuf")
    for name in ("Makefile", "libaec"):
        (folder / name).symlink_to(ROOT / name)
    run("make", "-C", folder, "gdk-pixbuf")
    library = run("pkg-config", "--variable=gdk_pixbuf_moduledir", "gdk-pixbuf-2.0").decode().strip()
    query = shutil.which("gdk-pixbuf-query-loaders") or Path(library).parents[1] / "gdk-pixbuf-query-loaders"
    (folder / "loaders.cache").write_bytes(run(query, folder / "build" / "libpixbufloader-aec.so"))
    return folder / "loaders.cache"


def pixels_of(dump: bytes) -> np.ndarray:
    """The samples (h, w, channels) of a GdkPixdata."""
    magic, _, kind, stride, width, height = struct.unpack_from(">4sIIIII", dump)
    assert (magic, kind >> 16 & 15) == (b"GdkP", 1)  # 8 bits
    channels = 4 if kind & 255 == 2 else 3
    rows = np.frombuffer(dump, np.uint8, stride * height, 24).reshape(height, stride)
    return rows[:, : width * channels].reshape(height, width, channels)


@pytest.mark.slow
def test_gdk_pixbuf_shows_the_pixels_of_every_other_decoder(home, loader, photo, monkeypatch):
    """GNOME's viewers would show another picture than everything else."""
    monkeypatch.setenv("GDK_PIXBUF_MODULE_FILE", str(loader))
    for mode, options in [("RGB", {}), ("L", {}), ("RGBA", {}), ("LA", {}), ("RGB", {"lossless": True})]:
        picture = photo(90, 50).convert(mode)
        data = aecodec.encode(picture, **options)
        (home / "in.aec").write_bytes(data)
        run("gdk-pixbuf-pixdata", home / "in.aec", home / "out")
        wanted = aecodec.decode(data).convert("RGBA" if "A" in mode else "RGB")
        assert np.array_equal(pixels_of((home / "out").read_bytes()), np.asarray(wanted))
    (home / "in.aec").write_bytes(data[:-9])
    with pytest.raises(subprocess.CalledProcessError):
        run("gdk-pixbuf-pixdata", home / "in.aec", home / "out")


@pytest.mark.slow
def test_gdk_pixbuf_makes_thumbnails_that_are_turned(home, loader, photo, monkeypatch):
    """A folder of a phone's photographs would lie on its side."""
    monkeypatch.setenv("GDK_PIXBUF_MODULE_FILE", str(loader))
    picture = photo(160, 96)
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.info.update(exif=exif.tobytes(), icc_profile=PROFILE)
    (home / "in.aec").write_bytes(aecodec.encode(picture, 70))
    run("gdk-pixbuf-thumbnailer", "-s", 40, home / "in.aec", home / "out.png")
    with Image.open(home / "out.png") as image:
        assert image.size == (24, 40)
        wanted = picture.transpose(Image.Transpose.ROTATE_270).resize(image.size, Image.Resampling.BOX)
        assert np.abs(np.asarray(image, int) - np.asarray(wanted, int)).mean() < 6


@pytest.mark.slow
def test_imagemagick_opens_it_through_the_command(home, photo, monkeypatch):
    """Scripts that convert pictures would have to know of one more program."""
    program = shutil.which("convert-im6.q16") or shutil.which("magick")
    if program is None:
        pytest.skip("there is no ImageMagick")
    folder = home / ".config" / "ImageMagick"
    folder.mkdir(parents=True)
    shutil.copy(PLUGINS / "delegates.xml", folder)
    script = home / "bin" / "aecodec"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m aecodec "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    data = aecodec.encode(photo(64, 40))
    (home / "in.aec").write_bytes(data)
    assert run(program, home / "in.aec", "-depth", 8, "rgb:-", cwd=home) == aecodec.decode(data).tobytes()


def test_napari_shows_it():
    """A microscopist would have to convert every picture."""
    components = pytest.importorskip("napari.components")
    path = Path(__file__).parent / "conformance" / "rgb-high.aec"
    layer = components.ViewerModel().add_image(aecodec.decode_array(path), rgb=True)
    assert np.array_equal(layer.data, np.asarray(aecodec.decode(path)))
