"""Spread many jobs over the workers of an executor, in batches that are large enough to cost little.

A batch of which the worker was lost is given out again job by job, so that a job that kills its worker costs no other job.
"""

from __future__ import annotations

import queue
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, Generic, Protocol, TypeVar

from aecodec.executors.lost import WorkerLostError

J = TypeVar("J")
R = TypeVar("R")
SECONDS = 4.0  # of work in a batch, at least
SECONDS_PER_SLOT = 0.05  # a thousand workers get longer batches: the client needs some 20 ms for each
MOST = 1024  # jobs in a batch
AHEAD = 2  # batches given out for each slot: one runs and one waits
ATTEMPTS = 3  # to do a job
PAUSE = 1.0  # seconds after which the cluster is looked at again where no call ends
PATIENCE = 300.0  # seconds without any worker, after which what is left is given up


class Slots(Protocol):
    """What is needed of an executor."""

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future[Any]: ...

    def slots(self) -> int: ...


def spread(
    jobs: Sequence[J], call: Callable[[list[J]], list[R]], executor: Slots, prepare: Callable[[J, bool], J]
) -> Iterator[tuple[J, R | WorkerLostError]]:
    """Yield each job with its result, as they come; with a WorkerLostError where it could not be done.

    ``call`` gets jobs and returns their results in the same order; it is sent to the workers. ``prepare(job, again)``
    makes what is sent of a job, ``again`` if an earlier attempt was lost and may have left its output.
    """
    batches = _Batches(jobs)
    running: dict[Future[Any], list[J]] = {}
    ended: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
    seen = time.monotonic()  # when there was a worker
    while True:
        if slots := executor.slots():
            seen = time.monotonic()
        while len(running) < AHEAD * slots and (batch := batches.take(slots)):
            future = executor.submit(_timed, call, [prepare(job, batches.was_lost(job)) for job in batch])
            running[future] = batch
            future.add_done_callback(ended.put)
        if not running and not batches.rest():
            return
        try:
            done = ended.get(timeout=min(PAUSE, PATIENCE))
        except queue.Empty:
            if time.monotonic() > seen + PATIENCE:
                for job in [*(job for batch in running.values() for job in batch), *batches.rest()]:
                    yield job, WorkerLostError(f"the cluster had no worker for {PATIENCE:g} seconds")
                return
            continue
        batch = running.pop(done)
        try:
            seconds, results = done.result()
        except WorkerLostError:
            for job in batches.lose(batch):
                yield job, WorkerLostError(f"the workers that worked on it were lost, {ATTEMPTS} times")
        else:
            batches.learn(seconds / len(batch))
            yield from zip(batch, results, strict=True)


def _timed(call: Callable[[list[J]], list[R]], jobs: list[J]) -> tuple[float, list[R]]:
    """Return the seconds that a call takes on a worker, and its results."""
    start = time.monotonic()
    results = call(jobs)
    return time.monotonic() - start, results


class _Batches(Generic[J]):
    """The jobs that wait: those whose worker was lost one by one, the others by as many as take SECONDS."""

    def __init__(self, jobs: Sequence[J]) -> None:
        self._waiting, self._lost = deque(jobs), deque[J]()
        self._losses: dict[int, int] = {}  # by identity, since jobs may be equal
        self._seconds: deque[float] = deque(maxlen=31)  # of a job, in the newest batches

    def take(self, slots: int) -> list[J]:
        """Return the next batch, empty at the end; ``slots`` are those that the last jobs are shared among."""
        if self._lost:
            return [self._lost.popleft()]
        size = 1  # until it is known how long a job takes
        if self._seconds:
            fitting = max(SECONDS, SECONDS_PER_SLOT * slots) / max(statistics.median(self._seconds), 1e-3)
            size = int(min(fitting, MOST, len(self._waiting) / (2 * slots)))
        return [self._waiting.popleft() for _ in range(min(max(size, 1), len(self._waiting)))]

    def rest(self) -> list[J]:
        """Return all jobs that wait."""
        return [*self._lost, *self._waiting]

    def learn(self, seconds: float) -> None:
        """Take note of how long a job took."""
        self._seconds.append(seconds)

    def was_lost(self, job: J) -> bool:
        """Return whether an earlier attempt at a job was lost."""
        return id(job) in self._losses

    def lose(self, batch: list[J]) -> list[J]:
        """Let the jobs of a lost batch wait again, and return those that had all their attempts."""
        for job in batch:
            self._losses[id(job)] = self._losses.get(id(job), 0) + 1
        self._lost += [job for job in batch if self._losses[id(job)] < ATTEMPTS]
        return [job for job in batch if self._losses[id(job)] >= ATTEMPTS]
