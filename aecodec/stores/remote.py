"""Read, write and list files in stores, through fsspec.

Writing is whole or not at all. An object store shows an object when its upload is complete, and a large one is uploaded in
parts and completed last. On any other store a file gets a temporary name, and its own when it is whole.

What may pass (a busy or unreachable server, a cut connection) is tried again, with growing pauses. All else fails at once.
Messages are made here, from status codes: those of the libraries may hold URLs with signatures.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.util
import posixpath
import random
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from aecodec.errors import AecodecError, LimitError, MissingPackageError
from aecodec.stores import names

Result = TypeVar("Result")

BLOCK = 2**20  # bytes read of a large file before it is looked at
PART = 2**24  # bytes of a part of an upload; S3 takes 5 MiB or more, and 10 000 parts
PATIENCE = 60.0  # seconds after which a call that failed is not tried again
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 15.0

_S3 = frozenset({"s3", "s3a"})
_OBJECTS = _S3 | {"gs", "gcs", "az", "abfs", "abfss", "oci", "memory"}  # where an object appears when it is complete
_SERVERS = frozenset({"ftp", "http", "https", "sftp", "smb", "ssh", "webhdfs"})  # where a name is one of a host's
_READ_ONLY = frozenset({"http", "https", "zip", "tar", "data", "github", "gist", "git", "libarchive"})
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
_BUSY_CODES = frozenset({"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling", "503"})
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "Last-Modified")  # in what fsspec says of a file
_TAGS = ("ETag", "etag", "md5Hash", "CRC")
_NO_CREDENTIALS = frozenset({"NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError"})
_CUT = frozenset(  # by name: to import the libraries costs what a command may not need
    {
        *("ClientConnectionError", "ClientPayloadError", "ServerTimeoutError"),  # aiohttp
        *("HTTPClientError", "IncompleteReadError", "ResponseStreamingError"),  # botocore
        *(
            "TimeoutError",
            "FSTimeoutError",
            "IncompleteRead",
            "ServiceRequestError",
            "ServiceResponseError",
        ),  # fsspec, http, azure
    }
)


@dataclass(frozen=True)
class Stat:
    """A file of a store: bytes, None where the store does not say; time of change in nanoseconds, 0 where it has none.

    ``version`` is another number when the file has changed: it stands for the ETag, or for size and time.
    """

    size: int | None
    changed_ns: int
    version: int
    is_folder: bool = False


def check_url(url: str) -> None:
    """Raise MissingPackageError where a store's package is missing, AecodecError where no store can have such a URL."""
    for each in url.split("::"):
        scheme = names.scheme(each) or each
        purpose = f"{scheme}://"
        if importlib.util.find_spec("fsspec") is None:
            raise MissingPackageError(purpose, "fsspec", "'aecodec[remote]'")
        from fsspec import available_protocols, get_filesystem_class
        from fsspec.registry import known_implementations

        if scheme not in available_protocols():
            raise AecodecError(f"there is no store of the kind {scheme}://")
        try:
            get_filesystem_class(scheme)
        except ImportError:
            package = str(known_implementations.get(scheme, {}).get("class", scheme)).partition(".")[0]
            ours = scheme in _S3 or scheme in ("http", "https")
            package = "aiohttp" if package == "fsspec" and ours else package
            raise MissingPackageError(purpose, package, "'aecodec[remote]'" if ours else package) from None
        _check_host(scheme, each if names.is_url(each) else purpose)


def _check_host(scheme: str, url: str) -> None:
    """Raise AecodecError where a URL lacks its host or bucket, without which fsspec fails in many ways."""
    from fsspec.config import conf

    if names.has_host(url):
        return
    if scheme in _SERVERS and not conf.get(scheme, {}).get("host"):
        raise AecodecError(f"{scheme}:// needs a host, as in {scheme}://HOST/NAME")
    if scheme in _OBJECTS - {"memory"}:
        raise AecodecError(f"{scheme}:// needs a bucket, as in {scheme}://BUCKET/NAME")


def check_writable(url: str) -> None:
    """Raise AecodecError where a kind of store can only be read."""
    if names.scheme(url) in _READ_ONLY or "::" in url:
        raise AecodecError(f"{names.scheme(url)}:// can be read and not written")


def has_bucket(url: str) -> bool:
    """Return False where a URL's bucket is not there; True where it is, where that is not known, or on other stores."""
    if names.scheme(url) not in _OBJECTS - {"memory"}:
        return True
    store, path = _open(url)
    try:
        _attempt(lambda: store.info(path.split("/")[0]))  # exists() takes a busy store for a missing bucket
    except FileNotFoundError:
        return False
    except OSError:  # who may write need not have the right to look
        return True
    return True


def stat(url: str) -> Stat:
    """Return size, time and version. Raises OSError, FileNotFoundError where there is nothing."""
    store, path = _open(url)
    return _attempt(lambda: _stat(store, path))


def is_folder(url: str) -> bool:
    """Return whether a URL stands for what lies below it. On the web, a slash at its end says so."""
    if names.scheme(url) in ("http", "https"):
        return url.partition("?")[0].endswith("/")
    store, path = _open(url)
    return bool(_attempt(lambda: store.isdir(path)))


def find(url: str, recursive: bool) -> Iterator[tuple[str, str]]:
    """Yield the files of a folder and, with ``recursive``, of those in it, sorted: path below the folder, and URL."""
    store, root = _open(url)
    found = _attempt(lambda: store.find(root, maxdepth=None if recursive else 1))
    root = root.rstrip("/")
    for path in sorted(found):
        below = path[len(root) :].lstrip("/") if path.startswith(root) else ""
        if below and not below.endswith("/"):  # an empty object may stand for a folder
            yield below, names.join(url, below)


def read(url: str, limit: int, check: Callable[[bytes], object] | None = None) -> bytes:
    """Return the bytes of a file.

    ``check`` gets the first block, of a large file before the rest is read. Raises OSError, LimitError for more than
    ``limit`` bytes, and what ``check`` raises.
    """
    store, path = _open(url)

    def once() -> bytes:
        found = _stat(store, path)
        if found.is_folder:
            raise IsADirectoryError(errno.EISDIR, "is a directory")
        if found.size is None:
            with store.open(path, "rb") as file:
                data = _read_at_most(file, limit)
        else:
            if found.size > limit:
                raise LimitError(f"more than {limit} bytes", limit)
            if check is not None and found.size > BLOCK:
                check(store.cat_file(path, 0, BLOCK)[:BLOCK])  # a server may send more than it is asked for
            data = store.cat_file(path)
        if len(data) > limit:
            raise LimitError(f"more than {limit} bytes", limit)
        if check is not None and data:
            check(data[:BLOCK])
        return bytes(data)

    return _attempt(once)


def write(url: str, data: bytes, check: Callable[[bytes], object] | None = None) -> None:
    """Write a whole file or none.

    ``check`` gets what was written, read back from the store, before any file is replaced by it. Raises OSError, and what
    ``check`` raises.
    """
    check_writable(url)
    store, path = _open(url)
    whole = names.scheme(url) in _OBJECTS
    if whole and check is None:
        _attempt(lambda: _put(store, path, data))
        return
    folder = posixpath.dirname(path)
    temporary = posixpath.join(folder, f".aecodec-{secrets.token_hex(8)}")
    try:
        if not whole:
            _attempt(lambda: store.makedirs(folder, exist_ok=True))
        _attempt(lambda: _put(store, temporary, data))
        if check is not None:
            check(bytes(_attempt(lambda: store.cat_file(temporary))))
        _attempt(lambda: store.cp_file(temporary, path) if whole else store.mv(temporary, path))
    finally:
        with contextlib.suppress(Exception):  # it was moved, or never came to be
            store.rm_file(temporary)


def _put(store: Any, path: str, data: bytes) -> None:
    """Upload data. Parts of an upload that does not come to its end are removed: a bucket's owner pays for them."""
    if names.scheme(store.unstrip_protocol(path)) not in _S3 or len(data) <= PART:
        store.pipe_file(path, data)
        return
    file = store.open(path, "wb", block_size=PART, autocommit=False)
    try:
        for start in range(0, len(data), PART):
            file.write(data[start : start + PART])
        file.close()
        file.commit()
    except BaseException:
        with contextlib.suppress(Exception):
            file.discard()
        raise


def _open(url: str) -> tuple[Any, str]:
    """Return fsspec's file system for a URL, and its name of the file."""
    check_url(url)
    from fsspec.core import url_to_fs

    try:
        store, path = url_to_fs(url, use_listings_cache=False)  # what others write meanwhile must be seen
    except (OSError, AecodecError):
        raise
    except Exception as error:  # noqa: BLE001  libraries of many stores, each with its own
        raise _plain(error) from None
    return store, str(path)


def _stat(store: Any, path: str) -> Stat:
    info = store.info(path)
    size = info.get("size")
    changed = _nanoseconds(next((info[key] for key in _TIMES if info.get(key)), None))
    if not changed and info.get("type") == "file":
        with contextlib.suppress(NotImplementedError, AttributeError):
            changed = _nanoseconds(store.modified(path))
    tags = [str(info[key]) for key in _TAGS if info.get(key)]
    version = hashlib.sha256(repr((size, tags or changed)).encode()).digest()[:8]
    number = int.from_bytes(version, "big") >> 1  # an index holds it in 64 bits with a sign
    return Stat(size, changed, number, info.get("type") == "directory")


def _nanoseconds(moment: object) -> int:
    """Return nanoseconds since 1970 of a time in one of the forms that stores give, 0 of none."""
    if isinstance(moment, str):
        with contextlib.suppress(ValueError):
            moment = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    if isinstance(moment, str):
        with contextlib.suppress(ValueError):
            moment = parsedate_to_datetime(moment)
    if isinstance(moment, datetime):
        moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        return round(moment.timestamp() * 1e6) * 1000
    return round(moment * 1e9) if isinstance(moment, (int, float)) else 0


def _read_at_most(file: Any, limit: int) -> bytes:
    blocks, size = [], 0
    while block := file.read(BLOCK):
        size += len(block)
        if size > limit:
            raise LimitError(f"more than {limit} bytes", limit)
        blocks.append(block)
    return b"".join(blocks)


def _attempt(call: Callable[[], Result]) -> Result:
    """Return what a call returns. Raises OSError with a message of our own, and AecodecError as it comes."""
    end, pause = time.monotonic() + PATIENCE, FIRST_PAUSE
    while True:
        try:
            return call()
        except AecodecError:
            raise
        except Exception as error:  # noqa: BLE001  as above
            if not _may_pass(error) or time.monotonic() + pause > end:
                raise _plain(error) from None
        time.sleep(pause * random.uniform(0.5, 1))  # many workers must not come back at once
        pause = min(2 * pause, LONGEST_PAUSE)


def _may_pass(error: BaseException) -> bool:
    """Return whether it may help to try again."""
    chain = list(_chain(error))
    if any(isinstance(each, socket.gaierror) and each.errno != socket.EAI_AGAIN for each in chain):
        return False  # no server of this name
    if any(type(each).__name__ in ("SSLCertVerificationError", "ClientConnectorCertificateError") for each in chain):
        return False
    if _is_cut(chain):
        return True
    status, code = _status(chain)
    return status in _BUSY or code in _BUSY_CODES


def _is_cut(chain: list[BaseException]) -> bool:
    """Return whether there was no connection to a server, or one that ended too early."""
    if any(isinstance(each, (ConnectionError, TimeoutError)) for each in chain):
        return True
    return any(kind.__name__ in _CUT for each in chain for kind in type(each).__mro__)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that it came from."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        each = waiting.pop(0)
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [each.__cause__, each.__context__, getattr(each, "os_error", None)]  # aiohttp's wraps a system's error


def _status(chain: list[BaseException]) -> tuple[int, str]:
    """Return the HTTP status and the store's own code of an error, 0 and "" where it has none."""
    for each in chain:
        response = getattr(each, "response", None)
        if isinstance(response, dict):  # botocore
            code = str(response.get("Error", {}).get("Code", ""))
            return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)), code
        for name in ("status", "status_code", "code"):  # aiohttp, azure, gcsfs
            value = getattr(each, name, None)
            if isinstance(value, int) and 400 <= value < 600:
                return value, ""
    return 0, ""


def _plain(error: BaseException) -> OSError:
    """Return an error of the system that says the same in words of our own."""
    chain = list(_chain(error))
    status, code = _status(chain)
    if status in (401, 403) or any(isinstance(each, PermissionError) for each in chain):
        return PermissionError(errno.EACCES, f"permission denied by the store{f' ({code})' if code else ''}")
    if any(type(each).__name__ in _NO_CREDENTIALS for each in chain):
        return PermissionError(errno.EACCES, "the store wants credentials and none were found")
    if any(isinstance(each, socket.gaierror) for each in chain):
        return OSError(errno.EIO, "there is no server of this name")
    if _is_cut(chain):
        return OSError(errno.EIO, f"there was no whole answer of the store for {PATIENCE:g} seconds")
    if status in _BUSY or code in _BUSY_CODES:
        return OSError(errno.EIO, f"the store answers {status or code}, and did so for {PATIENCE:g} seconds")
    if status in (404, 410) or isinstance(error, FileNotFoundError):
        return FileNotFoundError(errno.ENOENT, "no such file or directory")
    if isinstance(error, IsADirectoryError):
        return IsADirectoryError(errno.EISDIR, "is a directory")
    if status:
        return OSError(errno.EIO, f"the store answers {status}{f' ({code})' if code else ''}")
    kind = type(next((each for each in reversed(chain) if isinstance(each, OSError)), error)).__name__
    return OSError(errno.EIO, f"the store cannot be used ({kind})")
