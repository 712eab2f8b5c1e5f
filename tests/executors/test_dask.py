"""A Dask cluster with real processes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("distributed")
from aecodec import executors
from aecodec.errors import AecodecError
from aecodec.executors import dask
from aecodec.executors.lost import WorkerLostError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    with executors.open_executor("dask://", 2) as executor:
        yield executor


def test_calls_run_in_other_processes(cluster):
    """What the executor is for; errors must arrive, too."""
    assert cluster.slots() == 2
    assert cluster.submit(pow, 2, 5).result(60) == 32
    assert cluster.submit(os.getpid).result(60) != os.getpid()
    with pytest.raises(ZeroDivisionError):
        cluster.submit(divmod, 1, 0).result(60)


def test_a_call_whose_worker_is_killed_runs_once(cluster, tmp_path):
    """Dask runs it again and tells nobody: a file of the first attempt would stand in the way of the second."""
    log = tmp_path / "log"
    with pytest.raises(WorkerLostError):
        cluster.submit(_write_and_die, str(log)).result(120)
    assert log.read_text() == "begun\n"
    assert cluster.submit(pow, 2, 5).result(60) == 32  # the others go on


def _write_and_die(path: str) -> None:
    with open(path, "a") as file:
        file.write("begun\n")
    os.kill(os.getpid(), signal.SIGKILL)


def test_no_scheduler(monkeypatch):
    """A wrong address would end in a traceback of another library."""
    monkeypatch.setattr(dask, "CONNECTING", 1.0)
    with pytest.raises(AecodecError, match="no Dask scheduler"):
        executors.open_executor("dask://127.0.0.1:9")


@contextlib.contextmanager
def processes() -> Iterator[Callable[..., subprocess.Popen]]:
    """Yield a function that starts "dask scheduler" or "dask worker" with arguments; all end with the block."""
    started: list[subprocess.Popen] = []

    def start(*args: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "dask", *args, "--no-dashboard"]
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return started[-1]

    try:
        yield start
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(60)


def free_port() -> str:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return str(server.getsockname()[1])


def until(condition: Callable[[], object], seconds: float = 100) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)


def test_a_scheduler_that_is_killed_comes_back():
    """A night's run would end with the scheduler's machine, or hang, though both are back after a minute."""
    port = free_port()
    scheduler, worker = ("scheduler", "--host", "127.0.0.1", "--port", port), ("worker", f"tcp://127.0.0.1:{port}")
    with processes() as start:
        first = start(*scheduler)
        start(*worker, "--nthreads", "1", "--no-nanny")
        with executors.open_executor(f"dask://127.0.0.1:{port}") as executor:
            assert executor.submit(pow, 2, 5).result(60) == 32
            executor._client._timeout = 1.0  # seconds that Dask waits; then it closes the client for ever
            running = executor.submit(time.sleep, 60)
            first.kill()
            with pytest.raises(WorkerLostError):
                running.result(60)
            until(lambda: executor._client.status == "closed")
            assert executor.submit(pow, 2, 5).exception(60)
            assert executor._count() == 0
            start(*scheduler)
            start(*worker, "--nthreads", "1", "--no-nanny")
            until(executor._count)
            assert executor.submit(pow, 2, 5).result(60) == 32
