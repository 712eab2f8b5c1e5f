"""Give encoder and decoder what they share of tiles: the area of latents, and the threads that code the tiles."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from aecodec.container.tiles import Box, whole
from aecodec.entropy.architecture import LATENT_STRIDE
from aecodec.images import samples
from aecodec.threads import thread_count

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def latent_area(height: int, width: int) -> Box:
    """Return the area of the latents, in latent positions, of a picture of this size in pixels."""
    return whole(*samples.padded_size(height, width)).scaled(1, LATENT_STRIDE)


def open_workers(parallel: bool) -> Executor:
    """Return threads for several tiles, or for one tile an executor that does the work where it is submitted."""
    return ThreadPoolExecutor(thread_count()) if parallel else _Inline()


class _Inline(Executor):
    """An executor that does the work when it is submitted: one tile needs no thread."""

    def submit(
        self, function: Callable[Arguments, Result], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Future[Result]:
        future: Future[Result] = Future()
        future.set_result(function(*args, **kwargs))
        return future
