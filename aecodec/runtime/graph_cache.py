"""Keep compiled graphs between processes: OpenVINO compiles the synthesis in 75 ms and reads it back in 30.

They lie in the user's cache folder, or in ``AECODEC_CACHE``; if that is set to nothing, no graph is kept. Nothing depends
on them: a file that is missing, damaged or of another machine is compiled again, and a folder that cannot be written is
left alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from aecodec.runtime.graphs import openvino

MAX_FILES = 20  # all that the installed weights need, some 5 MB each; those used longest ago go first
_SUFFIX = ".graph"


def folder() -> Path | None:
    """Return the folder of kept graphs, or None."""
    if (chosen := os.environ.get("AECODEC_CACHE")) is not None:
        return Path(chosen) if chosen else None
    with contextlib.suppress(RuntimeError):  # no home
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "aecodec" / "cache"
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "aecodec"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aecodec"
    return None


def compiled(
    core: openvino.Core,
    build: Callable[[], openvino.Model],
    options: Mapping[str, str | int],
    identity: tuple[object, ...],
) -> openvino.CompiledModel:
    """Return the graph that ``build`` builds, compiled for the CPU.

    ``identity`` covers all that it depends on except the machine and the options.
    """
    where = folder()
    if where is None:
        return core.compile_model(build(), "CPU", options)
    machine = [core.get_property("CPU", name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    key = repr((identity, machine, sorted(options.items()), openvino.__version__))
    path = where / (hashlib.sha256(key.encode()).hexdigest()[:32] + _SUFFIX)
    with contextlib.suppress(OSError, RuntimeError):
        data = path.read_bytes()
        if zlib.crc32(data[4:]) == int.from_bytes(data[:4], "little"):
            graph = core.import_model(data[4:], "CPU", options)
            with contextlib.suppress(OSError):  # another user's
                os.utime(path)
            return graph
    graph = core.compile_model(build(), "CPU", options)
    with contextlib.suppress(OSError):
        _store(path, graph.export_model().getvalue())
    return graph


def _store(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all, and remove the oldest files where there are too many."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(zlib.crc32(data).to_bytes(4, "little") + data)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise
    graphs = sorted(path.parent.glob("*" + _SUFFIX), key=lambda graph: graph.stat().st_mtime, reverse=True)
    for graph in graphs[MAX_FILES:]:
        graph.unlink(missing_ok=True)
