"""Open the weights of a codec without pickle, checked by content.

    model.safetensors    float16 or int8 transforms, int8 and int32 entropy model

``restorer.py`` opens those of a network that restores.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec.defaults import DEFAULT_WEIGHTS
from aecodec.entropy.architecture import LATENT_STRIDE, Architecture
from aecodec.entropy.certificate import exact
from aecodec.entropy.entropy_model import EntropyModel
from aecodec.entropy.integer import MEAN_FRAC
from aecodec.errors import NotAModelError, WeightsError
from aecodec.images import edge_filter
from aecodec.quality import INDICES_PER_INTERVAL, INTERVALS, KNOTS
from aecodec.weights.cards import CARD, TENSORS, content_hash, folder_of, is_restoring, locate, read_card

LAPPING = ("analysis.lap.weight", "synthesis.lap.weight")
FRACTION_BITS = "synthesis.fraction_bits"  # an optional tensor (5,) int8: the fixed point of the synthesis
SCALE = ".scale"  # after the name of a float layer's int8 weights: the value of their unit, for each output channel


@dataclass(frozen=True)
class Weights:
    """One model, opened: its card, its identity and its tensors by name."""

    name: str
    folder: Path
    id: str
    card: dict[str, Any]
    arch: Architecture
    tensors: dict[str, NDArray[Any]]

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
    found = read_folder(name)
    stored = _stored(found)
    try:
        tensors = neutral(stored.arch) | tensors_of(found)
        return Weights(found.card["name"], found.folder, found.id, found.card, stored.arch, tensors)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise WeightsError(f"cannot open the weights in {found.folder}: {error}") from None


@dataclass(frozen=True)
class Folder:
    """A folder of weights of any kind, checked against its card; ``data`` are the bytes of its TENSORS."""

    folder: Path
    id: str
    card: dict[str, Any]
    data: bytes


@dataclass(frozen=True)
class Stored:
    """A codec's model as it is stored, checked against its card; ``data`` are the bytes of its TENSORS."""

    folder: Path
    id: str
    arch: Architecture
    data: bytes


def read(name: str | os.PathLike[str]) -> Stored:
    """Read a codec's model, and make no tensors of it. Raises WeightsError as ``load`` does."""
    return _stored(read_folder(name))


def _stored(found: Folder) -> Stored:
    if is_restoring(found.card):
        raise NotAModelError(f"{found.card.get('name', found.folder)} is a network that restores, not a codec's model")
    try:
        return Stored(found.folder, found.id, Architecture(**found.card["architecture"]), found.data)
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"cannot open the weights in {found.folder}: {error}") from None


def read_folder(name: str | os.PathLike[str]) -> Folder:
    """Read a folder of weights of any kind. Raises WeightsError where it is missing or not as its card says."""
    folder = folder_of(name)
    card = read_card(folder)
    try:
        data = (folder / TENSORS).read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot open the weights in {folder}: {error}") from None
    digest = content_hash(data)
    if card.get("sha256") != digest:
        raise WeightsError(f"{folder / TENSORS} is not the file that its card describes")
    return Folder(folder, digest[:8], card, data)


def tensors_of(found: Folder) -> dict[str, NDArray[Any]]:
    """Return the tensors of a folder by name, as ``expand`` gives them. Raises ValueError for damaged ones."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as load_tensors

    try:
        return expand(load_tensors(found.data))
    except SafetensorError as error:
        raise ValueError(str(error)) from None


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


def inverse_gain(weights: Weights, rate: int) -> NDArray[np.float32]:
    """Return what the synthesis multiplies latents with at a rate index, (M,)."""
    gain: NDArray[np.float32] = np.exp(at_rate(weights.tensors["inverse_gain.log"], rate))
    return gain


def at_gain_one(latents: NDArray[np.int32], weights: Weights, rate: int) -> NDArray[np.float32]:
    """Return the latents (h, w, M) of a file, in units of 2**-MEAN_FRAC, before the gain of its rate index.

    At gain 1 those of all rates compare.
    """
    unit: NDArray[np.float32] = inverse_gain(weights, rate) * np.float32(2.0**-MEAN_FRAC)
    result: NDArray[np.float32] = latents.astype(np.float32) * unit
    return result


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


def is_of_encoder(tensor: str) -> bool:
    """Return whether a tensor of this name is one that only the writer of a file needs."""
    return tensor.startswith(("analysis.", "hyper_analysis."))


def find(identity: str, name: str | os.PathLike[str] | None = None) -> Weights:
    """Return the weights with this id, opened. Raises WeightsError as ``locate`` and ``load`` do."""
    return load(locate(identity, name))
