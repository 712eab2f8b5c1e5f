"""Compare Dask and Ray as what runs pictures on many machines; docs/scale.md has the results.

    python benchmarks/clusters.py dask|ray

Starts two workers on this machine and measures: seconds until both have answered, the time that a call costs beside its
work, memory of all processes, seconds until a killed worker is noticed and until there are two again. Needs psutil and
distributed or ray.
"""

from __future__ import annotations

import argparse
import functools
import os
import signal
import statistics
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

import psutil

from aecodec import executors

CALLS = 1000
ATTEMPTS = 5


class Ray:
    """Two workers of Ray, and the same manner as ``aecodec.executors``: a call whose worker dies is not run again."""

    def __init__(self) -> None:
        import ray

        self.ray = ray
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="critical")
        self.run = ray.remote(max_retries=0)(lambda call: call())

    def submit(self, fn: Callable, *args: object) -> Future:
        return self.run.remote(functools.partial(fn, *args)).future()

    def shutdown(self) -> None:
        self.ray.shutdown()


def memory() -> list[float]:
    """Return the megabytes of this process, and of all that it has started."""
    own = psutil.Process()
    children = own.children(recursive=True)
    return [own.memory_info().rss / 1e6, sum(each.memory_info().rss for each in children) / 1e6]


def nothing(_: bytes) -> int:
    return os.getpid()


def slow(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def pids(executor: object) -> set[int]:
    return {future.result(120) for future in [executor.submit(slow, 0.5) for _ in range(2)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", choices=["dask", "ray"])
    engine = parser.parse_args().engine
    start = time.monotonic()
    executor = executors.open_executor("dask://", 2) if engine == "dask" else Ray()
    while len(pids(executor)) < 2:
        pass
    print(f"{time.monotonic() - start - 0.5:.1f} s until two workers have answered")
    waiting: deque[Future] = deque()
    payload = bytes(20_000)  # a batch of names
    costs = []
    for _ in range(ATTEMPTS):
        start = time.monotonic()
        for _ in range(CALLS):
            waiting.append(executor.submit(nothing, payload))
            if len(waiting) >= 4:
                waiting.popleft().result()
        while waiting:
            waiting.popleft().result()
        costs.append((time.monotonic() - start) / CALLS)
    print(f"{1000 * statistics.median(costs):.1f} ms a call of nothing, median of {ATTEMPTS} times {CALLS}")
    print("{:.0f} MB here, {:.0f} MB in other processes".format(*memory()))
    pid = executor.submit(os.getpid).result()
    futures = [executor.submit(slow, 3) for _ in range(2)]
    time.sleep(1)
    os.kill(pid, signal.SIGKILL)
    start, lost = time.monotonic(), 0
    for future in futures:
        try:
            future.result(120)
        except Exception as error:  # noqa: BLE001  what it is, is the question
            lost += 1
            print(f"{type(error).__name__} {time.monotonic() - start:.1f} s after a worker was killed")
    while len(pids(executor)) < 2:
        pass
    print(f"{lost} call lost; two workers again after {time.monotonic() - start:.1f} s")
    executor.shutdown()


if __name__ == "__main__":
    main()
