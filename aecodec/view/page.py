"""Write the page that shows files: decoder, weights and a file inside, or the addresses where a server has them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from aecodec import pages
from aecodec.codec import decoder
from aecodec.container import bitstream
from aecodec.defaults import MAX_PIXELS
from aecodec.view.weights import decoder_weights
from aecodec.weights.cards import locate
from aecodec.weights.store import Source, Weights

PACKAGE = "aecodec.view"
PREVIEW_SIDE, PREVIEW_QUALITY = 480, 40  # of what stands there until the file is decoded


def module_file(name: str) -> bytes:
    """Return a file of the JavaScript package."""
    return (resources.files(PACKAGE) / "module").joinpath(name).read_bytes()


def render(data: bytes, name: str, weights: Source | None = None, max_pixels: int | None = MAX_PIXELS) -> str:
    """Return a page that shows one file without a network; it also decodes others with the same weights.

    ``weights`` are those of the file where they are not installed. Raises BitstreamError, LimitError and WeightsError as
    ``aecodec.decode`` does: a file that cannot be decoded gets no page.
    """
    picture = decoder.decode(data, weights=weights, max_pixels=max_pixels)
    stream = bitstream.read(data, max_pixels)
    inside = {"module": module_file("aecodec.js"), "wasm": module_file("aecodec.wasm"), "file": data}
    known: dict[str, str] = {}
    if bitstream.LOSSLESS not in stream.chunks:
        folder = weights.folder if isinstance(weights, Weights) else weights
        identity = stream.header.weights
        inside[f"weights-{identity}"] = decoder_weights(locate(identity, folder))
        known[identity] = f"weights-{identity}"
    from PIL import ImageOps

    preview = ImageOps.exif_transpose(picture)
    shown = preview.size
    preview.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    config = {"inside": True, "files": [{"name": name, "bytes": len(data), "place": "file"}], "weights": known,
              "wasm": "wasm", "size": shown}  # fmt: skip
    return compose(config, inside, pages.picture_uri(preview, PREVIEW_QUALITY), connect="")


def server_page(names: Sequence[str], sizes: Sequence[int], places: Sequence[str], weights: Mapping[str, str]) -> str:
    """Return the page of a server. ``places`` are addresses of the files, ``weights`` those of weights by id."""
    entries = [
        {"name": name, "bytes": size, "place": place} for name, size, place in zip(names, sizes, places, strict=True)
    ]
    config = {"inside": False, "files": entries, "weights": dict(weights), "wasm": "aecodec.wasm", "size": None}
    return compose(config, {"module": module_file("aecodec.js")}, "data:,", connect=" connect-src 'self';")


def compose(config: Mapping[str, Any], inside: Mapping[str, bytes], preview: str, connect: str) -> str:
    """Return the page with its parts; what is inside stands there in base64, by its id."""
    script = "\n" + pages.read(PACKAGE, "tools.js", "view.js") + "\n"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    blocks = "\n".join(
        f'<script type="text/plain" id="{key}">{base64.b64encode(content).decode()}</script>'
        for key, content in inside.items()
    )
    policy = (
        f"default-src 'none'; img-src data: blob:; style-src 'unsafe-inline';{connect} worker-src blob:; "
        f"script-src 'sha256-{digest}' 'wasm-unsafe-eval' blob:; base-uri 'none'; form-action 'none'"
    )
    parts = {"preview": preview, "data": pages.as_json(config), "blocks": blocks, "script": script}
    body = pages.fill(pages.read(PACKAGE, "view.html"), parts)
    return pages.page("aecodec view", pages.read(PACKAGE, "base.css", "view.css"), body, policy)
