"""Find numbers in EXIF, and the resolution that a file says.

Nothing here imports numpy, Pillow or dataclasses: what starts the command needs it.
"""

from __future__ import annotations

import struct

PREFIX = b"Exif\0\0"
ORIENTATION = 0x0112
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
_UNITS = {1: 0.0, 2: 1.0, 3: 2.54}  # inches in what RESOLUTION_UNIT stands for; 1 is no unit
_SCREEN_DPI = (0, 1, 72, 96)  # what files say that mean nothing by it


def dots_per_inch(exif: bytes, body: bytes) -> tuple[float, float] | None:
    """Return the resolution across and down of a file with these chunks EXIF and RESOLUTION, b"" for one that is not there.

    None stands for none, and for one that means nothing.
    """
    dpi = resolution(exif)
    if len(body) == 8:
        across, down = struct.unpack("<II", body)
        dpi = across / 100, down / 100
    return dpi if dpi and is_meant(dpi) else None


def resolution(exif: bytes) -> tuple[float, float] | None:
    """Return the dots per inch across and down that EXIF says, None where it says none."""
    across, down = numbers(exif, X_RESOLUTION, "2I"), numbers(exif, Y_RESOLUTION, "2I")
    inches = _UNITS.get((numbers(exif, RESOLUTION_UNIT, "H") or (2,))[0], 0.0)
    if not inches or not (across and down and across[1] and down[1]):
        return None
    return across[0] / across[1] * inches, down[0] / down[1] * inches


def is_meant(dpi: tuple[float, float]) -> bool:
    """Return whether a file means something by its dots per inch."""
    return all(0 < value < 1e7 for value in dpi) and any(round(value) not in _SCREEN_DPI for value in dpi)


def numbers(exif: bytes, tag: int, code: str) -> tuple[int, ...]:
    """Return the values of a tag in the first directory: one SHORT ("H") or one RATIONAL ("2I"); () for others."""
    order, position = find(exif, tag, 3 if code == "H" else 5)
    try:
        return struct.unpack_from(order + code, exif, position) if position else ()
    except struct.error:
        return ()


def find(exif: bytes, wanted: int, wanted_kind: int) -> tuple[str, int]:
    """Return the order of bytes, and where in EXIF the value of a tag of the first directory lies: 0 where it is not.

    CIPA DC-008 (EXIF 2.3), 4.6.2 and 4.6.4: the tags stand in the first directory of a TIFF structure.
    """
    base = len(PREFIX) if exif.startswith(PREFIX) else 0
    order = "<" if exif.startswith(b"II", base) else ">"
    try:
        start = base + struct.unpack_from(f"{order}I", exif, base + 4)[0]
        for position in entries(exif, start, order):
            tag, kind, _, value = struct.unpack_from(f"{order}HHII", exif, position)
            if tag == wanted:
                return order, (position + 8 if kind == 3 else base + value) if kind == wanted_kind else 0
    except struct.error:
        pass
    return order, 0


def entries(exif: bytes | bytearray, start: int, order: str) -> range:
    """Return where the entries of a directory lie that begins at ``start``. Raises struct.error where nothing is there."""
    return range(start + 2, start + 2 + 12 * struct.unpack_from(f"{order}H", exif, start)[0], 12)
