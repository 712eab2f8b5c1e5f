"""Write what Python makes of a file as ``aecdec`` does: ``exactness_picture.py numpy|torch -w WEIGHTS IN.aec -``.

``make exactness`` compares the two. The entropy model is numpy; the synthesis is the integers of
``runtime/integer_synthesis.py`` or ``runtime/torch_integers.py``, as a GPU computes them, on the CPU.
"""

from __future__ import annotations

import argparse
import functools
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

from aecodec import weights
from aecodec.codec import decoder
from aecodec.entropy import latents


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("synthesis", choices=["numpy", "torch"])
    parser.add_argument("-w", "--weights", type=Path, required=True)
    parser.add_argument("file", type=Path)
    parser.add_argument("output", choices=["-"])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    model = weights.load(arguments.weights.parent)
    if arguments.synthesis == "numpy":
        from aecodec.runtime.integer_synthesis import IntegerSynthesis

        synthesis = IntegerSynthesis.of(model).synthesise
    else:
        from aecodec.runtime.torch_integers import TorchIntegers

        synthesis = TorchIntegers(model, "cpu").synthesise
    decode_latents = functools.partial(latents.decode, model.entropy_model)
    mine = SimpleNamespace(arch=model.arch, decode_latents=decode_latents, synthesise=synthesis)
    decoder.open_exact = lambda *_: mine
    found = decoder.decode_samples(arguments.file.read_bytes(), weights=model)
    samples = found.array(found.depth)
    height, width, channels = samples.shape
    peak = 2**found.depth - 1
    if channels % 2:
        header = f"P{5 if channels == 1 else 6}\n{width} {height}\n{peak}\n"
    else:
        kind = "GRAYSCALE_ALPHA" if channels == 2 else "RGB_ALPHA"
        header = f"P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH {channels}\nMAXVAL {peak}\nTUPLTYPE {kind}\nENDHDR\n"
    sys.stdout.buffer.write(header.encode() + samples.astype(">u2" if found.depth > 8 else "u1").tobytes())


if __name__ == "__main__":
    main()
