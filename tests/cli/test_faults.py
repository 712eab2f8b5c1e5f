"""What breaks around the program: no half files, no lost originals, the right exit code, one line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aecodec.container import bitstream

AECODEC = [sys.executable, "-m", "aecodec"]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="signals and mounts of POSIX")]


@pytest.fixture
def folder(tmp_path, photo, file):
    """a.png, a.aec, an earlier old.aec, photos/ with 60 pictures and out/, of which one is taken already."""
    photo(48, 32).save(tmp_path / "a.png")
    (tmp_path / "a.aec").write_bytes(file)
    (tmp_path / "old.aec").write_bytes(b"precious")
    (tmp_path / "photos").mkdir()
    for i in range(60):
        shutil.copy(tmp_path / "a.png", tmp_path / "photos" / f"{i:02}.png")
    (tmp_path / "out").mkdir()
    return tmp_path


@pytest.fixture
def small_disk(tmp_path):
    """mount(options) gives a folder that is a file system of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str = "size=64k") -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting a small file system is not permitted here")
        return folder

    yield mount
    if os.path.ismount(folder):
        subprocess.run(["umount", folder], check=True)


def run(*args: object, cwd: Path, **options) -> subprocess.CompletedProcess:
    return subprocess.run([*AECODEC, *map(str, args)], cwd=cwd, stderr=subprocess.PIPE, text=True, timeout=200, **options)


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def assert_all_whole(folder: Path) -> int:
    """Every file is a whole stream and none is a temporary one; how many."""
    for path in folder.iterdir():
        assert path.suffix == ".aec"
        bitstream.read(path.read_bytes())
    return len(files_in(folder))


def test_a_full_disk_keeps_the_old_file(folder, small_disk):
    """The new picture does not fit: the old one must still be there, and whole."""
    disk = small_disk()
    (disk / "old.png").write_bytes(b"precious")
    (disk / "ballast").write_bytes(bytes(56_000))  # one page is left, and the picture takes more
    result = run("decode", "-f", "a.aec", "disk/old.png", cwd=folder)
    assert result.returncode == 1
    assert result.stderr == "aecodec: a.aec: cannot write disk/old.png: no space left on device\n"
    assert files_in(disk) == ["ballast", "old.png"]
    assert (disk / "old.png").read_bytes() == b"precious"


def test_a_disk_that_fills_up_keeps_what_was_written(folder, small_disk):
    """Each output that fits is whole, and each other one is reported in one line."""
    disk = small_disk("size=64k,nr_inodes=1000")
    result = run("encode", "-j", 1, "-q", 100, "--output-dir", "disk", "photos", cwd=folder)
    assert result.returncode == 1
    whole = assert_all_whole(disk)
    assert 0 < whole < 60
    *lines, summary = result.stderr.splitlines()
    assert len(lines) == 60 - whole
    assert summary.startswith(f"aecodec: {whole} encoded, {60 - whole} failed")


def test_a_limit_of_file_size_keeps_the_old_file(folder):
    """As a full disk, where nobody may mount one; also what a quota does."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))\n"
    limited = limit + "from aecodec.cli.main import main; main()"
    command = [sys.executable, "-c", limited, "encode", "-f", "-q", "100", "a.png", "old.aec"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr == "aecodec: a.png: cannot write old.aec: file too large\n"
    assert (folder / "old.aec").read_bytes() == b"precious"
    assert files_in(folder) == ["a.aec", "a.png", "old.aec", "out", "photos"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_standard_output(folder):
    """A pipe into a full disk must not look like a success."""
    with open("/dev/full", "wb") as full:
        result = run("encode", "a.png", "-", cwd=folder, stdout=full)
    assert result.returncode == 1
    assert result.stderr == "aecodec: a.png: no space left on device\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("args", [("info", "a.aec"), ("--help",), ("encode", "--json", "a.png", "b.aec")])
def test_a_report_to_a_full_disk(folder, args):
    """A script would take a traceback, or a success, for the facts of its files."""
    with open("/dev/full", "wb") as full:
        result = run(*args, cwd=folder, stdout=full)
    assert result.returncode == 1
    assert result.stderr == "aecodec: cannot write to standard output: no space left on device\n"


@pytest.mark.parametrize("where", ["mode", "mount"])
def test_a_read_only_folder(folder, small_disk, where):
    """Told in one line; nothing is left behind."""
    if where == "mount":
        small_disk("size=64k,ro")
    elif os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    else:
        (folder / "disk").chmod(0o555)
    result = run("encode", "a.png", "disk/a.aec", cwd=folder)
    assert result.returncode == 1
    assert result.stderr.startswith("aecodec: a.png: cannot write disk/a.aec: ")
    assert result.stderr.count("\n") == 1
    assert files_in(folder / "disk") == []


@pytest.mark.parametrize("force", [[], ["--force"], ["--update"]])
@pytest.mark.parametrize("name", ["a.png", "link.png", "hard.png", "photos/../a.png"])
def test_the_output_is_the_input(fails, folder, name, force):
    """The original would be gone for a smaller, lossy copy; no option may do that, under no name."""
    before = (folder / "a.png").read_bytes()
    (folder / "link.png").symlink_to(folder / "a.png")
    os.link(folder / "a.png", folder / "hard.png")
    fails(1, "encode", *force, "a.png", name)
    assert (folder / "a.png").read_bytes() == before


def test_a_file_replaced_through_a_link_is_not_the_input(cli, folder):
    """The opposite: a link to something else is followed, and that is replaced like any file."""
    (folder / "link.aec").symlink_to(folder / "old.aec")
    assert cli("encode", "-f", "a.png", "link.aec").exit_code == 0
    assert (folder / "old.aec").read_bytes() != b"precious"
    assert (folder / "link.aec").is_symlink()


def test_a_reader_that_goes_away(folder):
    """``| head`` ends a pipe on purpose: no traceback, no hang."""
    command = f"{sys.executable} -m aecodec decode a.aec - | head -c 9 > /dev/null; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=200)
    assert result.stderr == ""
    assert result.returncode in (0, 1)  # 0 where the picture had passed before head closed the pipe
    command = f"{sys.executable} -m aecodec info {'a.aec ' * 5000} | head -1; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=200)
    assert result.stderr == ""
    assert result.returncode == 1
    assert result.stdout.startswith("a.aec: 96 x 64 RGB")


def interrupt(folder: Path, number: int, threads: str, everyone: bool = False) -> tuple[int, str]:
    """Encodes photos/ and sends a signal once the first output is there; exit code and standard error.

    Orphaned workers end after the picture that they have; they hold the pipe until then, so nothing is written after it.
    """
    command = [*AECODEC, "encode", "-j", threads, "--output-dir", "out", "photos"]
    running = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, start_new_session=True,
                               preexec_fn=_hear)  # noqa: PLW1509  the tests that call this have one thread  # fmt: skip
    while not any(path.suffix == ".aec" for path in (folder / "out").iterdir()):
        time.sleep(0.002)
        assert running.poll() is None
    if everyone:  # as a terminal does
        os.killpg(running.pid, number)
    else:
        running.send_signal(number)
    _, error = running.communicate(timeout=200)
    return running.returncode, error


@pytest.mark.parametrize(("threads", "everyone"), [("1", True), ("2", True), ("2", False)])
def test_ctrl_c_in_the_middle(folder, threads, everyone):
    """What is done is whole, what is not is not there, and 130 tells the script to stop, too."""
    code, error = interrupt(folder, signal.SIGINT, threads, everyone)
    assert code == 130
    summary, last = error.splitlines()[-2:]
    assert last == "aecodec: interrupted"
    assert "not done" in summary
    assert "Traceback" not in error
    assert 0 < assert_all_whole(folder / "out") < 60
    assert len(files_in(folder / "photos")) == 60


@pytest.mark.parametrize(("number", "threads"), [(signal.SIGTERM, "1"), (signal.SIGTERM, "2"), (signal.SIGHUP, "1")])
def test_a_termination_is_an_orderly_end(folder, number, threads):
    """A shutdown, a closed terminal: no temporary files are left to be found years later."""
    code, error = interrupt(folder, number, threads)
    assert code == 128 + number
    assert "Traceback" not in error
    assert 0 < assert_all_whole(folder / "out") < 60


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_killed_process_leaves_no_half_file(folder, threads):
    """Nothing can be tidied after kill -9, but no name that was asked for may hold half a picture; --update goes on."""
    code, _ = interrupt(folder, signal.SIGKILL, threads)
    assert code == -signal.SIGKILL
    for path in (folder / "out").iterdir():
        if not path.name.startswith(".aecodec-"):
            bitstream.read(path.read_bytes())
    done = len(list((folder / "out").glob("*.aec")))
    assert 0 < done < 60
    result = run("encode", "--update", "--output-dir", "out", "photos", cwd=folder)
    assert result.returncode == 0
    assert f"{60 - done} encoded, {done} up to date" in result.stderr


def _hear() -> None:
    """Signals that whoever runs the tests ignores (nohup, a background job) would be ignored by their children, too."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-"])
def test_closed_streams(folder, closed):
    """As some daemons start programs: what can be done is done, and the exit code says so."""
    for args in ("--version", "encode --output-dir out a.png photos/00.png photos/01.png"):
        command = f"{sys.executable} -m aecodec {args} {closed}"
        done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, timeout=200)
        assert "Traceback" not in done.stderr
        assert done.returncode == 0, done.stderr
    assert files_in(folder / "out") == ["00.aec", "01.aec", "a.aec"]


def test_a_closed_standard_output_is_no_place_to_write(folder):
    command = f"{sys.executable} -m aecodec encode a.png - >&-"
    done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 1
    assert "standard output is closed" in done.stderr


def test_a_mount_without_permissions(cli, folder, monkeypatch):
    """FAT: what the file would be allowed is not worth losing it for."""

    def denied(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chmod", denied)
    assert cli("encode", "a.png", "new.aec").exit_code == 0
    assert (folder / "new.aec").stat().st_size


def test_a_report_that_is_terminated(folder):
    """Its workers ignored Ctrl-C and nobody ended them: they stayed for good, and so did whoever read their output."""
    command = [*AECODEC, "eval", "photos", "--codecs", "jpeg", "--metrics", "psnr_rgb", "-j", "2", "-o", "report"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        journal = folder / "report" / "measurements.jsonl"
        while not (journal.exists() and journal.stat().st_size):
            assert process.poll() is None
            time.sleep(0.02)
        process.terminate()  # amid the others
        assert process.stdout.read() == ""  # which waits for the workers, too: they have the same pipe
    assert process.returncode == 128 + signal.SIGTERM
