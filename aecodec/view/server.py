"""Serve the page and .aec files to browsers of this machine: nothing is written, and nothing else is served."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from aecodec.errors import AecodecError
from aecodec.view.page import module_file, server_page
from aecodec.view.weights import decoder_weights
from aecodec.weights import cards

HOST = "127.0.0.1"
Listing = Callable[[], Sequence[tuple[str, Path]]]  # names to show, and where the files are


class Server(ThreadingHTTPServer):
    """A server at ``address``, which has a secret part: other users and other sites do not know it.

    ``listing`` is called for each page, so that a reload shows new files. Port 0 takes any free one.
    """

    daemon_threads = True

    def __init__(self, listing: Listing, port: int = 0) -> None:
        self.listing = listing
        self.root = f"/{secrets.token_urlsafe(12)}/"
        super().__init__((HOST, port), _Handler)

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.server_address[1]}{self.root}"

    def content(self, path: str) -> tuple[bytes, str]:
        """Return what lies at a path below the secret part, and its media type. Raises LookupError or OSError without."""
        kind, _, rest = path.partition("/")
        if path == "":
            return self._page().encode(), "text/html; charset=utf-8"
        if path == "aecodec.wasm":
            return module_file(path), "application/wasm"
        if kind == "weights":
            return decoder_weights(cards.locate(rest)), "application/octet-stream"
        if kind == "file":
            return dict(self._places())[rest].read_bytes(), "image/x-aec"
        raise LookupError(path)

    def _places(self) -> list[tuple[str, Path]]:
        return [(str(number), path) for number, (_, path) in enumerate(self.listing())]

    def _page(self) -> str:
        listed = self.listing()
        ids = [cards.read_card(cards.folder_of(name))["sha256"][:8] for name in cards.names()]
        return server_page(
            [name for name, _ in listed],
            [path.stat().st_size for _, path in listed],
            [f"file/{number}" for number, _ in enumerate(listed)],
            {identity: f"weights/{identity}" for identity in ids},
        )


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a browser that knows the address by the name that it was given."""
        host = self.headers.get("Host", "")
        port = self.server.server_address[1]
        inside = self.path.startswith(self.server.root) and host in (f"{HOST}:{port}", f"localhost:{port}")
        try:
            if not inside:
                raise LookupError(self.path)
            content, kind = self.server.content(self.path[len(self.server.root) :])
        except (AecodecError, LookupError, OSError):
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.send_response(HTTPStatus.OK)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "X-Frame-Options": "DENY",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.send_content(content)

    def send_content(self, content: bytes) -> None:
        """Send what follows the headers; tests send it in pieces."""
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: a page that is read is no news."""
