"""``wasm_digest.py write`` notes in aecodec.wasm which sources it was built from; ``wasm_digest.py`` compares.

The note is a custom section, which WebAssembly engines skip: the SHA-256 of the names and bytes of all sources.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULE = ROOT / "aecodec" / "view" / "module" / "aecodec.wasm"
NAME = b"aecodec.sources"
HEADER_SIZE = 8


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


def noted(module: bytes) -> bytes:
    """Return the digest in a module, b"" without one."""
    size = len(section(bytes(32)))
    found = module[HEADER_SIZE : HEADER_SIZE + size]
    return found[-32:] if NAME in found else b""


def main() -> None:
    module = MODULE.read_bytes()
    if sys.argv[1:] == ["write"]:
        MODULE.write_bytes(module[:HEADER_SIZE] + section(digest()) + module[HEADER_SIZE:])
        MODULE.chmod(0o644)  # the linker makes a program of it
    elif noted(module) != digest():
        sys.exit(f"{MODULE.relative_to(ROOT)} was built from other sources: run make wasm")


if __name__ == "__main__":
    main()
