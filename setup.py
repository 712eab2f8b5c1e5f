"""Build the compiled modules; everything else about the package is in pyproject.toml."""

import os

from setuptools import Extension, setup

# MSVC knows `restrict` only if it is told the standard
FLAGS = ["-O3", "-fno-trapping-math", "-ffp-contract=off"] if os.name == "posix" else ["/std:c11"]
MODULES = ("entropy/_rans", "entropy/_integer", "entropy/_trellis", "images/_edge_filter")

setup(
    ext_modules=[
        Extension(
            f"aecodec.{path.replace('/', '.')}",
            [f"aecodec/{path}.c"],
            extra_compile_args=FLAGS,
            # A machine without a compiler still installs: the package then takes Python, slow but the same bytes.
            optional=True,
        )
        for path in MODULES
    ]
)
