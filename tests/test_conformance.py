"""The conformance streams: files that exist, and must decode to the same latents wherever this runs.

Everything that is known to change float results is tried: threads, oneDNN, matmul precision, deterministic algorithms,
the arithmetic behind the entropy model, the entropy coder's implementation, the device.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aecodec import weights
from aecodec.codec import decoder
from aecodec.container import bitstream
from aecodec.container.tiles import whole
from aecodec.entropy import integer, rans, reference
from aecodec.images import deep, samples
from aecodec.runtime import integer_synthesis, libaec

FOLDER = Path(__file__).parent / "conformance"
INDEX = json.loads((FOLDER / "index.json").read_text())
PIXEL_TOLERANCE = 1


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(array.astype("<i4").tobytes()).hexdigest()


@pytest.fixture(params=sorted(name for name in INDEX if "latents" in INDEX[name]))
def stream(request):
    return request.param, bitstream.read((FOLDER / f"{request.param}.aec").read_bytes())


@contextlib.contextmanager
def torch_setting(name: str):
    import torch

    threads, onednn = torch.get_num_threads(), torch.backends.mkldnn.enabled
    try:
        if name.startswith("threads"):
            torch.set_num_threads(int(name[-1]))
        elif name == "no oneDNN":
            torch.backends.mkldnn.enabled = False
        elif name == "medium precision":
            torch.set_float32_matmul_precision("medium")
        elif name == "deterministic":
            torch.use_deterministic_algorithms(True)
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.mkldnn.enabled = onednn
        torch.set_float32_matmul_precision("highest")
        torch.use_deterministic_algorithms(False)


@functools.cache
def transforms_of(runtime, weights_id):
    """The networks of a runtime in float32, opened once: no setting is read before they compute."""
    opened = weights.find(weights_id)
    if runtime == "openvino":
        from aecodec.runtime.openvino_runtime import OpenVinoTransforms

        return OpenVinoTransforms(opened, bfloat16=False)
    pytest.importorskip("torch")
    from aecodec.runtime.torch_runtime import TorchTransforms

    return TorchTransforms(opened, runtime, bfloat16=False)


def synthesise(runtime, parsed, latents_):
    """Pixels (H, W, 3) int16 of a stream's latents, with its exact ones."""
    transforms = transforms_of(runtime, parsed.header.weights)
    head = parsed.header
    pixels = transforms.synthesise(latents_, head.rate, head.depth)[: head.height, : head.width]
    decoder.lay_exact(pixels, decoder.exact_pixels(parsed), whole(*pixels.shape[:2]))
    pixels = deep.to_bytes(pixels, head.depth) if head.depth > 8 else pixels
    return samples.to_array(samples.from_array(pixels, parsed.header.mode)).astype(np.int16)


def expected_pixels(name):
    picture = Image.open(FOLDER / f"{name}.png")
    return samples.to_array(picture.convert(picture.mode.removesuffix("A"))).astype(np.int16)


def test_the_cpu_runtime_decodes_a_stream(stream):
    """A file written today must open tomorrow, on another machine, with another library, to the same picture."""
    name, parsed = stream
    decoded = decoder.decode_latents(parsed)
    assert digest(decoded) == INDEX[name]["latents"]
    assert np.abs(synthesise("openvino", parsed, decoded) - expected_pixels(name)).max() <= PIXEL_TOLERANCE


@pytest.mark.skipif(not libaec.is_compiled(), reason="libaec was not compiled")
@pytest.mark.parametrize("name", sorted(INDEX))
def test_the_pixels_are_the_same_everywhere(name):
    """An archive can be checked against hashes of its pictures only if they do not depend on who decodes it."""
    data = (FOLDER / f"{name}.aec").read_bytes()
    found = decoder.decode_samples(data, device="cpu")
    array = found.array(found.depth)
    assert hashlib.sha256(array.astype(array.dtype.newbyteorder("<")).tobytes()).hexdigest() == INDEX[name]["pixels"]
    assert np.array_equal(np.asarray(found.image()), np.asarray(Image.open(FOLDER / f"{name}.png")))
    assert found.is_verified == (bitstream.HASH in bitstream.read(data).chunks)


SETTINGS = ["as it is", "threads 1", "threads 2", "no oneDNN", "medium precision", "deterministic"]


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_torch_decodes_a_stream_however_it_is_set(stream, setting):
    """Somebody else's program sets torch as it likes; the latents must not notice and the pixels hardly."""
    name, parsed = stream
    with torch_setting(setting):
        decoded = decoder.decode_latents(parsed)
        pixels = synthesise("cpu", parsed, decoded)
    assert digest(decoded) == INDEX[name]["latents"]
    if setting != "medium precision":  # may round the synthesis to bfloat16: no promise but the latents
        assert np.abs(pixels - expected_pixels(name)).max() <= PIXEL_TOLERANCE


@pytest.mark.slow
def test_plain_integers_give_the_same_latents(stream):
    """The fast float32 path is only a way to compute integers; int64 arithmetic is what it must equal."""
    name, parsed = stream
    slow = replace(weights.find(parsed.header.weights).entropy_model, arithmetic=reference)
    assert digest(decoder.decode_latents(parsed, slow)) == INDEX[name]["latents"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
        {"AECODEC_PURE_PYTHON": "1"},
    ],
    ids=["1 thread", "2 threads", "no compiled coder"],
)
def test_a_fresh_process_gives_the_same_latents(environment):
    """Thread counts are read once, at import, and a machine without a compiler has the Python coder: same files."""
    code = (
        "import hashlib, json, sys, pathlib\n"
        "from aecodec.codec import decoder\nfrom aecodec.container import bitstream\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "print(json.dumps({p.stem: hashlib.sha256(decoder.decode_latents(bitstream.read(p.read_bytes()))"
        ".astype('<i4').tobytes()).hexdigest() for p in map(folder.joinpath, sys.argv[2:])}))\n"
    )
    latents = {name: entry["latents"] for name, entry in INDEX.items() if "latents" in entry}
    run = subprocess.run(
        [sys.executable, "-c", code, str(FOLDER), *(f"{name}.aec" for name in latents)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        check=True,
    )
    assert json.loads(run.stdout) == latents


def test_cuda_gives_the_same_pictures(stream):
    """A hash of a picture must hold on a machine with a GPU, too."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    name, _ = stream
    picture = decoder.decode((FOLDER / f"{name}.aec").read_bytes(), device="cuda")
    assert hashlib.sha256(picture.tobytes()).hexdigest() == INDEX[name]["pixels"]


@pytest.mark.slow
def test_the_arithmetic_of_a_gpu_gives_the_same_pictures():
    """Few machines that run these tests have a GPU."""
    pytest.importorskip("torch")
    from aecodec.runtime.torch_integers import TorchIntegers

    assert pixels_by_the_page("rgb-between", lambda model: TorchIntegers(model, "cpu")) == INDEX["rgb-between"]["pixels"]


def test_an_off_by_one_in_the_rounding_is_caught(monkeypatch):
    """If this passes with a broken requantisation, the whole suite proves nothing."""
    name = "rgb-middle"
    parsed = bitstream.read((FOLDER / f"{name}.aec").read_bytes())
    model = weights.find(parsed.header.weights).entropy_model
    honest = integer.IntegerLayer.requantise
    monkeypatch.setattr(integer.IntegerLayer, "requantise", lambda *arguments: honest(*arguments) + np.float32(1))
    try:
        wrong = digest(decoder.decode_latents(parsed, model)) != INDEX[name]["latents"]
    except (bitstream.BitstreamError, rans.RansError):
        wrong = True
    assert wrong


def pixels_by_the_page(name, open_=integer_synthesis.IntegerSynthesis.of):
    """The digest of the pixels of a stream as ``integer_synthesis.py`` computes them now, or what ``open_`` opens."""
    parsed = bitstream.read((FOLDER / f"{name}.aec").read_bytes())
    model, head = weights.find(parsed.header.weights), parsed.header
    latents_ = decoder.decode_latents(parsed)
    pixels = open_(model).synthesise(latents_, head.rate)[: head.height, : head.width]
    return hashlib.sha256(samples.from_array(pixels, head.mode).tobytes()).hexdigest()


MUTATIONS = {  # of section 8 of docs/format.md: the name that changes, and what to
    "a factor rounds down": ("Factors.apply", lambda self, sums: (sums * self.mantissa) >> self.shift),
    "mantissas have 11 bits": ("MANTISSA", 11),
    "the slope is 0.0999": ("SLOPE", (6547, 16)),
    "logarithms have another base": ("LOG2_E", 24204406 + 2**11),
    "a polynomial has another coefficient": ("POWER", (268435456, 186065213, 64486372, 14892968, 2599579, 332627, 0)),
    "inputs round down": ("_read", lambda stream, limit: np.clip(stream >> 8, -limit, limit)),
    "the stream has 4 guard bits": ("STREAM_GUARD", 4),
    "the stream is cut off sooner": ("STREAM_MAX", 2**17),
    "inputs are cut off sooner": ("INPUT_MAX", 2**10),
    "the linear path has fewer bits": ("LINEAR_FRAC", 5),
    "half of the range is rounded up": ("MIDDLE", 4096),
}


@pytest.mark.slow
def test_the_page_gives_the_pixels():
    """Whoever writes another decoder from docs/format.md must get these pixels."""
    assert pixels_by_the_page("rgb-between") == INDEX["rgb-between"]["pixels"]


@pytest.mark.slow
@pytest.mark.parametrize("rule", MUTATIONS)
def test_a_change_of_one_rule_of_the_synthesis_is_caught(rule, monkeypatch):
    """A decoder with a slip in one rounding would show other pixels, and nobody would notice."""
    name, value = MUTATIONS[rule]
    monkeypatch.setattr(f"aecodec.runtime.integer_synthesis.{name}", value)
    assert pixels_by_the_page("rgb-between") != INDEX["rgb-between"]["pixels"]
