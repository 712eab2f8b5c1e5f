"""Take every picture of a folder in and out again, and print what differs, and whether that was said.

python scripts/try_corpus.py FOLDER [--quality 90] [--without-networks] [--list]

Each picture is encoded, decoded and written in its own format (PNG, where Pillow writes no such format). Size as it is
shown, transparency, colour and, where ExifTool is installed, the tags of EXIF, makers' notes, GPS, IPTC, XMP and ICC are
compared. ``--without-networks`` puts the pixels through unchanged, which tries all but the codec's core in a fraction
of the time.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

import aecodec
from aecodec.codec.decoder import samples_of
from aecodec.codec.encoder import Encoder
from aecodec.container import alpha, bitstream, metadata
from aecodec.container.tiles import whole
from aecodec.errors import AecodecError, FramesError
from aecodec.images import reading, samples, writing
from aecodec.quality import index_of_quality

MAX_PIXELS = 2**26
MAX_MEAN_ERROR = 6.0  # levels: far above what coding at quality 90 does to any picture, far below a wrong colour space
GROUPS = ("IFD0", "ExifIFD", "GPS", "InteropIFD", "SubIFD", "IPTC", "XMP", "ICC", "Photoshop")
# What says where something lies in a file or how the file was made, or is of the picture's new form
STRUCTURE = (
    "Offset", "Length", "ByteOrder", "StripByteCounts", "RowsPerStrip", "BitsPerSample", "Compression", "Photometric",
    "PlanarConfiguration", "SamplesPerPixel", "SubfileType", "ImageWidth", "ImageHeight", "Tile", "Predictor", "Digest",
    "ExtraSamples", "SampleFormat", "FillOrder", "ColorMap", "Orientation", "YCbCr", "JPEG", "XMPToolkit", "Resolution",
    "MinSampleValue", "MaxSampleValue", "FreeOffsets", "FreeByteCounts", "PageNumber", "T4Options", "T6Options", "InkSet",
    "HasExtendedXMP", "PreviewImage", "ReferenceBlackWhite", "Threshholding",
    "GrayResponse", "DotRange", "TransferRange", "NumberOfInks", "Bytes", "SMin", "SMax",
)  # fmt: skip
MAKERS = frozenset((
    "Apple", "Canon", "CanonCustom", "Casio", "DJI", "FujiFilm", "GE", "Google", "HP", "Kodak", "Leica", "Minolta", "Nikon",
    "NikonCustom", "Olympus", "Panasonic", "Pentax", "Reconyx", "Ricoh", "Samsung", "Sanyo", "Sigma", "Sony",
))  # fmt: skip


@dataclass
class Result:
    """What became of one picture."""

    path: Path
    refused: str = ""
    crashed: str = ""
    said: list[str] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)
    output: Path | None = None


def through(data: bytes, quality: float, networks: bool) -> tuple[Image.Image, str]:
    """Return a picture after its way through a file, and Pillow's name of its own format."""
    image = reading.open_picture(data, MAX_PIXELS)
    frame = None
    try:
        bits = reading.load(image, frame, MAX_PIXELS)
    except FramesError:
        image, frame = reading.open_picture(data, MAX_PIXELS), 0
        bits = reading.load(image, frame, MAX_PIXELS) if not networks else 8
    kind = image.format or "PNG"
    if networks:
        encoder = Encoder(reading.open_picture(data, MAX_PIXELS), max_pixels=MAX_PIXELS, frame=frame)
        return aecodec.decode(encoder.encode(index_of_quality(quality)).data, max_pixels=MAX_PIXELS), kind
    chunks = metadata.read(image, strip=False)
    colour, plane = samples.split(image, bits)
    if plane is not None:
        chunks[bitstream.ALPHA] = alpha.encode(np.asarray(plane))
    header = bitstream.Header(*colour.size, colour.mode, "00000000", 0)
    stream = bitstream.read(bitstream.write(bitstream.Stream(header, [b""], chunks)), MAX_PIXELS)
    return samples_of(samples.to_array(colour), stream, whole(colour.height, colour.width)).image(), kind


def shown(data: bytes) -> Image.Image:
    """Return a picture as Pillow shows it, turned, RGBA; of several frames the first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image: Image.Image = Image.open(io.BytesIO(data))
        image.load()
        if image.mode.startswith(("I", "F")):
            return Image.new("RGBA", image.size)
        with contextlib.suppress(Exception):  # damaged EXIF
            image = ImageOps.exif_transpose(image)
        return image.convert("RGBA")


def compare(result: Result, source: bytes, written: bytes) -> None:
    """Compare a picture with what came out, and note what differs."""
    try:
        before = shown(source)
    except Exception:  # noqa: BLE001  what Pillow cannot show is taken by us alone
        return
    try:
        after = shown(written)
    except Exception as error:  # noqa: BLE001  as above
        result.differs.append(f"output: cannot be read ({error})")
        return
    deep = before.getextrema() == ((0, 0),) * 4
    if before.size != after.size:
        result.differs.append(f"size: {before.size} to {after.size}")
        return
    a, b = np.asarray(before, np.int16), np.asarray(after, np.int16)
    if deep:
        return
    if np.abs(a[..., 3] - b[..., 3]).max() > 1:
        result.differs.append("transparency")
    seen = a[..., 3] > 0
    if seen.any() and np.abs(a - b)[seen][:, :3].mean() > MAX_MEAN_ERROR:
        result.differs.append("colour")


def tags_of(paths: list[Path]) -> dict[str, dict[str, str]]:
    """Return the tags of files that metadata consists of, by file and by group and name."""
    if not paths:
        return {}
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8", errors="surrogateescape") as names:
        names.write("\n".join(map(str, paths)))
        names.flush()
        command = ["exiftool", "-j", "-G1", "-a", "-n", "-q", "-api", "LargeFileSupport=1", "-@", names.name]
        done = subprocess.run(command, capture_output=True, check=False)
    found = {}
    for entry in json.loads(done.stdout or b"[]"):
        name = entry.pop("SourceFile")
        found[name] = {
            key: str(value)
            for key, value in entry.items()
            if (key.startswith(GROUPS) or is_maker(key)) and not any(part in key.split(":")[-1] for part in STRUCTURE)
        }
    return found


def is_maker(key: str) -> bool:
    """Return whether a tag stands in makers' notes: a group of ExifTool named for a maker."""
    return key.split(":")[0] in MAKERS


def try_one(path: Path, folder: Path, quality: float, networks: bool) -> Result:
    """Take a picture in and out; ``folder`` gets what comes out."""
    result = Result(path)
    data = path.read_bytes()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            image, kind = through(data, quality, networks)
            Image.init()
            if kind == "MPO":
                kind = "JPEG"
            kind = kind if kind in Image.SAVE and kind not in ("AEC", "ICO", "ICNS", "GIF") else "PNG"
            written = writing.save(image, kind)
        except AecodecError as error:
            result.refused = str(error)
        except Exception as error:  # noqa: BLE001  this is what the script is for
            result.crashed = f"{type(error).__name__}: {error}"
    pil = f"{os.sep}PIL{os.sep}"
    result.said = [str(w.message) for w in caught if w.category is UserWarning and pil not in w.filename]
    if not (result.refused or result.crashed):
        compare(result, data, written)
        suffix = {"JPEG": ".jpg", "TIFF": ".tif", "HEIF": ".heic"}.get(kind, f".{kind.lower()}")
        result.output = folder / f"{len(list(folder.iterdir()))}{suffix}"
        result.output.write_bytes(written)
    return result


def compare_tags(results: list[Result]) -> None:
    """Note which tags differ, all files at once, since ExifTool takes long to start."""
    done = [result for result in results if result.output is not None]
    before = tags_of([result.path for result in done])
    after = tags_of([result.output for result in done if result.output is not None])
    for result in done:
        old, new = before.get(str(result.path), {}), after.get(str(result.output), {})
        lost = [key for key, value in old.items() if key not in new]
        changed = [key for key, value in old.items() if key in new and new[key] != value]
        if lost or changed:
            result.differs.append(
                f"tags: {', '.join([*lost, *changed][:6])}{' ...' if len(lost) + len(changed) > 6 else ''}"
            )


def main() -> None:
    """Try a folder, and print a table of what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quality", type=float, default=90)
    parser.add_argument("--without-networks", action="store_true")
    parser.add_argument("--list", action="store_true", help="name every picture that differs or is refused")
    args = parser.parse_args()
    paths = sorted(path for path in args.folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    with tempfile.TemporaryDirectory() as folder:
        results = [try_one(path, Path(folder), args.quality, not args.without_networks) for path in paths]
        if shutil.which("exiftool"):
            compare_tags(results)
        else:
            print("ExifTool is not installed: tags are not compared", file=sys.stderr)
    taken = [result for result in results if result.output is not None]
    differing = [result for result in taken if result.differs]
    silent = [result for result in differing if not result.said]
    print(f"{len(results):6} files")
    print(f"{len(taken):6} taken")
    print(f"{len(taken) - len(differing):6} came out the same")
    print(f"{len(differing) - len(silent):6} differ, with a warning")
    print(f"{len(silent):6} differ in silence")
    print(f"{sum(bool(result.refused) for result in results):6} refused")
    print(f"{sum(bool(result.crashed) for result in results):6} crashed")
    kinds = Counter(difference.split(":")[0] for result in silent for difference in result.differs)
    print("in silence:", ", ".join(f"{name} {count}" for name, count in kinds.most_common()) or "nothing")
    if args.list:
        for result in results:
            for name in ("crashed", "refused"):
                if text := getattr(result, name):
                    print(f"{name}: {result.path}: {text}")
            if result.differs:
                said = f" (said: {'; '.join(result.said)})" if result.said else " IN SILENCE"
                print(f"differs: {result.path}: {'; '.join(result.differs)}{said}")


if __name__ == "__main__":
    main()
