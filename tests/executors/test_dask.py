"""A Dask cluster with real processes."""

from __future__ import annotations

import os
import signal

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
