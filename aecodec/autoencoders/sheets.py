"""Lay pictures out as contact sheets: samples, the way from one picture to another, and what each number of a code does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from aecodec.autoencoders.estimator import Autoencoder
from aecodec.errors import SettingsError

Pictures = NDArray[Any]
CELL = 96  # pixels; smaller pictures are enlarged to about this
GAP = 2
MARGIN = 76  # beside rows that have names
INK, BACK = (60, 60, 60), (255, 255, 255)


def sheet(pictures: Pictures, across: int, names: Sequence[str] = (), cell: int = CELL) -> Image.Image:
    """Return pictures (n, H, W) or (n, H, W, C), levels 0..255, in rows of ``across``; ``names`` stand beside the rows."""
    cells = [_enlarged(picture, cell) for picture in pictures]
    wide, high = cells[0].size
    left, deep = MARGIN if names else 0, -(-len(cells) // across)
    found = Image.new("RGB", (left + across * (wide + GAP) - GAP, deep * (high + GAP) - GAP), BACK)
    for number, each in enumerate(cells):
        found.paste(each, (left + number % across * (wide + GAP), number // across * (high + GAP)))
    draw = ImageDraw.Draw(found)
    for row, name in enumerate(names):
        draw.text((0, row * (high + GAP) + high / 2), name, INK, ImageFont.load_default(13), anchor="lm")
    return found


def _enlarged(picture: Pictures, cell: int) -> Image.Image:
    """Return a picture as it is, or if it is small enlarged by a whole number, so that its pixels stay what they are."""
    array = np.rint(np.clip(picture, 0, 255)).astype(np.uint8)
    array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if array.ndim == 3 and array.shape[2] != 3:
        raise SettingsError(f"a sheet needs gray or RGB pictures, not {array.shape[2]} channels")
    factor = max(1, round(cell / max(array.shape[:2])))
    return Image.fromarray(np.repeat(np.repeat(array, factor, 0), factor, 1)).convert("RGB")


def check_pictures(model: Autoencoder) -> None:
    """Raise SettingsError where a model is not of pictures with levels 0..255."""
    if len(model.form_.shape) != 3 or (model.form_.low, model.form_.high) != (0, 255):
        raise SettingsError("the model is not of pictures")


def interpolation(model: Autoencoder, a: object, b: object, steps: int) -> Pictures:
    """Return the pictures (steps + 2, H, W, C) from one to another: a, ``steps`` decoded blends of their codes, b."""
    check_pictures(model)
    ends = model.form_.outward(model.values([a, b]))
    codes = model.transform([a, b])
    shares = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
    return np.concatenate([ends[:1], model.inverse_transform(codes[:1] + shares * (codes[1:] - codes[:1])), ends[1:]])


def traversal(
    model: Autoencoder, start: object | None, numbers: int, steps: int, reach: float
) -> tuple[Pictures, list[int]]:
    """Return pictures (numbers * steps, H, W, C), a row for each number of the code, and which numbers these are.

    In a row one number goes from -reach to reach standard deviations around that of ``start``, or of the mean code where
    that is None. The rows are of those numbers that move the picture most, in this order.
    """
    check_pictures(model)
    net = model.model_
    base = net.code_mean.numpy() if start is None else model.transform([start])[0]
    with torch.no_grad():
        effect = (net.answers(torch.from_numpy(base)[None]) * net.code_spread).numpy()
    chosen = np.argsort(-effect, kind="stable")[:numbers]
    codes = np.tile(base, (len(chosen), steps, 1))
    for row, number in enumerate(chosen):
        codes[row, :, number] += np.linspace(-reach, reach, steps) * net.code_spread[number].item()
    return model.inverse_transform(codes.reshape(-1, net.length)), chosen.tolist()
