"""The compiled modules; everything else about the package is in pyproject.toml."""

import os

from setuptools import Extension, setup

# MSVC knows `restrict` only if it is told the standard
FLAGS = ["-O3", "-fno-trapping-math", "-ffp-contract=off"] if os.name == "posix" else ["/std:c11"]

setup(
    ext_modules=[
        Extension(
            f"aecodec.codec.{name}",
            [f"aecodec/codec/{name}.c"],
            extra_compile_args=FLAGS,
            # A machine without a compiler still installs: rans.py and integer.py then take Python, slow but the same bytes.
            optional=True,
        )
        for name in ("_rans", "_integer", "_trellis", "_edge_filter")
    ]
)
