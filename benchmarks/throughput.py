"""Measure megapixels a second in one process, with entropy coding and without, on a CPU or a GPU.

    python benchmarks/throughput.py PICTURE ... [--device cuda] [--threads 16] [--rounds 5]

Encoding begins with pixels in memory and ends with a file's bytes, decoding is the way back. The CPU runtime works on one
picture with all cores. On a GPU, --threads threads work on one picture each, as on the command line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

QUALITY = 60
COLUMNS = ("encode", "analysis alone", "decode", "synthesis alone")


def measure(path: Path, device: str, threads: int, rounds: int) -> dict[str, float]:
    """Return megapixels a second by column, medians over the rounds."""
    from PIL import Image

    from aecodec.codec.decoder import decode
    from aecodec.codec.encoder import Encoder
    from aecodec.quality import index_of_quality

    image, rate = Image.open(path).convert("RGB"), index_of_quality(QUALITY)
    encoder = Encoder(image, device=device)
    data = encoder.encode(rate).data
    jobs = {
        "encode": lambda: Encoder(image, device=device).encode(rate),
        "decode": lambda: decode(data, device=device),
        **networks(encoder, rate, device),
    }
    megapixels = threads * image.width * image.height / 1e6
    with ThreadPoolExecutor(threads) as pool:
        seconds = {name: median_time(job, pool, threads, rounds) for name, job in jobs.items()}
    return {name: megapixels / seconds[name] for name in COLUMNS}


def networks(encoder, rate: int, device: str) -> dict[str, Callable[[], None]]:
    """Run the two transforms of a picture, block by block with their halos, and nothing else."""
    import numpy as np

    from aecodec.container.tiles import BLOCK, Grid, whole
    from aecodec.entropy.architecture import LATENT_STRIDE
    from aecodec.entropy.integer import MEAN_FRAC
    from aecodec.images import samples
    from aecodec.runtime import open_transforms

    transforms, arch = open_transforms(encoder.weights, device), encoder.weights.arch
    area = whole(*samples.padded_size(*encoder.array.shape[:2])).scaled(1, LATENT_STRIDE)
    blocks = list(Grid(area, BLOCK // LATENT_STRIDE))
    wide = [block.grown(arch.analysis_halo, area).scaled(LATENT_STRIDE) for block in blocks]
    pixels = [samples.window(encoder.array, box) for box in wide]
    shapes = [block.grown(arch.synthesis_halo, area).shape for block in blocks]
    latents = [np.zeros((*shape, arch.latents), np.int32) + (1 << MEAN_FRAC) for shape in shapes]

    def analyse() -> None:
        for part in pixels:
            transforms.analyse(part, rate)

    def synthesise() -> None:
        for part in latents:
            transforms.synthesise(part, rate)

    return {"analysis alone": analyse, "synthesis alone": synthesise}


def median_time(job: Callable[[], object], pool: ThreadPoolExecutor, threads: int, rounds: int) -> float:
    """Return seconds until each of the threads has done the job once."""
    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        for future in [pool.submit(job) for _ in range(threads)]:
            future.result()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])  # the first starts the runtimes


def table(results: dict[str, dict[str, float]], device: str) -> str:
    """Return megapixels a second by size and column, in Markdown."""
    lines = [f"| in process on {device}, megapixels/s | " + " | ".join(COLUMNS) + " |", "|---|" + "---|" * len(COLUMNS)]
    for size, values in results.items():
        lines.append(f"| {size} | " + " | ".join(f"{values[name]:.1f}" for name in COLUMNS) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print numbers, not a table")
    arguments = parser.parse_args()
    from aecodec.threads import thread_count

    if arguments.threads and arguments.device == "cpu":
        parser.error("--threads is for --device cuda")
    threads = (arguments.threads or thread_count()) if arguments.device == "cuda" else 1
    results = {path.stem: measure(path, arguments.device, threads, arguments.rounds) for path in arguments.pictures}
    print(json.dumps(results) if arguments.json else table(results, arguments.device))


if __name__ == "__main__":
    main()
