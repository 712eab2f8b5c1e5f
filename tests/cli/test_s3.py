"""An S3 server on loopback (moto's), with faults in front of it. ``make test-scale`` runs this."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter

import pytest

pytest.importorskip("s3fs")
pytest.importorskip("moto.server")
pytestmark = pytest.mark.slow
PART = 5 * 2**20  # the smallest that S3 takes
MANIFEST = "s3://pictures/out/manifest.jsonl"


class Faults:
    """A WSGI application in front of another: answers 503, or holds the second part of an upload until ``release``."""

    def __init__(self, application):
        self.application, self.seen = application, Counter()
        self.holds = False
        self.left = 0
        self.held, self.release = threading.Event(), threading.Event()

    def __call__(self, environ, start_response):
        method, query = environ["REQUEST_METHOD"], environ.get("QUERY_STRING", "")
        self.seen[method] += 1
        if self.left > 0:
            self.left -= 1
            start_response("503 Slow Down", [("Content-Type", "text/plain"), ("Connection", "close")])
            return [b"later"]
        if self.holds and "partNumber=2" in query:
            self.held.set()
            self.release.wait(60)
        return self.application(environ, start_response)


@pytest.fixture
def s3(monkeypatch):
    """(client, faults): the bucket "pictures" on an empty server, and what is in front of it. The environment is set."""
    import boto3
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *args):
            pass

    faults = Faults(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, faults, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    values = {"ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", "ACCESS_KEY_ID": "AKIATEST",
              "SECRET_ACCESS_KEY": "hunter2", "DEFAULT_REGION": "us-east-1", "MAX_ATTEMPTS": "1"}  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()  # which hold the address of the server before
    client = boto3.client("s3", endpoint_url=values["ENDPOINT_URL"])
    client.create_bucket(Bucket="pictures")
    yield client, faults
    faults.release.set()
    while found := keys(client):  # a thousand at a time
        client.delete_objects(Bucket="pictures", Delete={"Objects": [{"Key": key} for key in found]})
    client.delete_bucket(Bucket="pictures")
    server.shutdown()
    thread.join()


def keys(client):
    return [each["Key"] for each in client.list_objects_v2(Bucket="pictures").get("Contents", [])]


def uploads(client):
    return client.list_multipart_uploads(Bucket="pictures").get("Uploads", [])


def upload(data_size: int, key: str) -> list[str]:
    """Return the command of a process that uploads a large file in parts."""
    code = (
        f"from aecodec.stores import remote; remote.PART = {PART}; from aecodec.cli import batch\n"
        f"with batch.terminated_as_exit(): remote.write('s3://pictures/{key}', b'x' * {data_size})"
    )
    return [sys.executable, "-c", code]


def test_pictures_in_a_bucket(cli, s3, photo, tmp_path):
    """From a bucket to a bucket while it is busy, again with --update, and back with proof. No secret is printed."""
    client, faults = s3
    for i in range(2):
        photo(12 + i, 8).save(tmp_path / "x.png")
        client.put_object(Bucket="pictures", Key=f"in/{'sub/' * i}{i}.png", Body=(tmp_path / "x.png").read_bytes())
    client.put_object(Bucket="pictures", Key="in/", Body=b"")  # what consoles make for a folder
    args = (
        "encode",
        "--lossless",
        "-r",
        "--verify",
        "--manifest",
        "s3://pictures/out/m.jsonl",
        "--output-dir",
        "s3://pictures/out",
    )
    faults.left = 4
    first = cli(*args, "s3://pictures/in")
    assert first.exit_code == 0, first.stderr
    assert faults.left == 0
    assert keys(client) == ["in/", "in/0.png", "in/sub/1.png", "out/0.aec", "out/m.jsonl", "out/sub/1.aec"]
    again = cli(*args, "--update", "s3://pictures/in")
    assert "2 up to date" in again.stderr
    proof = cli("verify", "--json", "--manifest", "s3://pictures/out/m.jsonl")
    assert [json.loads(line)["source_unchanged"] for line in proof.stdout.splitlines()] == [True, True]
    missing = cli("encode", "--lossless", "--output-dir", "s3://no-such-bucket/out", "s3://pictures/in")
    assert missing.exit_code == 1
    assert "s3://no-such-bucket/out: there is no such bucket" in missing.stderr
    for result in (first, again, proof, missing):
        assert "hunter2" not in result.output
        assert "AKIATEST" not in result.output


@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_a_killed_upload_shows_nothing(s3, end):
    """Half a picture under its name would be taken for the whole; of an upload that is ended in order no part is left."""
    client, faults = s3
    faults.holds = True
    process = subprocess.Popen(upload(3 * PART, "large.aec"))
    try:
        assert faults.held.wait(120)
        assert keys(client) == []
        getattr(process, end)()
        process.wait(60)
    finally:
        process.kill()
        faults.release.set()
    assert keys(client) == []
    assert len(uploads(client)) == (1 if end == "kill" else 0)  # which nobody sees; a lifecycle rule removes it
    faults.holds = False
    subprocess.run(upload(3 * PART, "large.aec"), check=True, timeout=120)
    assert keys(client) == ["large.aec"]
    assert client.head_object(Bucket="pictures", Key="large.aec")["ContentLength"] == 3 * PART


PICTURES = int(os.environ.get("AECODEC_SCALE_PICTURES", "60"))  # make test-scale takes 2000


@pytest.mark.timeout(1200)
def test_a_worker_that_is_killed_costs_no_picture(cli, s3, photo, tmp_path):
    """A picture that is lost, is half there or stands in no manifest would be found years later.

    From a bucket to a bucket on two workers, one of which dies in the middle.
    """
    distributed = pytest.importorskip("distributed")
    client, _ = s3
    fill(client, photo, tmp_path, PICTURES)
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50)
    with cluster, distributed.Client(cluster, set_as_default=False) as dask:
        victim = next(iter(dask.run(os.getpid).values()))
        command = ["encode", "-r", "--executor", cluster.scheduler_address.replace("tcp", "dask"), "--manifest", MANIFEST]
        encoding = subprocess.Popen(
            [sys.executable, "-m", "aecodec", *command, "--output-dir", "s3://pictures/out", "s3://pictures/in"],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        while count(client, "out/") < PICTURES // 3:
            assert encoding.poll() is None, encoding.stderr.read()
        os.kill(victim, signal.SIGKILL)
        _, messages = encoding.communicate(timeout=1000)
    assert encoding.returncode == 0, messages
    assert f"{PICTURES} encoded;" in messages
    check_archive(cli, client, PICTURES)


def fill(client, photo, tmp_path, number: int) -> None:
    """Put so many pictures into in/."""
    for seed in range(20):
        photo(24, 16, seed=seed).save(tmp_path / f"{seed}.png")
    for each in range(number):
        body = (tmp_path / f"{each % 20}.png").read_bytes()
        client.put_object(Bucket="pictures", Key=f"in/{each:05}.png", Body=body)


def check_archive(cli, client, number: int) -> None:
    """Every picture is there, is whole, and stands once in the manifest."""
    assert count(client, "out/") == number + 1
    lines = client.get_object(Bucket="pictures", Key="out/manifest.jsonl")["Body"].read().splitlines()
    assert len({json.loads(line)["source"] for line in lines}) == len(lines) == number
    assert cli("verify", "--manifest", MANIFEST).exit_code == 0


@pytest.mark.parametrize("victim", ["one of two runs", "the only run"])
def test_a_run_that_is_killed_is_gone_on_with(cli, s3, photo, tmp_path, victim):
    """Two machines that were given the same bucket by mistake, or one that lost power, would leave halves or gaps."""
    client, _ = s3
    fill(client, photo, tmp_path, 20)
    args = ["encode", "-r", "--update", "--manifest", MANIFEST, "--output-dir", "s3://pictures/out", "s3://pictures/in"]
    runs = [
        subprocess.Popen([sys.executable, "-m", "aecodec", *args, "-j", "1"], stderr=subprocess.PIPE, text=True)
        for _ in range(2 if victim == "one of two runs" else 1)
    ]
    try:
        while count(client, "out/") < 7:
            assert runs[0].poll() is None, runs[0].stderr.read()
        runs[0].kill()
        ends = [run.communicate(timeout=300)[1] for run in runs]
    finally:
        for run in runs:
            run.kill()
    assert [run.returncode for run in runs[1:]] == [0] * len(runs[1:]), ends
    assert cli(*args).exit_code == 0
    check_archive(cli, client, 20)
    assert "20 up to date" in cli(*args).stderr


def count(client, prefix: str) -> int:
    """Return how many objects there are."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="pictures", Prefix=prefix)
    return sum(page["KeyCount"] for page in pages)
