"""``wasm_digest.py MODULE VERSION`` notes in a module which sources it was built from, and by which version of clang.

The note is a custom section, which WebAssembly engines skip: the SHA-256 of the names and bytes of all sources, and the
version. ``wasm_digest.py MODULE`` compares.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = b"aecodec.sources"
HEADER_SIZE, DIGEST_SIZE = 8, 32


def digest() -> bytes:
    """Return the digest of the sources, 32 bytes."""
    folder = ROOT / "libaec"
    paths = sorted(path for part in ("include", "src", "wasm") for path in (folder / part).glob("*.[ch]"))
    lines = (f"{path.relative_to(folder).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n" for path in paths)
    return hashlib.sha256("".join(lines).encode()).digest()


def section(content: bytes) -> bytes:
    """Return a custom section; all its lengths fit one byte."""
    body = bytes([len(NAME)]) + NAME + content
    return bytes([0, len(body)]) + body


def noted(module: bytes) -> tuple[bytes, str]:
    """Return the digest and the version in a module, b"" and "" without a note."""
    body = module[HEADER_SIZE + 2 : HEADER_SIZE + 2 + module[HEADER_SIZE + 1]]
    if not body.startswith(bytes([len(NAME)]) + NAME):
        return b"", ""
    content = body[1 + len(NAME) :]
    return content[:DIGEST_SIZE], content[DIGEST_SIZE:].decode()


def main() -> None:
    path, *version = sys.argv[1:]
    module = Path(path).read_bytes()
    if version:
        Path(path).write_bytes(module[:HEADER_SIZE] + section(digest() + version[0].encode()) + module[HEADER_SIZE:])
        Path(path).chmod(0o644)  # the linker makes a program of it
    elif noted(module)[0] != digest():
        sys.exit(f"{path} was built from other sources: run make wasm")


if __name__ == "__main__":
    main()
