"""The tree of errors: what a caller may catch, and who may speak of options."""

from __future__ import annotations

import ast
import inspect
import pickle
from pathlib import Path

import pytest

import aecodec
from aecodec import errors
from aecodec.errors import AecodecError, BitstreamError, LimitError, MissingPackageError, NoRestoringWeightsError

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
PACKAGE = Path(aecodec.__file__).parent


def test_every_error_is_drawn_in_its_place():
    """The docstring is the map by which a caller decides what to catch."""
    lines = [line for line in errors.__doc__.splitlines() if "Error" in line]
    depth = {line.split("Error")[0].split()[-1] + "Error": line.index(line.strip(" |`-")[0]) for line in lines}
    assert {kind.__name__ for kind in CLASSES} == depth.keys()
    for kind in CLASSES:
        parent = kind.__bases__[0].__name__
        assert kind is AecodecError or depth[kind.__name__] == depth[parent] + 4, kind


def test_a_large_picture_is_no_damaged_file():
    """A server that deletes damaged files must not delete large ones."""
    assert not issubclass(LimitError, BitstreamError)


@pytest.mark.parametrize(
    "error",
    [LimitError("2 x 2 is over the limit of 3 pixels", 3), MissingPackageError("this", "torch", "'aecodec[gpu]'"),
     NoRestoringWeightsError("mine")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_errors_come_whole_out_of_other_processes(error):
    """What a worker process raises is pickled; half an error would hide the reason."""
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_only_the_command_line_speaks_of_its_options():
    """Who calls the library has no --max-pixels, and would search for it."""
    modules = [path for path in PACKAGE.rglob("*.py") if "cli" not in path.parts and path.name not in ("rd.py", "twin.py")]
    found = [
        f"{path.relative_to(PACKAGE)}:{text.lineno}"
        for path in modules
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Raise)
        for text in ast.walk(node)
        if isinstance(text, ast.Constant) and isinstance(text.value, str) and "--" in text.value
    ]
    assert len(modules) > 60
    assert found == []
