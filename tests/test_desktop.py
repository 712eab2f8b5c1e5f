"""What the desktop knows about .aec once it is installed there, asked from the desktop's own programs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from aecodec import desktop

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
    assert ask("file", "--brief", nameless) == "aecodec picture, version 1"
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
    assert not (home / ".magic").exists()


def test_the_thumbnailer_writes_what_its_entry_promises(home, cli):
    """File managers would show no thumbnails."""
    command = desktop.thumbnailer().partition("Exec=")[2].splitlines()[0]
    assert command.endswith("desktop thumbnail --size %s %i %o")
    result = cli("desktop", "thumbnail", "--size", "48", STREAM, "out.png")
    assert result.exit_code == 0, result.stderr
    with Image.open(home / "out.png") as image:
        assert (image.format, image.size) == ("PNG", (48, 32))
