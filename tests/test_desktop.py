"""What the desktop knows about .aec once it is installed there, asked from the desktop's own programs."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

import aecodec
from aecodec import desktop, runtime

STREAM = Path(__file__).parent / "conformance" / "rgb-high.aec"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user with empty folders."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


def ask(*arguments):
    """Return what a program says. Skips where there is none."""
    if not shutil.which(arguments[0]):
        pytest.skip(f"there is no {arguments[0]}")
    return subprocess.run([*map(str, arguments)], capture_output=True, text=True, timeout=60).stdout.strip()


@pytest.fixture
def nameless(home):
    """A stream whose name says nothing about it."""
    return shutil.copy(STREAM, home / "picture")


def test_the_desktop_finds_the_type_by_content_and_by_name(home, nameless, cli):
    """File managers would show a file without an icon, and open it with nothing."""
    if not shutil.which("update-mime-database"):
        pytest.skip("there is no update-mime-database")
    assert cli("desktop", "install").exit_code == 0
    assert ask("xdg-mime", "query", "filetype", nameless) == desktop.MEDIA_TYPE
    (home / "empty.aec").touch()
    (home / "text.aec").write_text("x")
    assert ask("xdg-mime", "query", "filetype", home / "text.aec") == desktop.MEDIA_TYPE
    assert cli("desktop", "uninstall").exit_code == 0
    assert ask("xdg-mime", "query", "filetype", nameless) != desktop.MEDIA_TYPE


def test_the_program_file_knows_it_and_keeps_other_entries(home, nameless):
    """Scripts that ask file would get "data", or a user's own entries would be lost."""
    own = home / ".magic"
    own.write_text("0\tstring\tOWN!\tmy own")
    for _ in range(2):
        steps = list(desktop.install())
    assert sum("magic" in step.done for step in steps) == 1
    assert ask("file", "--brief", nameless) == f"aecodec picture, version {STREAM.read_bytes()[7]}"
    assert ask("file", "--brief", "--mime-type", nameless) == desktop.MEDIA_TYPE
    (home / "mine").write_text("OWN!")
    assert ask("file", "--brief", home / "mine").startswith("my own")
    list(desktop.uninstall())
    assert own.read_text() == "0\tstring\tOWN!\tmy own\n"


def test_a_step_that_fails_is_named_and_the_others_are_done(home, cli, monkeypatch):
    """A user would believe that everything is installed, or get nothing of it."""
    monkeypatch.setenv("PATH", "")
    result = cli("desktop", "install")
    assert result.exit_code == 1
    assert "update-mime-database" in result.stderr
    assert (home / "data" / "thumbnailers" / "aecodec.thumbnailer").is_file()
    (home / "data" / "mime" / "packages" / "aecodec.xml").unlink()
    (home / "data" / "mime" / "packages" / "aecodec.xml").mkdir()
    assert "aecodec.xml" in cli("desktop", "install").stderr


def test_uninstall_leaves_nothing(home, cli):
    """Removed software would leave entries that point to it."""
    cli("desktop", "install")
    cli("desktop", "uninstall")
    left = [path for path in home.rglob("*aecodec*") if path.is_file()]
    assert left == []
    assert not (home / "data" / "aecodec").exists()
    assert not (home / ".magic").exists()


def test_the_thumbnailer_in_python_writes_what_its_entry_promises(home, cli, monkeypatch):
    """File managers would show no thumbnails where there was no compiler."""
    monkeypatch.setattr("os.access", lambda path, mode: False)
    command = desktop.thumbnailer().partition("Exec=")[2].splitlines()[0]
    assert command.endswith("desktop thumbnail --size %s %i %o")
    result = cli("desktop", "thumbnail", "--size", "48", STREAM, "out.png")
    assert result.exit_code == 0, result.stderr
    with Image.open(home / "out.png") as image:
        assert (image.format, image.size) == ("PNG", (48, 32))


@pytest.fixture
def thumbnail(home):
    """thumbnail(data, size) is what the program in C makes of a file, as file managers run it."""
    if not Path(runtime.__file__).with_name("aecthumb").is_file():
        pytest.skip("aecthumb was not built")
    command = shlex.split(desktop.thumbnailer().partition("Exec=")[2].splitlines()[0])

    def make(data: bytes, size: int) -> Image.Image:
        (home / "in.aec").write_bytes(data)
        values = {"%s": str(size), "%i": str(home / "in.aec"), "%o": str(home / "out.png")}
        subprocess.run([values.get(word, word) for word in command], check=True, timeout=60)
        with Image.open(home / "out.png") as image:
            image.load()
            return image

    return make


def near(image: Image.Image, picture: Image.Image) -> bool:
    """Whether a thumbnail looks like its picture."""
    wanted = ImageOps.exif_transpose(picture).resize(image.size, Image.Resampling.BOX)
    difference = np.asarray(image.convert("RGBA"), int) - np.asarray(wanted.convert("RGBA"), int)
    return bool(np.abs(difference).mean() < 4)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA"])
@pytest.mark.parametrize("lossless", [False, True])
def test_the_thumbnailer_in_c_shows_the_picture(thumbnail, photo, mode, lossless):
    """File managers would show a wrong picture, or none."""
    picture = photo(180, 130).convert(mode)
    if "A" in mode:
        picture.putalpha(photo(180, 130, "L", 4))
    data = aecodec.encode(picture, lossless=True) if lossless else aecodec.encode(picture, 80)
    for size in (90, 60, 20, 256):
        image = thumbnail(data, size)
        assert (image.format, image.mode) == ("PNG", mode)
        assert image.size == ((180, 130) if size == 256 else (size, round(size * 130 / 180)))
        assert near(image, picture)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_thumbnailer_in_c_turns_pictures(thumbnail, photo, orientation):
    """Half of a phone's photographs would lie on their side."""
    picture = photo(120, 70)
    exif = picture.getexif()
    exif[0x0112], exif[0x010E] = orientation, "x" * 200
    picture.info["exif"] = exif.tobytes()
    image = thumbnail(aecodec.encode(picture, 80), 60)
    assert image.size == ((60, 35) if orientation < 5 else (35, 60))
    assert near(image, picture)


def test_the_thumbnailer_in_c_keeps_what_colours_mean(thumbnail, photo):
    """Thumbnails of wide colours would be pale."""
    picture = photo(64, 64)
    picture.info["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert thumbnail(aecodec.encode(picture, 60), 32).info["icc_profile"] == picture.info["icc_profile"]


def test_the_thumbnailer_in_c_refuses_what_is_damaged(thumbnail, home):
    """A file manager would show half a picture, or keep a file that is none."""
    with pytest.raises(subprocess.CalledProcessError):
        thumbnail(STREAM.read_bytes()[:-1], 64)
    assert not (home / "out.png").exists()
