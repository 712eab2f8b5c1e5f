"""Load pictures for training: decode them once, keep them as bytes in memory, and crop them there."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aecodec.errors import AecodecError, TrainingError
from aecodec.images import folders, reading, samples


@dataclass(frozen=True)
class Pictures:
    """Decoded pictures, (H, W, 3) uint8 each, and their file names."""

    arrays: list[NDArray[np.uint8]]
    names: list[str]


def find(roots: Sequence[str], complain: Callable[[str], None]) -> list[Path]:
    """Return the picture files below folders.

    A folder in them that cannot be read is reported through ``complain`` and left out. Raises TrainingError where one of
    ``roots`` is missing or none holds a picture.
    """
    files: list[Path] = []
    for root in roots:
        if not Path(root).is_dir():
            raise TrainingError(f"there is no folder {root}")
        for found in folders.search(root, folders.EXTENSIONS, recursive=True):
            if found.problem:
                complain(f"{found.path}: skipped: {found.problem}")
            else:
                files.append(Path(found.path))
    if not files:
        raise TrainingError(f"no pictures in {', '.join(roots)}")
    return files


def is_held_out(name: str, share: float) -> bool:
    """Return whether a file name belongs to the validation set.

    It is decided by a hash, so that a file stays there whatever else is in the folder.
    """
    return int(hashlib.sha256(os.fsencode(name)).hexdigest()[:8], 16) < share * 2**32


def load(files: Sequence[Path], complain: Callable[[str], None]) -> Pictures:
    """Decode files as the encoder would see them, as RGB.

    A file that cannot be decoded is reported through ``complain`` and left out. Raises TrainingError where none is left.
    """
    pictures = Pictures([], [])
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as workers:
        warnings.simplefilter("ignore")  # about losses, since nobody will decode these
        for path, found in zip(files, workers.map(_decoded, files), strict=True):
            if isinstance(found, Exception):
                complain(f"{path}: skipped: {found}")
                continue
            pictures.arrays.append(found)
            pictures.names.append(path.name)
    if not pictures.arrays:
        raise TrainingError("none of the pictures can be read")
    return pictures


def _decoded(path: Path) -> NDArray[np.uint8] | Exception:
    """Return a picture (H, W, 3), or the reason why there is none."""
    try:
        image = reading.open_picture(path.read_bytes(), None)
        colour, _ = samples.split(image, reading.load(image, None, None))
        return samples.to_array(colour)
    except (AecodecError, OSError, SyntaxError, ValueError) as error:
        return error


def crop(array: NDArray[np.uint8], size: int, top: int, left: int) -> NDArray[np.uint8]:
    """Return (size, size, 3) from (H, W, 3), mirrored at the bottom and right where the picture is smaller."""
    return _at_least(array[top : top + size, left : left + size], size)


def _at_least(array: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return (H, W, 3) with no side below ``size``."""
    while array.shape[0] < size or array.shape[1] < size:
        grow = [(0, min(max(0, size - n), n)) for n in array.shape[:2]]
        array = np.pad(array, (*grow, (0, 0)), "symmetric")
    return array


def batch(pictures: Pictures, count: int, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return (count, size, size, 3) uint8: random crops, mirrored and transposed at random.

    A picture is drawn with its area as weight, since every pixel is one to be stored.
    """
    weights = np.array([array.shape[0] * array.shape[1] for array in pictures.arrays], float)
    out = np.empty((count, size, size, 3), np.uint8)
    for i, choice in enumerate(rng.choice(len(weights), count, p=weights / weights.sum())):
        array = pictures.arrays[choice]
        top, left = (int(rng.integers(max(1, n - size + 1))) for n in array.shape[:2])
        part = crop(array, size, top, left)
        if rng.random() < 0.5:
            part = part[:, ::-1]
        if rng.random() < 0.5:
            part = part.transpose(1, 0, 2)
        out[i] = part
    return out


def to_tensor(crops: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Turn crops (B, H, W, 3) uint8 into (B, 3, H, W) float32 in 0..1, channels last in memory."""
    return torch.from_numpy(crops).to(device, non_blocking=True).permute(0, 3, 1, 2).float().div_(255)


class DeviceCrops:
    """Pictures as bytes on a device. Its ``batch`` can be captured in a CUDA graph."""

    def __init__(self, pictures: Pictures, size: int, device: torch.device) -> None:
        """Load the pictures; those smaller than ``size`` are mirrored up to it, as ``crop`` does."""
        arrays = [_at_least(array, size) for array in pictures.arrays]
        areas = torch.tensor([array.shape[0] * array.shape[1] for array in arrays])
        drawn = torch.tensor([array.shape[0] * array.shape[1] for array in pictures.arrays], dtype=torch.float64)
        self.size, self.device = size, device
        self.pixels = torch.from_numpy(np.concatenate([array.reshape(-1, 3) for array in arrays])).to(device)
        self.shapes = torch.tensor([array.shape[:2] for array in arrays], device=device)
        self.starts = (areas.cumsum(0) - areas).to(device)
        self.up_to = (drawn.cumsum(0) / drawn.sum()).to(device)

    def batch(self, count: int) -> Tensor:
        """Return (count, size, size, 3) uint8, as ``batch`` does."""

        def chance(*shape: int) -> Tensor:
            return torch.rand(*shape, dtype=torch.float64, device=self.device)

        which = torch.searchsorted(self.up_to, chance(count)).clamp_max(len(self.up_to) - 1)
        shapes = self.shapes[which]
        top, left = (chance(count, 2) * (shapes - self.size + 1)).long()[:, :, None, None].unbind(1)
        mirrored, transposed = (chance(count, 2) < 0.5)[:, :, None, None].unbind(1)
        along = torch.arange(self.size, device=self.device)
        rows, columns = along[None, :, None], along[None, None, :]
        y, x = torch.where(transposed, columns, rows), torch.where(transposed, rows, columns)
        x = torch.where(mirrored, self.size - 1 - x, x)
        width = shapes[:, 1, None, None]
        return self.pixels[self.starts[which, None, None] + (top + y) * width + left + x]


def sample(pictures: Pictures, count: int, size: int, seed: int) -> NDArray[np.uint8]:
    """Return (<= count, size, size, 3) uint8: crops as ``batch`` draws them, no more than the pictures have room for."""
    room = sum(array.shape[0] * array.shape[1] for array in pictures.arrays) // size**2
    return batch(pictures, max(1, min(count, room)), size, np.random.default_rng(seed))


def centres(pictures: Pictures, count: int, size: int) -> NDArray[np.uint8]:
    """Return (<= count, size, size, 3) uint8: the middle of the first pictures."""
    return np.stack(
        [crop(a, size, max(0, (a.shape[0] - size) // 2), max(0, (a.shape[1] - size) // 2)) for a in pictures.arrays[:count]]
    )
