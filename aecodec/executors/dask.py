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
    """

    def __init__(self, address: str, workers: int = 1) -> None:
        """Connect to the scheduler at an address, or start one with so many workers where the address is empty.

        Raises AecodecError where nothing answers, or no worker comes.
        """
        self._cluster: Any = None
        with dask.config.set(_QUIET):
            if not address:
                self._cluster = LocalCluster(
                    n_workers=workers, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
                )
            try:
                self._client = Client(self._cluster or _with_scheme(address), timeout=CONNECTING, set_as_default=False)
            except (OSError, TimeoutError, ValueError):
                raise AecodecError("no Dask scheduler answers there") from None
        self._inner = self._client.get_executor(pure=False)
        self._ended: deque[str] = deque()  # calls whose events can go
        self._slots, self._looked = 0, -LOOK
        try:
            self._client.wait_for_workers(1, timeout=CONNECTING)
        except TimeoutError:
            self.shutdown()
            raise AecodecError(f"the cluster has no worker, and none came within {CONNECTING:g} seconds") from None

    def slots(self) -> int:
        """Return how many calls the workers run at a time."""
        if time.monotonic() > self._looked + LOOK:
            with contextlib.suppress(OSError):  # the scheduler is away; it may come back
                self._slots = sum(self._client.nthreads().values())
            self._looked = time.monotonic()
        return self._slots

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Result]:
        """Return the future of a call. Its error is WorkerLostError where the worker or the scheduler was lost."""
        while self._ended:
            Event(self._ended.popleft(), self._client).clear()
        name = f"aecodec-{uuid.uuid4().hex}"
        theirs = self._inner.submit(_at_most_once, name, functools.partial(fn, *args, **kwargs))
        ours: concurrent.futures.Future[Result] = concurrent.futures.Future()
        ours.set_running_or_notify_cancel()
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

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster. Calls that wait or run there are cancelled; workers of this machine end."""
        self._inner.shutdown(wait=wait and not cancel_futures)
        with contextlib.suppress(Exception):  # it may have gone already
            while self._ended:
                Event(self._ended.popleft(), self._client).clear()
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
