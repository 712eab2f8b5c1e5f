"""Pictures for training: decoded once, kept as bytes in memory, cropped there."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aecodec.codec import formats, picture
from aecodec.errors import AecodecError

EXTENSIONS = frozenset(".bmp .jpeg .jpg .png .ppm .tif .tiff .webp".split())


@dataclass(frozen=True)
class Pictures:
    """Decoded pictures, (H, W, 3) uint8 each, and their file names."""

    arrays: list[np.ndarray]
    names: list[str]


def find(folders: Sequence[str]) -> list[Path]:
    """Picture files below folders, sorted.  Raises AecodecError where a folder is missing or none holds a picture."""
    files: list[Path] = []
    for folder in folders:
        if not Path(folder).is_dir():
            raise AecodecError(f"there is no folder {folder}")
        files += sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in EXTENSIONS)
    if not files:
        raise AecodecError(f"no pictures in {', '.join(folders)}")
    return files


def is_held_out(name: str, share: float) -> bool:
    """Whether a file name belongs to the validation set: a hash, so that it stays there whatever else is in the folder."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) < share * 2**32


def load(files: Sequence[Path], complain: Callable[[str], None]) -> Pictures:
    """Decodes files to what the encoder would see of them, as RGB.  One that cannot be decoded is named through
    ``complain`` and left out.

    Raises AecodecError where none is left.
    """
    pictures = Pictures([], [])
    for path in files:
        try:
            image = formats.open_picture(path.read_bytes(), None)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what is lost, which nobody will decode
                colour, _ = picture.split(image, formats.load(image, None, None))
            pictures.arrays.append(picture.to_array(colour))
            pictures.names.append(path.name)
        except (AecodecError, OSError, SyntaxError, ValueError) as error:
            complain(f"{path}: skipped: {error}")
    if not pictures.arrays:
        raise AecodecError("none of the pictures can be read")
    return pictures


def crop(array: np.ndarray, size: int, top: int, left: int) -> np.ndarray:
    """(size, size, 3) from (H, W, 3), mirrored at the bottom and right where the picture is smaller."""
    part = array[top : top + size, left : left + size]
    while part.shape[0] < size or part.shape[1] < size:
        grow = [(0, min(size - n, n)) for n in part.shape[:2]]
        part = np.pad(part, (*grow, (0, 0)), "symmetric")
    return part


def batch(pictures: Pictures, count: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """(count, size, size, 3) uint8: random crops, mirrored and transposed at random.

    A picture is drawn with its area as weight: every pixel is one to be stored.
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


def centres(pictures: Pictures, count: int, size: int) -> np.ndarray:
    """(<= count, size, size, 3) uint8: the middle of the first pictures, for validation."""
    return np.stack(
        [crop(a, size, max(0, (a.shape[0] - size) // 2), max(0, (a.shape[1] - size) // 2)) for a in pictures.arrays[:count]]
    )
