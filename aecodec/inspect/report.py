"""Gather all that a page shows of a file, or of two: numbers that JSON can hold, and pictures apart from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec import pages
from aecodec.container.tiles import Box
from aecodec.entropy.architecture import LATENT_STRIDE
from aecodec.entropy.partition import CONTEXT_STEPS
from aecodec.entropy.trellis import STEP_SIZE
from aecodec.inspect import bits, channels, growth, paths, scales
from aecodec.inspect.bits import Tally
from aecodec.inspect.opened import Opened, Pixels, middle
from aecodec.metrics import psnr
from aecodec.quality import index_of_quality, quality_of_index
from aecodec.weights.store import at_gain_one

PICTURE = 1024  # pixels, the longer side of the whole picture as it is shown
WINDOW = 768  # pixels, the side of the middle that growth and blends show at full size
WALK = 256  # pixels, that of walks along directions
MAP, RESPONSE = 192, 96  # values, the longer side of the map of bits and of a channel's response
STRONGEST = 16
CLEAR = 90  # levels that an impulse adds to gray at most, by the linear path
BLENDS = 9
DIRECTIONS, AMOUNTS = 3, (-3, -2, -1, 0, 1, 2, 3)  # of each kind, and how far each walk goes, in standard deviations
QUALITIES = (20, 50, 80)  # whose steps are compared with the file's
NEAR_LOSSLESS = 90  # WebP's quality for photographs on the page

Numbers = dict[str, Any]  # what JSON can hold
Pictures = dict[str, Any]  # the same tree with addresses of pictures, for the page alone


@dataclass(frozen=True)
class Report:
    """What is known of a file or of two: ``numbers`` are those of ``--json``, ``pictures`` belong to the page."""

    numbers: Numbers
    pictures: Pictures = field(default_factory=dict)


def of_file(file: Opened, facts: Mapping[str, Any], along: Sequence[paths.Direction] = ()) -> Report:
    """Return the report of one file. ``facts`` are those of ``aecodec info``; ``along`` are directions to walk along."""
    total, where = (None, None) if file.weights is None else bits.count(file)
    numbers: Numbers = {
        "facts": dict(facts),
        "stored": [file.header.width, file.header.height],
        "parts": [asdict(part) for part in bits.parts(file, total)],
    }
    whole = file.decode(file.area)
    pictures: Pictures = {"picture": _photograph(_shrunk(whole))}
    if total is None or where is None:
        return Report(numbers, pictures)
    numbers["map"] = _map_numbers(file, where)
    numbers["channels"] = _channel_numbers(file, total)
    numbers["hyper_channels"] = [float(value) for value in total.hyper_bits]
    numbers["steps"] = _step_numbers(file, total)
    numbers["quantiser"] = _quantiser_numbers(file, total)
    numbers["levels"] = [asdict(level) for level in scales.levels(file.learned.entropy_model, total)]
    strongest = bits.channel_order(total)[:STRONGEST]
    numbers["strongest"], pictures["strongest"] = _strongest(file, strongest)
    window = middle(file.area, WINDOW)
    numbers["growth"], pictures["growth"] = _growth(file, window, total, whole[window.slices])
    if along:
        walk = middle(file.area, WALK)
        numbers["walk"] = list(walk.shape[::-1])
        numbers["directions"], pictures["directions"] = _walks(file, walk, along)
    return Report(numbers, pictures)


def of_pair(first: Opened, second: Opened, facts: Sequence[Mapping[str, Any]]) -> Report:
    """Return the report of two files: the blends of their latents, decoded. Raises as ``paths.pair`` does."""
    both = paths.pair(first, second, WINDOW)
    shown = list(both.blends(BLENDS))
    frames = []
    for share, pixels in zip(np.linspace(0, 1, BLENDS), shown, strict=True):
        mixed = np.rint(shown[0] + share * (shown[-1].astype(np.float64) - shown[0])).astype(np.uint8)
        frames.append({"share": float(share), "psnr_to_mixed_pixels": _finite(psnr(mixed, pixels))})
    height, width = both.windows[0].shape
    numbers: Numbers = {
        "facts": [dict(each) for each in facts],
        "window": {"width": width, "height": height, "cropped": both.cropped},
        "quality": quality_of_index(both.rate),
        "blends": frames,
    }
    return Report(numbers, {"blends": list(map(_photograph, shown))})


def _map_numbers(file: Opened, where: NDArray[np.float32]) -> Numbers:
    """Return the bits of each position that the picture covers, in squares of ``size`` positions."""
    inside = where[bits.visible(file).slices]
    size = -(-max(inside.shape) // MAP)
    found: Numbers = {
        "size": size, "bits": bits.pooled(inside, MAP).round(2).tolist(),
        "padding": float(where.sum(dtype=np.float64) - inside.sum(dtype=np.float64)),
    }  # fmt: skip
    if file.exact is not None:
        alpha = file.exact.decode(file.area)[..., 3] > 0
        found["exact"] = bits.pooled(bits.pooled_by(alpha, LATENT_STRIDE), MAP).round(2).tolist()
    return found


def _channel_numbers(file: Opened, total: Tally) -> list[Numbers]:
    """Return what is known of each channel that takes bits, the largest first."""
    steps = scales.pixel_steps(file.learned, file.header.rate)
    energy, residual, predicted = scales.deviations(total)
    return [
        {
            "channel": channel, "bits": float(total.bits[channel]), "coded": int(total.coded[channel]),
            "zeros": int(total.zeros[channel]), "step": float(steps[channel]), "latents": float(energy[channel]),
            "residual": float(residual[channel]), "predicted": float(predicted[channel]),
        }
        for channel in bits.channel_order(total)
    ]  # fmt: skip


def _step_numbers(file: Opened, total: Tally) -> list[Numbers]:
    latents = total.positions * file.learned.arch.latents // CONTEXT_STEPS
    return [
        {"latents": latents, "coded": int(total.step_coded[k]), "bits": float(total.step_bits[k])}
        for k in range(CONTEXT_STEPS)
    ]


def _quantiser_numbers(file: Opened, total: Tally) -> Numbers:
    """Return what the quantiser did. Steps are medians over the channels that take bits, in levels of 0..255."""
    used = bits.channel_order(total)
    coded = max(int(total.uses.sum()), 1)

    def median(rate: int) -> float | None:
        return float(np.median(scales.pixel_steps(file.learned, rate)[used])) if used else None

    return {
        "step": STEP_SIZE, "pixel_step": median(file.header.rate),
        "pixel_steps": {str(quality): median(index_of_quality(quality)) for quality in QUALITIES},
        "latents": total.positions * file.learned.arch.latents, "coded": int(total.uses.sum()),
        "zeros": float(total.nothing.sum() / coded), "second": float(total.uses[1].sum() / coded),
        "escapes": total.escapes, "clipped": total.clipped,
    }  # fmt: skip


def _strongest(file: Opened, strongest: Sequence[int]) -> tuple[list[Numbers], list[Pictures]]:
    numbers, pictures = [], []
    rows, columns = bits.visible(file).shape
    for channel in strongest:
        values = channels.response(file, channel)[:rows, :columns]
        size = channels.size_for(file, channel, CLEAR)
        impulse = channels.impulse(file, channel, size)
        peak = int(np.abs(impulse).max())
        basis = np.rint(128 + impulse * (127 / max(peak, 1))).astype(np.uint8)
        numbers.append({"channel": channel, "largest": float(np.abs(values).max()), "impulse": size, "peak": peak})
        pictures.append({
            "basis": pages.picture_uri(Image.fromarray(basis)),
            "response": pages.picture_uri(Image.fromarray(_diverging(bits.pooled(values, RESPONSE)))),
        })  # fmt: skip
    return numbers, pictures


def _growth(file: Opened, window: Box, total: Tally, final: Pixels) -> tuple[Numbers, list[str]]:
    shown = list(growth.frames(file, window))
    sizes = np.cumsum([total.hyper_bits.sum(), *total.step_bits]) / 8
    names = ["the hyper-latents", *(f"context step {k + 1}" for k in range(CONTEXT_STEPS))]
    frames = [
        {"after": name, "bytes": float(size), "psnr": _finite(psnr(shown[-1], pixels))}
        for name, size, pixels in zip(names, sizes, shown, strict=True)
    ]
    if file.exact is not None:
        size = float(sizes[-1]) + sum(part.size for part in bits.parts(file, total) if part.kind == "pixels")
        frames.append({"after": "the exact pixels", "bytes": size, "psnr": None})
        shown.append(final)
    numbers: Numbers = {"window": [window.left, window.top, *window.shape[::-1]], "frames": frames}
    return numbers, list(map(_photograph, shown))


def _walks(file: Opened, window: Box, along: Sequence[paths.Direction]) -> tuple[list[Numbers], list[list[str]]]:
    start = at_gain_one(file.latents_of(window.scaled(1, LATENT_STRIDE)), file.learned, file.header.rate)
    numbers, pictures = [], []
    rows, columns = window.shape
    for direction in along:
        numbers.append({"kind": direction.kind, "share": direction.share, "amounts": list(AMOUNTS)})
        moved = (paths.at_gain_of(direction.walk(start, each), file.learned, file.header.rate) for each in AMOUNTS)
        pictures.append([_photograph(file.synthesise_window(each)[:rows, :columns]) for each in moved])
    return numbers, pictures


def _finite(value: float) -> float | None:
    """Return a number that JSON can hold; a PSNR of equal pictures is None."""
    return float(value) if math.isfinite(value) else None


def _shrunk(pixels: Pixels) -> Pixels:
    """Return a picture whose longer side is at most PICTURE."""
    image = Image.fromarray(pixels)
    image.thumbnail((PICTURE, PICTURE), Image.Resampling.BOX)
    return np.asarray(image)


def _photograph(pixels: Pixels) -> str:
    return pages.picture_uri(Image.fromarray(pixels), NEAR_LOSSLESS)


def _diverging(values: NDArray[np.float64]) -> Pixels:
    """Return a map (h, w) as colours (h, w, 3): blue below 0, white at 0, red above; saturated at the largest magnitude."""
    low, zero, high = (np.array(colour, np.float64) for colour in ((20, 80, 180), (248, 248, 246), (190, 40, 30)))
    share = (values / max(float(np.abs(values).max()), 1e-9))[..., None]
    colours: Pixels = np.rint(zero + np.abs(share) * (np.where(share < 0, low, high) - zero)).astype(np.uint8)
    return colours
