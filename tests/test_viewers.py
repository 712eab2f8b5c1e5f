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
from PIL import Image, ImageCms, ImageOps

import aecodec
from aecodec import desktop

ROOT = Path(__file__).parents[1]
PLUGINS = ROOT / "libaec" / "plugins"
STREAMS = ROOT / "tests" / "conformance"
PROFILE = bytes(16) + b"RGB " + bytes(108)
LIMIT = 280  # seconds


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
def build(tmp_path_factory):
    """A folder in which the plugins are built from these sources; build(target, library, programs) builds one."""
    folder = tmp_path_factory.mktemp("plugins")
    for name in ("Makefile", "libaec"):
        (folder / name).symlink_to(ROOT / name)

    def make(target: str, library: str, *programs: str) -> Path:
        found = [shutil.which(name) for name in ("make", "cc", "c++", "pkg-config", *programs)]
        if None in found or subprocess.run(["pkg-config", library]).returncode:
            pytest.skip(f"there is no {library} to build with, or none of {' '.join(programs)}; docs/viewers.md")
        run("make", "-C", folder, target)
        return folder

    return make


@pytest.fixture(scope="module")
def loader(build):
    """The list of gdk-pixbuf's loaders that names ours."""
    folder = build("gdk-pixbuf", "gdk-pixbuf-2.0", "gdk-pixbuf-pixdata", "update-mime-database")
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
def test_gdk_pixbuf_survives_damaged_files(home, loader, monkeypatch):
    """A file manager that opens a folder with a damaged file would crash, or warn its log full."""
    monkeypatch.setenv("GDK_PIXBUF_MODULE_FILE", str(loader))
    flags = run("pkg-config", "--cflags", "--libs", "gdk-pixbuf-2.0").decode().split()
    sources = [ROOT / "fuzz" / "pixbuf.c", ROOT / "libaec" / "src" / "checksum.c"]
    includes = [f"-I{ROOT / 'libaec' / name}" for name in ("include", "src")]
    run("cc", "-std=c11", *includes, *sources, "-o", home / "damage", *flags)
    streams = [STREAMS / f"{name}.aec" for name in ("rgb-low", "page", "page-without-loss", "deep-alpha")]
    assert run(home / "damage", 40, *streams).count(b"of 40 damaged files shown") == len(streams)


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


READER = """
#include <QImage>
#include <QImageReader>

int main(int, char **arguments)
{
    QImageReader reader(arguments[1]);
    QSize size = reader.size() / atoi(arguments[3]);
    if (!reader.canRead())
        return 2;
    reader.setScaledSize(size);
    reader.setAutoTransform(true);
    QImage image = reader.read();
    return image.isNull() || !image.save(arguments[2], "png");
}
"""


@pytest.fixture(scope="module")
def reader(build):
    """A program with Qt, and the plugins that it finds: reader(in, out, scale) converts to PNG."""
    folder = build("qt", "Qt5Gui")
    (folder / "imageformats").mkdir()
    shutil.copy(folder / "build" / "libqaec.so", folder / "imageformats")
    (folder / "reader.cpp").write_text(READER)
    flags = run("pkg-config", "--cflags", "--libs", "Qt5Gui").decode().split()
    run("c++", "-std=c++17", "-fPIC", folder / "reader.cpp", "-o", folder / "reader", *flags)
    return lambda source, target, scale=1: run(
        folder / "reader", source, target, scale, env={**os.environ, "QT_PLUGIN_PATH": str(folder)}
    )


@pytest.mark.slow
def test_qt_shows_the_pixels_of_every_other_decoder(home, reader, photo):
    """KDE's viewers would show another picture than everything else, or crash at a damaged one."""
    for mode, options in [("RGB", {}), ("L", {}), ("RGBA", {}), ("LA", {}), ("RGB", {"lossless": True})]:
        data = aecodec.encode(photo(90, 50).convert(mode), **options)
        (home / "in.aec").write_bytes(data)
        reader(home / "in.aec", home / "out.png")
        with Image.open(home / "out.png") as image:
            wanted = aecodec.decode(data)
            assert np.array_equal(image.convert("RGBA"), wanted.convert("RGBA"))
    for damaged in (data[:-9], data[:40], data[:7], data[:60] + bytes(9) + data[69:]):
        (home / "in.aec").write_bytes(damaged)
        with pytest.raises(subprocess.CalledProcessError) as caught:
            reader(home / "in.aec", home / "out.png")
        assert caught.value.returncode in (1, 2)  # refused; a crash is negative


@pytest.mark.slow
@pytest.mark.parametrize("orientation", range(1, 9))
def test_qt_shows_smaller_pictures_and_turns_them(home, reader, photo, orientation):
    """A folder of a phone's photographs would lie on its side."""
    picture = photo(160, 96)
    exif = picture.getexif()
    exif[0x0112] = orientation
    picture.info["exif"] = exif.tobytes()
    data = aecodec.encode(picture, 70)
    (home / "in.aec").write_bytes(data)
    reader(home / "in.aec", home / "out.png", 4)
    with Image.open(home / "out.png") as image:
        assert np.array_equal(image, ImageOps.exif_transpose(aecodec.decode(data, scale=4)))


@pytest.mark.slow
def test_gimp_opens_it_with_its_depth_and_turned(home, build, photo, monkeypatch):
    """Who retouches a picture would have to convert it, and lose depth or alpha, or see it on its side."""
    folder = build("gimp", "gimpui-2.0", "gimp")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    plugins = home / "config" / "GIMP" / "2.10" / "plug-ins" / "file-aec"
    plugins.mkdir(parents=True)
    shutil.copy(folder / "build" / "file-aec", plugins)
    picture = photo(60, 40)
    exif = picture.getexif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    picture.info.update(exif=exif.tobytes(), icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (home / "turned.aec").write_bytes(aecodec.encode(picture))
    commands = ""
    for name, target in (
        ("gray", "gray.png"),
        ("page-without-loss", "page.png"),
        ("deep-alpha", "alpha.png"),
        ("deep", "deep.ppm"),
        (home / "turned", "turned.tif"),
    ):
        load = f'(car (gimp-file-load RUN-NONINTERACTIVE "{STREAMS / name}.aec" ""))'
        save = f'(gimp-file-save RUN-NONINTERACTIVE it (car (gimp-image-get-active-drawable it)) "{home / target}" "")'
        commands += f"(let ((it {load})) {save})"
    run("gimp", "-i", "-d", "-f", "-b", f"(begin {commands})", "-b", "(gimp-quit 1)")
    for name in ("gray", "page"):
        with Image.open(home / f"{name}.png") as image:
            wanted = aecodec.decode_array(STREAMS / f"{name}.aec".replace("page", "page-without-loss"))
            assert np.array_equal(np.asarray(image).reshape(wanted.shape), wanted)
    with Image.open(home / "alpha.png") as image:  # Pillow shows the upper halves of 16 bits
        wanted = aecodec.decode_array(STREAMS / "deep-alpha.aec", 16) >> 8
        assert np.array_equal(image, np.where(wanted[..., 3:] > 0, wanted, 0))  # GIMP drops what nobody sees
    wanted = aecodec.decode_array(STREAMS / "deep.aec", 16)
    with Image.open(home / "turned.tif") as image:
        assert np.array_equal(image, ImageOps.exif_transpose(aecodec.decode(home / "turned.aec")))
        assert image.getexif()[0x010F] == "Maker"
        assert image.info["icc_profile"] == picture.info["icc_profile"]
    numbers = (home / "deep.ppm").read_text().split("\n", 2)[2].split()  # behind "P3" and a comment
    assert np.array_equal(np.array(numbers[3:], int).reshape(wanted.shape), wanted)


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
    path = STREAMS / "rgb-high.aec"
    layer = components.ViewerModel().add_image(aecodec.decode_array(path), rgb=True)
    assert np.array_equal(layer.data, np.asarray(aecodec.decode(path)))
