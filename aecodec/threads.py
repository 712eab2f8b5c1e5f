"""Decide how many threads to use.

Nothing here imports numpy, because the command line asks before it imports anything heavy.
"""

from __future__ import annotations

import os


def thread_count() -> int:
    """Return OMP_NUM_THREADS where it is set, else the number of CPUs that this process may run on."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdecimal() and int(given):
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_threads(count: int) -> None:
    """Limit the threads of numpy and the runtimes, here and in processes started later; call it before importing them."""
    os.environ["OMP_NUM_THREADS"] = str(count)
