"""Many pictures: folders, processes, what is done already, what is shown meanwhile."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import aecodec
from aecodec.cli import batch, files, plan, shell
from aecodec.errors import AecodecError


@pytest.fixture
def tree(tmp_path, photo):
    """photos/ with pictures on three levels, a text file, a hidden picture and a link that leads back; out/ next to it."""
    for i, name in enumerate(("b.png", "a.PNG", "sub/c.png", "sub/deep/d.png", ".hidden/e.png", ".f.png")):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        photo(12 + i, 8).save(path)
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    (tmp_path / "photos" / "loop").symlink_to(tmp_path / "photos")
    (tmp_path / "out").mkdir()
    return tmp_path


def below(folder: Path, pattern: str = "*") -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(pattern) if path.is_file())


def process(*args: object, cwd: Path, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "aecodec", *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, **options)


def test_a_folder_is_its_pictures(cli, tree):
    """A shell's pattern misses upper case and takes text files; a folder is what people mean."""
    assert cli("encode", "--output-dir", "out", "photos").exit_code == 0
    assert below(tree / "out") == ["a.aec", "b.aec"]


def test_a_tree_keeps_its_shape(cli, tree):
    """A thousand pictures of ten journeys must not end in one heap, and all must come back the same way."""
    assert cli("encode", "-r", "--output-dir", "out", "photos").exit_code == 0
    assert below(tree / "out") == ["a.aec", "b.aec", "sub/c.aec", "sub/deep/d.aec"]
    assert cli("decode", "-r", "--output-dir", "back", "out").exit_code == 0  # which makes the folder
    assert below(tree / "back") == ["a.png", "b.png", "sub/c.png", "sub/deep/d.png"]
    assert len(cli("info", "-r", "out").stdout.splitlines()) == 4


def test_names_that_meet_keep_their_extension(cli, tree, photo):
    """The second would replace the first; refused, it would cost the other thousand pictures of the tree."""
    photo(8, 8).save(tree / "photos" / "sub" / "c.jpg")
    assert cli("encode", "-r", "--output-dir", "out", "photos").exit_code == 0
    assert below(tree / "out") == ["a.aec", "b.aec", "sub/c.jpg.aec", "sub/c.png.aec", "sub/deep/d.aec"]


def test_a_name_that_two_have_costs_the_second(cli, tree, photo):
    """Pictures of two folders into one: nothing is lost, nothing replaced, and the exit code says so."""
    photo(8, 8).save(tree / "b.png")
    result = cli("encode", "--output-dir", "out", "b.png", "photos")
    assert result.exit_code == 1
    assert "photos/b.png: would become out/b.png.aec, as b.png does" in result.stderr
    assert below(tree / "out") == ["a.aec", "b.png.aec"]


def test_a_number_is_no_extension(cli, tree, photo):
    """scan.001 and scan.002 are two scans, and 2024.01.15 is a day."""
    for name in ("scan.001", "scan.002", "2024.01.15"):
        photo(8, 8).save(tree / name, "PNG")
    assert cli("encode", "--output-dir", "out", "scan.001", "scan.002", "2024.01.15").exit_code == 0
    assert below(tree / "out") == ["2024.01.15.aec", "scan.001.aec", "scan.002.aec"]


def test_an_unreadable_folder_costs_itself(cli, tree, monkeypatch):
    """One folder of somebody else in a tree of ten thousand."""
    scandir = os.scandir

    def denied(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    result = cli("encode", "-r", "--output-dir", "out", "photos")
    assert result.exit_code == 1
    assert "photos/sub: cannot read the folder: permission denied" in result.stderr
    assert below(tree / "out") == ["a.aec", "b.aec"]


def test_a_folder_without_pictures_costs_itself(cli, tree):
    """Among others; alone it is a mistake."""
    (tree / "empty").mkdir()
    assert cli("encode", "--output-dir", "out", "empty").exit_code == 2
    result = cli("encode", "--output-dir", "out", "empty", "photos")
    assert result.exit_code == 1
    assert "empty: no pictures in the folder" in result.stderr
    assert below(tree / "out") == ["a.aec", "b.aec"]


def test_what_is_left_out_of_a_tree_is_counted(cli, tree):
    """Raw files are the originals, and whoever believes that all is done deletes them."""
    (tree / "photos" / "sub" / "x.CR2").touch()
    result = cli("encode", "-r", "--output-dir", "out", "photos")
    assert result.stderr.rstrip().endswith("; left out: 2 hidden, 1 link, 1 other file, 1 raw file")


def test_outputs_inside_the_tree_are_no_inputs(cli, tree):
    """A second run with --update found its own outputs and refused."""
    args = ("denoise", "-r", "--weights", "none", "--update", "--output-dir", "photos/clean", "photos")
    for _ in range(2):
        assert "would replace" not in cli(*args).stderr
        (tree / "photos" / "clean").mkdir(exist_ok=True)
        (tree / "photos" / "clean" / "b.png").write_bytes((tree / "photos" / "b.png").read_bytes())


def test_a_link_as_output_is_followed(cli, tree):
    """Replaced, the link would be gone and what it leads to would still be old."""
    (tree / "real").mkdir()
    (tree / "link.aec").symlink_to(tree / "real" / "b.aec")
    for _ in range(2):
        assert cli("encode", "-f", "photos/b.png", "link.aec").exit_code == 0
        assert (tree / "link.aec").is_symlink()
        assert aecodec.info(tree / "real" / "b.aec").width == 12
    assert below(tree / "real") == ["b.aec"]


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="no /dev/stdout here")
def test_dev_stdout_is_no_file(tree):
    """With --force the link in /dev was replaced, for every program on the machine."""
    with open(tree / "x.aec", "wb") as out:
        command = [sys.executable, "-m", "aecodec", "encode", "-f", "photos/b.png", "/dev/stdout"]
        done = subprocess.run(command, cwd=tree, stdout=out, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert '"-" writes to standard output' in done.stderr
    assert Path("/dev/stdout").is_symlink()


def test_an_output_is_never_another_input(cli, tree, photo):
    """Not even with --force: the picture would be gone before its turn comes."""
    photo(8, 8).save(tree / "photos" / "sub" / "b.aec", "PNG")
    before = (tree / "photos" / "sub" / "b.aec").read_bytes()
    result = cli("encode", "-f", "--output-dir", "photos/sub", "photos/b.png", "photos", "photos/sub/b.aec")
    assert result.exit_code == 2
    assert (tree / "photos" / "sub" / "b.aec").read_bytes() == before
    photo(8, 8).save(tree / "photos" / "b.aec", "PNG")
    result = cli("encode", "-f", "--output-dir", "photos", "photos/b.png", "photos/sub/../b.aec")
    assert result.exit_code == 2


@pytest.mark.parametrize("args", ["-r photos out", "--output-dir out out", "--output-dir out - photos", "photos/b.png"])
def test_usage_errors(cli, tree, args):
    """A wrong command line is reported with exit code 2 and does nothing at all."""
    result = cli("encode", *args.split())
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert below(tree / "out") == []


def test_one_bad_picture_does_not_stop_the_rest(cli, tree):
    """One broken file in a night's work must cost one file."""
    (tree / "photos" / "broken.png").write_text("hello")
    result = cli("encode", "--json", "-r", "--output-dir", "out", "photos")
    assert result.exit_code == 1
    first, *_, last = result.stderr.splitlines()
    assert first.startswith("aecodec: photos/broken.png: ")
    assert last.startswith("aecodec: 4 encoded, 1 failed; ")
    reports = {report["input"]: report for report in map(json.loads, result.stdout.splitlines())}
    assert len(reports) == 5
    assert "not a picture" in reports["photos/broken.png"]["error"]
    assert reports["photos/sub/c.png"]["output"] == "out/sub/c.aec"
    assert below(tree / "out") == ["a.aec", "b.aec", "sub/c.aec", "sub/deep/d.aec"]


def test_all_damaged_is_exit_code_3(cli, tree):
    """A script tells a damaged archive from a full disk by it."""
    for name in ("x.aec", "sub/y.aec"):
        (tree / "photos" / name).write_bytes(b"\x8faec\r\n\n\x01")
    assert cli("decode", "-r", "--output-dir", "out", "photos").exit_code == 3


def test_a_fault_of_ours_costs_one_picture(cli, tree, monkeypatch):
    """A bug that one picture in ten thousand meets must not leave the night's work undone."""
    from aecodec.codec import encoder

    honest = encoder.Encoder

    def faulty(image, **options):
        if image.width == 12:
            raise IndexError("off by one")
        return honest(image, **options)

    monkeypatch.setattr(encoder, "Encoder", faulty)
    result = cli("encode", "-r", "--output-dir", "out", "photos")
    assert result.exit_code == 1
    assert result.stderr.startswith("aecodec: photos/b.png: unexpected IndexError: off by one")
    assert len(below(tree / "out")) == 3


def test_a_hostile_name_does_not_reach_the_terminal(cli, tree):
    """A name in somebody's archive may hold what clears a screen, or bytes that are no text."""
    folder = os.fsencode(tree / "photos")
    for name in (b"\x1b[2J.png", b"\xff\xfe.png"):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(b"hello")
    result = cli("encode", "--json", "--output-dir", "out", "photos")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 3
    assert "\x1b" not in result.output
    assert "aecodec: photos/?[2J.png: " in result.stderr
    assert "aecodec: photos/??.png: " in result.stderr


class TestUpdate:
    """``--update``: the second run of a night's work must take seconds, and must never skip what has changed."""

    @pytest.fixture
    def encoded(self, cli, tree):
        def run() -> list[str]:
            """The outputs that a run wrote."""
            before = {path: path.stat().st_ino for path in (tree / "out").rglob("*.aec")}
            assert cli("encode", "--update", "--output-dir", "out", "photos").exit_code == 0
            return [path.name for path in sorted((tree / "out").rglob("*.aec")) if before.get(path) != path.stat().st_ino]

        assert run() == ["a.aec", "b.aec"]
        return run

    def test_what_is_done_is_skipped(self, encoded, cli):
        """And said to be, in the summary and in JSON."""
        assert encoded() == []
        result = cli("encode", "--update", "--json", "--output-dir", "out", "photos")
        assert "2 up to date" in result.stderr
        assert all(json.loads(line)["skipped"] for line in result.stdout.splitlines())

    def test_a_newer_picture_is_encoded_again(self, encoded, tree, photo):
        """The usual case."""
        photo(9, 9).save(tree / "photos" / "b.png")
        assert encoded() == ["b.aec"]
        assert aecodec.info((tree / "out" / "b.aec").read_bytes()).width == 9

    def test_so_is_one_replaced_by_an_older_one(self, encoded, tree, photo):
        """Somebody puts the original back with its old date: by modification time alone it would look done."""
        photo(9, 9).save(tree / "old.png")
        os.utime(tree / "old.png", (1e9, 1e9))
        (tree / "old.png").rename(tree / "photos" / "b.png")
        assert encoded() == ["b.aec"]

    def test_a_time_in_the_future_is_not_trusted(self, encoded, tree):
        """A camera with a wrong clock: its pictures were done again in every run."""
        os.utime(tree / "photos" / "b.png", (4e9, 4e9))
        assert encoded() == ["b.aec"]
        assert encoded() == []

    def test_an_output_with_its_input_s_times_is_done(self, encoded, tree, photo):
        """As --preserve makes it; a change of the input counts as ever."""
        os.utime(tree / "photos" / "b.png", (1e9, 1e9))
        assert encoded() == ["b.aec"]
        os.utime(tree / "out" / "b.aec", (1e9, 1e9))
        assert encoded() == []
        photo(9, 9).save(tree / "photos" / "b.png")
        os.utime(tree / "photos" / "b.png", (1e9, 1e9))
        assert encoded() == ["b.aec"]

    def test_an_empty_output_is_not_done(self, encoded, tree):
        """As a file system leaves it after a power failure."""
        (tree / "out" / "a.aec").write_bytes(b"")
        assert encoded() == ["a.aec"]

    def test_without_it_nothing_is_replaced(self, encoded, cli, tree):
        """--update is a wish to replace; its absence is none."""
        assert cli("encode", "--output-dir", "out", "photos").exit_code == 1


@pytest.mark.slow
def test_processes_write_the_same_files(tree, photo):
    """-j must change nothing but the time; a damaged picture costs itself only, whoever had it."""
    for i in range(8):
        photo(20, 12, seed=i).save(tree / "photos" / f"{i}.png")
    (tree / "photos" / "broken.png").write_text("hello")
    for folder, count in (("one", 1), ("two", 2)):
        (tree / folder).mkdir()
        result = process("encode", "--json", "-j", count, "--output-dir", folder, "photos", cwd=tree)
        assert result.returncode == 1
        assert len(result.stdout.splitlines()) == 11
        first, *_, last = result.stderr.splitlines()
        assert {first, last.split(";")[0]} == {
            "aecodec: photos/broken.png: not a picture that Pillow can read", "aecodec: 10 encoded, 1 failed"
        }  # fmt: skip
    one, two = ({name: (tree / d / name).read_bytes() for name in below(tree / d)} for d in ("one", "two"))
    assert one == two
    assert len(one) == 10


@pytest.mark.skipif(os.name == "nt", reason="no signals here")
def test_a_killed_process_costs_one_picture(tmp_path):
    """What the kernel kills for memory, or what crashes a library, must not hang or end the rest."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\n"
        "from aecodec.cli import batch, plan\n"
        "def work(job):\n"
        "    if job.input == '3': os.kill(os.getpid(), 9)\n"
        "    return batch.Done({})\n"
        "if __name__ == '__main__':\n"
        "    tasks = [plan.Job(str(i), 'x') for i in range(12)]\n"
        "    batch.run(tasks, work, verb='done', threads=3)\n"
    )
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert result.returncode == 1
    first, last = result.stderr.splitlines()
    assert first == "aecodec: 3: the process that worked on it has died (-9)"
    assert last.startswith("aecodec: 11 done, 1 failed")


@pytest.mark.parametrize(
    ("jobs", "threads", "cores", "expected"),
    [(1, None, 8, (1, None)), (1, 3, 8, (1, 3)), (1000, 1, 8, (1, 1)), (1000, 6, 8, (6, 1)), (9, 8, 8, (2, 4)),
     (1000, None, 4, (4, 1)), (1000, 64, 64, (16, 4)), (7, 8, 8, (1, 8))],
)  # fmt: skip
def test_threads_are_shared_out(monkeypatch, jobs, threads, cores, expected):
    """-j is a promise about the machine: processes times threads never pass it."""
    monkeypatch.setattr(batch, "thread_count", lambda: cores)
    assert batch.share(jobs, threads) == expected


def test_a_gpu_shares_few_pictures_out_too(monkeypatch):
    """A thread starts in no time, where a process takes as long as some pictures do."""
    monkeypatch.setattr(batch, "thread_count", lambda: 8)
    assert batch.share(3, None, 1) == (3, 2)


def test_a_pipe_from_end_to_end(tmp_path, photo):
    """Programs without files get the same picture as those with."""
    photo(40, 24).save(tmp_path / "a.png")
    command = f"cat a.png | {sys.executable} -m aecodec encode - - | {sys.executable} -m aecodec decode - b.png"
    result = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    with Image.open(tmp_path / "a.png") as picture, Image.open(tmp_path / "b.png") as decoded:
        assert np.array_equal(np.asarray(decoded), np.asarray(aecodec.decode(aecodec.encode(picture))))


@pytest.mark.slow
def test_no_bar_in_a_pipe(tree):
    """A log file full of carriage returns is no log."""
    result = process("encode", "-r", "--output-dir", "out", "photos", cwd=tree)
    assert "\r" not in result.stderr
    assert "\x1b" not in result.stderr
    pattern = r"aecodec: 4 encoded; \S+ \w+ to \S+ \w+, in \d+:\d\d; left out: 2 hidden, 1 link, 1 other file\n"
    assert re.fullmatch(pattern, result.stderr)


def on_terminal(*args: object, cwd: Path, **environment: str) -> str:
    """What a command writes to a terminal that is its standard error."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "aecodec", *map(str, args)]
    running = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, **environment})
    os.close(theirs)
    written = b""
    try:
        while block := os.read(ours, 4096):
            written += block
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    assert running.wait() == 0
    assert b"\r" not in running.stdout.read()
    return written.decode()


@pytest.mark.slow
def test_a_bar_on_a_terminal(tree):
    """An hour without a sign of life looks like a program that hangs."""
    text = on_terminal("encode", "-r", "--json", "--output-dir", "out", "photos", cwd=tree)
    assert "4/4" in text
    assert re.search(r"\[#{5}\.{15}\] 1/4  \d+\.\d pictures/s .*\d:\d\d left", text)
    assert text.rstrip().endswith(text[text.index("aecodec: 4 encoded") :].rstrip())


def test_a_bar_says_what_is_saved(monkeypatch, capsys):
    """Bytes saved are what the whole work is for; decoding and describing save none and say nothing of it."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    job = batch.Job("a", "b")
    for read, written, said in ((9_000_000, 1_000_000, True), (10, 1000, False), (8_000_000, 0, False)):
        progress = batch.Progress(2, "encoded")
        progress.add(batch.Outcome(job, batch.Done({}, read, written)))
        assert ("8.0 MB saved" in capsys.readouterr().err) == said


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["NO_COLOR", "FORCE_COLOR"])
def test_no_colour(tree, variable):
    """There is none, whatever the terminal; then no setting can be ignored."""
    assert "\x1b" not in on_terminal("encode", "--output-dir", "out", "photos", cwd=tree, **{variable: "1"})


@pytest.mark.slow
def test_one_picture_is_done_in_silence(tree):
    """A bar for one picture only flickers."""
    assert on_terminal("encode", "photos/b.png", "b.aec", cwd=tree) == ""


MEASURED = """
import sys
from aecodec.cli import batch
from aecodec.cli.main import main
tell = batch._tell
page = {page}
def measured(outcome, show):
    tell(outcome, show)
    sys.stdout.write(str(int(open("/proc/self/statm").read().split()[1]) * page) + "\\n")
batch._tell = measured
main(sys.argv[1:], "aecodec")
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="measures through /proc")
def test_memory_is_flat(tmp_path, photo):
    """A folder of 10 000 pictures must need what one of 10 needs; this one has 300."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "out").mkdir()
    photo(48, 48).save(tmp_path / "0.png")
    for i in range(300):
        os.link(tmp_path / "0.png", tmp_path / "photos" / f"{i}.png")
    script = MEASURED.format(page=os.sysconf("SC_PAGE_SIZE"))
    args = ["encode", "-j", "1", "--output-dir", "out", "photos"]
    result = subprocess.run([sys.executable, "-c", script, *args], cwd=tmp_path, capture_output=True, text=True, check=True)
    used = [int(line) for line in result.stdout.split()]
    assert len(used) == 300
    # a tenth of a picture's own arrays kept for each would show: 200 x 64 x 64 x 3 x 4 bytes are 10 MB
    assert max(used[250:]) - max(used[50:100]) < 2**21


def test_many_names_are_planned_at_once(tmp_path):
    """Looking through a folder must not take a noticeable part of the work in it."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "out").mkdir()
    for i in range(2000):
        (tmp_path / "photos" / f"{i}.aec").touch()
    start = time.process_time()
    assert len(plan.jobs([str(tmp_path / "photos")], str(tmp_path / "out"), ".png", {".aec"})) == 2000
    assert time.process_time() - start < 2


def test_threads_do_what_processes_do(tmp_path, monkeypatch, capsys):
    """On a GPU pictures share one model: each must keep its own warnings, and one that fails must cost no other."""
    monkeypatch.setattr(batch, "_on_gpu", lambda *_: True)
    monkeypatch.setattr(batch, "thread_count", lambda: 4)
    monkeypatch.setattr(batch, "use_threads", lambda count: None)
    together = threading.Barrier(4, timeout=100)
    seen = []

    def work(job):
        seen.append(job.input)
        if job.input == "0":
            return batch.SKIPPED
        if job.input != "1":  # the first that is not skipped goes alone, the others four at a time
            together.wait()
            warnings.warn(f"of {job.input}", stacklevel=2)
        if job.input == "5":
            raise AecodecError("broken")
        return batch.Done({}, 1, 1)

    jobs = [plan.Job(str(i), f"{i}.aec") for i in range(14)]
    with pytest.raises(SystemExit) as end:
        batch.run(jobs, work, verb="encoded", device="cuda")
    assert end.value.code == shell.FAILED
    assert seen[:2] == ["0", "1"]
    said = capsys.readouterr().err
    for i in range(2, 14):
        assert said.count(f"aecodec: {i}: warning: of {i}\n") == 1, said
    assert "5: broken" in said
    assert "12 encoded, 1 up to date, 1 failed" in said


@pytest.mark.parametrize(
    ("error", "said"),
    [(RuntimeError("std::bad_alloc"), "out of memory"), (RuntimeError("can't start new thread"), "out of memory"),
     (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out of memory"), (MemoryError(), "out of memory"),
     (RuntimeError("assertion"), "unexpected RuntimeError: assertion; please report this")],
)  # fmt: skip
def test_memory_that_is_not_there_is_no_fault_of_ours(error, said):
    """A limit of the shell (ulimit -v) asked to be reported."""

    def work(job: plan.Job) -> batch.Done:
        raise error

    assert batch.attempt(work, plan.Job("a", "b")).error == said


def test_warnings_of_pillow_stay_with_programmers(capsys):
    """Tags with too many entries are no concern of whoever wants a picture."""

    def work(job: plan.Job) -> batch.Done:
        warnings.warn_explicit("tag 33723 had too many entries", UserWarning, Image.__file__, 1)
        warnings.warn("not kept: comments", stacklevel=1)
        return batch.Done({})

    batch.run([plan.Job("a", "b")], work)
    assert capsys.readouterr().err == "aecodec: a: warning: not kept: comments\n"


def test_a_cluster_reads_no_standard_input(cli, tree):
    """A worker would wait for ever for what only the client gets."""
    pytest.importorskip("distributed")
    for wrong in (["-", "x.aec"], ["-j", "2", "photos/b.png", "x.aec"]):
        result = cli("encode", "--executor", "dask://127.0.0.1:9", *wrong)
        assert result.exit_code == 2
        assert "not done" not in result.stderr
    assert "no executor local" in cli("encode", "--executor", "local", "photos/b.png", "x.aec").stderr


def test_only_what_a_lost_attempt_wrote_is_replaced(tree):
    """A second attempt that fails because the first one wrote a file, or replaces a file that is none of the run's."""
    (tree / "out" / "old.aec").write_bytes(b"mine")
    jobs = [plan.Job(str(tree / "photos" / "b.png"), str(tree / "out" / name)) for name in ("old.aec", "new.aec")]
    old, new = plan.with_new_outputs(jobs)
    (tree / "out" / "new.aec").write_bytes(b"of the first attempt")
    files.check_output(batch.for_worker(new, again=True), force=False)
    for job, again in ((old, True), (old, False), (new, False)):
        with pytest.raises(AecodecError, match="exists"):
            files.check_output(batch.for_worker(job, again), force=False)


@pytest.mark.slow
def test_workers_of_dask_do_what_processes_do(cli, tree):
    """A picture that fails must have its name, as the user gave it, and cost no other."""
    pytest.importorskip("distributed")
    (tree / "photos" / "bad.png").write_bytes(b"no picture")
    result = cli("encode", "-r", "--executor", "dask://", "-j", "2", "--output-dir", "out", "photos")
    assert result.exit_code == 1
    assert "aecodec: photos/bad.png: not a picture" in result.stderr
    assert below(tree / "out") == ["a.aec", "b.aec", "sub/c.aec", "sub/deep/d.aec"]
