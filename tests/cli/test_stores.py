"""Pictures in stores: commands over memory:// and a web server on loopback. ``test_s3.py`` has a real S3 server."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

import aecodec

fsspec = pytest.importorskip("fsspec")
OUT = "memory://out"


@pytest.fixture
def pictures(memory, photo, tmp_path):
    """memory://in with two pictures on two levels, a hidden one and a text; the same store."""
    for i, name in enumerate(("a.png", "sub/b.PNG", ".c.png")):
        photo(12 + i, 8).save(tmp_path / "x.png")
        memory.pipe_file(f"/in/{name}", (tmp_path / "x.png").read_bytes())
    memory.pipe_file("/in/notes.txt", b"no picture")
    return memory


@pytest.fixture
def web(tmp_path):
    """The URL of a server of the folder web/."""
    pytest.importorskip("aiohttp")
    (tmp_path / "web").mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=tmp_path / "web"))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_tree_goes_through_a_store_and_back(cli, pictures):
    """A bucket of pictures, into another and back, is what all of this is for. Outputs in the tree are no inputs."""
    result = cli("encode", "--lossless", "-r", "--manifest", f"{OUT}/m.jsonl", "--output-dir", OUT, "memory://in")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.rstrip().endswith("; left out: 1 hidden, 1 other file")
    assert sorted(pictures.store) == [
        "/in/.c.png", "/in/a.png", "/in/notes.txt", "/in/sub/b.PNG", "/out/a.aec", "/out/m.jsonl", "/out/sub/b.aec",
    ]  # fmt: skip
    assert cli("verify", "--manifest", f"{OUT}/m.jsonl").exit_code == 0
    assert cli("info", "-r", OUT).stdout.count("without loss") == 2
    assert cli("decode", "-r", "--output-dir", "memory://out/back", OUT).exit_code == 0
    assert cli("decode", "-r", "--output-dir", "memory://out/back", "-f", OUT).stderr.startswith("aecodec: 2 decoded")
    assert aecodec.decode(pictures.cat_file("/out/a.aec")).size == (12, 8)
    assert pictures.isfile("/out/back/sub/b.png")


def test_update_redoes_what_has_changed(cli, pictures):
    """A second run over a bucket does the new pictures and no others; without --update or --force nothing is replaced."""
    args = ("encode", "--lossless", "-r", "--output-dir", OUT, "memory://in")
    assert cli(*args).exit_code == 0
    assert "2 up to date" in cli(*args, "--update").stderr
    pictures.pipe_file("/in/a.png", pictures.cat_file("/in/sub/b.PNG"))
    assert cli(*args).stderr.count("exists; --force replaces it") == 2
    assert "1 encoded, 1 up to date" in cli(*args, "--update").stderr
    assert aecodec.info(pictures.cat_file("/out/a.aec")).width == 13
    pictures.pipe_file("/out/a.aec", b"")
    assert "1 encoded, 1 up to date" in cli(*args, "--update").stderr


def test_a_manifest_grows_with_update(cli, pictures):
    """Lines of an earlier run that are lost are pictures that nobody can prove."""
    args = ("encode", "--lossless", "--update", "--manifest", f"{OUT}/m.jsonl", "--output-dir", OUT)
    assert cli(*args, "memory://in/a.png").exit_code == 0
    assert cli(*args, "memory://in/a.png", "memory://in/sub/b.PNG").exit_code == 0
    lines = [json.loads(line) for line in pictures.cat_file("/out/m.jsonl").splitlines()]
    assert [(line["source"], line["output"]) for line in lines] == [
        ("memory://in/a.png", "a.aec"), ("memory://in/sub/b.PNG", "b.aec"),
    ]  # fmt: skip
    assert lines[0]["output_sha256"] == hashlib.sha256(pictures.cat_file("/out/a.aec")).hexdigest()
    assert cli("encode", "--lossless", "--manifest", f"{OUT}/m.jsonl", "--output-dir", OUT, "memory://in").exit_code == 2
    pictures.pipe_file(
        "/out/m.jsonl", pictures.cat_file("/out/m.jsonl").splitlines(True)[1]
    )  # killed before it was written
    assert "1 encoded, 1 up to date" in cli(*args, "memory://in/a.png", "memory://in/sub/b.PNG").stderr
    assert pictures.cat_file("/out/m.jsonl").count(b"a.aec") == 1
    pictures.pipe_file("/out/b.aec", b"damaged")
    result = cli("verify", "--manifest", f"{OUT}/m.jsonl")
    assert "memory://out/b.aec: is not the file that the manifest names" in result.stderr


def test_pictures_come_from_the_web(cli, web, tmp_path, photo, file):
    """Pages of a server, a file with a query, and an archive in it. No secret is printed or written."""
    photo(16, 8).save(tmp_path / "web" / "a.png")
    (tmp_path / "web" / "b.aec").write_bytes(file)
    secret = "?X-Amz-Signature=hunter2"
    args = ("encode", "--lossless", "--json", "--manifest", "m.jsonl", "--output-dir", "out", "--preserve")
    result = cli(*args, f"{web}/a.png{secret}", f"{web}/none.png{secret}")
    assert result.exit_code == 1
    assert f"aecodec: {web}/none.png: no such file or directory" in result.stderr
    assert json.loads(result.stdout.splitlines()[0])["input"] == f"{web}/a.png"
    assert "hunter2" not in result.output + (tmp_path / "m.jsonl").read_text()
    assert (tmp_path / "out" / "a.aec").stat().st_size
    assert cli("info", f"{web}/b.aec").exit_code == 0
    assert cli("encode", "--lossless", "--output-dir", "all", f"{web}/").stderr == "aecodec: left out: 1 other file\n"
    assert cli("encode", "--lossless", "--output-dir", f"{web}/out", f"{web}/a.png").exit_code == 1


def test_a_file_url_is_a_local_file(cli, tmp_path, photo):
    photo(16, 8).save(tmp_path / "a.png")
    assert cli("encode", "--lossless", f"file://{tmp_path}/a.png", f"file://{tmp_path}/a.aec").exit_code == 0
    assert (tmp_path / "a.aec").stat().st_size


def test_an_archive_is_a_folder(cli, memory, tmp_path, photo):
    """Pictures that came as a .zip are encoded from where they are."""
    import zipfile

    photo(16, 8).save(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.write(tmp_path / "a.png", "photos/a.png")
    result = cli("encode", "--lossless", "-r", "--output-dir", OUT, f"zip://::file://{tmp_path}/z.zip")
    assert result.exit_code == 0, result.stderr
    assert sorted(memory.store) == ["/out/photos/a.aec"]


@pytest.mark.slow
def test_an_index_of_a_store(cli, pictures):
    """Ten million vectors are not computed again because the index, or the pictures, are in a bucket."""
    args = ("similar", "index", "-r", "memory://in", "-o", f"{OUT}/photos.index")
    result = cli(*args)
    assert result.exit_code == 0, result.stderr
    assert "2 described" in result.stderr
    assert "2 up to date" in cli(*args).stderr
    found = cli("similar", "query", f"{OUT}/photos.index", "memory://in/a.png", "-n", "1").stdout
    assert found.split() == ["1.0000", "memory://in/a.png"]
    assert cli("features", "-r", "memory://in", "-o", f"{OUT}/table.csv").exit_code == 0
    assert pictures.cat_file("/out/table.csv").count(b"memory://in/") == 2


def test_without_the_extra_one_line_says_what_to_install(fails, monkeypatch):
    """Not one for each of a million pictures."""
    from aecodec.stores import remote

    monkeypatch.setattr(remote.importlib.util, "find_spec", lambda name: None)
    line = fails(1, "encode", "--output-dir", "s3://b/out", "s3://b/1.png", "s3://b/2.png")
    assert line == "aecodec: s3:// needs fsspec: pip install 'aecodec[remote]'"


@pytest.mark.parametrize("url", ["ftp://", "ftp://user@/a.png", "ftp://:21/a.png", "http:///a.png", "zip://a.png::ftp://"])
def test_a_server_without_a_host_costs_one_line(fails, url):
    """A slip in a URL would show a traceback of fsspec."""
    scheme = url.rpartition("::")[2].partition(":")[0]
    line = f"aecodec: {scheme}:// needs a host, as in {scheme}://HOST/NAME"
    assert fails(1, "encode", url, "a.aec") == line
    assert fails(1, "encode", "--output-dir", url, "a.png") == line


@pytest.mark.parametrize("url", ["s3://", "s3:///a.png"])
def test_a_store_without_a_bucket_costs_one_line(fails, url):
    """The name of the picture would be taken for that of a bucket, which may be a stranger's."""
    pytest.importorskip("s3fs")
    line = "aecodec: s3:// needs a bucket, as in s3://BUCKET/NAME"
    assert fails(1, "encode", url, "a.aec") == line
    assert fails(1, "encode", "--output-dir", url, "a.png") == line


def test_local_commands_import_nothing_of_stores(tmp_path, photo):
    """The core install has no fsspec, and who has it must not wait for its import."""
    photo(8, 8).save(tmp_path / "a.png")
    code = """
import sys
sys.modules["fsspec"] = None  # an import fails
from aecodec.cli.main import main
try:
    main(["encode", "--lossless", "--update", "--manifest", "m.jsonl", "--output-dir", "out", "a.png"])
except SystemExit as end:
    assert not end.code
assert "aecodec.stores.names" in sys.modules
assert "aecodec.stores.remote" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
