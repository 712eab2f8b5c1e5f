"""Encode and decode with an installed aecodec, by command and by library: ``smoke.py samples/astronaut.png``.

The package must come from outside this checkout, with its compiled modules. No extra is needed.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import aecodec
from aecodec.metrics import psnr

CHECKOUT = Path(__file__).resolve().parents[1]
LEAST = 30  # dB at the default quality, for a photograph


def command(*arguments: str | Path) -> str:
    """Run the installed ``aecodec`` and return what it prints."""
    program = Path(sysconfig.get_path("scripts"), "aecodec")
    print("$ aecodec", *arguments, flush=True)
    return subprocess.run([program, *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def main(source: str) -> None:
    package = Path(aecodec.__file__).resolve()
    if CHECKOUT in package.parents:
        sys.exit(f"{package} is the checkout and no installed package; run python -I")
    for path in sorted(CHECKOUT.glob("aecodec/*/_*.c")):
        importlib.import_module(f"aecodec.{path.parent.name}.{path.stem}")
    version = command("--version")
    if version != f"aecodec {aecodec.__version__}":
        sys.exit(f"the command is {version}, the library is {aecodec.__version__}")
    original = np.asarray(Image.open(source).convert("RGB"))
    with tempfile.TemporaryDirectory() as folder:
        file, decoded = Path(folder, "x.aec"), Path(folder, "x.png")
        command("encode", source, file)
        command("decode", file, decoded)
        shown = np.asarray(Image.open(decoded))
        same = np.asarray(aecodec.decode(file))
        own = np.asarray(aecodec.decode(aecodec.encode(source)))
        print(f"{version} in {package.parent}: {file.stat().st_size} bytes, {psnr(original, shown):.2f} dB")
    if psnr(original, shown) < LEAST or psnr(original, own) < LEAST:
        sys.exit(f"a decoded picture has less than {LEAST} dB")
    if not np.array_equal(shown, same):
        sys.exit("the command and the library decode to different pictures")


if __name__ == "__main__":
    main(*sys.argv[1:])
