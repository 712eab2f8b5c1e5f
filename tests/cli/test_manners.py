"""Completion, help and the page that is made from it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from aecodec.cli.main import main

ROOT = Path(__file__).parents[2]
HEAVY = ("numpy", "PIL", "torch", "openvino", "safetensors", "multiprocessing")
COMPLETE = f"""
import sys
from aecodec.cli.main import main
try:
    main(prog_name="aecodec")
except SystemExit:
    print(*(name for name in {HEAVY} if name in sys.modules), file=sys.stderr)
"""


def script(name: str):
    spec = spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def complete(line: str, cwd: Path) -> list[str]:
    """What bash gets to complete the last word of a line."""
    environment = {**os.environ, "_AECODEC_COMPLETE": "bash_complete", "COMP_WORDS": line,
                   "COMP_CWORD": str(line.count(" "))}  # fmt: skip
    result = subprocess.run([sys.executable, "-c", COMPLETE], env=environment, cwd=cwd, capture_output=True, text=True)
    assert result.stderr.split() == []  # a key press that takes a second is felt as broken
    return result.stdout.split()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("aecodec en", ["plain,encode"]),
        ("aecodec encode --out", ["plain,--output-dir"]),
        ("aecodec encode --device c", ["plain,cpu", "plain,cuda"]),
        ("aecodec encode --weights ph", ["plain,photo", "plain,photo-psnr"]),
        ("aecodec weights show ph", ["plain,photo", "plain,photo-psnr"]),
        ("aecodec encode pho", ["file,pho"]),  # the shell completes names of files itself
        ("aecodec decode pho", ["file,pho"]),
        ("aecodec info pho", ["file,pho"]),
        ("aecodec encode --output-dir pho", ["dir,pho"]),
    ],
)
def test_completion(tmp_path, line, expected):
    """Commands, options, their values, weights and files, without importing anything heavy."""
    assert complete(line, tmp_path) == expected


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash here")
def test_completion_in_bash(tmp_path):
    """The line that the help says to put into .bashrc."""
    (tmp_path / "aecodec").write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{CLI}" "$@"\n')
    (tmp_path / "aecodec").chmod(0o755)
    line = 'eval "$(_AECODEC_COMPLETE=bash_source aecodec)"'
    assert line in dict(script("make_cli_docs").commands(main))["aecodec"]
    text = f'{line}; COMP_WORDS=(aecodec deco); COMP_CWORD=1; _aecodec_completion aecodec; echo "${{COMPREPLY[@]}}"'
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(["bash", "-c", text], env=environment, capture_output=True, text=True)
    if "not supported" in result.stderr:
        pytest.skip("click completes in bash 4.4 or newer")
    assert result.stdout.split() == ["decode"]


CLI = "from aecodec.cli.main import main; main(prog_name='aecodec')"


def test_every_help_has_an_example():
    """An example is what people read first and copy."""
    for path, text in script("make_cli_docs").commands(main):
        usage, rest = text.split("\n", 1)
        assert usage.startswith(f"Usage: {path} ")
        assert f"\n  {path}" in rest, path


@pytest.mark.skipif(f"click=={version('click')}" not in (ROOT / "constraints.txt").read_text(),
                    reason="another click words help in another way")  # fmt: skip
def test_the_page_of_the_command_line_is_current():
    """Documentation of options that are gone is worse than none: run scripts/make_cli_docs.py."""
    docs = script("make_cli_docs")
    assert docs.PAGE.read_text("utf-8") == docs.page()
