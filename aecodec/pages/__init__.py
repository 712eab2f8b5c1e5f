"""Put together the pages that commands write: one file with everything inside, which opens from disk without a network.

This room knows HTML and nothing of codecs. ``page.html``, ``base.css`` and ``tools.js`` are what all pages share.
"""

from __future__ import annotations

import base64
import html
import io
import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

DIGITS = 6  # significant ones of a number in a page
SHARED = ("page.html", "base.css", "tools.js")


def read(package: str, *names: str) -> str:
    """Return the text of files in the folder ``page`` of a package, one after another; SHARED are this package's."""
    return "\n".join(
        (resources.files("aecodec.pages") if name in SHARED else resources.files(package) / "page")
        .joinpath(name)
        .read_text("utf-8")
        for name in names
    )


def report(package: str, name: str, title: str, data: Any, *, images: str = "data:") -> str:
    """Return the page that a script draws from data: ``name``.html, .css and .js of a package.

    ``images`` are the sources that its pictures may have, as a content security policy names them.
    """
    script = read(package, "tools.js", f"{name}.js")
    body = (
        f'{read(package, f"{name}.html")}<script type="application/json" id="data">{as_json(data)}</script>\n'
        f"<script>\n{script}\n</script>"
    )
    policy = f"default-src 'none'; img-src {images}; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    return page(title, read(package, "base.css", f"{name}.css"), body, policy)


def page(title: str, style: str, body: str, policy: str) -> str:
    """Return a page: its title as text, its style sheet, what is in its body, and its content security policy."""
    parts = {"title": html.escape(title, quote=False), "style": style, "body": body, "policy": policy}
    return fill(read("aecodec.pages", "page.html"), parts)


def fill(template: str, parts: Mapping[str, str]) -> str:
    """Return a template with a part for each {{name}}. All are put in at once, since a part may hold such a name."""
    return re.sub("{{([a-z]+)}}", lambda match: parts[match[1]], template)


def as_json(data: Any) -> str:
    """Return data as the text of a script element, numbers shortened. Raises ValueError for NaN and infinity."""
    text = json.dumps(rounded(data), allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c")  # a name such as "</script>" must not end the element that holds it


def rounded(value: Any) -> Any:
    """Return the same data with shorter numbers."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(each) for each in value]
    return value


def picture_uri(image: Image, quality: int = 100) -> str:
    """Return a picture as the address of its own bytes: lossless at quality 100, where Pillow has no WebP always."""
    from PIL import features

    buffer = io.BytesIO()
    kind = "WEBP" if features.check("webp") else "PNG"
    image.save(buffer, kind, lossless=quality == 100, quality=quality)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
