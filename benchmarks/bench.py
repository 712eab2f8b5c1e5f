"""Measure whole processes side by side: aecodec, cjxl, avifenc and cwebp, encoding and decoding the same pictures.

    make bench                                   # on the sample, laid out as a mosaic
    python benchmarks/bench.py --pictures FOLDER --rounds 9

Each round runs every tool once, so that a busy minute affects all of them. The table has the medians over the rounds, and
the ratio to the tool that docs/performance.md names. Every tool is at its defaults, reads PNG and writes PNG. The result
replaces the table between the marks in docs/performance.md; --dry-run only prints it.

This process must stay small: Linux counts the memory that a child shares with its parent before it starts a program as the
child's. So pictures are made, and throughput is measured, in processes of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import throughput

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- make bench writes from here -->\n", "<!-- to here -->\n"
SIZES = ((768, 512), (1920, 1080), (4000, 3000))

MOSAIC = """
import sys
from pathlib import Path
from PIL import Image, ImageOps
source, target, width, height = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
paths = sorted(source.iterdir()) if source.is_dir() else [source]
parts = [Image.open(path).convert("RGB") for path in paths if path.suffix in (".png", ".jpg")]
parts += [ImageOps.mirror(part) for part in parts]
mosaic, x, y, row = Image.new("RGB", (width, height)), 0, 0, 0
for index in range(10**6):
    part = parts[index % len(parts)]
    mosaic.paste(part, (x, y))
    x, row = x + part.width, max(row, part.height)
    if x >= width:
        x, y, row = 0, y + row, 0
    if y >= height:
        break
mosaic.save(target)
"""


def aecodec() -> str:
    return str(Path(sys.executable).parent / "aecodec")


def commands(picture: Path, folder: Path) -> dict[str, dict[str, list[str]]]:
    """Return {"encode" or "decode": {tool: command}}; decoders read what their encoders wrote."""
    png = str(picture)
    out = {tool: str(folder / f"{picture.stem}.{tool}") for tool in ("aec", "jxl", "avif", "webp")}
    back, weights = str(folder / "back.png"), str(ROOT / "aecodec" / "weights" / "photo" / "model.safetensors")
    every = {
        "encode": {
            "aecodec": [aecodec(), "encode", "-f", png, out["aec"]],
            "cjxl": ["cjxl", "--quiet", png, out["jxl"]],
            "avifenc": ["avifenc", png, out["avif"]],
            "cwebp": ["cwebp", "-quiet", png, "-o", out["webp"]],
        },
        "decode": {
            "aecodec": [aecodec(), "decode", "-f", out["aec"], back],
            "aecdec": [str(ROOT / "build" / "aecdec"), "-w", weights, out["aec"], str(folder / "back.ppm")],
            "djxl": ["djxl", "--quiet", out["jxl"], back],
            "avifdec": ["avifdec", out["avif"], back],
            "dwebp": ["dwebp", "-quiet", out["webp"], "-o", back],
        },
    }
    return {what: {tool: c for tool, c in tools.items() if shutil.which(c[0])} for what, tools in every.items()}


def run(command: list[str]) -> tuple[float, float, float]:
    """Return wall seconds, CPU seconds and peak memory in MB of a process. Raises CalledProcessError."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def measure(picture: Path, folder: Path, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return medians of ``run`` by "encode" or "decode" and tool."""
    results = {}
    for what, tools in commands(picture, folder).items():
        values: dict[str, list[tuple[float, float, float]]] = {tool: [] for tool in tools}
        for attempt in range(rounds + 1):
            for tool, command in tools.items():
                numbers = run(command)
                if attempt:  # the first fills the caches
                    values[tool].append(numbers)
        results[what] = {
            tool: [statistics.median(column) for column in zip(*rows, strict=True)] for tool, rows in values.items()
        }
    return results


def table(results: dict[str, dict]) -> str:
    """Return the table in Markdown."""
    lines = [
        f"{platform.system()}, {cpu_name()}, {os.cpu_count()} CPUs; " + ", ".join(versions()) + ".",
        "",
        "| size | tool | wall, s | CPU, s | peak memory, MB | wall, aecodec to it |",
        "|---|---|---|---|---|---|",
    ]
    for size, parts in results.items():
        for what, tools in parts.items():
            for tool, (wall, cpu, memory) in tools.items():
                ratio = "" if tool == "aecodec" else f"{tools['aecodec'][0] / wall:.1f}"
                name = f"aecodec {what}" if tool == "aecodec" else tool
                lines.append(f"| {size} | {name} | {wall:.3f} | {cpu:.3f} | {memory:.0f} | {ratio} |")
    return "\n".join(lines) + "\n"


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def versions() -> list[str]:
    """Return the first line of each tool's --version."""
    found = []
    for tool, option in ((aecodec(), "--version"), ("cjxl", "--version"), ("avifenc", "--version"), ("cwebp", "-version")):
        if shutil.which(tool):
            text = subprocess.run([tool, option], capture_output=True, text=True, check=False).stdout
            found.append(" ".join(text.splitlines()[0].replace("Version:", "avifenc").split()[:2]))
            if tool == "cwebp":
                found[-1] = f"cwebp {found[-1]}"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, default=ROOT / "samples" / "astronaut.png")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--dry-run", action="store_true")
    arguments = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for width, height in SIZES:
            picture = folder / f"{width}x{height}.png"
            subprocess.run([sys.executable, "-c", MOSAIC, str(arguments.pictures), str(picture), str(width), str(height)],
                           check=True)  # fmt: skip
            rounds = arguments.rounds if width < 2000 else max(1, arguments.rounds // 3)
            results[picture.stem] = measure(picture, folder, rounds)
        command = [sys.executable, throughput.__file__, *(str(folder / f"{size}.png") for size in results), "--json"]
        command += ["--rounds", str(max(1, arguments.rounds // 2))]
        inside = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    text = table(results) + "\n" + throughput.table(inside, "cpu")
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps({"processes": results, "throughput": inside}, indent=1) + "\n")
    if not arguments.dry_run:
        page = PAGE.read_text("utf-8")
        before, rest = page.split(BEGIN)
        PAGE.write_text(before + BEGIN + "\n" + text + "\n" + END + rest.split(END)[1], "utf-8")


if __name__ == "__main__":
    main()
