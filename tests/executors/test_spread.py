"""Batches of jobs for the workers of an executor that loses some."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from aecodec import executors
from aecodec.errors import AecodecError, MissingPackageError
from aecodec.executors import spread
from aecodec.executors.lost import WorkerLostError

Job = tuple[int, bool]  # a number, and whether an earlier attempt was lost


class Pool:
    """Two threads for workers; ``loses`` tells which batches cost a worker."""

    def __init__(self, loses: Callable[[list[Job]], bool] = lambda jobs: False) -> None:
        self.pool, self.loses, self.lock = ThreadPoolExecutor(2), loses, threading.Lock()
        self.batches: list[list[Job]] = []

    def submit(self, fn: Callable, call: Callable, jobs: list[Job]) -> Future:
        self.batches.append(jobs)
        return self.pool.submit(self._run, fn, call, jobs)

    def _run(self, fn: Callable, call: Callable, jobs: list[Job]) -> object:
        result = fn(call, jobs)
        with self.lock:
            if self.loses(jobs):
                raise WorkerLostError("killed")  # when all is done, the worst moment
        return result

    def slots(self) -> int:
        return 2


def doubled(jobs: list[Job]) -> list[int]:
    return [2 * number for number, _ in jobs]


def run(count: int, pool: Pool, call: Callable = doubled) -> dict[int, object]:
    found = list(spread.spread([(k, False) for k in range(count)], call, pool, lambda job, again: (job[0], again)))
    assert len(found) == count
    return {number: result for (number, _), result in found}


def test_every_job_has_its_result():
    """A picture that is lost, or done twice, on the way through batches."""
    pool = Pool()
    assert run(500, pool) == {k: 2 * k for k in range(500)}
    assert Counter(number for batch in pool.batches for number, _ in batch) == Counter(range(500))
    assert max(map(len, pool.batches)) > 10  # or a cluster would be busy with giving out jobs
    assert len(pool.batches[-1]) < 10  # or the last worker would work alone


def test_long_jobs_are_given_out_one_by_one(monkeypatch):
    """A batch of long jobs would be lost as a whole with its worker."""
    monkeypatch.setattr(spread, "SECONDS", 0.01)
    monkeypatch.setattr(spread, "SECONDS_PER_SLOT", 0.0)
    pool = Pool()
    run(12, pool, lambda jobs: [time.sleep(0.02) for _ in jobs])
    assert {len(batch) for batch in pool.batches} == {1}


def test_jobs_of_a_lost_worker_are_done_again():
    """A dead worker would cost all pictures of its batch; the second attempt must know that it is one."""
    lost = []

    def loses(jobs: list[Job]) -> bool:
        if not lost and any(number == 30 for number, _ in jobs):
            lost.extend(number for number, _ in jobs)
        return jobs[0][0] in lost and not jobs[0][1]

    pool = Pool(loses)
    assert run(100, pool) == {k: 2 * k for k in range(100)}
    again = [batch for batch in pool.batches if batch[0][1]]
    assert sorted(batch[0][0] for batch in again) == sorted(lost)
    assert {len(batch) for batch in again} == {1}


def test_a_job_that_kills_workers_is_given_up():
    """One poisoned picture would kill worker after worker, for ever, and take its neighbours with it."""
    pool = Pool(lambda jobs: any(number == 30 for number, _ in jobs))
    found = run(100, pool)
    assert isinstance(found.pop(30), WorkerLostError)
    assert found == {k: 2 * k for k in range(100) if k != 30}
    assert sum(number == 30 for batch in pool.batches for number, _ in batch) == spread.ATTEMPTS


def test_jobs_wait_for_workers(monkeypatch):
    """While the scheduler is away nothing can be given out, and no job must lose its attempts by that."""
    monkeypatch.setattr(spread, "PAUSE", 0.01)
    pool, asked = Pool(), []
    pool.slots = lambda: asked.append(len(pool.batches)) or (2 if len(asked) > 4 else 0)
    assert run(20, pool) == {k: 2 * k for k in range(20)}
    assert asked[:5] == [0] * 5


def test_without_workers_jobs_are_named_and_not_waited_for(monkeypatch):
    """A cluster that is gone would look like a program that hangs."""
    monkeypatch.setattr(spread, "PATIENCE", 0.05)
    pool = Pool()
    pool.slots = lambda: 0
    pool.submit = lambda *args: Future()
    assert all("no worker" in str(result) for result in run(5, pool).values())


def test_a_fault_of_the_workers_as_such_is_raised():
    """Without the package on the workers, each of a million pictures would be named."""

    def fails(jobs: list[Job]) -> list[int]:
        raise ModuleNotFoundError("No module named 'aecodec'")

    with pytest.raises(ModuleNotFoundError):
        run(5, Pool(), fails)


def test_names_of_executors(monkeypatch):
    """A typing error must not start workers elsewhere, and a missing package must have a name."""
    with pytest.raises(AecodecError, match="no executor ray://x"):
        executors.check_name("ray://x")
    monkeypatch.setattr(executors.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"aecodec\[dask\]"):
        executors.check_name("dask://")
