"""Fit several kinds to the same pictures and judge them by the same held-out ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from aecodec import metrics
from aecodec.autoencoders import measures
from aecodec.autoencoders.coding import open_coder
from aecodec.autoencoders.estimator import Autoencoder
from aecodec.autoencoders.sheets import sheet
from aecodec.autoencoders.store import load, save
from aecodec.errors import SettingsError
from aecodec.retrieval.vectors import describe
from aecodec.weights.cards import CARD

Bytes = NDArray[np.uint8]
SIGMA = 25.0  # of the noise that robustness is measured with, in levels of 0..255
DRAWN = 200  # samples that are compared with as many held-out pictures, at most
SHOWN = 8  # pictures in a row of a sheet
FOLDS = 5  # of the probe, for which each class needs as many pictures


@dataclass(frozen=True)
class Row:
    """What one model reaches on held-out pictures.

    latent: as it was asked for; numbers: of a code; psnr, ssim: of reconstructions, means over pictures; noisy: the PSNR of
    reconstructions of pictures with noise of SIGMA, to the clean ones; sharpness: that of reconstructions as a share of the
    pictures'; bits: of a code through rANS, a picture; frechet: the distance between DRAWN samples and held-out pictures on
    the codec's vectors; probe: accuracy of a linear probe, None without classes; seconds: of the training.
    """

    kind: str
    latent: int
    numbers: int
    psnr: float
    ssim: float
    noisy: float
    sharpness: float
    bits: float
    frechet: float
    probe: float | None
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """Rows, the sheets (reconstructions, from noise, samples) of each, that of the pictures, and what the numbers are of.

    floor: the Frechet distance between as many pictures learned from and held-out ones; classes: of the probe, 0 for none.
    """

    rows: list[Row]
    sheets: list[tuple[Image.Image, Image.Image, Image.Image]]
    originals: tuple[Image.Image, Image.Image]
    pictures: int
    held_out: int
    classes: int
    floor: float


def split(count: int, share: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return which pictures are learned from and which are held out."""
    order = np.random.default_rng(seed).permutation(count)
    held = max(2, round(share * count))
    if held > count - 2:
        raise SettingsError(f"{count} pictures are too few to compare on")
    return np.sort(order[held:]), np.sort(order[:held])


def compare(
    pictures: Bytes,
    labels: Sequence[str],
    kinds: Sequence[str],
    latents: Sequence[int],
    settings: Autoencoder,
    *,
    share: float = 0.2,
    folder: Path | None = None,
    tell: Callable[[str, int, float], None] = lambda kind, latent, share: None,
) -> Comparison:
    """Return how kinds compare on pictures (n, H, W, C), with a class for each.

    settings: an estimator whose other parameters hold for all; share: of pictures that are held out; folder: where models
    are kept, and those that are there already are not fitted again; tell: called with the kind, its latent numbers and the
    share of its training that is done.
    """
    learned, held = split(len(pictures), share, settings.seed)
    train, test = pictures[learned], pictures[held]
    classes = Counter(labels)
    usable = len(classes) > 1 and min(classes.values()) >= FOLDS
    noise = np.random.default_rng(settings.seed).normal(0, SIGMA, test.shape)
    noisy = np.rint(test + noise).clip(0, 255).astype(np.uint8)
    count = min(DRAWN, len(test), len(train))
    wanted = features(test[:count])
    rows, sheets = [], []
    for kind in kinds:
        for latent in latents:
            model = _fitted(kind, latent, settings, train, folder, tell)
            drawn = model.sample(count, seed=settings.seed + 1)
            distance = measures.frechet(features(drawn), wanted)
            probe = measures.probe(model.transform(pictures), np.array(labels), FOLDS) if usable else None
            row, again, restored = _judge(model, kind, latent, train, test, noisy)
            rows.append(replace(row, frechet=distance, probe=probe))
            sheets.append((_row(again), _row(restored), _row(drawn)))
            tell(kind, latent, 1.0)
    floor = measures.frechet(features(train[:count]), wanted)
    shown = _row(test), _row(noisy)
    return Comparison(rows, sheets, shown, len(train), len(test), len(classes) if usable else 0, floor)


def _row(pictures: NDArray[Any]) -> Image.Image:
    chosen = np.linspace(0, len(pictures) - 1, min(SHOWN, len(pictures))).astype(int)  # of all classes
    return sheet(pictures[chosen], SHOWN, cell=64)


def features(pictures: NDArray[Any]) -> NDArray[np.float32]:
    """Return the codec's vectors (n, 256) of pictures (n, H, W, C) with levels 0..255."""
    whole = np.rint(np.clip(pictures, 0, 255)).astype(np.uint8)
    return np.array([describe(picture[..., 0] if picture.shape[-1] == 1 else picture).vector for picture in whole])


def _fitted(
    kind: str,
    latent: int,
    settings: Autoencoder,
    train: Bytes,
    folder: Path | None,
    tell: Callable[[str, int, float], None],
) -> Autoencoder:
    """Return a model of a kind, from the folder where it is there."""
    model = Autoencoder(**{**settings.get_params(), "kind": kind, "latent": latent})
    place = folder / f"{kind}-{latent}" if folder else None
    if place is not None and (place / CARD).is_file():
        kept = load(place, device=settings.device)
        if kept.description() == model.description():
            return kept
    for epoch in model.fit_epochs(train):
        tell(kind, latent, epoch.epoch / model.epochs)
    if place is not None:
        save(model, place)
    return model


def _judge(model: Autoencoder, kind: str, latent: int, train: Bytes, test: Bytes, noisy: Bytes) -> tuple[Row, Bytes, Bytes]:
    """Return a row, still without samples and probe, and the reconstructions of clean and noisy pictures."""
    codes = model.transform(test)
    again, restored = (_bytes(model.inverse_transform(each)) for each in (codes, model.transform(noisy)))
    coder = open_coder(model.model_, torch.from_numpy(model.values(train)))
    bits = 8 * len(coder.encode(codes)) / len(codes)
    row = Row(
        kind, latent, model.model_.length,
        psnr=_mean(metrics.psnr, again, test), ssim=_mean(metrics.ssim, again, test),
        noisy=_mean(metrics.psnr, restored, test),
        sharpness=measures.sharpness(again) / max(measures.sharpness(test), 1e-9),
        bits=bits, frechet=0.0, probe=None, seconds=model.history_[-1].seconds,
    )  # fmt: skip
    return row, again, restored


def _bytes(pictures: NDArray[Any]) -> Bytes:
    found: Bytes = np.rint(pictures).astype(np.uint8)
    return found


def _mean(metric: Callable[[Bytes, Bytes], float], found: Bytes, wanted: Bytes) -> float:
    """Return the mean of a metric over pictures (n, H, W, C); gray ones are three equal channels to it."""
    pairs = zip(*(np.broadcast_to(each, (*each.shape[:3], 3)) for each in (found, wanted)), strict=True)
    return float(np.mean([metric(a, b) for a, b in pairs]))
