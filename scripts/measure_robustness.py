"""Measure the figures of docs/robustness.md.

python scripts/measure_robustness.py corruptions | forgeries | bomb | signals | folder
"""

from __future__ import annotations

import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from PIL import Image

import aecodec
from aecodec.errors import AecodecError, BitstreamError

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "fuzz"))
EACH = 1000  # corruptions of each conformance stream


def corruptions(repaired: bool) -> None:
    """Print what accidents, or forgeries with right checksums, end in, the longest time, and the memory of all."""
    import fuzz_targets

    print(f"{'stream':14}{'tried':>7}{'refused':>9}{'decoded':>9}{'slowest ms':>12}{'memory MB':>11}")
    aecodec.decode((ROOT / "tests/conformance/rgb-middle.aec").read_bytes())  # what is loaded once
    before = _peak()
    expected = AecodecError if repaired else BitstreamError
    for path in sorted((ROOT / "tests/conformance").glob("*.aec")):
        data, dice, refused, decoded, slowest = path.read_bytes(), random.Random(path.stem), 0, 0, 0.0
        for _ in range(EACH):
            damaged = fuzz_targets.mutate(data, dice)
            damaged = fuzz_targets.repair(damaged) if repaired else damaged
            start = time.process_time()
            try:
                aecodec.decode(damaged, max_pixels=2**24)
                decoded += 1
            except expected:
                refused += 1
            slowest = max(slowest, time.process_time() - start)
        memory = (_peak() - before) / 1e6
        print(f"{path.stem:14}{EACH:7}{refused:9}{decoded:9}{1000 * slowest:12.1f}{memory:11.1f}", flush=True)


def bomb() -> None:
    """Run the whole command on a file of under 100 bytes that declares 65535 x 65535."""
    from aecodec.container import bitstream

    identity = aecodec.info((ROOT / "tests/conformance/pixel.aec").read_bytes()).weights
    data = bitstream.write(bitstream.Stream(bitstream.Header(65535, 65535, "RGB", identity, 0), [bytes(60)]))
    with tempfile.TemporaryDirectory() as name:
        Path(name, "bomb.aec").write_bytes(data)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        code = subprocess.run(
            [sys.executable, "-m", "aecodec", "decode", "bomb.aec", "out.png"], cwd=name, check=False
        ).returncode
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{len(data)} bytes: exit code {code}, {seconds:.2f} s of CPU, peak {after.ru_maxrss / 1e3:.1f} MB")


def signals(count: int = 60) -> None:
    """Encode a folder over and over; each run gets a signal at a random moment, and the next goes on with --update."""
    from aecodec.container import bitstream

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job's children would ignore it
    dice, totals = random.Random(0), Counter()
    with tempfile.TemporaryDirectory() as name:
        photos, out = Path(name, "photos"), Path(name, "out")
        photos.mkdir()
        _crops(photos, 40, 64)
        originals = {path.name: path.read_bytes() for path in photos.iterdir()}
        for i in range(count):
            if len(list(out.glob("*.aec"))) in (0, len(originals)):
                shutil.rmtree(out, ignore_errors=True)
                out.mkdir()
            number = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)[i % 3]
            command = [sys.executable, "-m", "aecodec", "encode", "-j", str(1 + i % 2), "--update"]
            command += ["--output-dir", "out", "photos"]
            running = subprocess.Popen(command, cwd=name, stderr=subprocess.DEVNULL, start_new_session=True)
            time.sleep(dice.uniform(0, 12))
            running.send_signal(number)
            code = running.wait()
            time.sleep(1)  # orphans of a killed process end after the picture that they have
            totals[f"{signal.Signals(number).name}, exit code {code}"] += 1
            totals["originals lost"] += {path.name: path.read_bytes() for path in photos.iterdir()} != originals
            for path in list(out.iterdir()):
                if path.name.startswith(".aecodec-"):
                    totals[f"temporary files after {signal.Signals(number).name}"] += 1
                    path.unlink()
                    continue
                totals["outputs looked at"] += 1
                try:
                    bitstream.read(path.read_bytes())
                except BitstreamError:
                    totals["half files"] += 1
    for what, times in sorted(totals.items()):
        print(f"{times:6} {what}")
    print(f"{totals['half files']:6} half files in all")


def _crops(folder: Path, count: int, side: int) -> None:
    source = Image.open(ROOT / "samples/astronaut.png").convert("RGB")
    for i in range(count):
        left, top = i * 7 % (source.width - side), i * 13 % (source.height - side)
        source.crop((left, top, left + side, top + side)).save(folder / f"{i:05}.png", icc_profile=None)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # kilobytes on Linux


def folder(count: int = 10_000, side: int = 64) -> None:
    """Send ``count`` small pictures through one process, and print its memory on the way, as the kernel counts it."""
    with tempfile.TemporaryDirectory() as name:
        photos, out = Path(name, "photos"), Path(name, "out")
        photos.mkdir()
        out.mkdir()
        _crops(photos, count, side)
        command = [sys.executable, "-m", "aecodec", "encode", "-j", "1", "--output-dir", str(out), str(photos)]
        begin, peaks, step = time.monotonic(), {}, count // 10
        running = subprocess.Popen(command)
        while running.poll() is None:
            status = Path(f"/proc/{running.pid}/status").read_text()
            line = next((line for line in status.splitlines() if line.startswith("VmRSS")), None)
            part = sum(1 for _ in out.iterdir()) // step
            if line:
                peaks[part] = max(peaks.get(part, 0), int(line.split()[1]) * 1024)
            time.sleep(0.5)
        for part, peak in sorted(peaks.items()):
            print(f"{part * step:6} pictures done: {peak / 1e6:.1f} MB")
        print(f"{time.monotonic() - begin:.0f} s, exit code {running.returncode}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["corruptions"]:
            corruptions(repaired=False)
        case ["forgeries"]:
            corruptions(repaired=True)
        case ["bomb"]:
            bomb()
        case ["signals", *counts]:
            signals(*map(int, counts))
        case ["folder", *counts]:
            folder(*map(int, counts))
        case _:
            sys.exit(__doc__)
