"""The compiled entropy coder; everything else about the package is in pyproject.toml."""

import os

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "aecodec.codec._rans",
            ["aecodec/codec/_rans.c"],
            extra_compile_args=["-O3"] if os.name == "posix" else [],
            # A machine without a compiler still installs: rans.py then takes its Python twin, slow but the same bytes.
            optional=True,
        )
    ]
)
