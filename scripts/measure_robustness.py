"""The figures of docs/robustness.md:  python scripts/measure_robustness.py corruptions | forgeries | folder"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

import aecodec
from aecodec.errors import AecodecError, BitstreamError

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "fuzz"))
EACH = 1000  # corruptions of each conformance stream


def corruptions(repaired: bool) -> None:
    """Accidents, or with right checksums malice: what each ends in, the longest, and the memory that all took."""
    import fuzz_targets

    print(f"{'stream':14}{'tried':>7}{'refused':>9}{'decoded':>9}{'slowest ms':>12}{'memory MB':>11}")
    aecodec.decode((ROOT / "tests/conformance/rgb-middle.aec").read_bytes())  # what is loaded once
    before = _peak()
    for path in sorted((ROOT / "tests/conformance").glob("*.aec")):
        data, dice, refused, decoded, slowest = path.read_bytes(), random.Random(path.stem), 0, 0, 0.0
        for _ in range(EACH):
            damaged = fuzz_targets.mutate(data, dice)
            damaged = fuzz_targets.repair(damaged) if repaired else damaged
            start = time.process_time()
            try:
                aecodec.decode(damaged, max_pixels=2**24)
                decoded += 1
            except BitstreamError if not repaired else AecodecError:
                refused += 1
            slowest = max(slowest, time.process_time() - start)
        memory = (_peak() - before) / 1e6
        print(f"{path.stem:14}{EACH:7}{refused:9}{decoded:9}{1000 * slowest:12.1f}{memory:11.1f}", flush=True)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # kilobytes on Linux


def folder(count: int = 10_000, side: int = 64) -> None:
    """``count`` small pictures through one process: its memory on the way, as the kernel counts it."""
    with tempfile.TemporaryDirectory() as name:
        photos, out = Path(name, "photos"), Path(name, "out")
        photos.mkdir()
        out.mkdir()
        source = Image.open(ROOT / "samples/astronaut.png").convert("RGB")
        for i in range(count):
            left, top = i * 7 % (source.width - side), i * 13 % (source.height - side)
            source.crop((left, top, left + side, top + side)).save(photos / f"{i:05}.png", icc_profile=None)
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
        case ["folder", *counts]:
            folder(*map(int, counts))
        case _:
            sys.exit(__doc__)
