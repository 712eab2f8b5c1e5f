"""ICC profiles for pictures that say their colours in another way: by primaries and a curve (PNG's cHRM and gAMA, CICP).

ICC.1:2001-04 (version 2): matrix and gray profiles. ITU-T H.273 for the numbers of CICP.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from aecodec.images.plain_png import HDR

Point = tuple[float, float]
Numbers = np.ndarray[Any, np.dtype[np.float64]]
_D65: Point = (0.3127, 0.3290)
_PRIMARIES: dict[int, tuple[Point, Point, Point, Point]] = {  # white, red, green, blue
    1: (_D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),
    4: ((0.310, 0.316), (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)),
    5: (_D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    7: (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    9: (_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: ((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: (_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    22: (_D65, (0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}
_SRGB_CURVE = 13
_CURVES = {1: _SRGB_CURVE, 4: 2.2, 5: 2.8, 6: _SRGB_CURVE, 8: 1.0, 13: _SRGB_CURVE, 14: _SRGB_CURVE, 15: _SRGB_CURVE}
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D50 = np.array([0.9642, 1.0, 0.8249])  # the white of the profile connection space


def of_chromaticities(values: tuple[float, ...], gamma: float | None, is_gray: bool) -> bytes:
    """Return the profile of a PNG's cHRM (x, y of white, red, green, blue) and gAMA; b"" where it is sRGB or impossible.

    ``gamma`` is the encoding exponent, such as 0.45455; None stands for the curve of sRGB.
    """
    plain = gamma is None or abs(gamma - 0.45455) < 0.005
    points = tuple(zip(values[::2], values[1::2], strict=True)) if len(values) == 8 else ()
    usual = not points or np.abs(np.subtract(points, _PRIMARIES[1])).max() < 0.003
    if plain and (usual or is_gray):
        return b""
    curve: float = _SRGB_CURVE if gamma is None or (plain and usual) else 1 / gamma if gamma > 0 else 0
    white, red, green, blue = points or _PRIMARIES[1]
    return _profile(white, red, green, blue, curve, is_gray) if 0.1 < curve < 100 else b""


def of_cicp(primaries: int, transfer: int, is_gray: bool) -> tuple[bytes, str]:
    """Return the profile of colours by CICP, and what of them none can say. Both are empty for sRGB and "unspecified"."""
    if transfer in HDR:
        return b"", f"{HDR[transfer]} colours (CICP {primaries}/{transfer})"
    if primaries in (1, 2) and transfer in (1, 2, 6, 13, 14, 15):
        return b"", ""
    curve = _CURVES.get(_SRGB_CURVE if transfer == 2 else transfer)
    points = _PRIMARIES.get(1 if primaries == 2 else primaries)
    if curve is None or points is None:
        return b"", f"colours by CICP {primaries}/{transfer}"
    return _profile(*points, curve, is_gray), ""


def _profile(white: Point, red: Point, green: Point, blue: Point, curve: float, is_gray: bool) -> bytes:
    """Return the profile, b"" where the primaries are no triangle. A ``curve`` of _SRGB_CURVE is that of sRGB."""
    with np.errstate(all="ignore"):
        try:
            columns = np.array([_xyz(point) for point in (red, green, blue)]).T
            target = _xyz(white)
            columns = columns * np.linalg.solve(columns, target)
            adapt = np.linalg.inv(_BRADFORD) @ np.diag((_BRADFORD @ _D50) / (_BRADFORD @ target)) @ _BRADFORD
            columns = adapt @ columns
        except (ZeroDivisionError, np.linalg.LinAlgError):
            return b""
    if not (np.isfinite(columns).all() and np.abs(columns).max() < 100):
        return b""
    trc = _curve(curve)
    text = b"Made from the chromaticities of a picture"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text) + 1) + text + bytes(1 + 4 + 4 + 2 + 1 + 67),
        b"cprt": b"text" + bytes(4) + b"No copyright\0",
        b"wtpt": _xyz_tag(_D50),
    }
    if is_gray:
        tags[b"kTRC"] = trc
    else:
        for letter, column in zip((b"r", b"g", b"b"), columns.T, strict=True):
            tags[letter + b"XYZ"] = _xyz_tag(column)
            tags[letter + b"TRC"] = trc
    table, body, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    places: dict[bytes, int] = {}  # equal tags, as the curves of three colours, share their bytes
    for name, value in tags.items():
        if value not in places:
            body += bytes(-len(body) % 4)
            places[value] = start + len(body)
            body += value
        table += name + struct.pack(">II", places[value], len(value))
    head = struct.pack(">I4s", start + len(body), b"\0\0\0\0") + bytes.fromhex("02400000") + b"mntr"
    head += (b"GRAY" if is_gray else b"RGB ") + b"XYZ " + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    head += struct.pack(">3i", *(round(value * 65536) for value in _D50))
    return head.ljust(128, b"\0") + table + body


def _xyz(point: Point) -> Numbers:
    x, y = point
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _xyz_tag(value: Numbers) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(float(number) * 65536) for number in value))


def _curve(curve: float) -> bytes:
    if curve != _SRGB_CURVE:
        return b"curv" + bytes(4) + struct.pack(">IH", 1, round(curve * 256))
    levels = np.arange(1024) / 1023
    light = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    return b"curv" + bytes(4) + struct.pack(">I1024H", 1024, *np.rint(light * 65535).astype(int).tolist())
