"""Describe pictures by an autoencoder's codes, as ``retrieval`` does by the codec's vectors: for tables and maps."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from aecodec.autoencoders.estimator import Autoencoder
from aecodec.autoencoders.pictures import opened, squared
from aecodec.autoencoders.sheets import check_pictures
from aecodec.retrieval import thumbnails
from aecodec.retrieval.journal import Row
from aecodec.retrieval.vectors import Description, Space


def space(model: Autoencoder) -> Space:
    """Return what codes of a model are. Raises SettingsError for a model of tables."""
    check_pictures(model)
    digest = hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in model.model_.state_dict().values()))
    return Space(f"autoencoder {digest.hexdigest()[:8]}", model.model_.length, "euclidean")


def describe(model: Autoencoder, data: bytes, max_pixels: int | None, thumbnail: int = 0) -> Description:
    """Return the description of a picture's file, with its code (q,) in place of the codec's vector.

    ``thumbnail`` is the longer side of the thumbnail, 0 for none. Raises as ``aecodec.encode`` and ``aecodec.decode`` do.
    """
    image = opened(data, max_pixels)
    width, height = image.size
    square = squared(image, model.form_.shape[0], max_pixels)
    small = thumbnails.webp(square, thumbnail) if thumbnail else b""
    return Description(model.transform([square])[0], width, height, len(data), thumbnail=small)


def directions(rows: Sequence[Row]) -> list[Row]:
    """Return rows with vectors of length 1, from the mean of all: what a map compares."""
    vectors = np.array([row.vector for row in rows], np.float32)
    centred = vectors - vectors.mean(0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True).clip(1e-9)
    return [replace(row, vector=vector.astype(np.float16)) for row, vector in zip(rows, unit, strict=True)]
