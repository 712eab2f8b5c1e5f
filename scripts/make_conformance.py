"""Writes tests/conformance anew: run it when the default weights change.

Each stream lies beside a PNG of what it decodes to; index.json holds the SHA-256 of the integer latents (int32,
little-endian, rows, columns, channels), which every machine must reproduce exactly.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from PIL import Image

import aecodec
from aecodec.codec import bitstream
from aecodec.codec.pipeline import decode_latents

ROOT = Path(__file__).parent.parent
CASES = {  # name: (mode, left, top, width, height, quality)
    "rgb-low": ("RGB", 150, 0, 160, 120, 0),
    "rgb-middle": ("RGB", 150, 0, 160, 120, 45),
    "rgb-high": ("RGB", 150, 0, 97, 65, 100),
    "rgb-between": ("RGB", 300, 200, 128, 64, 33.3),
    "gray": ("L", 150, 0, 131, 67, 60),
    "column": ("RGB", 200, 100, 1, 200, 50),
    "pixel": ("RGB", 200, 100, 1, 1, 60),
}


def main() -> None:
    folder = ROOT / "tests" / "conformance"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    source = Image.open(ROOT / "samples" / "astronaut.png").convert("RGB")
    index = {}
    for name, (mode, left, top, width, height, quality) in CASES.items():
        picture = source.crop((left, top, left + width, top + height)).convert(mode)
        picture.info.clear()  # the source's ICC profile is larger than the streams
        data = aecodec.encode(picture, quality, device="cpu")
        (folder / f"{name}.aec").write_bytes(data)
        aecodec.decode(data, device="cpu").save(folder / f"{name}.png")
        latents = decode_latents(bitstream.read(data)).astype("<i4")
        index[name] = {"latents": hashlib.sha256(latents.tobytes()).hexdigest(), "shape": latents.shape}
    (folder / "index.json").write_text(json.dumps(index, indent=2) + "\n")


if __name__ == "__main__":
    main()
