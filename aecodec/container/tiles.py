"""Cut a large picture into tiles, which are coded on their own, and blocks, which the transforms work on.

A tile is a square of the latents with a payload of its own; the entropy model sees nothing beyond its border. The
transforms do see beyond it, so there is no seam: they run on blocks with a halo around each, as wide as the reach of one
output. Tiles are part of the format; blocks only keep memory flat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scalar = TypeVar("Scalar", bound=np.generic)

TILE_CODES = range(1, 9)  # as stored; code n stands for a side of 128 * 2**n pixels
TILE = 1024  # pixels, the side that is written
BLOCK = 2048  # pixels, the largest side of a block without its halo


class Box(NamedTuple):
    """A rectangle: rows top .. bottom - 1, columns left .. right - 1."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def scaled(self, numerator: int, denominator: int = 1) -> Box:
        """Return the box in other units; sides grow outward to whole ones."""
        low = (self.top * numerator // denominator, self.left * numerator // denominator)
        high = (-(-self.bottom * numerator // denominator), -(-self.right * numerator // denominator))
        return Box(*low, *high)

    def grown(self, margin: int, within: Box) -> Box:
        """Return the box, wider by ``margin`` on each side, but not beyond ``within``."""
        return Box(self.top - margin, self.left - margin, self.bottom + margin, self.right + margin) & within

    def relative(self, origin: Box) -> Box:
        """Return the box with coordinates counted from the corner of ``origin``."""
        return Box(self.top - origin.top, self.left - origin.left, self.bottom - origin.top, self.right - origin.left)

    def __and__(self, other: Box) -> Box:
        low = max(self.top, other.top), max(self.left, other.left)
        high = min(self.bottom, other.bottom), min(self.right, other.right)
        return Box(*low, max(low[0], high[0]), max(low[1], high[1]))

    def __bool__(self) -> bool:
        return all(self.shape)


def whole(height: int, width: int) -> Box:
    """Return the box of a whole picture."""
    return Box(0, 0, height, width)


@dataclass(frozen=True)
class Grid:
    """An area cut into squares of ``side``, the last ones smaller, numbered in raster order; side 0 is one box."""

    area: Box
    side: int

    def __iter__(self) -> Iterator[Box]:
        return (self[index] for index in range(len(self)))

    def __len__(self) -> int:
        return self._rows * self._columns

    def __getitem__(self, index: int) -> Box:
        if not 0 <= index < len(self):
            raise IndexError(index)
        if not self.side:
            return self.area
        row, column = divmod(index, self._columns)
        top, left = self.area.top + row * self.side, self.area.left + column * self.side
        return Box(top, left, top + self.side, left + self.side) & self.area

    @property
    def _rows(self) -> int:
        return -(-self.area.shape[0] // self.side) if self.side else 1

    @property
    def _columns(self) -> int:
        return -(-self.area.shape[1] // self.side) if self.side else 1

    def touching(self, box: Box) -> list[int]:
        """Return the numbers of the squares that share something with a box inside the area."""
        if not self.side:
            return [0]
        part = box.relative(self.area).scaled(1, self.side)
        return [
            row * self._columns + column for row in range(part.top, part.bottom) for column in range(part.left, part.right)
        ]

    def assemble(self, box: Box, contents: Callable[[int], NDArray[Scalar]]) -> NDArray[Scalar]:
        """Return a box (h, w, C) put together from the squares that it touches; ``contents`` gives one by its number."""
        import numpy as np  # here, because a header needs the geometry only

        touched = self.touching(box)
        if len(touched) == 1 and self[touched[0]] == box:
            return contents(touched[0])
        result: NDArray[Scalar] | None = None
        for index in touched:
            part = contents(index)
            if result is None:
                result = np.empty((*box.shape, part.shape[-1]), part.dtype)
            common = self[index] & box
            result[common.relative(box).slices] = part[common.relative(self[index]).slices]
        if result is None:
            raise ValueError(f"{box} touches no square")
        return result


def tile_side(height: int, width: int) -> int:
    """Return the side of the tiles, in pixels, that a picture of this size is written with; 0 for one tile."""
    return TILE if max(height, width) > TILE else 0


def tile_count(height: int, width: int, side: int) -> int:
    """Return the number of tiles of ``side`` pixels, 0 for one tile, in a picture of this size."""
    return len(Grid(whole(height, width), side))
