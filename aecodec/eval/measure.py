"""Measure pictures x codecs x qualities, in processes, and keep each result at once."""

from __future__ import annotations

import functools
import glob
import hashlib
import json
import math
import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec.errors import AecodecError, PictureError, reason
from aecodec.eval.codecs import Codec
from aecodec.images import folders, reading
from aecodec.metrics import METRICS

if TYPE_CHECKING:
    from aecodec.executors.dask import DaskExecutor

Result = TypeVar("Result")


@dataclass(frozen=True)
class Picture:
    """A picture to measure on: ``name`` is unique among them, ``content`` is a hash of the file."""

    name: str
    path: Path
    content: str
    width: int
    height: int

    @property
    def pixels(self) -> int:
        return self.width * self.height


@dataclass(frozen=True)
class Point:
    """One picture by one codec at one quality.

    Bytes are those of the whole file, seconds those of one CPU, in a process that has done the same before. ``values`` has
    the metrics by name: None where one is infinite (equal pictures) or not defined (a picture too small for it).
    """

    quality: float
    bytes: int
    bpp: float
    encode_seconds: float
    decode_seconds: float
    values: dict[str, float | None]


@dataclass(frozen=True)
class Failure:
    """A measurement that failed, and why; without a codec, the picture could not even be read."""

    picture: str
    reason: str
    codec: str | None = None
    quality: float | None = None

    def __str__(self) -> str:
        return self.reason if self.codec is None else f"{self.codec} at quality {self.quality:g}: {self.reason}"


def find_pictures(inputs: Sequence[str], recursive: bool = False) -> list[Path]:
    """Return files, the pictures of folders (``recursive``: and of folders in them), and matches of patterns.

    Each file comes once. Raises AecodecError where an input is missing, gives no picture or cannot be read.
    """
    found: dict[Path, Path] = {}
    for text in inputs:
        path = Path(text)
        if os.path.isdir(path):
            paths = folders.paths(path, folders.EXTENSIONS, recursive)
            if not paths:
                raise AecodecError(f"{path} has no pictures ({', '.join(sorted(folders.EXTENSIONS))})")
        elif os.path.exists(path):
            paths = [path]
        else:
            matches = sorted(glob.glob(text, recursive=recursive))  # noqa: PTH207  Path.glob() takes no absolute pattern
            paths = [Path(each) for each in matches if os.path.isfile(each)]
            if not paths:
                raise AecodecError(f"there is no file, folder or match of {text}")
        for each in paths:
            found.setdefault(each.resolve(), each)
    return list(found.values())


def open_pictures(paths: Sequence[Path]) -> tuple[list[Picture], list[Failure]]:
    """Return the pictures that can be measured on, and why the others cannot. To find out, each is decoded once."""
    pictures, failures = [], []
    for path, name in zip(paths, _names(paths), strict=True):
        try:
            content = hashlib.sha256(path.read_bytes()).hexdigest()[:32]
            width, height = read_picture(path).size
            pictures.append(Picture(name, path, content, width, height))
        except (AecodecError, OSError) as error:
            failures.append(Failure(name, _one_line(error)))
    return pictures, failures


def _names(paths: Sequence[Path]) -> list[str]:
    """Return each file's name, with as many folders in front as make it unique."""
    full = [path.resolve().parts for path in paths]
    names = []
    for parts in full:
        length = 1
        while length < len(parts) and sum(other[-length:] == parts[-length:] for other in full) > 1:
            length += 1
        names.append("/".join(parts[-length:]))
    return names


def read_picture(path: Path) -> Image.Image:
    """Return a picture as RGB, without alpha or metadata: a codec that keeps metadata must not pay for it here.

    Raises PictureError where it is damaged, animated, or of more than 8 bits a channel, and OSError.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture = reading.open_picture(path.read_bytes(), None)
        bits = reading.load(picture, None, None)
    if bits > 8:
        raise PictureError(f"it has more than 8 bits a channel ({bits}); convert it first")
    return Image.fromarray(np.asarray(picture.convert("RGB")))


def measure(picture: Image.Image, codec: Codec, quality: float, metrics: Iterable[str]) -> Point:
    """Measure one codec on one RGB picture. Raises ValueError if it comes back in another size."""
    start = time.process_time()
    data = codec.encode(picture, quality)
    middle = time.process_time()
    decoded = codec.decode(data)
    end = time.process_time()
    a, b = np.asarray(picture), np.asarray(decoded.convert("RGB"))
    if a.shape != b.shape:
        raise ValueError(f"it came back as {b.shape[1]} x {b.shape[0]}, not in its own size")
    bpp = 8 * len(data) / (picture.width * picture.height)
    return Point(quality, len(data), bpp, round(middle - start, 6), round(end - middle, 6), values_of(metrics, a, b))


def values_of(metrics: Iterable[str], a: NDArray[np.uint8], b: NDArray[np.uint8]) -> dict[str, float | None]:
    """Return the metrics of two pictures (H, W, 3) uint8 by name, as a ``Point`` has them."""
    values: dict[str, float | None] = {}
    for name in metrics:
        try:
            value = METRICS[name].measure(a, b)
        except ValueError:  # the picture is too small for this metric
            value = math.nan
        values[name] = value if math.isfinite(value) else None
    return values


class Journal:
    """Earlier measurements, by picture and codec; with a file, each new point is a line in it at once.

    A line cut short by a crash is left out when the file is read again. Raises AecodecError where the file cannot be read
    or written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._points: dict[tuple[str | float, ...], Point] = {}
        text = ""
        if path is not None and path.exists():
            text = self._on_file(lambda: path.read_text("utf-8", "replace"))
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                point = Point(**entry["point"])
                key = (*entry["key"], point.quality)
                self._points[key] = point
            except (ValueError, TypeError, KeyError):
                continue
        if path is not None:  # also finds out, before hours of work, whether the file can be written
            self._append(path, "\n" if text and not text.endswith("\n") else "")

    def find(self, picture: Picture, codec: Codec, quality: float) -> Point | None:
        return self._points.get((*_key(picture, codec), quality))

    def add(self, picture: Picture, codec: Codec, point: Point) -> None:
        """Keep a point; if there is one of the same key, its metrics are joined."""
        if before := self.find(picture, codec, point.quality):
            point = replace(before, values=before.values | point.values)
        key = _key(picture, codec)
        place: tuple[str | float, ...] = (*key, point.quality)
        self._points[place] = point
        if self._path is not None:
            self._append(self._path, json.dumps({"key": key, "point": asdict(point)}, allow_nan=False) + "\n")

    def _append(self, path: Path, text: str) -> None:
        def write() -> None:
            with open(path, "a", encoding="utf-8") as file:
                file.write(text)

        self._on_file(write)

    def _on_file(self, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except OSError as error:
            raise AecodecError(f"cannot use {self._path}: {reason(error)}") from None


def _key(picture: Picture, codec: Codec) -> tuple[str, ...]:
    return picture.content, codec.name, codec.version, codec.settings


@dataclass(frozen=True)
class Task:
    """A measurement to make."""

    picture: Picture
    codec: Codec
    quality: float
    metrics: tuple[str, ...]


def missing(pictures: Sequence[Picture], codecs: Sequence[Codec], metrics: Sequence[str], journal: Journal) -> list[Task]:
    """Return the tasks that are not in the journal yet, picture by picture."""
    tasks = []
    for picture in pictures:
        for codec in codecs:
            for quality in codec.qualities:
                point = journal.find(picture, codec, quality)
                lacking = tuple(name for name in metrics if point is None or name not in point.values)
                if point is None or lacking:
                    tasks.append(Task(picture, codec, quality, lacking))
    return tasks


def measure_all(
    tasks: Sequence[Task], journal: Journal, processes: int = 1, executor: DaskExecutor | None = None
) -> Iterator[Failure | None]:
    """Do every task, ``processes`` at a time, and yield as each ends: None, or why there is no measurement.

    A measurement is in the journal before its end is reported. The results do not depend on ``processes``, except for the
    seconds. With an ``executor`` its workers measure, which read the pictures. Raises AecodecError where a process dies,
    or workers cannot measure the same.
    """
    results: Iterator[tuple[Task, Point | Failure]]
    if executor is not None:
        results = _on_cluster(tasks, executor)
    elif processes == 1:
        results = ((task, _attempt(task)) for task in tasks)
    else:
        results = _in_processes(tasks, processes)
    for task, result in results:
        if isinstance(result, Point):
            journal.add(task.picture, task.codec, result)
        yield result if isinstance(result, Failure) else None


def _on_cluster(tasks: Sequence[Task], executor: DaskExecutor) -> Iterator[tuple[Task, Point | Failure]]:
    from aecodec.eval.cluster import measure_there

    codecs = list({task.codec.name: task.codec for task in tasks}.values())
    for task, result in measure_there(tasks, _attempt, executor, codecs):
        if isinstance(result, Exception):
            yield task, Failure(task.picture.name, _one_line(result), task.codec.name, task.quality)
        else:
            yield task, result


def _in_processes(tasks: Sequence[Task], processes: int) -> Iterator[tuple[Task, Point | Failure]]:
    pool = open_pool(processes)
    try:
        futures = {pool.submit(_attempt, task): task for task in tasks}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool:
        raise AecodecError(
            "a measuring process died, perhaps out of memory; the same command continues from here"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def open_pool(processes: int) -> ProcessPoolExecutor:
    """Return processes to measure in; spawned, since a fork of a process with running inference threads may hang."""
    return ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _begin_worker)


def _begin_worker() -> None:
    """Leave Ctrl-C to the parent; a worker ends with its measurement, or with a parent that was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()  # a worker holds both ends of the queue that it waits at
        os._exit(1)


def _attempt(task: Task) -> Point | Failure:
    """Measure one task. A codec that fails on one picture, in whatever way, must not cost the others theirs."""
    try:
        picture = _read_cached(task.picture.path)
        _warm_up(task.codec, picture.size)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return measure(picture, task.codec, task.quality, task.metrics)
    except Exception as error:  # noqa: BLE001  of whatever kind
        return Failure(task.picture.name, _one_line(error), task.codec.name, task.quality)


@functools.lru_cache(maxsize=1)
def _read_cached(path: Path) -> Image.Image:
    return read_picture(path)


@functools.lru_cache(maxsize=64)
def _warm_up(codec: Codec, size: tuple[int, int]) -> None:
    """Use a codec once: a first use loads libraries and weights, and may compile networks for the size."""
    codec.decode(codec.encode(Image.new("RGB", size, (90, 120, 150)), codec.qualities[0]))


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
