"""The stubs of the compiled modules: type checkers believe them, and Python never looks at them."""

from __future__ import annotations

import ast
import importlib
import os
import re
from pathlib import Path

import pytest

import aecodec
from aecodec.defaults import DEFAULT_WEIGHTS
from aecodec.runtime.libaec import open_decoder

FOLDER = Path(aecodec.__file__).parent
MODULES = {
    ".".join(["aecodec", *source.relative_to(FOLDER).with_suffix("").parts]): source
    for source in sorted(FOLDER.rglob("*.c"))
}
compiled = pytest.mark.skipif(
    bool(os.environ.get("AECODEC_PURE_PYTHON")), reason="AECODEC_PURE_PYTHON allows the absence of the compiled modules"
)


def stubbed(nodes: list[ast.stmt]) -> dict[str, int | None]:
    """Return the functions in a stub, each with the number of its parameters, and its constants, with None.

    Anything else but imports, classes and docstrings is an error, and so is a parameter that C cannot take.
    """
    found: dict[str, int | None] = {}
    for node in nodes:
        if isinstance(node, ast.FunctionDef):
            rest = node.args
            is_method = any(argument.arg in ("self", "cls") for argument in rest.posonlyargs[:1])
            impossible = [*rest.args, rest.vararg, *rest.kwonlyargs, rest.kwarg, *rest.defaults]
            assert not any(impossible), f"{node.name}: C takes arguments by position, and all of them"
            found[node.name] = len(rest.posonlyargs) - is_method
        elif isinstance(node, ast.AnnAssign):
            found[node.target.id] = None
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{name}": count for name, count in stubbed(node.body).items()}
        else:
            assert isinstance(node, (ast.Import, ast.ImportFrom, ast.Expr)), ast.dump(node)
    return found


def parameters(function) -> int:
    """Return how many arguments a function of a compiled module takes, as its complaint about too few says."""
    with pytest.raises(TypeError) as error:
        function()
    return int(re.search(r"takes exactly (\d+) arguments?", str(error.value))[1])


def members(module) -> dict[str, int | None]:
    """Return what ``stubbed`` returns for a stub that says what a module has."""
    found: dict[str, int | None] = {}
    for name, value in vars(module).items():
        if isinstance(value, type):  # of which there is one
            instance = open_decoder(DEFAULT_WEIGHTS)._model
            methods = [key for key in vars(value) if not key.startswith("__")]
            found |= {f"{name}.{key}": parameters(getattr(instance, key)) for key in methods}
            found[f"{name}.__new__"] = parameters(value)
        elif not name.startswith("__"):
            found[name] = parameters(value) if callable(value) else None
    return found


def test_every_compiled_module_has_a_stub():
    """A type checker would take all that a module without one gives for Any."""
    assert len(MODULES) == 7
    assert [source for source in MODULES.values() if not source.with_suffix(".pyi").is_file()] == []


@compiled
@pytest.mark.parametrize("name", MODULES)
def test_a_stub_says_what_its_module_has(name):
    """A call that a stub allows would fail where the module is compiled, and only there."""
    stub = MODULES[name].with_suffix(".pyi").read_text("utf-8")
    assert members(importlib.import_module(name)) == stubbed(ast.parse(stub).body)
