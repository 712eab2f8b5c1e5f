"""Read, join and show the names of files: paths of the local disk, and URLs of stores.

A URL may be chained as fsspec does it: ``zip://photos/a.png::s3://bucket/photos.zip``. Windows' ``C:`` is no scheme.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path, PurePath
from typing import NamedTuple

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://", re.ASCII)
_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://[^\s\"'<>]*", re.ASCII)
_WEB = frozenset({"http", "https"})
_CONTAINER = frozenset({"abfs", "abfss", "wasb", "wasbs"})  # their "container@account" is no secret
_SECRET = re.compile(r"auth|code|cred|expires|jwt|key|pass|policy|pwd|secret|session|sig|tok", re.IGNORECASE)
_FIELD = re.compile(rf"([?&][\w.-]*(?:{_SECRET.pattern})[\w.-]*=)[^&\s]+", re.IGNORECASE)  # of a URL with a space in it
_LONGEST = 24  # characters of a value in a query that is shown; a signature has more


class _Parts(NamedTuple):
    """A URL: "s3://", the path "bucket/a/b.png", and what follows a path: a query, or the store that this one lies in."""

    head: str
    path: str
    tail: str


def is_url(name: str) -> bool:
    """Return whether a name is a URL, not a path."""
    return _URL.match(name) is not None


def scheme(url: str) -> str:
    """Return "s3" of "s3://...", in lower case; "" of a path."""
    found = _URL.match(url)
    return "" if found is None else found[1].lower()


def local_path(url: str) -> str:
    """Return the path of a file:// URL, which like fsspec's knows no %20; all other names as they are."""
    if scheme(url) not in ("file", "local") or "::" in url:
        return url
    path = url.split("://", 1)[1]
    path = path[len("localhost") :] if path.startswith("localhost/") else path
    return path[1:] if re.match(r"/[A-Za-z]:", path) and os.name == "nt" else path


def _split(url: str) -> _Parts:
    head = url[: url.index("://") + 3]
    path, tail = url[len(head) :], ""
    if "::" in path:
        path, _, inner = path.partition("::")
        tail = "::" + inner
    elif scheme(url) in _WEB and "?" in path:
        path, _, query = path.partition("?")
        tail = "?" + query
    return _Parts(head, path, tail)


def has_host(url: str) -> bool:
    """Return whether a URL names a host or a bucket."""
    place = _split(url).path.partition("/")[0]
    return place.rpartition("@")[2].partition(":")[0] != ""


def base(name: str) -> str:
    """Return the last part of a name, without a query."""
    return posixpath.basename(_split(name).path.rstrip("/")) if is_url(name) else Path(name).name


def suffix(name: str) -> str:
    """Return the extension of a name in lower case, "" or with its dot."""
    return Path(base(name)).suffix.lower()


def parent(name: str) -> str:
    """Return the folder that a file lies in."""
    if not is_url(name):
        return str(Path(name).parent)
    head, path, tail = _split(name)
    return head + posixpath.dirname(path.rstrip("/")) + tail


def join(folder: str, *below: str | PurePath) -> str:
    """Return the name of something below a folder. In a store a text keeps its "//", which a key may hold."""
    if not is_url(folder):
        return str(Path(folder, *below))
    head, path, tail = _split(folder)
    parts = (each if isinstance(each, str) else each.as_posix() for each in below)
    rest = "/".join(part for part in parts if part != ".")
    return f"{head}{path.rstrip('/')}/{rest}{tail}" if path.rstrip("/") else head + rest + tail


def identity(name: str) -> str:
    """Return what two names of the same file have in common, links apart."""
    return name if is_url(name) else os.path.abspath(name)


def relative(name: str, folder: str) -> str:
    """Return a name as seen from a folder, so that both can be moved together; a URL without its secrets.

    What lies in another store or bucket than the folder has no relative name.
    """
    if not is_url(name):
        return os.path.abspath(name) if is_url(folder) else os.path.relpath(name, folder)
    if is_url(folder):
        own, other = _split(name), _split(folder)
        alike = own.head == other.head and own.tail == other.tail
        alike = alike and own.path.split("/")[0] == other.path.split("/")[0]
        if alike and posixpath.normpath(own.path) == own.path:  # a key may hold "//", which a relative name would lose
            return posixpath.relpath(own.path, other.path.rstrip("/") or ".")
    return shown(name)


def absolute(name: str, folder: str) -> str:
    """Return the name that ``relative`` made relative to a folder."""
    if is_url(name):
        return name
    if not is_url(folder) or Path(name).is_absolute():
        return os.path.normpath(Path(folder, name))
    head, path, tail = _split(folder)
    return head + posixpath.normpath(posixpath.join(path, name)) + tail


def shown(name: str) -> str:
    """Return a name for messages and reports: a URL without what its reader could sign in with."""
    if not is_url(name):
        return name
    head, path, tail = _split(name)
    user, sign, rest = path.partition("/")[0].rpartition("@")
    if sign and not (scheme(name) in _CONTAINER and ":" not in user):
        path = rest + path[len(user) + 1 + len(rest) :]
    if tail.startswith("::"):
        tail = "::" + shown(tail[2:])
    elif tail and _may_be_signed(tail[1:]):
        tail = ""
    return head + path + tail


def as_text(name: str) -> str:
    """Return names as text that every reader takes: bytes that are not UTF-8 are replaced."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def masked(text: str) -> str:
    """Return a text whose URLs have neither user and password nor a query that may be signed."""
    if "://" not in text:
        return text
    return _FIELD.sub(r"\1...", _IN_TEXT.sub(lambda found: shown(found[0]), text))


def _may_be_signed(query: str) -> bool:
    from urllib.parse import parse_qsl

    fields = parse_qsl(query, keep_blank_values=True)
    return not fields or any(_SECRET.search(name) or len(value) > _LONGEST for name, value in fields)
