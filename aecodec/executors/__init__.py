"""Run calls on other machines, through executors of ``concurrent.futures``.

    dask://HOST:PORT    the workers of the Dask scheduler at this address
    dask://             Dask workers on this machine, which end with the executor

This room knows nothing of pictures, files and messages.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from aecodec.errors import AecodecError, MissingPackageError

if TYPE_CHECKING:
    from aecodec.executors.dask import DaskExecutor

DASK = "dask://"


def check_name(name: str) -> None:
    """Raise AecodecError where nothing knows such an executor, MissingPackageError where its package is missing."""
    if not name.startswith(DASK):
        raise AecodecError(f"there is no executor {name}; it is {DASK}HOST:PORT, or {DASK} for workers on this machine")
    if importlib.util.find_spec("distributed") is None:
        raise MissingPackageError(DASK, "distributed", "'aecodec[dask]'")


def is_local(name: str) -> bool:
    """Return whether an executor starts workers on this machine."""
    return name == DASK


def open_executor(name: str, workers: int = 1) -> DaskExecutor:
    """Return an executor; ``workers`` is the number of those that are started on this machine.

    Raises as ``check_name`` does, and AecodecError where nothing answers at the address or it has no workers.
    """
    check_name(name)
    from aecodec.executors.dask import DaskExecutor

    return DaskExecutor(name.removeprefix(DASK), workers)
