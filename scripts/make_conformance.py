"""Write the streams of the default weights in tests/conformance again: run it when these weights change.

A PNG next to each stream holds the picture that it decodes to, in 8 bits a sample. index.json holds the SHA-256 of the
integer latents (int32, little-endian, rows, columns, channels) and of the samples (rows, columns, channels; uint16,
little-endian, of more than 8 bits), which every machine must reproduce exactly. Streams of other weights (KEPT) were
written by earlier releases, in version 1 of the format, and stay as they are.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from aecodec import weights
from aecodec.codec.decoder import decode_latents, decode_samples
from aecodec.codec.encoder import Encoder, Original
from aecodec.container import bitstream
from aecodec.container.bitstream import EXACT
from aecodec.images import deep
from aecodec.quality import index_of_quality
from aecodec.runtime.libaec import ExactDecoder

ROOT = Path(__file__).parent.parent
CASES = {  # name: (mode, left, top, width, height, quality, side of tiles or 0)
    "rgb-low": ("RGB", 150, 0, 160, 120, 0, 0),
    "rgb-middle": ("RGB", 150, 0, 160, 120, 45, 0),
    "rgb-high": ("RGB", 150, 0, 97, 65, 100, 0),
    "rgb-between": ("RGB", 300, 200, 128, 64, 33.3, 0),
    "gray": ("L", 150, 0, 131, 67, 60, 0),
    "column": ("RGB", 200, 100, 1, 200, 50, 0),
    "pixel": ("RGB", 200, 100, 1, 1, 60, 0),
    "tiles": ("RGB", 100, 0, 300, 260, 30, 256),
}
DEEP = {  # name: (mode, bits, left, top, width, height, quality, CICP or None); with a hash of the samples
    "deep": ("RGB", 16, 150, 0, 130, 70, 80, (9, 16, 0, 1)),
    "deep-gray": ("L", 10, 200, 60, 64, 64, 40, None),
    "deep-alpha": ("RGBA", 12, 170, 20, 65, 33, 90, None),
    "cicp": ("RGB", 8, 150, 0, 80, 48, 60, (12, 13, 0, 1)),
}
DRAWN = {"contexts": 60, "contexts-without-loss": None}  # name: quality, None for a picture without loss that has alpha
KEPT = ("psnr-middle", "psnr-tiles", "page", "page-without-loss")  # of other weights, and with exact pixels as WebP


def main() -> None:
    folder = ROOT / "tests" / "conformance"
    source = Image.open(ROOT / "samples" / "astronaut.png").convert("RGB")
    for name, (mode, left, top, width, height, quality, tile) in CASES.items():
        picture = source.crop((left, top, left + width, top + height)).convert(mode)
        picture.info.clear()  # the source's ICC profile is larger than the streams
        encoder = Encoder(picture, device="cpu", all_learned=True)  # or a single pixel would be without loss
        data = encoder.encode(index_of_quality(quality), tile).data
        (folder / f"{name}.aec").write_bytes(data)
    for name, (mode, bits, left, top, width, height, quality, signal) in DEEP.items():
        picture = enlarged(source.crop((left, top, left + width, top + height)), mode, bits)
        if signal is not None:
            picture.info["cicp"] = signal
        data = Encoder(picture, device="cpu", hashed=True).encode(index_of_quality(quality)).data
        (folder / f"{name}.aec").write_bytes(data)
    for name, drawn_at in DRAWN.items():
        (folder / f"{name}.aec").write_bytes(drawn(source, drawn_at))
    write_index(folder)


def drawn(source: Image.Image, quality: float | None) -> bytes:
    """Return the stream of lines of text beside a part of a photograph: text in a chunk X, or all in a chunk L."""
    page = Image.new("RGB", (160, 96), (250, 250, 252))
    draw = ImageDraw.Draw(page)
    for row in range(8):
        draw.text((4, 12 * row), "text without loss"[: 17 - row % 3], (20, 30, 40), ImageFont.load_default(10))
    page.paste(source.crop((200, 60, 256, 136)), (97, 11))
    if quality is not None:
        data = Encoder(page, device="cpu").encode(index_of_quality(quality)).data
        assert EXACT in bitstream.read(data).chunks
        return data
    page.putalpha(Image.linear_gradient("L").resize(page.size).point(lambda level: max(level, 1)))
    return Original.open(page).encode().data


def enlarged(part: Image.Image, mode: str, bits: int) -> Image.Image:
    """Return a part of a picture at twice its size, cut to its size: so there are samples between the levels of 8 bits."""
    colour = part.convert(mode.removesuffix("A"))
    planes = [plane.convert("F").resize((2 * part.width, 2 * part.height), 3) for plane in colour.split()]
    samples = np.stack([np.asarray(plane)[: part.height, : part.width] for plane in planes], -1)
    if mode.endswith("A"):
        ramp = np.linspace(-40, 400, part.width).clip(0, 255).round()
        samples = np.dstack([samples, np.broadcast_to(ramp, samples.shape[:2])])
    values = np.rint(samples.clip(0, 255) * ((2**bits - 1) / 255)).astype(np.uint16)
    return deep.to_image(deep.Deep(values, bits))


def write_index(folder: Path) -> None:
    """Decode every stream of the folder with libaec, and write its picture and its hashes."""
    index = {}
    for name in (*KEPT, *CASES, *DEEP, *DRAWN):
        data = (folder / f"{name}.aec").read_bytes()
        stream = bitstream.read(data)
        index[name] = {}
        if stream.payloads:
            ExactDecoder(weights.find(stream.header.weights))  # or decode_samples() would take another way in silence
            latents = decode_latents(stream).astype("<i4")
            index[name] = {"latents": hashlib.sha256(latents.tobytes()).hexdigest(), "shape": latents.shape}
        found = decode_samples(data, device="cpu")
        found.image().save(folder / f"{name}.png")
        samples = found.array(found.depth)
        index[name]["pixels"] = hashlib.sha256(samples.astype(samples.dtype.newbyteorder("<")).tobytes()).hexdigest()
    (folder / "index.json").write_text(json.dumps(index, indent=2) + "\n")


if __name__ == "__main__":
    main()
