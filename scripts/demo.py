"""Take one picture through the command line, and compare it with a JPEG of the same size: ``make demo``."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from aecodec.eval.codecs import jpeg as write_jpeg
from aecodec.metrics import psnr


def aecodec(*arguments: str) -> dict:
    """Run the command that a user would type, show it, and return the JSON that it prints."""
    print("$ aecodec", *arguments)
    done = subprocess.run([sys.executable, "-m", "aecodec", *arguments, "--json"], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def largest_jpeg(image: Image.Image, size: int) -> bytes:
    """Return the JPEG of the highest quality with at most ``size`` bytes, or the smallest that there is."""
    candidates = (write_jpeg(image, quality) for quality in range(95, 0, -1))
    return next((data for data in candidates if len(data) <= size), write_jpeg(image, 1))


def main(source: str, folder: str) -> None:
    out = Path(folder)
    out.mkdir(exist_ok=True)
    image = Image.open(source).convert("RGB")
    original = np.asarray(image)
    rows = []
    for quality in (10, 30, 60):
        stem = out / f"{Path(source).stem}-q{quality}"
        written = aecodec("encode", "-f", "-q", str(quality), source, f"{stem}.aec")
        aecodec("decode", "-f", f"{stem}.aec", f"{stem}.png")
        jpeg = largest_jpeg(image, written["bytes"])
        Path(f"{stem}.jpg").write_bytes(jpeg)
        ours = psnr(original, np.asarray(Image.open(f"{stem}.png")))
        theirs = psnr(original, np.asarray(Image.open(io.BytesIO(jpeg))))
        rows.append((quality, written["bytes"], written["bpp"], ours, len(jpeg), theirs))
    print(f"\n{source}, {image.width} x {image.height}")
    print("quality   aecodec bytes   bits/pixel      PSNR   JPEG bytes      PSNR")
    for quality, size, bpp, ours, jpeg_size, theirs in rows:
        print(f"{quality:7}{size:16}{bpp:13.3f}{ours:7.2f} dB{jpeg_size:13}{theirs:7.2f} dB")
    print(f"\nThe .aec files, the pictures decoded from them and the JPEGs are in {out.resolve()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
