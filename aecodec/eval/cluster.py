"""Measure on the workers of a cluster, where these can measure the same as this machine."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from aecodec import __version__
from aecodec.errors import AecodecError
from aecodec.eval.codecs import Codec, open_again
from aecodec.executors.dask import DaskExecutor
from aecodec.executors.lost import WorkerLostError
from aecodec.executors.spread import spread
from aecodec.threads import thread_count

J = TypeVar("J")
R = TypeVar("R")


def measure_there(
    jobs: Sequence[J], work: Callable[[J], R], executor: DaskExecutor, codecs: Sequence[Codec] = ()
) -> Iterator[tuple[J, R | WorkerLostError]]:
    """Yield each job with its result as they come; paths in jobs must mean the same on all workers.

    Raises AecodecError where workers have another version of aecodec or of one of the codecs, or more than one thread.
    """
    if (threads := executor.threads()) > 1:
        raise AecodecError(f"workers have {threads} threads, and seconds are measured in one; start workers of one thread")
    call = functools.partial(_work_all, __version__, tuple(codecs), work)
    try:
        yield from spread(jobs, call, executor, lambda job, again: job)
    except (AecodecError, GeneratorExit):
        raise
    except Exception as error:  # noqa: BLE001  of the workers as such: all jobs would end with it
        raise AecodecError(f"the workers cannot do it: {error}") from None


def _work_all(version: str, codecs: Sequence[Codec], work: Callable[[J], R], jobs: list[J]) -> list[R]:
    """Do jobs one after another on a worker."""
    if version != __version__:
        raise AecodecError(f"the workers have aecodec {__version__}, and this is {version}")
    if thread_count() > 1:
        raise AecodecError("the workers use several threads, and seconds are measured in one; set OMP_NUM_THREADS=1 there")
    for codec in codecs:
        if reason := _difference(codec):
            raise AecodecError(f"the workers have no such {codec.name}: {reason}")
    return [work(job) for job in jobs]


@functools.lru_cache(maxsize=256)
def _difference(codec: Codec) -> str:
    """Return what tells a codec of the client from the worker's own, "" where it is the same."""
    own = open_again(codec)
    if isinstance(own, str):
        return own
    ours, theirs = ((each.version, each.settings) for each in (own, codec))
    return "" if ours == theirs else f"{', '.join(ours)} instead of {', '.join(theirs)}"
