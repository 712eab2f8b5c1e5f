"""The stubs of the compiled modules: type checkers believe them, and Python never looks at them."""

from __future__ import annotations

import ast
import importlib
import os
import re
from pathlib import Path

import pytest

import aecodec

FOLDER = Path(aecodec.__file__).parent
MODULES = {
    ".".join(["aecodec", *source.relative_to(FOLDER).with_suffix("").parts]): source
    for source in sorted(FOLDER.rglob("*.c"))
}
compiled = pytest.mark.skipif(
    bool(os.environ.get("AECODEC_PURE_PYTHON")), reason="AECODEC_PURE_PYTHON allows the absence of the compiled modules"
)


def stubbed(source: Path) -> dict[str, int]:
    """Return the functions in the stub beside a C file, each with the number of its parameters.

    Anything in a stub but imports, functions and its docstring is an error, and so is a parameter that C cannot take.
    """
    found = {}
    for node in ast.parse(source.with_suffix(".pyi").read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            rest = node.args
            impossible = [*rest.args, rest.vararg, *rest.kwonlyargs, rest.kwarg, *rest.defaults]
            assert not any(impossible), f"{node.name}: C takes arguments by position, and all of them"
            found[node.name] = len(rest.posonlyargs)
        else:
            assert isinstance(node, (ast.Import, ast.ImportFrom, ast.Expr)), ast.dump(node)
    return found


def parameters(function) -> int:
    """Return how many arguments a function of a compiled module takes, as its complaint about too few says."""
    with pytest.raises(TypeError) as error:
        function()
    return int(re.search(r"takes exactly (\d+) arguments?", str(error.value))[1])


def test_every_compiled_module_has_a_stub():
    """A type checker would take all that a module without one gives for Any."""
    assert len(MODULES) == 4
    assert [source for source in MODULES.values() if not source.with_suffix(".pyi").is_file()] == []


@compiled
@pytest.mark.parametrize("name", MODULES)
def test_a_stub_says_what_its_module_has(name):
    """A call that a stub allows would fail where the module is compiled, and only there."""
    module = importlib.import_module(name)
    functions = {key: value for key, value in vars(module).items() if not key.startswith("__")}
    assert {key: parameters(function) for key, function in functions.items()} == stubbed(MODULES[name])
