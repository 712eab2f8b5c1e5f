"""The command as a process: exit codes, and what it does not import."""

from __future__ import annotations

import subprocess
import sys

import pytest

import aecodec
from aecodec.container import bitstream
from aecodec.container.bitstream import Header, Stream

HEAVY = ("torch", "numpy", "PIL", "safetensors")
IMPORTED = f"""
import sys
from aecodec.cli.main import main
try:
    main(sys.argv[1:], "aecodec")
except SystemExit as end:
    print("code", end.code or 0, *(name for name in {HEAVY} if name in sys.modules), file=sys.stderr)
"""


def python(*args: object, cwd) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *map(str, args)], cwd=cwd, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ("--help", 0),
        ("--version", 0),
        ("encode --help", 0),
        ("decode --help", 0),
        ("eval --help", 0),
        ("features --help", 0),
        ("similar index --help", 0),
        ("map --help", 0),
        ("info good.aec", 0),
        ("info bad.aec", 3),
        ("encode missing.png out.aec", 1),
        ("encode one.png two.png", 1),
        ("encode -q 101 one.png out.aec", 2),
        ("encode one.png", 2),
        ("no-such-command", 2),
    ],
)
def test_quick_answers_import_nothing_heavy(tmp_path, file, args, code):
    """Three seconds of importing torch before a typing error is reported are three seconds lost, every time."""
    (tmp_path / "good.aec").write_bytes(file)
    (tmp_path / "bad.aec").write_bytes(file[:-1])
    result = python("-c", IMPORTED, *args.split(), cwd=tmp_path)
    assert result.stderr.splitlines()[-1] == f"code {code}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "code"),
    [
        ("encode text.png out.aec", 1),
        ("decode bad.aec out.png", 3),
        ("decode foreign.aec out.png", 1),
        ("decode huge.aec out.png", 3),
        ("decode good.aec out.xyz", 1),
        ("weights list", 0),
    ],
)
def test_errors_import_no_torch(tmp_path, file, args, code):
    """A folder of broken files must be reported in the time that reading them takes."""
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "good.aec").write_bytes(file)
    (tmp_path / "bad.aec").write_bytes(file[:-1])
    for name, side in (("foreign", 9), ("huge", 2**20)):
        header = Header(side, side, "L", "0badcafe", 0)
        (tmp_path / f"{name}.aec").write_bytes(bitstream.write(Stream(header, [b""])))
    result = python("-c", IMPORTED, *args.split(), cwd=tmp_path)
    *_, last = result.stderr.splitlines()
    assert last.startswith(f"code {code}")
    assert "torch" not in last


def test_importing_the_package_imports_nothing_heavy(tmp_path):
    """Programs that may never meet an .aec file should not pay for it when they start."""
    script = f"import aecodec, sys; print([name for name in {HEAVY} if name in sys.modules])"
    assert python("-c", script, cwd=tmp_path).stdout.strip() == "[]"


def test_a_real_process(tmp_path, photo):
    """Scripts see only what a process leaves: files, an exit code and standard error."""
    photo(40, 24).save(tmp_path / "in.png")
    (tmp_path / "bad.aec").write_bytes(b"\x8faec\r\n\n")
    encoded = python("-m", "aecodec", "encode", "in.png", "out.aec", cwd=tmp_path)
    assert (encoded.returncode, encoded.stdout, encoded.stderr) == (0, "", "")
    assert aecodec.decode((tmp_path / "out.aec").read_bytes()).size == (40, 24)
    damaged = python("-m", "aecodec", "decode", "bad.aec", "bad.png", cwd=tmp_path)
    assert damaged.returncode == 3
    assert damaged.stderr.count("\n") == 1
    assert "Traceback" not in damaged.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.aec", "in.png", "out.aec"]


def test_version_is_the_package_version(cli):
    """A bug report with a wrong version costs its reader an evening."""
    assert cli("--version").output == f"aecodec {aecodec.__version__}\n"


@pytest.mark.parametrize(("args", "code"), [("--version", 0), ("decode missing.aec out.png", 1), ("encode", 2)])
def test_the_command_leaves_with_its_code_and_its_words(tmp_path, args, code):
    """It ends the process at once; a lost last line or a wrong code would break every script around it."""
    result = python("-m", "aecodec", *args.split(), cwd=tmp_path)
    assert result.returncode == code
    assert (result.stdout if code == 0 else result.stderr).endswith("\n")
