"""Open weights without pickle, checked by content, and put a restoring encoder in front of a decoder.

    model.safetensors    float16 or int8 transforms, int8 and int32 entropy model

The folder of a restoring encoder holds the encoder alone, or only those tensors that differ from the decoder's own weights.
The encoder maps damaged pictures to the latents of clean ones for that decoder. Its card names the hash of those weights as
``decoder``, and its ``task``.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec.defaults import DEFAULT_WEIGHTS
from aecodec.entropy.architecture import ENCODER_ONLY, LATENT_STRIDE, Architecture
from aecodec.entropy.certificate import exact
from aecodec.entropy.entropy_model import EntropyModel
from aecodec.errors import NoRestoringWeightsError, NotAModelError, WeightsError
from aecodec.images import edge_filter
from aecodec.quality import INDICES_PER_INTERVAL, INTERVALS, KNOTS
from aecodec.weights.cards import (
    CARD,
    TENSORS,
    content_hash,
    describe,
    folder_of,
    is_restoring,
    locate,
    names,
    read_card,
)

LAPPING = ("analysis.lap.weight", "synthesis.lap.weight")
FRACTION_BITS = "synthesis.fraction_bits"  # an optional tensor (5,) int8: the fixed point of the synthesis
SCALE = ".scale"  # after the name of a float layer's int8 weights: the value of their unit, for each output channel


@dataclass(frozen=True)
class Weights:
    """One model, opened: its card, its identity and its tensors by name.

    ``encoder`` is the folder of the restoring encoder that replaces the model's own, and ``encoder_id`` identifies it.
    Everything else is the model's, also the ``id`` in the files that it writes.
    """

    name: str
    folder: Path
    id: str
    card: dict[str, Any]
    arch: Architecture
    tensors: dict[str, NDArray[Any]]
    encoder: Path | None = None
    encoder_id: str = ""

    @property
    def filters_edges(self) -> bool:
        """Return whether the decoder ends with the edge filter. A table of zeros belongs to weights without it."""
        return bool(self.tensors[edge_filter.TABLE].any())

    @functools.cached_property
    def entropy_model(self) -> EntropyModel:
        """Return the integer half, its known answer checked on this machine. Raises WeightsError where that fails."""
        try:
            return exact(EntropyModel.from_tensors(self.tensors, self.arch), self.card.get("known_answer"))
        except (KeyError, IndexError, ValueError) as error:
            raise WeightsError(f"the tensors in {self.folder} do not fit their card: {error}") from None


Source = str | os.PathLike[str] | Weights  # an installed name, the path of a folder, or weights that are open
Stamp = tuple[object, ...]  # what tells a folder's files from later ones


def load(source: Source = DEFAULT_WEIGHTS) -> Weights:
    """Open weights and check them against their card; once, until the content of their folder changes.

    Raises WeightsError where they are missing, damaged or not as the card says.
    """
    if isinstance(source, Weights):
        return source
    name = os.fspath(source)
    return _load(name, stamp(name))


def stamp(name: str | os.PathLike[str]) -> Stamp:
    """Return a fingerprint of the weight files, so that a changed folder is loaded again."""
    folder = folder_of(name).absolute()
    try:
        found = [(folder / file).stat() for file in (CARD, TENSORS)]
    except OSError as error:
        raise WeightsError(f"cannot open the weights in {folder}: {error}") from None
    return folder, *((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in found)


@functools.lru_cache(maxsize=4)
def _load(name: str, stamp: Stamp) -> Weights:
    opened = load_any(name)
    _check_whole(name, opened.card)
    return opened


def _check_whole(name: str, card: dict[str, Any]) -> None:
    if is_restoring(card):
        raise NotAModelError(f"{name} is a restoring encoder, not a whole model")


@dataclass(frozen=True)
class Stored:
    """A whole model as it is stored, checked against its card; ``data`` are the bytes of its TENSORS."""

    folder: Path
    id: str
    arch: Architecture
    data: bytes


def read(name: str | os.PathLike[str]) -> Stored:
    """Read a whole model, and make no tensors of it. Raises WeightsError as ``load`` does."""
    stored, card = _read(name)
    _check_whole(os.fspath(name), card)
    return stored


def _read(name: str | os.PathLike[str]) -> tuple[Stored, dict[str, Any]]:
    """Return what is in a folder of weights, and its card. Raises WeightsError where these do not fit each other."""
    folder = folder_of(name)
    card = read_card(folder)
    try:
        data = (folder / TENSORS).read_bytes()
        digest = content_hash(data)
        if card["sha256"] != digest:
            raise WeightsError(f"{folder / TENSORS} is not the file that its card describes")
        return Stored(folder, digest[:8], Architecture(**card["architecture"]), data), card
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"cannot open the weights in {folder}: {error}") from None


def load_any(name: str | os.PathLike[str]) -> Weights:
    """Open weights as ``load`` does, also a restoring encoder, and read them again each time."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as load_tensors

    stored, card = _read(name)
    try:
        tensors = expand(load_tensors(stored.data))
        if not is_restoring(card):
            tensors = neutral(stored.arch) | tensors
        return Weights(card["name"], stored.folder, stored.id, card, stored.arch, tensors)
    except (KeyError, IndexError, TypeError, ValueError, SafetensorError) as error:
        raise WeightsError(f"cannot open the weights in {stored.folder}: {error}") from None


def neutral(arch: Architecture) -> dict[str, NDArray[np.float32]]:
    """Return tensors of lapping and edge filter that change nothing, for weights that were made without them."""
    lapping = {name: np.eye(LATENT_STRIDE, dtype=np.float32)[:, :, None, None] for name in LAPPING}
    return lapping | {
        edge_filter.TABLE: np.zeros((KNOTS, edge_filter.RINGS * len(edge_filter.KNOTS)), np.float32),
        "synthesis.edges.strength.weight": np.zeros((1, arch.decoder_width_8, 1, 1), np.float32),
        "synthesis.edges.strength.bias": np.ones(1, np.float32),
    }


def at_rate(table: NDArray[Any], rate: int) -> NDArray[np.float32]:
    """Return the row (C,) float32 of a table (KNOTS, C) at a rate index, interpolated between its knots."""
    low = min(rate // INDICES_PER_INTERVAL, INTERVALS - 1)
    part = np.float32((rate - low * INDICES_PER_INTERVAL) / INDICES_PER_INTERVAL)
    below, above = table[low : low + 2].astype(np.float32)
    row: NDArray[np.float32] = below + (above - below) * part
    return row


def expand(stored: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the tensors of a weights file, with float32 in place of those stored as int8 (O, ...) and scales (O,)."""
    tensors = {name: value for name, value in stored.items() if not name.endswith(SCALE)}
    for name in stored.keys() - tensors.keys():
        weight = name.removesuffix(SCALE)
        tensors[weight] = stored[weight] * stored[name].astype(np.float32)[:, None, None, None]
    return tensors


def stored_tensors(weights: Weights) -> dict[str, NDArray[Any]]:
    """Return the tensors of a model's decoder as its file holds them, int8 where ``expand`` gives float32."""
    from safetensors.numpy import load_file

    return {name: value for name, value in load_file(weights.folder / TENSORS).items() if not is_of_encoder(name)}


def restoring(source: Source, decoder: Source | None = None, task: str | None = None) -> Weights:
    """Return the weights of a decoder with a restoring encoder, ``source``, in front of it.

    ``decoder`` is None for the installed weights that the encoder was trained for; ``task`` is the task that it has to be
    for. Weights that this function returned are returned unchanged. Raises WeightsError where the encoder is missing,
    damaged, for another task or for another decoder.
    """
    if isinstance(source, Weights):
        if source.encoder is None:
            raise WeightsError(f"{source.name} is a whole model, not a restoring encoder")
        return source
    name = os.fspath(source)
    if decoder is not None:
        decoder = str(decoder.folder) if isinstance(decoder, Weights) else os.fspath(decoder)
    try:
        folder_of(name)
    except WeightsError:
        raise NoRestoringWeightsError(name, task or "denoise") from None
    return _restoring(name, decoder, task, (stamp(name), decoder and stamp(decoder)))


@functools.lru_cache(maxsize=4)
def _restoring(name: str, decoder: str | None, task: str | None, stamp: Stamp) -> Weights:
    encoder = load_any(name)
    wanted = encoder.card.get("decoder")
    if wanted is None:
        raise WeightsError(f"{name} is a whole model, not a restoring encoder")
    if task not in (None, encoder.card.get("task")):
        raise WeightsError(f"{name} is for the task {encoder.card.get('task')}, not for {task}")
    for candidate in names() if decoder is None else [decoder]:
        if read_card(folder_of(candidate)).get("sha256") == wanted:
            whole = load(candidate)
            break
    else:
        where = f", which is not installed (installed: {describe()})" if decoder is None else f"; {decoder} is another"
        raise WeightsError(f"{name} was trained for the decoder {wanted[:8]}{where}")
    same = {key: getattr(whole.arch, key) for key in ENCODER_ONLY}
    if replace(encoder.arch, **same) != whole.arch or not all(map(is_of_encoder, encoder.tensors)):
        raise WeightsError(f"the encoder in {encoder.folder} does not fit its decoder")
    return replace(
        whole, arch=encoder.arch, tensors=whole.tensors | encoder.tensors, encoder=encoder.folder, encoder_id=encoder.id
    )


def is_of_encoder(tensor: str) -> bool:
    """Return whether a tensor of this name is one that only the writer of a file needs."""
    return tensor.startswith(("analysis.", "hyper_analysis."))


def find(identity: str, name: str | os.PathLike[str] | None = None) -> Weights:
    """Return the weights with this id, opened. Raises WeightsError as ``locate`` and ``load`` do."""
    return load(locate(identity, name))
