"""Show how a picture grows while its file is read: after the hyper-latents, and after each context step."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from aecodec.container.tiles import Box
from aecodec.entropy import latents
from aecodec.entropy.partition import CONTEXT_STEPS
from aecodec.inspect.opened import Latents, Opened, Pixels


def frames(file: Opened, area: Box) -> Iterator[Pixels]:
    """Yield an area, in pixels, after 0, 1, .. CONTEXT_STEPS context steps: (h, w, 3) uint8, without the exact pixels.

    Latents that are still missing are at the means that a decoder predicts from what it has.
    """
    model = file.learned.entropy_model
    traced = functools.cache(file.trace)

    for steps in range(CONTEXT_STEPS):

        def known(index: int, steps: int = steps) -> Latents:
            return latents.guess(model, traced(index), file.header.rate, steps)

        yield file.synthesise(area, known)
    yield file.synthesise(area)
