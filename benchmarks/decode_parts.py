"""Measure where a whole ``aecodec decode`` spends its CPU time: ``python benchmarks/decode_parts.py FILE.aec``.

FILE is one of 8 bits a sample, with loss, and of one tile. Each round is a
process of its own with one thread. The table has the least of each part, since other work on the machine only adds to it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

PARTS = """
import json, sys, time
times, last = {}, 0.0
def done(name):
    global last
    now = time.process_time()
    times[name], last = now - last, now
done("starting Python")
from aecodec.cli import start
from aecodec.container import plain
from aecodec.images import _png_filter, plain_png
library = start.open_library()
import mmap, signal
done("importing what decodes")
with open(sys.argv[1], "rb") as file:
    data = file.read()
metadata = plain.metadata_of(data)
width, height, channels, depth, _, identity = library.info(data)
model = start.open_model(library, start.weights_file(identity))
done("reading and hashing weights, and laying them out for the kernels")
samples = bytearray(width * height * channels)
model.decode(data, samples, 1, library.BEST, depth, 1)
done("decoding")
tops = range(0, height, start.BAND)
rows = (_png_filter.rows(samples, width * channels, channels, top, min(top + start.BAND, height)) for top in tops)
packed = plain_png.write(width, height, channels, depth, rows, metadata)
done("making a PNG")
start.write(sys.argv[2], packed)
done("writing it")
"""
# Of decoding, in a process that knows how a file is laid out
ENTROPY = """
from aecodec.container import bitstream
stream = bitstream.read(data)
rate, shape = stream.header.rate, [-(-side // 64) * 4 for side in (height, width)]
latents = bytearray(shape[0] * shape[1] * int(sys.argv[3]) * 4)
last = time.process_time()
model.decode_latents(stream.payloads[0], latents, rate, *shape, library.BEST)
done("entropy decoding")
"""
END = "print(json.dumps(times))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="a file of one tile")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--latents", type=int, default=512, help="channels of the weights' latents")
    parser.add_argument("--output", default="decode_parts.png", help="where the picture is written")
    arguments = parser.parse_args()
    command = [sys.executable, "-c", PARTS + ENTROPY + END, arguments.file, arguments.output, str(arguments.latents)]
    rounds = [json.loads(subprocess.check_output(command)) for _ in range(arguments.rounds)]
    least = {name: min(times[name] for times in rounds) for name in rounds[0]}
    entropy = least.pop("entropy decoding")
    print("| part | CPU time, ms |\n|---|---|")
    for name, seconds in least.items():
        if name == "decoding":
            print(f"| entropy decoding | {1000 * entropy:.0f} |\n| synthesis | {1000 * (seconds - entropy):.0f} |")
        else:
            print(f"| {name} | {1000 * seconds:.0f} |")
    print(f"| all | {1000 * sum(least.values()):.0f} |")


if __name__ == "__main__":
    main()
