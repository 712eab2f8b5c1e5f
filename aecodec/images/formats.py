"""Open and write pictures in other formats, through Pillow, and say what a format cannot hold."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import warnings
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from aecodec.container import metadata
from aecodec.errors import AecodecError, FramesError, MissingPackageError, PictureError
from aecodec.images import jxl
from aecodec.images.samples import check_size

# Format: Pillow's name of it, the module that teaches it to Pillow, and the package that has the module
_PLUGINS = {
    "AVIF": ("AVIF", "pillow_avif", "pillow-avif-plugin"),
    "HEIC": ("HEIF", "pillow_heif", "pillow-heif"),
    "JPEG XL": ("JXL", "pillow_jxl", "pillow-jxl-plugin"),
}
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
_METADATA = {"icc_profile": "ICC profile", "exif": "EXIF", "xmp": "XMP"}
_KEPT: dict[str, Collection[str]] = {  # all that a format keeps as Pillow writes it; those not named keep nothing
    **dict.fromkeys(("PNG", "WEBP", "TIFF", "AVIF"), frozenset({"alpha", *_METADATA})),
    "JPEG": frozenset(_METADATA),
    **dict.fromkeys(("JPEG2000", "TGA"), frozenset({"alpha"})),
}
_OPTIONS: dict[str, dict[str, Any]] = {  # as little loss as the format allows
    "PNG": {"compress_level": 2},  # photographs become hardly larger than at level 6, in a third of the time
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
}
_SEGMENT = {"exif": 65533, "xmp": 65504}  # bytes that fit in a JPEG's one segment


Source = Image.Image | NDArray[Any] | str | os.PathLike[str]


def as_picture(source: Source, max_pixels: int | None) -> Image.Image:
    """Return a caller's picture as a Pillow image: from an image, an array of samples, or the path of a file.

    An array is uint8 (H, W) gray, (H, W, 2) gray with alpha, (H, W, 3) RGB or (H, W, 4) RGBA; or uint16 (H, W) gray. Raises
    PictureError for another array or a file that is no picture, LimitError, OSError where there is no file, TypeError for
    anything else.
    """
    if isinstance(source, Image.Image):
        return source
    if isinstance(source, np.ndarray):
        return _of_array(source)
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            return open_picture(file.read(), max_pixels)
    raise TypeError(f"a picture must be a Pillow image, a NumPy array or a path, not {type(source).__name__}")


def _of_array(array: NDArray[Any]) -> Image.Image:
    kinds = {(np.dtype(np.uint8), channels) for channels in (1, 2, 3, 4)} | {(np.dtype(np.uint16), 1)}
    channels = {2: 1, 3: array.shape[-1]}.get(array.ndim) if array.ndim else None
    if (array.dtype, channels) not in kinds or not array.size:
        wanted = "uint8 (H, W), (H, W, 2), (H, W, 3) or (H, W, 4), or uint16 (H, W)"
        raise PictureError(f"a picture in an array must be {wanted}, not {array.dtype} {array.shape}")
    return Image.fromarray(np.ascontiguousarray(array.reshape(array.shape[:2]) if channels == 1 else array))


def open_picture(data: bytes, max_pixels: int | None) -> Image.Image:
    """Return a Pillow image whose size is within the limit.

    Nothing is decoded yet where the format's plugin allows it. Raises LimitError, PictureError where this is no picture,
    MissingPackageError where its plugin is not installed.
    """
    Image.MAX_IMAGE_PIXELS = None  # the limit is max_pixels, checked next
    with _damage():
        if _recognise(data) == "JPEG XL":  # whose plugin decodes when it opens
            header = jxl.read_header(data)
            check_size(header.width, header.height, max_pixels)
        try:
            image = Image.open(io.BytesIO(data))
        except UnidentifiedImageError:
            _find_plugin(data)
            try:
                image = Image.open(io.BytesIO(data))
            except UnidentifiedImageError:
                raise PictureError("not a picture that Pillow can read" if data else "the file is empty") from None
        check_size(*image.size, max_pixels)
        if image.format == "EPS":  # Pillow would have Ghostscript run it, whatever the file's name says
            raise PictureError("PostScript is a program and not a picture; render it first")
    return image


def load(image: Image.Image, frame: int | None, max_pixels: int | None) -> int:
    """Decode an opened picture, or one ``frame`` of it, in place, and return the bits of a sample in its file.

    Raises FramesError where there are several frames and none is chosen, PictureError where the file is damaged,
    LimitError.
    """
    with _damage():
        count = 1 if image.format == "PSD" else getattr(image, "n_frames", 1)  # a PSD comes with its layers merged
        what = "pages" if image.format in ("TIFF", "DCX") else "frames"
        if frame is not None:
            if not 0 <= frame < count:
                raise PictureError(f"there is no frame {frame}; the picture has {count}, counted from 0")
            if count > 1:
                image.seek(frame)
        elif count > 1 and image.format == "MPO":  # as many phones write their photographs
            warnings.warn(f"not kept: {count - 1} more in the file (previews, other views or a gain map)", stacklevel=3)
        elif count > 1:
            problem = f"the file has {count} pages" if what == "pages" else f"the picture is animated ({count} frames)"
            raise FramesError(problem)
        check_size(*image.size, max_pixels)
        bits = _bits(image)
        if image.format == "JXL":
            _complete_jxl(image)
        low = _low_bytes(image) if bits == 16 else None
        image.load()
        if low is not None:
            _round(image, low)
    return bits


def _complete_jxl(image: Image.Image) -> None:
    """Add what the JPEG XL plugin leaves out: frames, XMP, and that it turned the picture as EXIF says."""
    data = getattr(image, "fc", b"")  # the whole file, which the plugin keeps
    if jxl.read_header(data).animated:
        raise PictureError("the picture is animated, and Pillow's plugin for JPEG XL cannot take one frame of it")
    found = dict(jxl.boxes(data))
    if b"xml " in found:
        image.info["xmp"] = found[b"xml "]
    if b"brob" in found:
        warnings.warn("not kept: compressed metadata of JPEG XL", stacklevel=4)
    if not getattr(image, "jpeg", False):  # the plugin does not turn JPEGs that it restores
        with contextlib.suppress(Exception):  # damaged EXIF, of which metadata.read warns
            image.getexif().pop(0x0112, None)


def _low_bytes(image: Image.Image) -> NDArray[np.uint8] | None:
    """Return the low bytes (H, W, C) of 16-bit colour in a PNG or TIFF, of which Pillow keeps the high ones.

    Pillow reads the low bytes if it is made to believe that the file's bytes are swapped. Returns None where that does not
    work.
    """
    orders = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
    swapped = {f"{mode};16{order}": f"{mode};16{orders[order]}" for mode in ("RGB", "RGBA") for order in orders}
    swapped["LA;16B"] = "RGBA"  # high and low bytes as four channels
    if image.format not in ("PNG", "TIFF") or not isinstance(image, ImageFile.ImageFile) or not image.tile:
        return None
    if image.fp is None:
        return None
    position = image.fp.tell()
    image.fp.seek(0)
    twin = Image.open(io.BytesIO(image.fp.read()))
    image.fp.seek(position)
    if image.tell():
        twin.seek(image.tell())
    tiles = []
    for codec, extents, offset, args in twin.tile:
        first, *rest = args if isinstance(args, tuple) else (args,)
        if first not in swapped:
            return None
        swapped_args = (swapped[first], *rest) if rest else swapped[first]
        tiles.append(ImageFile._Tile(codec, extents, offset, swapped_args))
    twin.tile = tiles
    low = np.asarray(twin)
    return low[..., 1::2] if first == "LA;16B" else low


def _round(image: Image.Image, low: NDArray[np.uint8]) -> None:
    """Replace the high bytes of 16-bit samples by the samples rounded to 8 bits; gray with alpha becomes "LA"."""
    high = np.asarray(image)[..., -low.shape[-1] :].astype(np.uint32)
    rounded = ((high << 8 | low) * 255 + 32895) >> 16  # the nearest to 255/65535 of it
    image.im = Image.fromarray(rounded.astype(np.uint8)).im
    image._mode = {2: "LA", 3: "RGB", 4: "RGBA"}[low.shape[-1]]


def save(image: Image.Image, kind: str) -> bytes:
    """Return a decoded picture as a file of a format that Pillow writes; a warning names what the format does not keep.

    Where the format has no alpha, the picture is laid on white; where it has no EXIF, it is turned upright. Raises
    AecodecError where Pillow cannot write it.
    """
    kept = _KEPT.get(kind, ())
    if image.mode in ("LA", "RGBA") and "alpha" not in kept:
        image = _on_white(image, kind)
    if "exif" not in kept:
        image = metadata.upright(image)
    values = {name: image.info[name] for name in _METADATA if image.info.get(name)}
    if metadata.is_empty(image):
        values.pop("exif", None)
    lost = {
        name for name in values if name not in kept or (kind == "JPEG" and len(values[name]) > _SEGMENT.get(name, 2**24))
    }
    if lost:
        warnings.warn(f"not kept in {kind}: {', '.join(_METADATA[name] for name in sorted(lost))}", stacklevel=2)
    if kind == "GIF" and image.getcolors() is None:
        warnings.warn("GIF holds 256 colours; the others are approximated", stacklevel=2)
    values = {name: value for name, value in values.items() if name not in lost}
    reason, info = None, image.info
    # some of Pillow's writers look there for what they are not given
    image.info = {name: value for name, value in info.items() if name not in _METADATA}
    try:
        for dropped in ((), *((name,) for name in values), tuple(values)):  # damaged metadata must not cost the picture
            try:
                data = _write(image, kind, {name: value for name, value in values.items() if name not in dropped})
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001  the writers raise whatever they meet
                reason = reason or error
                continue
            if dropped:
                names = " and ".join(_METADATA[name] for name in dropped)
                warnings.warn(f"{names} cannot be kept in {kind}: {reason}", stacklevel=2)
            if kind == "ICO" and (size := Image.open(io.BytesIO(data)).size) != image.size:
                warnings.warn(f"icons have fixed sizes; this one is {size[0]} x {size[1]}", stacklevel=2)
            return data
    finally:
        image.info = info
    raise AecodecError(f"Pillow cannot write the picture as {kind}: {reason}")


def _write(image: Image.Image, kind: str, values: dict[str, bytes]) -> bytes:
    options = {**_OPTIONS.get(kind, {}), **values}
    if kind == "PNG" and "xmp" in values:
        from PIL.PngImagePlugin import PngInfo

        text = options["pnginfo"] = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", options.pop("xmp").decode("utf-8", "replace"))
    elif kind == "TIFF" and "xmp" in values:
        exif = options["exif"] = Image.Exif()
        exif.load(values.get("exif", b""))
        exif[700] = options.pop("xmp")
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _on_white(image: Image.Image, kind: str) -> Image.Image:
    alpha = image.getchannel("A")
    if alpha.getextrema() != (255, 255):
        warnings.warn(f"transparency is laid on white; {kind} keeps none", stacklevel=3)
    white = Image.new(image.mode[:-1], image.size, "white")
    white.paste(image.convert(white.mode), mask=alpha)
    white.info = image.info
    return white


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    """Turn the exceptions of Pillow's plugins into PictureError; on a damaged file they raise all kinds."""
    try:
        yield
    except (AecodecError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001  plugins raise whatever they meet
        raise PictureError(f"the picture cannot be read: {error}") from None


def _find_plugin(data: bytes) -> None:
    """Import the plugin of a format that Pillow may not know by itself.

    Raises MissingPackageError where it is not installed.
    """
    kind = _recognise(data)
    if kind is None:
        return
    name, module, package = _PLUGINS[kind]
    if name in Image.SAVE:  # so the plugin is there, and the file is damaged
        return
    try:
        plugin = importlib.import_module(module)
    except ImportError:
        raise MissingPackageError(f"this is {kind}, for which Pillow", package) from None
    if kind == "HEIC":  # the others register themselves
        plugin.register_heif_opener()


def _recognise(data: bytes) -> str | None:
    """Return the key of _PLUGINS that the first bytes of a file stand for (ISO/IEC 14496-12, 23008-12, 18181-2)."""
    if data.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")):
        return "JPEG XL"
    if data[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(data[:4], "big"), 256)
    brands = {data[8:12], *(data[i : i + 4] for i in range(16, end, 4))}
    return "AVIF" if brands & {b"avif", b"avis"} else "HEIC" if brands & _HEIF_BRANDS else None


def _bits(image: Image.Image) -> int:
    """Return the bits of a sample in the file of an opened picture; those of Pillow's mode where the file does not say.

    Pillow silently reads more than 8 bits of colour as 8.
    """
    deep = image.mode.startswith("I")
    if image.format == "TIFF":
        tags = vars(image)["tag_v2"]  # which the base class does not have
        bits, numbers = (np.atleast_1d(tags.get(tag, default)) for tag, default in ((258, 8), (339, 1)))
        # BitsPerSample; signed (SampleFormat) has half of the range for light
        return int(max(bits)) - (deep and 2 in numbers)
    if deep or "bit_depth" in image.info:  # other formats' gray is spread over 16 bits; pillow_heif says what it read
        return 16 if deep else int(image.info["bit_depth"])
    if image.format == "JXL":
        return jxl.read_header(getattr(image, "fc", b"")).bits
    fp = getattr(image, "fp", None)
    if fp is None or fp.closed:
        key = image.info.get("transparency")  # a transparent colour is of the file's depth
        return 16 if isinstance(key, (int, tuple)) and np.max(key) > 255 else 8
    position = fp.tell()
    fp.seek(0)
    head: bytes = fp.read(4096)
    fp.seek(position)
    if image.format == "PNG":
        return head[24]  # IHDR
    if image.format == "PPM" and (tiles := getattr(image, "tile", None)) and tiles[0][0].startswith("ppm"):
        maximum = tiles[0][3]
        return int(maximum if isinstance(maximum, int) else maximum[-1]).bit_length()
    for kind, mark, offset, add in (("AVIF", b"pixi", 9, 0), ("JPEG2000", b"\xff\x4f\xff\x51", 42, 1)):
        if image.format == kind and 0 <= (start := head.find(mark)) < len(head) - offset:
            return (head[start + offset] & 127) + add
    return 8
