"""Read folders that are laid out as those of MVTec AD.

    train/good/*              good pictures to learn from
    test/good/*, test/KIND/*  good pictures, and bad ones by the kind of their defect
    ground_truth/KIND/*       a mask for each bad one, NAME_mask.png or NAME.png: white is bad

(Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 2021.)
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec.errors import PictureError
from aecodec.images import folders

GOOD = "good"
MASKS = ("_mask.png", ".png")  # after the stem of a picture: the name of its mask


@dataclass(frozen=True)
class Sample:
    """A picture to be judged: its path, the kind of its defect, "good" for none, and the path of its mask."""

    path: Path
    kind: str
    mask: Path | None = None

    @property
    def bad(self) -> bool:
        return self.kind != GOOD

    def pixels(self, height: int, width: int) -> NDArray[np.bool_] | None:
        """Return which pixels (h, w) are bad; None where the picture is bad and no mask says where.

        Raises PictureError where the mask cannot be read or is of another size.
        """
        if not self.bad:
            return np.zeros((height, width), np.bool_)
        if self.mask is None:
            return None
        try:
            with Image.open(self.mask) as image:
                mask: NDArray[np.bool_] = np.asarray(image.convert("L")) > 127
        except (OSError, ValueError) as error:
            raise PictureError(f"{self.mask}: {error}") from None
        if mask.shape != (height, width):
            raise PictureError(f"{self.mask} is {mask.shape[1]} x {mask.shape[0]}, its picture {width} x {height}")
        return mask


def testing(folder: str | os.PathLike[str], extensions: Collection[str]) -> list[Sample]:
    """Return the pictures of test, the good ones first.

    Raises PictureError where there are none, AecodecError where a folder cannot be read.
    """
    root = Path(folder) / "test"
    if not root.is_dir():
        raise PictureError(f"{folder} has no folder test with good and bad pictures, as sets of MVTec have")
    kinds = sorted((each.name for each in root.iterdir() if each.is_dir()), key=lambda name: (name != GOOD, name))
    found = []
    for kind in kinds:
        masks = Path(folder) / "ground_truth" / kind
        for path in folders.paths(root / kind, extensions, recursive=False):
            named = (masks / (path.stem + ending) for ending in MASKS)
            found.append(Sample(path, kind, next((mask for mask in named if mask.is_file()), None)))
    if not found:
        raise PictureError(f"{root} holds no pictures")
    return found
