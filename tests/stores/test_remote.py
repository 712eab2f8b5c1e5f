"""Stores: in memory, and a web server on loopback that fails as servers do."""

from __future__ import annotations

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from aecodec.errors import AecodecError, BitstreamError, LimitError, MissingPackageError
from aecodec.stores import remote

fsspec = pytest.importorskip("fsspec")
CONTENT = bytes(range(256)) * 16


@pytest.fixture
def pauses(monkeypatch):
    """The seconds for which calls wait, none of which pass."""
    found: list[float] = []
    monkeypatch.setattr(remote.time, "sleep", found.append)
    return found


@pytest.fixture
def web():
    """(URL, answers, seen): a server; of a path, answers are statuses to give before 200, or "cut" in the middle."""
    pytest.importorskip("aiohttp")
    answers: dict[str, list] = {}
    seen: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.partition("?")[0]
            seen[path] += 1
            queue = answers.get(path, [404])
            answer = queue.pop(0) if len(queue) > 1 else queue[0]
            self.send_response(200 if answer == "cut" else answer)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.send_header("ETag", '"1"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(CONTENT[: 100 if answer == "cut" else None])
            self.close_connection = answer == "cut"

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", answers, seen
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_file_comes_back(memory):
    """Bytes that differ are a picture that is lost."""
    remote.write("memory://a/b.aec", CONTENT)
    assert remote.read("memory://a/b.aec", 2**20) == CONTENT
    assert remote.stat("memory://a/b.aec").size == len(CONTENT)
    assert list(remote.find("memory://a", recursive=True)) == [("b.aec", "memory://a/b.aec")]
    assert remote.is_folder("memory://a")
    assert not remote.is_folder("memory://a/b.aec")


def test_what_a_check_refuses_replaces_nothing(memory):
    """A damaged upload is found by --verify; the good file that it was to replace must still be there, and no other."""
    remote.write("memory://a/b.aec", b"good")

    def refuse(data):
        assert data == b"bad"
        raise AecodecError("refused")

    with pytest.raises(AecodecError, match="refused"):
        remote.write("memory://a/b.aec", b"bad", refuse)
    assert {name: bytes(file.getbuffer()) for name, file in memory.store.items()} == {"/a/b.aec": b"good"}
    remote.write("memory://a/b.aec", b"better", len)
    assert {name: bytes(file.getbuffer()) for name, file in memory.store.items()} == {"/a/b.aec": b"better"}


def test_a_store_of_files_shows_no_half(memory, monkeypatch):
    """Where a file grows under its name, as over SFTP, another would read it too early. It gets its name when whole."""
    monkeypatch.setattr(remote, "_OBJECTS", frozenset())
    written = []
    put = remote._put

    def failing(store, path, data):
        written.append(path)
        put(store, path, data[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(remote, "_put", failing)
    with pytest.raises(OSError, match="the store"):
        remote.write("memory://a/b.aec", CONTENT)
    assert len(written) == 1
    assert memory.store == {}
    monkeypatch.setattr(remote, "_put", put)
    remote.write("memory://a/b.aec", CONTENT)
    assert list(memory.store) == ["/a/b.aec"]


def test_a_version_changes_with_the_file(memory):
    """An index would keep the vectors of the picture that was there before."""
    remote.write("memory://a", b"one")
    before = remote.stat("memory://a")
    assert remote.stat("memory://a") == before
    remote.write("memory://a", b"two")
    assert remote.stat("memory://a").version != before.version


@pytest.mark.parametrize("answer", [503, 429, "cut"])
def test_what_may_pass_is_tried_again(web, pauses, answer):
    """One busy second of a bucket would cost pictures of a run that takes a night."""
    url, answers, _ = web
    answers["/a.png"] = [answer] * 6 + [200]
    assert remote.read(f"{url}/a.png", 2**20) == CONTENT
    assert len(pauses) > 1
    assert all(later > earlier for earlier, later in zip(pauses[::2], pauses[2::2], strict=False))


@pytest.mark.parametrize(("answer", "kind"), [(403, PermissionError), (404, FileNotFoundError), (400, OSError)])
def test_what_may_not_pass_is_not_tried_again(web, pauses, answer, kind):
    """A million pictures without permission must fail in minutes, not in months; and no signature in the message."""
    url, answers, seen = web
    answers["/a.png"] = [answer]
    with pytest.raises(kind) as caught:
        remote.read(f"{url}/a.png?X-Amz-Signature=hunter2", 2**20)
    assert pauses == []
    assert seen["/a.png"] <= 2  # fsspec asks with HEAD, then with GET
    assert "hunter2" not in str(caught.value)


def test_patience_ends(web, monkeypatch):
    """A server that is down for good would hold a run for ever."""
    url, answers, _ = web
    answers["/a.png"] = [503]
    monkeypatch.setattr(remote, "PATIENCE", 0.1)
    with pytest.raises(OSError, match="the store answers 503"):
        remote.read(f"{url}/a.png", 2**20)


def test_a_large_file_is_refused_before_it_is_read(web):
    """Memory for a file that no picture needs; and of a file that is none of ours, only the first block is read."""
    url, answers, seen = web
    answers["/a.png"] = [200]
    with pytest.raises(LimitError):
        remote.read(f"{url}/a.png", 100)
    assert seen["/a.png"] == 1

    def refuse(start):
        raise BitstreamError("none of ours")

    with pytest.raises(BitstreamError):
        remote.read(f"{url}/a.png", 2**20, refuse)


@pytest.mark.parametrize("url", ["https://host/a.png", "zip://a.png::memory://b.zip"])
def test_what_can_only_be_read_is_not_written(url):
    """A picture would be encoded for an hour, and then there is no place for it."""
    with pytest.raises(AecodecError, match="can be read and not written"):
        remote.write(url, b"")


def test_an_unknown_store_is_named():
    with pytest.raises(AecodecError, match="no store of the kind s4://"):
        remote.check_url("s4://a/b")


def test_a_host_may_come_from_the_configuration(monkeypatch):
    """Who set fsspec up for a server would have to repeat its name."""
    from fsspec.config import conf

    monkeypatch.setitem(conf, "ftp", {"host": "photos.example"})
    remote.check_url("ftp:///a.png")


def test_without_the_extra_a_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(remote.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"s3:// needs fsspec: pip install 'aecodec\[remote\]'"):
        remote.check_url("s3://a/b")
