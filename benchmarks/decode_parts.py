"""Measure where a whole ``aecodec decode`` spends its CPU time: ``python benchmarks/decode_parts.py FILE.aec``.

Each round is a process of its own with one thread. The table has the least of each part, since other work on the machine
only adds to it.
"""

from __future__ import annotations

import argparse
import json
import os
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
import aecodec.cli.main, aecodec.cli.decode
done("importing click and the commands")
import numpy
done("importing numpy")
import PIL.Image, PIL.PngImagePlugin
done("importing Pillow")
from aecodec.codec import decoder
from aecodec.container import bitstream
from aecodec.images import formats
from aecodec.runtime import libaec
from aecodec.weights import cards, store
done("importing the decoder")
data = open(sys.argv[1], "rb").read()
stream = bitstream.read(data)
source = cards.locate(stream.header.weights)
stored = store.read(source)
done("reading and hashing weights")
opened = libaec.ExactDecoder(stored, 1)
done("laying weights out for the kernels")
head = stream.header
shape = tuple(-(-side // 64) * 4 for side in (head.height, head.width))
latents = opened.decode_latents(stream.payloads[0], shape, head.rate)
done("entropy decoding")
pixels = opened.synthesise(latents, head.rate)
done("synthesis")
image = decoder.picture_of(pixels[: head.height, : head.width], stream, decoder.whole(head.height, head.width))
formats.save(image, "PNG")
done("writing PNG")
print(json.dumps(times))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="a file of one tile")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    rounds = [
        json.loads(subprocess.check_output([sys.executable, "-c", PARTS, arguments.file], env={**os.environ, **one_thread}))
        for _ in range(arguments.rounds)
    ]
    least = {name: min(times[name] for times in rounds) for name in rounds[0]}
    print("| part | CPU time, ms |\n|---|---|")
    for name, seconds in least.items():
        print(f"| {name} | {1000 * seconds:.0f} |")
    print(f"| all | {1000 * sum(least.values()):.0f} |")


if __name__ == "__main__":
    main()
