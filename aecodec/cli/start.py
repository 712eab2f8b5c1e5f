"""Start ``aecodec``, and decode a plain file to PNG without all that this does not need.

Importing click, numpy and Pillow takes longer than decoding a small picture. So ``aecodec decode IN.aec OUT.png`` goes
without them where nothing is unusual: local files, no options but --force and --threads, and no profile to be made.
Everything else, and whatever fails, is the command's: it begins again, and says what is wrong.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # that of typing, which would be imported
if TYPE_CHECKING:
    from types import FrameType, ModuleType
    from typing import Any

INTERRUPTED = 130
LARGEST = 2**26  # bytes of a file that is read before its header is looked at
BAND = 64  # rows of a PNG that are compressed at a time


def run() -> None:
    """Run the command that the process was started for, and end the process."""
    try:
        is_done = decode(sys.argv[1:])
    except KeyboardInterrupt:
        print("aecodec: interrupted", file=sys.stderr)  # noqa: T201  click is not there yet
        os._exit(INTERRUPTED)
    except Exception:  # noqa: BLE001  the command meets it again and has the words for it
        is_done = False
    if is_done:
        os._exit(0)  # as main.run() does
    from aecodec.cli import main

    main.run()


def decode(arguments: list[str]) -> bool:
    """Decode a file if that is all that is asked for; return whether it is done."""
    asked = _asked(arguments)
    if asked is None or os.environ.get("AECODEC_PURE_PYTHON"):
        return False
    source, target, force, threads = asked
    if not _is_plain(source, target, force):
        return False
    with open(source, "rb") as file:
        data = file.read()
    from aecodec.container import plain
    from aecodec.defaults import MAX_PIXELS
    from aecodec.images import _png_filter, plain_png
    from aecodec.threads import thread_count

    metadata = plain.metadata_of(data)
    library = open_library()
    if metadata is None or library is None:
        return False
    width, height, channels, depth, is_lossless, identity = library.info(data)
    path = "" if is_lossless else weights_file(identity)  # it needs no weights
    if path is None or width * height > MAX_PIXELS:
        return False
    if channels < 3 and metadata.get(plain.ICC, b"")[16:20] == b"RGB ":  # gray that the command writes as colour
        return False
    signal = metadata.get(plain.SIGNAL)
    if signal and plain.ICC not in metadata and signal[1] not in plain_png.HDR:  # the command makes a profile of it
        return False
    pixel = channels if depth == 8 else 2 * channels  # bytes
    samples = bytearray(width * height * pixel)
    if is_lossless:
        library.decode_exact(data, samples)
    else:
        open_model(library, path).decode(data, samples, threads or thread_count(), library.BEST, depth, 1)
    if depth > 8:
        library.widen(samples, depth)
    tops = range(0, height, BAND)
    rows = (_png_filter.rows(samples, width * pixel, pixel, top, min(top + BAND, height)) for top in tops)
    write(target, plain_png.write(width, height, channels, depth, rows, metadata))
    return True


def _asked(arguments: list[str]) -> tuple[str, str, bool, int] | None:
    """Return IN, OUT, whether to replace OUT, and the threads, 0 for all; None where anything else is asked for."""
    if arguments[:1] != ["decode"]:
        return None
    names: list[str] = []
    force, threads = False, 0
    rest = iter(arguments[1:])
    for argument in rest:
        if argument in ("-f", "--force"):
            force = True
        elif argument in ("-j", "--threads"):
            number = next(rest, "")
            if not (number.isascii() and number.isdecimal() and 0 < int(number) < 1000):
                return None
            threads = int(number)
        elif argument.startswith("-"):
            return None
        else:
            names.append(argument)
    return (names[0], names[1], force, threads) if len(names) == 2 else None


def _is_plain(source: str, target: str, force: bool) -> bool:
    """Return whether IN is a local file, and OUT a PNG that may be written, as ``files.check_output`` says."""
    is_local = "://" not in source and "://" not in target and os.path.isfile(source)
    if (
        not is_local
        or os.path.getsize(source) > LARGEST
        or not target.lower().endswith(".png")
        or os.path.basename(target).startswith(".")
    ):
        return False
    if os.path.abspath(target).startswith(("/dev/", "/proc/")) or not os.path.isdir(os.path.dirname(target) or "."):
        return False
    if not os.path.lexists(target):
        return True
    is_replaceable = os.path.isfile(target) and not os.path.islink(target) and not os.path.samefile(source, target)
    return force and is_replaceable


def _package(*parts: str) -> str:
    return os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), *parts)


def open_library() -> ModuleType | None:
    """Return the compiled module of ``aecodec.runtime``, whose own import needs numpy, or None."""
    from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec

    for suffix in EXTENSION_SUFFIXES:
        path = _package("runtime", f"_libaec{suffix}")
        if os.path.isfile(path):
            loader = ExtensionFileLoader("aecodec.runtime._libaec", path)
            module: ModuleType = loader.create_module(ModuleSpec(loader.name, loader, origin=path))
            loader.exec_module(module)
            return module
    return None


def weights_file(identity: bytes) -> str | None:
    """Return the path of the installed weights with an id, of which only the card is read."""
    folder = _package("weights")
    line = b'\nsha256 = "' + identity.hex().encode()
    for name in sorted(os.listdir(folder)):
        card = os.path.join(folder, name, "card.toml")
        if os.path.isfile(card):
            with open(card, "rb") as file:
                if line in file.read():
                    return os.path.join(folder, name, "model.safetensors")
    return None


def open_model(library: ModuleType, path: str) -> Any:
    """Return a decoder; libaec hashes the weights, and decodes no file that needs others."""
    import mmap

    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return library.Model(data, None)


def write(target: str, data: bytes) -> None:
    """Write a file as ``files.write_output`` does: whole, or not at all, also where the process is told to end."""
    import signal

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    numbers = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]  # not under nohup
    mode = os.stat(target).st_mode & 0o777 if os.path.exists(target) else None
    temporary = os.path.join(os.path.dirname(target), f".aecodec-{os.getpid()}-{os.urandom(4).hex()}")
    for number in numbers:
        signal.signal(number, end)
    try:
        with open(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666), "wb"
        ) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
