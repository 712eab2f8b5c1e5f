"""The house: a room imports only rooms below it, and no module imports another in a circle.

``docs/architecture.md`` draws the rooms. A folder that imports upward can no longer be read, tested or replaced without
the ones above it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

import aecodec

# From the ground up; a dot is the package itself. Rooms in one line stand side by side and do not import each other, but
# for the modules of the ground.
ROOMS = (
    ("cuda", "defaults", "errors", "executors", "imports", "metrics", "pages", "quality", "stores", "threads"),
    ("entropy",),
    ("container",),
    ("images",),
    ("weights",),
    ("networks",),
    ("runtime",),
    ("codec",),
    ("restore", "retrieval"),
    ("pillow", "sklearn"),
    (".",),  # the public functions
    ("desktop", "eval", "inspect", "training", "view"),
    ("autoencoders",),
    ("anomaly",),
    ("cli",),
    ("__main__",),
)


def room_of(module: str) -> str:
    """Return the room of a module of aecodec."""
    return module.split(".")[1] if "." in module else "."


def faults(imports: Mapping[str, Sequence[str]], rooms: Sequence[Sequence[str]] = ROOMS) -> list[str]:
    """Return a line for each import that goes upward or sideways, for each module outside the rooms, and for each circle.

    imports: the modules that each module imports, by name.
    """
    floor = {room: number for number, names in enumerate(rooms) for room in names}
    found = [f"{module} is in no room" for module in imports if room_of(module) not in floor]
    known = {module: [name for name in names if room_of(name) in floor] for module, names in imports.items()}
    for module in known.keys() - {fault.split()[0] for fault in found}:
        own = room_of(module)
        for name in known[module]:
            other = room_of(name)
            beside = floor[other] == floor[own] and other != own and floor[own] > 0
            if floor[other] > floor[own] or beside:
                found.append(f"{module} imports {name}, which is {'beside' if beside else 'above'} it")
    return sorted(found) + [" imports ".join(circle) for circle in circles(known)]


def circles(imports: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """Yield a circle of modules, its first one again at the end, for each import that closes one."""
    done: set[str] = set()

    def search(module: str, path: list[str]) -> Iterator[list[str]]:
        if module in path:
            yield [*path[path.index(module) :], module]
        elif module not in done:
            for name in imports.get(module, ()):
                yield from search(name, [*path, module])
            done.add(module)

    for module in imports:
        yield from search(module, [])


def imports_of(source: str, module: str, modules: set[str]) -> set[str]:
    """Return the modules that a source imports, wherever in it: also in functions, and also for types alone.

    ``from aecodec.room import name`` imports the module ``name`` where there is one, else the room's ``__init__``.
    Importing a module runs the ``__init__`` of its folders, too; those are left out, since every module would import them.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} has a relative import"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inside & modules
            if not inside <= modules:
                found.add(node.module)
        elif isinstance(node, ast.Constant) and node.value in modules - {"aecodec"}:  # importlib.import_module(...)
            found.add(node.value)
    return (found & modules) - {module}


def graph(folder: Path, package: str) -> dict[str, set[str]]:
    """Return the modules of a package in a folder, each with those that it imports."""
    sources = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        sources[".".join([package, *parts]).removesuffix(".__init__")] = path.read_text("utf-8")
    return {module: imports_of(source, module, set(sources)) for module, source in sources.items()}


def test_no_import_goes_upward_or_in_a_circle():
    """A newcomer could no longer read one folder after another, and a change of the command line could break the coder."""
    found = graph(Path(aecodec.__file__).parent, "aecodec")
    assert len(found) > 70
    assert faults(found) == []


FLOORS = (("errors", "quality"), ("entropy",), ("codec",), ("eval", "training"))
SOUND = {
    "aecodec.errors": "",
    "aecodec.quality": "from aecodec.errors import AecodecError",
    "aecodec.entropy": "",
    "aecodec.entropy.rans": "from aecodec import errors",
    "aecodec.entropy.tables": "from aecodec.entropy import rans",
    "aecodec.codec.encoder": "import aecodec.entropy.tables",
    "aecodec.eval.measure": "from aecodec.codec.encoder import Encoder",
    "aecodec.training.run": "from aecodec.codec import encoder",
}


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("aecodec.eval.page", "import numpy, os.path", None),
        (
            "aecodec.errors",
            "def f():\n    from aecodec.entropy import rans",
            "imports aecodec.entropy.rans, which is above",
        ),
        ("aecodec.entropy", "from aecodec.codec.encoder import Encoder", "imports aecodec.codec.encoder, which is above"),
        ("aecodec.entropy.rans", "if TYPE_CHECKING:\n    import aecodec.codec.encoder", "which is above"),
        ("aecodec.entropy.rans", "import_module('aecodec.codec.encoder')", "which is above"),
        ("aecodec.eval.measure", "from aecodec.training.run import Run", "imports aecodec.training.run, which is beside"),
        (
            "aecodec.entropy.rans",
            "from aecodec.entropy import tables",
            "aecodec.entropy.tables imports aecodec.entropy.rans",
        ),
        ("aecodec.attic.box", "", "aecodec.attic.box is in no room"),
    ],
)
def test_the_check_finds_what_it_looks_for(module, source, fault):
    """A check that lets everything pass is worse than none."""
    sources = SOUND | {module: source}
    found = faults({name: imports_of(text, name, set(sources)) for name, text in sources.items()}, FLOORS)
    assert (fault is None and not found) or any(fault in each for each in found)
