"""Define the codecs that a report compares: from a picture to a whole file's bytes and back, by stated settings.

Every codec runs on one thread of the CPU, so that seconds mean the same for all; aecodec gets it from OMP_NUM_THREADS.
"""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

import PIL
from PIL import Image, features

from aecodec.defaults import DEFAULT_WEIGHTS
from aecodec.errors import AecodecError

# 0.14 to 2.6 bits per pixel and 24 to 39 dB on the Kodak pictures, one to two and a half dB apart.
JPEG_QUALITIES = (5, 8, 12, 18, 25, 35, 50, 65, 75, 85, 92)
AVIF_QUALITIES = (15, 30, 45, 60, 75, 88, 95)
AECODEC = "aecodec"


@dataclass(frozen=True)
class Codec:
    """``encode`` maps an RGB picture and a quality, on the codec's own scale, to a file; ``decode`` maps that back.

    Higher quality means more bytes. Where the settings do not say otherwise it is Pillow's ``quality``. ``version`` and
    ``settings`` are all else that a measurement depends on. ``step`` is the smallest difference of qualities that makes a
    different file, ``least`` the quality of the smallest file.
    """

    name: str
    version: str
    settings: str
    qualities: tuple[float, ...]
    # Not compared: a codec that has been to another process is still the same one.
    encode: Callable[[Image.Image, float], bytes] = field(compare=False)
    decode: Callable[[bytes], Image.Image] = field(compare=False)
    step: float = 1
    least: float = 0
    weights: str | None = field(default=None, compare=False)  # of aecodec: their name or folder


def jpeg(image: Image.Image, quality: float) -> bytes:
    """Return the whole JPEG file of an RGB or L image.

    It is made by Pillow's libjpeg: baseline, 4:2:0, Huffman tables made for the picture. Those tables save 36 % of the
    bytes at quality 5, 4 % at 50 and 2 % at 75 (means over the Kodak pictures). JPEG curves published without them, for
    example CompressAI's, are an easier anchor. ``quality`` is libjpeg's, 1..95 in practice. Raises OSError for image modes
    that JPEG does not have.
    """
    return _save(image, "JPEG", quality=int(quality), subsampling=2, optimize=True)


def decode_with_pillow(data: bytes) -> Image.Image:
    """Return the picture in a file of any format that Pillow knows, its pixels decoded."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def names() -> list[str]:
    """Return the names of all codecs, installed or not; "aecodec" stands for every installed weights."""
    return [AECODEC, *_PILLOW]


def is_aecodec(name: str) -> bool:
    """Return whether a codec of this name is aecodec, with any weights."""
    return name.partition("-")[0] == AECODEC


def open_codecs(wanted: Sequence[str], weights: Sequence[str] | None = None) -> tuple[list[Codec], dict[str, str]]:
    """Return the codecs of these names that work on this machine, and for each of the others the reason.

    ``weights`` are names or folders that "aecodec" stands for, None for all that are installed. Raises AecodecError for an
    unknown name, WeightsError for weights that cannot be opened.
    """
    found: list[Codec] = []
    absent: dict[str, str] = {}
    for name in dict.fromkeys(wanted):
        if name == AECODEC:
            found += _aecodecs(weights)
        elif name in _PILLOW:
            codec = _PILLOW[name]()
            if isinstance(codec, Codec):
                found.append(codec)
            else:
                absent[name] = codec
        else:
            raise AecodecError(f"there is no codec {name!r}; the codecs are {', '.join(names())}")
    return found, absent


def with_qualities(codecs: Sequence[Codec], wanted: Sequence[str]) -> list[Codec]:
    """Return the codecs at other qualities.

    Each of ``wanted`` is "N" (at most so many of the default ones, evenly), "Q,Q,..." or "CODEC=Q,Q,...". One that names a
    codec has priority; "aecodec" names all its weights. Raises AecodecError for anything else.
    """
    chosen: dict[str, str] = {}
    for text in wanted:
        name, _, numbers = text.rpartition("=")
        if name and not any(name == codec.name or codec.name.startswith(f"{name}-") for codec in codecs):
            raise AecodecError(f"qualities {text}: {name} is not one of the codecs {', '.join(c.name for c in codecs)}")
        chosen[name] = numbers
    result = []
    for codec in codecs:
        family = codec.name.partition("-")[0]
        given = next((chosen[name] for name in (codec.name, family, "") if name in chosen), None)
        chosen_for_it = codec.qualities if given is None else _qualities(given, codec.qualities)
        if codec.step == 1 and any(quality % 1 for quality in chosen_for_it):
            raise AecodecError(f"qualities {given}: {codec.name} has whole numbers only")
        result.append(replace(codec, qualities=chosen_for_it))
    return result


def _qualities(text: str, default: tuple[float, ...]) -> tuple[float, ...]:
    if text.isdigit() and int(text) >= 2:
        last = min(int(text), len(default)) - 1
        return tuple(default[round(index * (len(default) - 1) / last)] for index in range(last + 1))
    try:
        numbers = rising(text)
    except ValueError:
        numbers = ()
    if len(numbers) < 2:
        raise AecodecError(
            f"qualities {text}: give their number, 2 or more, or two or more rising ones with commas between them"
        )
    return numbers


def rising(text: str) -> tuple[float, ...]:
    """Return "5,15,25" as numbers. Raises ValueError unless they are finite and rise."""
    numbers = tuple(float(word) for word in text.split(","))
    if not all(before < after for before, after in pairwise(numbers)) or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{text!r} must rise")
    return numbers


def open_again(codec: Codec) -> Codec | str:
    """Return the codec that this machine has in the place of one of another machine, or why it has none."""
    if not is_aecodec(codec.name):
        return _PILLOW[codec.name]()
    try:
        return aecodec(codec.weights, codec.name)
    except AecodecError as error:
        return str(error)


def aecodec(weights: str | None = None, name: str = AECODEC) -> Codec:
    """Return aecodec with these weights, a name or a folder; None for the default ones."""
    import aecodec as package
    from aecodec import weights as store

    opened = store.load(DEFAULT_WEIGHTS if weights is None else weights)
    # Functions of the package are looked up when they are called, so that a picture's codec is what users call.
    return Codec(
        name, f"aecodec {package.__version__}, weights {opened.id}", f"weights {opened.name}",
        (0, 15, 30, 45, 60, 75, 90), partial(_encode_aecodec, weights=weights), partial(_decode_aecodec, weights=weights),
        step=0.05, weights=weights,
    )  # fmt: skip


def _encode_aecodec(image: Image.Image, quality: float, weights: str | None) -> bytes:
    import aecodec as package

    if weights is None:
        return package.encode(image, quality=quality, device="cpu")
    return package.encode(image, quality=quality, device="cpu", weights=weights)


def _decode_aecodec(data: bytes, weights: str | None) -> Image.Image:
    import aecodec as package

    return package.decode(data, device="cpu", weights=weights)


def _aecodecs(weights: Sequence[str] | None) -> list[Codec]:
    from aecodec import weights as store

    asked = store.names() if weights is None else list(weights)
    found = [aecodec(which, f"{AECODEC}-{Path(which).resolve().name}") for which in asked]
    if len({codec.name for codec in found}) < len(found):
        raise AecodecError("two folders of weights have one name, so the report could not distinguish them; rename one")
    return found


def _jpeg() -> Codec:
    version = _library("libjpeg_turbo", "jpg")
    return Codec("jpeg", version, "4:2:0, optimize", JPEG_QUALITIES, jpeg, decode_with_pillow, least=1)


def _webp() -> Codec | str:
    if not features.check("webp"):
        return "this Pillow was built without WebP"
    qualities = (1, 12, 25, 40, 60, 75, 88, 95)
    return Codec("webp", _library("webp"), "method 6", qualities, _encode_webp, decode_with_pillow)


def avif(name: str = "avif", subsampling: str = "4:2:0", speed: int = 6, tune: str | None = None) -> Codec | str:
    """Return AVIF; 4:2:0 at speed 6 without ``tune`` is Pillow's default.

    ``tune`` is what libaom optimises for. libavif up to 1.3 chose "ssim" by itself; newer ones may choose "iq". "iq" came
    with libaom 3.12: for still pictures only, "guided by the SSIMULACRA 2 metric and subjective quality checks" (its
    aomcx.h), with quantisation matrices and a quantiser for each block. It has no quality 100.
    """
    version = _avif_version()
    if version is None:
        return "needs Pillow 11.3 or newer built with libavif, or pip install pillow-avif-plugin"
    encode = partial(_encode_avif, subsampling=subsampling, speed=speed, tune=tune)
    if tune is not None:
        try:
            encode(Image.new("RGB", (16, 16)), AVIF_QUALITIES[0])
        except (ValueError, OSError):  # libaom refuses what it does not know
            return f"needs a Pillow whose libaom knows tune={tune} (3.12 or newer)"
    settings = f"{subsampling}, speed {speed}" + (f", tune={tune}" if tune else "")
    return Codec(name, version, settings, AVIF_QUALITIES, encode, _decode_avif)


def _jxl() -> Codec | str:
    try:
        version = f"pillow-jxl-plugin {metadata.version('pillow-jxl-plugin')}"
        import pillow_jxl  # noqa: F401  registers the format
    except ImportError:  # PackageNotFoundError is one too
        return "needs pip install pillow-jxl-plugin"
    return Codec("jxl", version, "effort 7", (8, 18, 32, 48, 64, 78, 88, 94), _encode_jxl, _decode_jxl, 0.1)


def _jpeg2000() -> Codec | str:
    if not features.check("jpg_2000"):
        return "this Pillow was built without OpenJPEG"
    qualities = (24, 27, 30, 33, 36, 39, 42, 45)
    settings = "irreversible 9/7, quality in dB"
    return Codec("jpeg2000", _library("jpg_2000"), settings, qualities, _encode_jpeg2000, decode_with_pillow, 0.05, 15)


# Each gives the codec, or says why this machine has none.
_PILLOW: dict[str, Callable[[], Codec | str]] = {
    "jpeg": _jpeg,
    "webp": _webp,
    "avif": avif,
    "avif444": partial(avif, "avif444", "4:4:4", 4, "ssim"),
    "avif444-iq": partial(avif, "avif444-iq", "4:4:4", 4, "iq"),
    "jxl": _jxl,
    "jpeg2000": _jpeg2000,
}


def _library(*feature: str) -> str:
    """Return the versions of Pillow and of the first of these libraries that is built into it."""
    version = next(filter(None, map(features.version, feature)), "of unknown version")
    return f"Pillow {PIL.__version__}, {feature[0]} {version}"


def _avif_version() -> str | None:
    """Return who writes AVIF here: Pillow from 11.3 on, or the plugin for older ones; None where neither does."""
    if "avif" in features.modules and features.check("avif"):
        from PIL import AvifImagePlugin

        return f"{_library('avif')}, libaom {AvifImagePlugin.get_codec_version('aom')}"
    try:
        import pillow_avif  # noqa: F401  registers the format

        return f"pillow-avif-plugin {metadata.version('pillow-avif-plugin')}"
    except ImportError:
        return None


def _encode_webp(image: Image.Image, quality: float) -> bytes:
    return _save(image, "WEBP", quality=int(quality), method=6)


def _encode_avif(image: Image.Image, quality: float, subsampling: str, speed: int, tune: str | None) -> bytes:
    _avif_version()  # a worker process starts without the plugin
    options = {"codec": "aom", "advanced": {"tune": tune}} if tune else {}
    return _save(image, "AVIF", quality=int(quality), subsampling=subsampling, speed=speed, max_threads=1, **options)


def _decode_avif(data: bytes) -> Image.Image:
    _avif_version()
    if plugin := sys.modules.get("PIL.AvifImagePlugin"):
        vars(plugin)["DEFAULT_MAX_THREADS"] = 1
    return decode_with_pillow(data)


def _encode_jxl(image: Image.Image, quality: float) -> bytes:
    import pillow_jxl  # noqa: F401  registers the format

    return _save(image, "JXL", quality=quality, effort=7, num_threads=0)


def _decode_jxl(data: bytes) -> Image.Image:
    from pillow_jxl import JpegXLImagePlugin

    JpegXLImagePlugin.DECODE_THREADS = 0
    return decode_with_pillow(data)


def _encode_jpeg2000(image: Image.Image, quality: float) -> bytes:
    return _save(image, "JPEG2000", quality_mode="dB", quality_layers=[quality], irreversible=True, mct=1)


def _save(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()
