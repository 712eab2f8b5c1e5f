"""Say where a cluster of 10 to 1000 workers ends to grow: the workers, the client, the scheduler or the store.

    python benchmarks/scaling.py measure -o measured.json
    python benchmarks/scaling.py workers [--pictures 100]
    python benchmarks/scaling.py simulate measured.json [--store 1250] [--link 100]

``measure`` works on this machine: CPU seconds to encode a picture with one thread, bytes read and written, and the CPU
milliseconds that client and scheduler of a Dask cluster need for a batch and for each picture of it. CPU time does not
depend on what else runs here, but for caches and a shared core. It starts a scheduler and two workers, which do nothing.

``workers`` encodes pictures with one worker and with two, each on a core of its own.

``simulate`` gives a million pictures to so many workers, event by event, in the batches that ``aecodec.executors.spread``
makes. Client and scheduler do one thing at a time. A worker has ``--link`` MB/s to the store, and all together have
``--store``; a worker works or transfers. What it leaves out: listing the bucket, workers that die, and pauses.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

SIZES = {"12 megapixels": (4000, 3000), "0.4 megapixels": (768, 512)}
SAMPLE = Path(__file__).parent.parent / "samples" / "astronaut.png"
WORKERS = (10, 100, 1000)
ADDRESS = "127.0.0.1:18788"
PICTURES = 1_000_000
BATCHES, BATCH = 300, 100  # for the cost of batches: how many, and of how many pictures


@dataclass(frozen=True)
class Measured:
    """What a picture and a batch cost: CPU seconds and bytes."""

    work: dict[str, float]  # of a worker for a picture, by size
    read: dict[str, float]
    written: dict[str, float]
    client_batch: float
    client_picture: float
    scheduler_batch: float


def mosaic(width: int, height: int) -> bytes:
    """Return a JPEG of the sample picture, laid side by side with its mirror images."""
    from PIL import Image, ImageOps

    tile = Image.open(SAMPLE).convert("RGB")
    row = Image.new("RGB", (width, height))
    for top in range(0, height, tile.height):
        for left in range(0, width, tile.width):
            turned = ImageOps.mirror(tile) if left // tile.width % 2 else tile
            row.paste(ImageOps.flip(turned) if top // tile.height % 2 else turned, (left, top))
    file = io.BytesIO()
    row.save(file, "JPEG", quality=92, subsampling=0)
    return file.getvalue()


def picture_costs(rounds: int) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Return CPU seconds, bytes read and bytes written of a picture, by size: medians of encoding with one thread."""
    from PIL import Image

    import aecodec

    work, read, written = {}, {}, {}
    for name, size in SIZES.items():
        data = mosaic(*size)
        aecodec.encode(Image.open(io.BytesIO(data)), device="cpu")  # loads what is loaded once
        seconds = []
        for _ in range(rounds):
            start = time.process_time()
            encoded = aecodec.encode(Image.open(io.BytesIO(data)), device="cpu")
            seconds.append(time.process_time() - start)
        work[name], read[name], written[name] = statistics.median(seconds), len(data), len(encoded)
    return work, read, written


@contextlib.contextmanager
def cluster(workers: int) -> Iterator[tuple[subprocess.Popen, list[subprocess.Popen]]]:
    """Run a scheduler at ADDRESS and workers of one thread, each on a core of its own as far as there are cores."""

    def start(*args: str) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-m", "dask", *args, "--no-dashboard"], stderr=subprocess.DEVNULL)

    host, _, port = ADDRESS.partition(":")
    started = [start("scheduler", "--host", host, "--port", port)]
    started += [start("worker", f"tcp://{ADDRESS}", "--nthreads", "1", "--no-nanny") for _ in range(workers)]
    cores = sorted(os.sched_getaffinity(0))
    for number, process in enumerate(started[1:]):
        os.sched_setaffinity(process.pid, {cores[number % len(cores)]})
    try:
        yield started[0], started[1:]
    finally:
        for process in started:
            process.terminate()
            process.wait()


def cpu_seconds(process: psutil.Process) -> float:
    return sum(process.cpu_times()[:2])


def batch_costs() -> tuple[float, float, float]:
    """Return CPU seconds of the client for a batch and for a picture, and of the scheduler for a batch."""
    from aecodec import executors

    with cluster(2) as (scheduler, _), executors.open_executor(f"dask://{ADDRESS}") as executor:
        processes = (psutil.Process(), psutil.Process(scheduler.pid))
        costs = {}
        for pictures in (1, BATCH):
            give_out(executor, 20, pictures)
            before = [cpu_seconds(process) for process in processes]
            give_out(executor, BATCHES, pictures)
            costs[pictures] = [cpu_seconds(p) - b for p, b in zip(processes, before, strict=True)]
    (client, of_scheduler), (many, _) = ([cost / BATCHES for cost in costs[pictures]] for pictures in (1, BATCH))
    return client, max(0.0, (many - client) / (BATCH - 1)), of_scheduler


def give_out(executor: object, batches: int, pictures: int) -> None:
    """Send batches of pictures to workers that do nothing, and take note of the results as ``aecodec encode`` does."""
    from aecodec.cli import batch, plan
    from aecodec.executors import spread

    spread.SECONDS = spread.SECONDS_PER_SLOT = 0.0  # one of these batches a call
    jobs = [plan.Job(f"s3://photos/2024/{k:08}.jpg", f"s3://small/2024/{k:08}.aec", "s3://small") for k in range(pictures)]
    lines = io.StringIO()
    for _, results in spread.spread(
        [jobs] * batches, _nothing, executor, lambda each, again: [batch.for_worker(j, again) for j in each]
    ):
        for outcome in results:
            lines.write(
                json.dumps({"source": outcome.job.input, "output": outcome.job.output} | outcome.done.record) + "\n"
            )


def _nothing(batches: list) -> list:
    from aecodec.cli import batch

    record = {
        "source_sha256": "0" * 64,
        "output_sha256": "1" * 64,
        "bytes": 1_000_000,
        "quality": 60,
        "weights": "01234567",
    }
    done = batch.Done({"bytes": 1_000_000, "bpp": 0.7, "quality": 60.0, "psnr": None}, 4_000_000, 1_000_000, record)
    return [[batch.Outcome(job, done) for job in jobs] for jobs in batches]


def compare_workers(pictures: int) -> None:
    """Print pictures a second and CPU times, with one worker and with two."""
    print("| workers | pictures/s | workers, CPU ms a picture | scheduler, CPU s | client with its start, CPU s |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "in").mkdir()
        for number in range(pictures):
            (Path(folder) / "in" / f"{number}.jpg").write_bytes(mosaic(*SIZES["0.4 megapixels"]))
        for count in (1, 2):
            with cluster(count) as (scheduler, workers):
                encode(folder, "warm")
                parts = ([psutil.Process(each.pid) for each in workers], [psutil.Process(scheduler.pid)])
                before = [sum(map(cpu_seconds, part)) for part in parts]
                own, start = os.times(), time.monotonic()
                encode(folder, f"out{count}")
                seconds = time.monotonic() - start
                spent = [sum(map(cpu_seconds, part)) - b for part, b in zip(parts, before, strict=True)]
                spent.append(sum(os.times()[2:4]) - sum(own[2:4]))
                cells = [f"{pictures / seconds:.2f}", f"{1000 * spent[0] / pictures:.0f}", *(f"{s:.1f}" for s in spent[1:])]
                print("|", " | ".join([str(count), *cells]), "|", flush=True)


def encode(folder: str, output: str) -> None:
    """Encode the pictures of a folder on the cluster."""
    command = [sys.executable, "-m", "aecodec", "encode", "-f", "--executor", f"dask://{ADDRESS}", "--device", "cpu"]
    subprocess.run([*command, "--output-dir", f"{folder}/{output}", f"{folder}/in"], check=True)


def simulate(measured: Measured, size: str, workers: int, store: float, link: float) -> dict[str, float]:
    """Return what comes of giving PICTURES to workers: seconds, and the busy shares of all parts."""
    from aecodec.executors.spread import AHEAD, MOST, SECONDS, SECONDS_PER_SLOT

    moved = measured.read[size] + measured.written[size]
    seconds = max(measured.work[size] + moved / (1e6 * link), workers * moved / (1e6 * store))
    usual = max(1, int(min(MOST, max(SECONDS, SECONDS_PER_SLOT * workers) / seconds)))
    left, given, done = PICTURES, 0, 0
    client = scheduler = 0.0  # when each is free again
    client_busy = scheduler_busy = worker_busy = 0.0
    free = [0.0] * workers  # when each worker has done what it has
    ended: list[tuple[float, int, int]] = []  # when a batch ends, its worker, its pictures
    ready = deque([worker for _ in range(AHEAD) for worker in range(workers)])
    while ready or ended:
        while ready and left:
            count = max(1, min(usual, left // (2 * workers)))
            left -= count
            cost = measured.client_batch / 2
            client += cost
            scheduler = max(scheduler, client) + measured.scheduler_batch / 2
            client_busy, scheduler_busy = client_busy + cost, scheduler_busy + measured.scheduler_batch / 2
            worker = ready.popleft()
            free[worker] = max(free[worker], scheduler) + count * seconds
            worker_busy += count * seconds
            heapq.heappush(ended, (free[worker], worker, count))
            given += 1
        if not ended:
            break
        at, worker, count = heapq.heappop(ended)
        scheduler = max(scheduler, at) + measured.scheduler_batch / 2
        cost = measured.client_batch / 2 + count * measured.client_picture
        client = max(client, scheduler) + cost
        client_busy, scheduler_busy = client_busy + cost, scheduler_busy + measured.scheduler_batch / 2
        done += count
        ready.append(worker)
    assert done == PICTURES
    total = max(client, scheduler)
    return {
        "pictures_per_second": PICTURES / total, "batch_seconds": usual * seconds, "hours": total / 3600,
        "workers": worker_busy / (workers * total), "working": PICTURES * measured.work[size] / (workers * total),
        "client": client_busy / total, "scheduler": scheduler_busy / total,
        "store": PICTURES * moved / 1e6 / total,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("-o", "--output", type=Path, required=True)
    measuring.add_argument("--rounds", type=int, default=3)
    comparing = commands.add_parser("workers")
    comparing.add_argument("--pictures", type=int, default=100)
    simulating = commands.add_parser("simulate")
    simulating.add_argument("measured", type=Path)
    simulating.add_argument("--store", type=float, default=1250, help="MB/s of all workers together")
    simulating.add_argument("--link", type=float, default=100, help="MB/s of one worker")
    args = parser.parse_args()
    if args.command == "workers":
        compare_workers(args.pictures)
        return
    if args.command == "measure":
        found = Measured(*picture_costs(args.rounds), *batch_costs())
        args.output.write_text(json.dumps(asdict(found), indent=1) + "\n")
        print(args.output.read_text(), end="")
        return
    measured = Measured(**json.loads(args.measured.read_text()))
    print("| picture | workers | pictures/s | a million, hours | batch, s | client | scheduler | store, MB/s | work |")
    print("|---|---|---|---|---|---|---|---|---|")
    for size in SIZES:
        for workers in WORKERS:
            row = simulate(measured, size, workers, args.store, args.link)
            cells = [
                size,
                workers,
                f"{row['pictures_per_second']:.1f}",
                f"{row['hours']:.2f}",
                f"{row['batch_seconds']:.0f}",
            ]
            cells += [f"{row['client']:.1%}", f"{row['scheduler']:.1%}", f"{row['store']:.0f}", f"{row['working']:.0%}"]
            print("|", " | ".join(map(str, cells)), "|")
        print(f"{measured.work[size] * PICTURES / 3600:.0f} core-hours for a million of {size}", file=sys.stderr)


if __name__ == "__main__":
    main()
