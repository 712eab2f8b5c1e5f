"""Build the compiled modules and the readme of an index page; everything else about the package is in pyproject.toml."""

from __future__ import annotations

import importlib.machinery
import os
import platform
import re
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# MSVC knows `restrict` only if it is told the standard
FLAGS = ["-O3", "-fno-trapping-math", "-ffp-contract=off"] if os.name == "posix" else ["/std:c11"]
THREADS = ["-pthread"] if os.name == "posix" else []
PLAIN = ["-fno-wrapv"] if os.name == "posix" else []  # libaec's integers never overflow; Python's own flags let them wrap
STRIP = ["-s"] if sys.platform == "linux" else []
# the decoder, whose headers the entropy coder and the edge filter share
LIBRARY = sorted(map(str, Path("libaec/src").glob("*.c")))
HEADERS = sorted(map(str, [*Path("libaec").glob("*/*.h"), *Path("aecodec").glob("*/*.h")]))
MODULES: dict[str, list[str]] = {
    "entropy/_rans": [],
    "entropy/_integer": [],
    "entropy/_trellis": [],
    "entropy/_context": [],
    "images/_edge_filter": [],
    "images/_png_filter": ["libaec/tools/png_filter.c"],
    "runtime/_libaec": LIBRARY,
}

# One build for CPython 3.11 and all later ones. The buffer protocol is not in the limited API of 3.10, and a Python
# without the global lock has no limited API: these get a build of their own.
STABLE = (
    sys.version_info >= (3, 11)
    and platform.python_implementation() == "CPython"
    and not sysconfig.get_config_var("Py_GIL_DISABLED")
)

FOLDER = Path(__file__).parent
PROGRAM = "aecodec/runtime/aecthumb"  # makes thumbnails for file managers, which start a process for each


class BuildModules(build_ext):
    """Replace modules of an earlier build in place: Python takes one of its own version before a stable one.

    Where libaec was built for Python, a program is linked from the same objects.
    """

    def run(self) -> None:
        super().run()
        if os.name == "posix":
            self._build_program()

    def _build_program(self) -> None:
        from distutils.errors import CCompilerError  # that of setuptools, which is imported already

        target = (FOLDER if self.inplace else Path(self.build_lib)) / PROGRAM
        target.unlink(missing_ok=True)
        objects = self.compiler.object_filenames(MODULES["runtime/_libaec"], output_dir=self.build_temp)
        if not all(map(os.path.isfile, objects)):
            return
        tools = [f"libaec/tools/{name}.c" for name in ("aecthumb", "png", "png_filter")]
        try:
            objects += self.compiler.compile(
                tools, output_dir=self.build_temp, include_dirs=["libaec/include"], extra_preargs=FLAGS
            )
            self.compiler.link_executable(
                objects, target.name, output_dir=str(target.parent), libraries=["m"], extra_postargs=[*THREADS, *STRIP]
            )
        except CCompilerError as error:
            self.warn(f"{PROGRAM} is not built: {error}")

    def get_outputs(self) -> list[str]:
        path = Path(self.build_lib, PROGRAM)
        return super().get_outputs() + ([str(path)] if path.is_file() else [])

    def copy_extensions_to_source(self) -> None:
        for module in MODULES:
            for suffix in importlib.machinery.EXTENSION_SUFFIXES:
                (FOLDER / "aecodec" / f"{module}{suffix}").unlink(missing_ok=True)
        super().copy_extensions_to_source()


def readme(text: str, source: str | None) -> str:
    """Return a Markdown page of which no link is dead on another site than the repository's.

    ``source`` is the address of the repository, as a forge such as GitHub or GitLab lays it out: links to files become
    absolute. Without one their text stays.
    """

    def link(match: re.Match[str]) -> str:
        picture, label, target = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        if source is None:
            return "" if picture else label
        return f"{picture}[{label}]({source.rstrip('/')}/{'raw' if picture else 'blob'}/HEAD/{target})"

    return re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", link, text)


if __name__ == "__main__":
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text("utf-8"))["project"]
    setup(
        long_description=readme((FOLDER / "README.md").read_text("utf-8"), project["urls"].get("Source")),
        long_description_content_type="text/markdown",
        cmdclass={"build_ext": BuildModules},
        options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE else {},
        ext_modules=[
            Extension(
                f"aecodec.{path.replace('/', '.')}",
                [f"aecodec/{path}.c", *sources],
                include_dirs=["libaec/include", "libaec/src", "libaec/tools"],
                depends=HEADERS,
                extra_compile_args=FLAGS + (THREADS + PLAIN if sources else []),
                extra_link_args=THREADS if sources else [],
                define_macros=[("Py_LIMITED_API", "0x030B0000")] if STABLE else [],
                py_limited_api=STABLE,
                # A machine without a compiler still installs: the package then takes Python, slow but the same .aec files.
                optional=True,
            )
            for path, sources in MODULES.items()
        ],
    )
