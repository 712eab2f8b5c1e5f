"""Open and decode pictures in other formats, through Pillow, and say what of them cannot be kept."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from aecodec.container import metadata
from aecodec.errors import AecodecError, FramesError, LimitError, MissingPackageError, PictureError
from aecodec.images import bmp, deep, embedded, jpeg, jxl, netpbm, png, tiff
from aecodec.images.samples import check_size

# Format: Pillow's name of it, the module that teaches it to Pillow, and the package that has the module
_PLUGINS = {
    "AVIF": ("AVIF", "pillow_avif", "pillow-avif-plugin"),
    "HEIC": ("HEIF", "pillow_heif", "pillow-heif"),
    "JPEG XL": ("JXL", "pillow_jxl", "pillow-jxl-plugin"),
}
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
_ICONS = (b"\0\0\1\0", b"\0\0\2\0")  # how Windows' icons and cursors begin
# How raw files of cameras begin that are not TIFF: Olympus, Panasonic, Fujifilm, Sigma, Minolta
_RAW_MARKS = (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM")
_RAW = (
    "a camera's raw file, of which only a preview could be read; develop it with a raw converter, such as darktable, first"
)

Source = Image.Image | NDArray[Any] | str | os.PathLike[str]


def as_picture(source: Source, max_pixels: int | None) -> Image.Image:
    """Return a caller's picture as a Pillow image: from an image, an array of samples, or the path of a file.

    An array is uint8 or uint16: (H, W) gray, (H, W, 2) gray with alpha, (H, W, 3) RGB or (H, W, 4) RGBA. Raises
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
    channels = {2: 1, 3: array.shape[-1]}.get(array.ndim) if array.ndim else None
    if array.dtype not in (np.uint8, np.uint16) or channels not in (1, 2, 3, 4) or not array.size:
        wanted = "uint8 or uint16 (H, W), (H, W, 2), (H, W, 3) or (H, W, 4)"
        raise PictureError(f"a picture in an array must be {wanted}, not {array.dtype} {array.shape}")
    if array.dtype == np.uint16 and channels > 1:
        return deep.to_image(deep.of_values(array, 65535))
    return Image.fromarray(np.ascontiguousarray(array.reshape(array.shape[:2]) if channels == 1 else array))


def open_picture(data: bytes, max_pixels: int | None) -> Image.Image:
    """Return a Pillow image whose size is within the limit.

    Nothing is decoded yet where the format's plugin allows it. Raises LimitError, PictureError where this is no picture,
    MissingPackageError where its plugin is not installed.
    """
    # an icon's plugin decodes what is inside when it opens; of all others the size is checked next
    with _damage(), _pixel_limit(max_pixels if data.startswith(_ICONS) else None):
        _refuse(data)
        if _recognise(data) == "JPEG XL":  # whose plugin decodes when it opens
            header = jxl.read_header(data)
            check_size(header.width, header.height, max_pixels)
        cleaned = png.clean(data) if data.startswith(png.MAGIC) and png.needs_cleaning(data) else None
        readable = data if cleaned is None else cleaned.data
        image: Image.Image
        try:
            image = Image.open(io.BytesIO(readable))
        except Exception as error:
            is_known = not isinstance(error, UnidentifiedImageError) and not data.startswith(tiff.MARKS)
            if is_known or isinstance(error, MemoryError):
                raise
            _find_plugin(data)
            try:
                image = Image.open(io.BytesIO(readable))
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001  Pillow 11 raises others for a BigTIFF
                image = _open_unknown(data, max_pixels)
        check_size(*image.size, max_pixels)
        if image.format == "EPS":  # Pillow would have Ghostscript run it, whatever the file's name says
            raise PictureError("PostScript is a program and not a picture; render it first")
        if cleaned is not None:
            image.info.update(cleaned.info)
            if cleaned.dropped:
                warnings.warn(f"not kept: {', '.join(cleaned.dropped)}", stacklevel=2)
    return image


def _open_unknown(data: bytes, max_pixels: int | None) -> Image.Image:
    """Return a picture that Pillow does not take, decoded. Raises PictureError where nothing takes it, LimitError."""
    if data.startswith(tiff.MARKS):
        pages = tiff.Tiff(data)
        index, full = pages.main_page()
        page = next(islice(pages.pages(), index, None), {})
        if full == 1 and tiff.is_misread(pages, page):
            check_size(pages.number(page, tiff.WIDTH, 0), pages.number(page, tiff.HEIGHT, 0), max_pixels)
            image = tiff.picture_of(pages, page)
            image.info["bit_depth"] = pages.number(page, tiff.BITS, 8)
            embedded.complete_tiff(image, data, index)
            return image
    raise PictureError(_why(data))


def _why(data: bytes) -> str:
    """Return why nothing here can read a file."""
    if not data:
        return "the file is empty"
    if data.startswith(b"\x8faec"):
        return "this is an .aec file already"
    if data.startswith(tiff.MARKS):
        pages = tiff.Tiff(data)
        page = next(pages.pages(), {})
        bits, kind = pages.number(page, tiff.BITS, 1), pages.number(page, tiff.SAMPLE_FORMAT, 1)
        if kind == 3:
            return f"samples of {bits}-bit floating point have no fixed range; convert them to 8 or 16 bits first"
        if bits > 16:
            return f"samples of {bits} bits are not supported; convert them to 8 or 16 bits first"
    for kind_of_file in Image.ID:
        factory, accept = Image.OPEN[kind_of_file]
        try:
            if accept is not None and accept(data[:16]) is True:
                factory(io.BytesIO(data), "")
        except Exception as error:  # noqa: BLE001  plugins raise whatever they meet
            return f"not a picture that Pillow can read ({kind_of_file}: {error})"
    return "not a picture that Pillow can read"


def _refuse(data: bytes) -> None:
    """Raise PictureError for a camera's raw file, of which Pillow would read a preview or nothing."""
    start = data[:32]
    is_raw = start.startswith(_RAW_MARKS) or start[4:12] == b"ftypcrx " or start[6:14] == b"HEAPCCDR"
    if not is_raw and start.startswith(tiff.MARKS):
        is_raw = tiff.Tiff(data).is_raw()
    if is_raw:
        raise PictureError(_RAW)


def load(image: Image.Image, frame: int | None, max_pixels: int | None, keeps_depth: bool = False) -> int:
    """Decode an opened picture, or one ``frame`` of it, in place, and return the bits of a sample in its file.

    With ``keeps_depth`` the picture carries its samples where they have more than 8 bits (``deep.detach``) and Pillow's
    picture cannot hold them.

    What its file says beside the pixels comes into ``info``, and a warning says what cannot be kept. Raises FramesError
    where there are several frames and none is chosen, PictureError where the file is damaged, LimitError.
    """
    with _damage(), _pixel_limit(max_pixels):
        file = _file_of(image)
        pages = tiff.Tiff(file) if image.format == "TIFF" and file is not None else None
        if pages is not None and pages.is_raw():
            raise PictureError(_RAW)
        _choose_frame(image, frame, pages)
        check_size(*image.size, max_pixels)
        bits = _bits(image)
        if image.format == "JXL":
            _complete_jxl(image)
        page = next(islice(pages.pages(), image.tell(), None), {}) if pages is not None else {}
        found: deep.Deep | None = deep.detach(image)
        if pages is not None and tiff.is_misread(pages, page):
            picture = tiff.picture_of(pages, page)
            found = deep.detach(picture)
            _replace(image, picture)
        else:
            low = _low_bytes(image) if bits == 16 else None
            _load(image, file)
            check_size(*image.size, max_pixels)  # an icon may hold a picture of another size
            if low is not None:
                found = _round(image, low)
            elif keeps_depth and file is not None:
                found = _read_deep(image, file, bits)
        if found is not None:
            bits = found.depth
        if found is not None and keeps_depth:
            deep.attach(image, found)
        embedded.complete(image, file)
    return bits


def _read_deep(image: Image.Image, file: bytes, bits: int) -> deep.Deep | None:
    """Return samples that Pillow rounds to 8 bits and another reader does not."""
    if image.format == "PPM" and bits > 8:
        return netpbm.read(file)
    if image.format == "HEIF" and bits > 8 and image.mode in ("L", "RGB", "RGBA"):
        heif = importlib.import_module("pillow_heif")
        opened = heif.open_heif(io.BytesIO(file), convert_hdr_to_8bit=False, hdr_to_16bit=False)
        values = np.asarray(opened[image.tell()])
        shape = (*image.size[::-1], len(image.getbands()))
        if values.dtype == np.uint16 and values.size == np.prod(shape) and values.max(initial=0) < 2**bits:
            return deep.of_values(values.reshape(shape), 2**bits - 1)
    return None


def _choose_frame(image: Image.Image, frame: int | None, pages: tiff.Tiff | None) -> None:
    """Go to the frame that is asked for, or to the picture that a file of several stands for; warn of the others."""
    count = 1 if image.format == "PSD" else getattr(image, "n_frames", 1)  # a PSD comes with its layers merged
    if frame is not None:
        if not 0 <= frame < count:
            raise PictureError(f"there is no frame {frame}; the picture has {count}, counted from 0")
        if count > 1:
            image.seek(frame)
        return
    if count == 1:
        return
    more = f"{count - 1} more picture{'s' if count > 2 else ''} in the file"
    if image.format == "MPO":  # as many phones write their photographs
        warnings.warn(f"not kept: {more} (previews, other views or a gain map)", stacklevel=3)
    elif image.format == "HEIF":  # which is at its primary picture
        warnings.warn(f"not kept: {more}", stacklevel=3)
    elif image.format in ("TIFF", "DCX"):
        main, full = pages.main_page() if pages is not None else (0, count)
        if full > 1:
            raise FramesError(f"the file has {count} pages")
        image.seek(main)
        warnings.warn(f"not kept: {more} (smaller copies or masks)", stacklevel=3)
    else:
        raise FramesError(f"the picture is animated ({count} frames)")


def _load(image: Image.Image, file: bytes | None) -> None:
    """Decode a picture; a JPEG that lacks nothing but its end mark is taken with a warning."""
    try:
        if image.format == "BMP" and file is not None and (rows := bmp.run_lengths(file)) is not None:
            _replace(image, rows)
        else:
            image.load()
    except OSError:
        if image.format not in ("JPEG", "MPO") or file is None:
            raise
        whole = jpeg.completed(file)
        if whole is None:
            raise
        warnings.warn("the file lacks its last bytes, an end mark; the picture is whole", stacklevel=4)
        _replace(image, whole)


def _replace(image: Image.Image, other: Image.Image) -> None:
    """Put the pixels of another picture into an opened one."""
    image.im = other.im
    image._mode, image._size = other.mode, other.size
    if other.mode == "P":
        image.palette = other.palette
    vars(image)["tile"] = []  # nothing is left to decode


def _file_of(image: Image.Image) -> bytes | None:
    """Return the whole file of a picture that is not decoded yet, None where it is closed."""
    fp = getattr(image, "fp", None)
    if fp is None or getattr(fp, "closed", False):
        return None
    position = fp.tell()
    fp.seek(0)
    data = fp.read()
    fp.seek(position)
    return bytes(data)


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
    # the plugin does not turn JPEGs that it restores
    if not getattr(image, "jpeg", False) and isinstance(exif := image.info.get("exif"), bytes):
        image.info["exif"] = metadata.with_orientation(exif, 1)


def _low_bytes(image: Image.Image) -> NDArray[np.uint8] | None:
    """Return the low bytes (H, W, C) of 16-bit colour in a PNG or TIFF, of which Pillow keeps the high ones.

    Pillow reads the low bytes if it is made to believe that the file's bytes are swapped. Returns None where that does not
    work.
    """
    orders = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
    swapped = {f"{mode};16{order}": f"{mode};16{orders[order]}" for mode in ("RGB", "RGBA") for order in orders}
    swapped["LA;16B"] = "RGBA"  # high and low bytes as four channels
    if image.format != "PNG" or not isinstance(image, ImageFile.ImageFile) or not image.tile or image.fp is None:
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


def _round(image: Image.Image, low: NDArray[np.uint8]) -> deep.Deep:
    """Replace the high bytes of 16-bit samples by the samples rounded to 8 bits, and return the samples.

    Gray with alpha becomes "LA". A transparent colour, which is one of 16-bit samples, becomes alpha.
    """
    high = np.asarray(image)[..., -low.shape[-1] :].astype(np.uint32)
    values = high << 8 | low
    rounded = ((values * 255 + 32895) >> 16).astype(np.uint8)  # the nearest to 255/65535 of it
    if low.shape[-1] == 3 and (key := image.info.pop("transparency", None)) is not None:
        opaque = (values != np.asarray(key)).any(-1)
        rounded = np.dstack([rounded, opaque * np.uint8(255)])
        values = np.dstack([values, opaque * np.uint32(65535)])
    image.im = Image.fromarray(rounded).im
    image._mode = {2: "LA", 3: "RGB", 4: "RGBA"}[rounded.shape[-1]]
    return deep.of_values(values, 65535)


_limits: list[int | None] = []  # of the calls that are at work, in any thread
_limits_lock = threading.Lock()
_others_limit: int | None = None  # Pillow's, while ours stands in its place


@contextlib.contextmanager
def _pixel_limit(max_pixels: int | None) -> Iterator[None]:
    """Have Pillow keep to a limit of pixels for as long as this lasts, also in pictures inside pictures, as in an icon.

    Its limit is one for the whole process, so that of the most generous call holds while several are at work.
    """
    global _others_limit  # noqa: PLW0603  Pillow's limit is one for the process, too
    with _limits_lock:
        if not _limits:
            _others_limit = Image.MAX_IMAGE_PIXELS
        _limits.append(max_pixels)
        Image.MAX_IMAGE_PIXELS = _most_generous()
    try:
        yield
    finally:
        with _limits_lock:
            _limits.remove(max_pixels)
            Image.MAX_IMAGE_PIXELS = _most_generous() if _limits else _others_limit


def _most_generous() -> int | None:
    numbers = [limit for limit in _limits if limit is not None]
    return max(numbers) if len(numbers) == len(_limits) else None


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    """Turn the exceptions of Pillow's plugins into PictureError; on a damaged file they raise all kinds."""
    try:
        yield
    except (AecodecError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise LimitError(f"a picture inside the file is too large: {error}", Image.MAX_IMAGE_PIXELS) from None
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
        arguments = tiles[0][3]
        maximum = arguments if isinstance(arguments, int) else arguments[-1]
        return maximum.bit_length() if isinstance(maximum, int) else 1 if image.mode == "1" else 8
    for kind, mark, offset, add in (("AVIF", b"pixi", 9, 0), ("JPEG2000", b"\xff\x4f\xff\x51", 42, 1)):
        if image.format == kind and 0 <= (start := head.find(mark)) < len(head) - offset:
            return (head[start + offset] & 127) + add
    return 8
