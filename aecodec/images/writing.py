"""Write pictures in other formats, through Pillow, and say what a format cannot hold."""

from __future__ import annotations

import io
import warnings
from collections.abc import Collection
from typing import Any

import numpy as np
from PIL import Image

from aecodec.container import metadata
from aecodec.errors import AecodecError
from aecodec.images import deep, icc, jpeg, netpbm, png, tiff, xmp

_METADATA = {
    "icc_profile": "ICC profile", "exif": "EXIF", "xmp": "XMP", "image_resources": "IPTC", "dpi": "the resolution",
    "cicp": "colours by CICP",
}  # fmt: skip
_KEPT: dict[str, Collection[str]] = {  # all that a format keeps as it is written here; those not named keep nothing
    "PNG": frozenset({"alpha", *_METADATA}),
    "TIFF": frozenset({"alpha", *_METADATA} - {"cicp"}),
    **dict.fromkeys(("WEBP", "AVIF"), frozenset({"alpha", "icc_profile", "exif", "xmp"})),
    "JPEG": frozenset(_METADATA) - {"cicp"},
    "BMP": frozenset({"dpi"}),
    **dict.fromkeys(("JPEG2000", "TGA"), frozenset({"alpha"})),
}
_OPTIONS: dict[str, dict[str, Any]] = {  # as little loss as the format allows
    "PNG": {"compress_level": 2},  # photographs become hardly larger than at level 6, in a third of the time
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
}
DEEP = ("PNG", "TIFF", "PPM")  # formats that are written with more than 8 bits a sample
_SEGMENT = {"exif": 65533, "xmp": 65504}  # bytes that fit in a JPEG's one segment; a longer XMP is cut in two


def save(image: Image.Image, kind: str, wide: deep.Deep | None = None) -> bytes:
    """Return a decoded picture as a file of a format that Pillow writes; a warning names what the format does not keep.

    ``wide`` are its samples where the file is to have more than 8 bits, which those of DEEP can. Where the format has
    no alpha, the picture is laid on white; where it has no EXIF, it is turned upright. Raises AecodecError where Pillow
    cannot write it.
    """
    kept = _KEPT.get(kind, ())
    image, wide = _as_storable(image, kind, wide)
    values = {name: image.info[name] for name in _METADATA if image.info.get(name)}
    if "exif" not in kept and metadata.is_empty(image):
        values.pop("exif", None)
    if "dpi" not in kept and "exif" in kept and metadata.says_resolution(values.get("exif", b""), values.get("dpi")):
        values.pop("dpi", None)
    if "image_resources" not in kept and not jpeg.iptc_of(values.get("image_resources", b"")):
        values.pop("image_resources", None)  # settings of Photoshop, which nobody misses
    hdr = _METADATA["cicp"]
    if "cicp" in values and "cicp" not in kept:
        primaries, transfer, _, is_full = values["cicp"]
        hdr = icc.of_cicp(primaries, transfer, False)[1] if is_full else "samples of studio range"
        if not hdr:  # a profile says the same
            del values["cicp"]
    names = _METADATA | {"cicp": hdr}
    lost = {name for name in values if name not in kept or (kind == "JPEG" and not _fits(name, values[name]))}
    if lost:
        warnings.warn(f"not kept in {kind}: {', '.join(names[name] for name in sorted(lost))}", stacklevel=2)
    if kind == "GIF" and image.getcolors() is None:
        warnings.warn("GIF holds 256 colours; the others are approximated", stacklevel=2)
    values = {name: value for name, value in values.items() if name not in lost}
    info = image.info
    # some of Pillow's writers look there for what they are not given
    image.info = {name: value for name, value in info.items() if name not in _METADATA}
    try:
        data, reason = _write_what_can_be(image, kind, values, names, wide)
    finally:
        image.info = info
    if data is not None:
        return data
    if image.mode in ("L", "LA"):  # a format without gray
        colour = image.convert("RGB" if image.mode == "L" else "RGBA")
        colour.info = info
        return save(colour, kind)
    raise AecodecError(f"Pillow cannot write the picture as {kind}: {reason}")


def _as_storable(image: Image.Image, kind: str, wide: deep.Deep | None) -> tuple[Image.Image, deep.Deep | None]:
    """Return a picture and its samples as a format can hold them: without alpha, upright, or as colour, where it must."""
    kept = _KEPT.get(kind, ())
    if image.mode in ("LA", "RGBA") and "alpha" not in kept:
        image, wide = _on_white(image, kind), None
    if "exif" not in kept:
        if wide is not None:
            deep.attach(image, wide)
        image = deep.upright(image)
        wide = deep.detach(image)
    if image.mode in ("L", "LA") and image.info.get("icc_profile", b"")[16:20] == b"RGB ":  # gray that was stored as colour
        info = image.info
        image = image.convert("RGB" if image.mode == "L" else "RGBA")
        image.info = info
        if wide is not None:
            wide = deep.Deep(np.concatenate([wide.samples[..., :1]] * 2 + [wide.samples], -1), wide.depth)
    return image, wide


def _write_what_can_be(
    image: Image.Image, kind: str, values: dict[str, Any], names: dict[str, str], wide: deep.Deep | None
) -> tuple[bytes | None, Exception | None]:
    """Return the file, and why Pillow cannot write it; damaged metadata is left out with a warning by its name."""
    reason = None
    for dropped in ((), *((name,) for name in values), tuple(values)):  # damaged metadata must not cost the picture
        try:
            data = _write(image, kind, {name: value for name, value in values.items() if name not in dropped}, wide)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  the writers raise whatever they meet
            reason = reason or error
            continue
        if dropped:
            text = " and ".join(names[name] for name in dropped)
            warnings.warn(f"{text} cannot be kept in {kind}: {reason}", stacklevel=3)
        if kind == "ICO" and (size := Image.open(io.BytesIO(data)).size) != image.size:
            warnings.warn(f"icons have fixed sizes; this one is {size[0]} x {size[1]}", stacklevel=3)
        return data, None
    return None, reason


def _fits(name: str, value: Any) -> bool:
    """Return whether a JPEG has room for metadata."""
    if name == "xmp" and len(value) > _SEGMENT["xmp"]:
        return xmp.split(value, _SEGMENT["xmp"]) is not None
    return name == "dpi" or len(value) <= _SEGMENT.get(name, 2**24)


def _write(image: Image.Image, kind: str, values: dict[str, Any], wide: deep.Deep | None) -> bytes:
    if wide is not None and kind == "PPM":
        return netpbm.write(wide.samples, wide.depth)
    packet, resources = values.get("xmp", b""), values.get("image_resources", b"")
    if kind == "TIFF" and image.mode in ("L", "LA", "RGB", "RGBA"):
        samples = np.asarray(image).reshape(image.height, image.width, -1) if wide is None else deep.at_16_bits(wide)
        return tiff.write(
            samples, exif=values.get("exif", b""), icc=values.get("icc_profile", b""), xmp=packet, resources=resources,
            iptc=jpeg.iptc_of(resources), dpi=values.get("dpi"),
        )  # fmt: skip
    options: dict[str, Any] = {
        name: value for name, value in values.items() if name not in ("xmp", "image_resources", "cicp")
    }
    if kind == "PNG" and (packet or resources or "cicp" in values):
        from PIL.PngImagePlugin import PngInfo

        options["pnginfo"] = PngInfo()
        if "cicp" in values:
            options["pnginfo"].add(b"cICP", bytes(values["cicp"]))
        if packet:
            options["pnginfo"].add_itxt("XML:com.adobe.xmp", packet.decode("utf-8", "replace"))
        if resources:  # as ImageMagick and ExifTool know it
            options["pnginfo"].add_text(
                "Raw profile type iptc", f"\niptc\n{len(resources):8}\n{resources.hex()}\n", zip=True
            )
    elif kind == "AVIF" and "exif" in values:
        options["exif"] = _KeptExif(values["exif"])
    if packet and kind not in ("PNG", "JPEG"):
        options["xmp"] = packet
    buffer = io.BytesIO()
    if wide is not None:
        image = image.crop((0, 0, 1, 1))
    image.save(buffer, kind, **_OPTIONS.get(kind, {}), **options)
    if wide is not None:
        return png.with_samples(buffer.getvalue(), deep.at_16_bits(wide), wide.depth)
    if kind != "JPEG":
        return buffer.getvalue()
    first, extended = packet, b""
    if len(packet) > _SEGMENT["xmp"]:
        first, extended = xmp.split(packet, _SEGMENT["xmp"]) or (b"", b"")
    return jpeg.with_segments(buffer.getvalue(), xmp=first, extended=extended, resources=resources)


class _KeptExif(Image.Exif):
    """EXIF that is written as it came, where a writer of Pillow would take it apart for its orientation."""

    def __init__(self, block: bytes) -> None:
        super().__init__()
        self.load(block)
        self._block = metadata.with_orientation(block, 1)

    def tobytes(self, offset: int = 8) -> bytes:
        return self._block


def _on_white(image: Image.Image, kind: str) -> Image.Image:
    alpha = image.getchannel("A")
    if alpha.getextrema() != (255, 255):
        warnings.warn(f"transparency is laid on white; {kind} keeps none", stacklevel=4)
    white = Image.new(image.mode[:-1], image.size, "white")
    white.paste(image.convert(white.mode), mask=alpha)
    white.info = image.info
    return white
