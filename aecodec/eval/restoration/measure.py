"""Measure every picture in every case by every method.

In one case of noise the files are measured, too: how much ``encode --restore`` saves at equal PSNR to the clean picture,
and how much ``encode`` would save if it had the clean picture.
"""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec.codec.encoder import Encoder
from aecodec.errors import AecodecError
from aecodec.eval.measure import Failure, Picture, open_pool, read_picture
from aecodec.eval.restoration.methods import BOUND, CASES, Case, Example, Method, example
from aecodec.metrics import psnr, ssim
from aecodec.quality import index_of_quality
from aecodec.restore.pictures import before_encoding

if TYPE_CHECKING:
    from aecodec.executors.dask import DaskExecutor

FILES_CASE = "Gaussian, sigma 25"
FILE_QUALITIES = (0, 15, 30, 45, 60, 75, 90, 100)
SHOWN = 3  # pictures of each case in the report
SIDE = 224  # pixels of the part that is shown, each way

Work = tuple[Picture, Case, bool]  # the last: whether to show parts of it
Curve = list[tuple[int, float]]  # bytes and PSNR against the clean picture, in order of quality


@dataclass(frozen=True)
class Measured:
    """One picture in one case: values by method and metric, failures, and the parts to show by method."""

    picture: str
    case: str
    values: dict[str, dict[str, float]]
    failures: list[Failure]
    parts: dict[str, bytes]
    files: dict[str, Curve]


def measure_all(
    found: Sequence[Picture],
    task: str,
    methods: Sequence[Method],
    processes: int = 1,
    executor: DaskExecutor | None = None,
) -> Iterator[Measured]:
    """Measure every picture in every case, in order, ``processes`` at a time, with parts to show of the first SHOWN.

    With an ``executor`` its workers measure, which read the pictures. Raises AecodecError where a process dies, or workers
    cannot measure the same.
    """
    work = [(picture, case, index < SHOWN) for index, picture in enumerate(found) for case in CASES[task]]
    measure = partial(_measure, methods=methods)
    if executor is not None:
        yield from _on_cluster(work, measure, executor)
        return
    if processes == 1:
        yield from map(measure, work)
        return
    with open_pool(processes) as pool:
        try:
            yield from pool.map(measure, work)
        except BrokenProcessPool:
            raise AecodecError("a measuring process died, perhaps out of memory; fewer processes take less") from None


def _on_cluster(work: Sequence[Work], measure: Callable[[Work], Measured], executor: DaskExecutor) -> Iterator[Measured]:
    """Yield results in the order of the work."""
    from aecodec.eval.cluster import measure_there

    places = {id(each): place for place, each in enumerate(work)}
    waiting: dict[int, Measured] = {}
    following = 0
    for each, result in measure_there(work, measure, executor):
        waiting[places[id(each)]] = _lost(each, result) if isinstance(result, Exception) else result
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def _lost(work: Work, error: Exception) -> Measured:
    picture, case, _ = work
    return Measured(picture.name, case.name, {}, [Failure(picture.name, f"{case.name}: {error}")], {}, {})


def _measure(work: Work, methods: Sequence[Method]) -> Measured:
    picture, case, shown = work
    result = Measured(picture.name, case.name, {}, [], {}, {})

    def note(error: Exception, *where: str) -> None:
        reason = " ".join(str(error).split()) or type(error).__name__
        result.failures.append(Failure(picture.name, f"{', '.join([*where, case.name])}: {reason}"))

    try:
        given = example(np.asarray(read_picture(picture.path)), case, picture.name)
    except Exception as error:  # noqa: BLE001  a failure of one picture must not cost the others theirs
        note(error)
        return result
    if shown:
        result.parts["clean"] = _part(given.clean, given)
    for method in methods:
        try:
            start = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                restored = method.restore(given)
            seconds = time.process_time() - start
            if method.weights is not None and case.name == FILES_CASE:
                result.files["plain"] = file_curve(given.damaged, given.clean)
                result.files["restored"] = file_curve(given.damaged, given.clean, method.weights)
                result.files[BOUND] = file_curve(given.clean, given.clean)
            result.values[method.name] = {**values_of(given, restored), "seconds": round(seconds, 4)}
        except Exception as error:  # noqa: BLE001  a failure of one method on one picture must not cost the others theirs
            note(error, method.name)
            continue
        if shown:
            result.parts[method.name] = _part(restored, given)
    return result


def file_curve(picture: NDArray[np.uint8], clean: NDArray[np.uint8], weights: str | None = None) -> Curve:
    """Encode a picture (H, W, 3) at FILE_QUALITIES, by ``encode`` or, with restoring weights, ``encode --restore``."""
    image = Image.fromarray(picture)
    if weights is not None:
        image = before_encoding(image, weights=weights, device="cpu")
    encoder = Encoder(image, device="cpu", max_pixels=None)
    files = (encoder.quantise(index_of_quality(quality)) for quality in FILE_QUALITIES)
    return [(len(encoder.write(file).data), psnr(clean, encoder.reconstruct(file))) for file in files]


def values_of(given: Example, restored: NDArray[np.uint8]) -> dict[str, float]:
    """Return the metrics of a restored picture by name; PSNR in dB, at most 99 where nothing is wrong."""
    values = {"psnr_rgb": min(99.0, psnr(given.clean, restored)), "ssim": ssim(given.clean, restored)}
    if given.missing is not None:
        parts = [picture[given.missing][None] for picture in (given.clean, restored)]
        values = {"psnr_missing": min(99.0, psnr(*parts)), **values}
    return values


def _part(picture: NDArray[np.uint8], given: Example) -> bytes:
    """Return a PNG of the middle of a picture, or of the middle of its missing part."""
    where = np.ones(picture.shape[:2], bool) if given.missing is None else given.missing
    middle = [int(np.median(axis)) for axis in np.nonzero(where)]
    top, left = (min(max(0, at - SIDE // 2), max(0, side - SIDE)) for at, side in zip(middle, where.shape, strict=True))
    file = io.BytesIO()
    Image.fromarray(picture[top : top + SIDE, left : left + SIDE]).save(file, "PNG")
    return file.getvalue()
