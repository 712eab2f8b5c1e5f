"""Run calls on the workers of a Dask cluster, each at most once."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import dask
from distributed import Client, Event, KilledWorker, LocalCluster
from distributed.client import ClosedClientError

from aecodec.errors import AecodecError
from aecodec.executors.lost import WorkerLostError

Result = TypeVar("Result")
CONNECTING = 30.0  # seconds in which a scheduler must answer and have a worker
LOOK = 1.0  # seconds after which the cluster is asked again for its size
_QUIET = {"logging.distributed": "critical", "logging.bokeh": "critical"}


class DaskExecutor(concurrent.futures.Executor):
    """An executor over a Dask cluster. A call whose worker dies is not run again, but raises WorkerLostError.

    Dask by itself runs such a call again, up to three times, and tells nobody. Who writes files must know: a file that the
    first attempt wrote is there when the second comes. So the first attempt sets an event of the call, and one that finds
    it set gives up.

    When the scheduler goes, all calls end with WorkerLostError, though a worker may still be at one of them. Later calls
    go to a scheduler that comes back at the same address.
    """

    def __init__(self, address: str, workers: int = 1) -> None:
        """Connect to the scheduler at an address, or start one with so many workers where the address is empty.

        Raises AecodecError where nothing answers, or no worker comes.
        """
        self._cluster: Any = None
        if not address:
            with dask.config.set(_QUIET):
                self._cluster = LocalCluster(
                    n_workers=workers, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
                )
        self._address = self._cluster or _with_scheme(address)
        self._ended: deque[str] = deque()  # calls whose events can go
        self._slots, self._looked = 0, -LOOK
        try:
            self._connect(CONNECTING)
        except (OSError, TimeoutError, ValueError):
            raise AecodecError("no Dask scheduler answers there") from None
        try:
            self._client.wait_for_workers(1, timeout=CONNECTING)
        except TimeoutError:
            self.shutdown()
            raise AecodecError(f"the cluster has no worker, and none came within {CONNECTING:g} seconds") from None

    def _connect(self, seconds: float) -> None:
        with dask.config.set(_QUIET):
            self._client = Client(self._address, timeout=seconds, set_as_default=False)
        self._inner = self._client.get_executor(pure=False)

    def slots(self) -> int:
        """Return how many calls the workers run at a time: none while the scheduler is away, which may come back."""
        if time.monotonic() > self._looked + LOOK:
            self._slots = self._count()
            self._looked = time.monotonic()
        return self._slots

    def threads(self) -> int:
        """Return how many calls one worker runs at a time, at most: the most of all workers."""
        return max(self._client.nthreads().values(), default=0)

    def _count(self) -> int:
        try:
            if self._client.status == "closed":  # it was away for longer than the client waits
                self._connect(LOOK)
            return sum(self._client.nthreads().values()) if self._client.status == "running" else 0
        except (OSError, TimeoutError):
            return 0

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Result]:
        """Return the future of a call. Its error is WorkerLostError where the worker or the scheduler was lost."""
        self._forget()
        name = f"aecodec-{uuid.uuid4().hex}"
        ours: concurrent.futures.Future[Result] = concurrent.futures.Future()
        ours.set_running_or_notify_cancel()
        try:
            theirs = self._inner.submit(_at_most_once, name, functools.partial(fn, *args, **kwargs))
        except ClosedClientError as error:
            ours.set_exception(WorkerLostError(str(error)))
            return ours
        theirs.add_done_callback(functools.partial(self._hand_on, name, ours))
        return ours

    def _hand_on(self, name: str, ours: concurrent.futures.Future[Any], theirs: concurrent.futures.Future[Any]) -> None:
        """Give the result of Dask's future to ours, in Dask's thread."""
        self._ended.append(name)
        try:
            ours.set_result(theirs.result())
        except (KilledWorker, concurrent.futures.CancelledError) as error:
            ours.set_exception(WorkerLostError(str(error)))
        except BaseException as error:  # noqa: BLE001  whatever it is, it belongs to the caller
            ours.set_exception(error)

    def _forget(self) -> None:
        """Remove the events of calls that have ended."""
        with contextlib.suppress(Exception):  # the scheduler has gone, and its events with it
            while self._ended:
                Event(self._ended.popleft(), self._client).clear()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster. Calls that wait or run there are cancelled; workers of this machine end."""
        self._inner.shutdown(wait=wait and not cancel_futures)
        self._forget()
        with dask.config.set(_QUIET):
            self._client.close()
            if self._cluster is not None:
                self._cluster.close()


def _with_scheme(address: str) -> str:
    return address if "://" in address else f"tcp://{address}"


def _at_most_once(name: str, call: Callable[[], Result]) -> Result:
    """Run a call on a worker, unless an earlier attempt has begun it."""
    begun = Event(name)
    if begun.is_set():
        raise WorkerLostError("its worker was lost")
    begun.set()
    return call()
