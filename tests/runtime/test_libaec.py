"""libaec against the page that defines it: what it computes must be what ``integer_synthesis.py`` says, to the last bit."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aecodec import weights
from aecodec.codec.decoder import decode_latents, decode_samples
from aecodec.container import bitstream
from aecodec.entropy import latents as coder
from aecodec.entropy.integer import MEAN_FRAC
from aecodec.errors import BitstreamError, WeightsError
from aecodec.quality import MAX_INDEX
from aecodec.runtime import integer_synthesis, libaec
from aecodec.runtime.integer_synthesis import IntegerSynthesis, factors, gains
from aecodec.runtime.libaec import ExactDecoder
from aecodec.weights.store import FRACTION_BITS, Stored

pytestmark = pytest.mark.skipif(not libaec.is_compiled(), reason="libaec was not compiled")

KERNELS = ("PLAIN", "SSE2_OR_NEON", "AVX2", "AVX_VNNI", "AVX512")  # what a CPU lacks is replaced


@pytest.fixture(scope="module")
def opened(tiny):
    """Small weights, untrained, with an edge filter: large activations, odd widths, every clamp at work."""
    return weights.load(str(tiny[1]))


@pytest.fixture(scope="module")
def edged(opened, tmp_path_factory):
    """The same with an edge filter, and bits that make inputs saturate."""
    from safetensors.numpy import load_file, save_file

    rng = np.random.default_rng(5)
    tensors = load_file(opened.folder / weights.TENSORS)
    tensors["synthesis.edges.table"] = rng.normal(0, 3, (9, 24)).astype(np.float16)
    tensors[FRACTION_BITS] = np.array([7, 14, 9, 13, 15], np.int8)
    folder = tmp_path_factory.mktemp("edged")
    save_file(tensors, folder / weights.TENSORS)
    return replace(opened, id="edededed", folder=folder, tensors=weights.store.expand(tensors))


def decoder_of(model: weights.Weights) -> ExactDecoder:
    """Return libaec's decoder for weights, with or without a card."""
    data = (model.folder / weights.TENSORS).read_bytes()
    return ExactDecoder(Stored(model.folder, model.id, model.arch, data))


def some_latents(rng: np.random.Generator, shape: tuple[int, ...], size: float) -> np.ndarray:
    """Latents of a Laplacian distribution, as a picture's are, and a few that no picture has."""
    values = rng.laplace(0, size, shape).astype(np.int32)
    values.flat[rng.integers(0, values.size, 3)] = (2**26, -(2**26), 40000)
    return values


def synthesised(decoder: ExactDecoder, values: np.ndarray, rate: int, threads: int, kernels: str) -> np.ndarray:
    h, w, _ = values.shape
    samples = np.empty((16 * h, 16 * w, 3), np.uint8)
    decoder._model.synthesise(values, samples, rate, h, w, threads, getattr(libaec._compiled, kernels), 8, 1)
    return samples


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 3), (13, 7)])
def test_it_gives_the_samples_that_the_format_defines(opened, edged, shape, kernels):
    """A picture that another decoder shows differently would be damaged, and nobody could say which is right."""
    rng = np.random.default_rng(sum(shape))
    for model in (opened, edged):
        decoder, reference = decoder_of(model), IntegerSynthesis.of(model)
        for rate, size in ((0, 30), (700, 300), (MAX_INDEX, 3000)):
            values = some_latents(rng, (*shape, model.arch.latents), size)
            assert np.array_equal(synthesised(decoder, values, rate, 1, kernels), reference.synthesise(values, rate))


@pytest.mark.parametrize("depth", [9, 10, 12, 16])
def test_it_gives_the_deep_samples_that_the_format_defines(opened, edged, depth):
    """A picture of 10 to 16 bits must be the same everywhere as well, with an edge filter or without."""
    for model in (opened, edged):
        values = some_latents(np.random.default_rng(depth), (9, 5, model.arch.latents), 300)
        wanted = IntegerSynthesis.of(model).synthesise(values, 700, depth)
        assert wanted.dtype == np.uint16
        assert 0 == wanted.min() < wanted.max() == 2**depth - 1
        samples = np.empty_like(wanted)
        for threads in (1, 3):
            decoder_of(model)._model.synthesise(values, samples, 700, *values.shape[:2], threads, 0, depth, 1)
            assert np.array_equal(samples, wanted)


def test_deep_samples_are_those_of_8_bits_but_finer(opened, edged):
    """The same file at 8 and at 16 bits shows the same picture: half a level lies between them, and a rounding of 1/16."""
    for model in (opened, edged):
        values = np.random.default_rng(3).laplace(0, 60, (5, 4, model.arch.latents)).astype(np.int32)
        flat, deep = (IntegerSynthesis.of(model).synthesise(values, 900, depth) for depth in (8, 16))
        assert np.abs(deep / 257 - flat).max() <= 0.5 + 1 / 16 + 1 / 257
        assert len(np.unique(deep)) > 5 * len(np.unique(flat))


@pytest.mark.parametrize("kernels", KERNELS)
def test_it_gives_the_samples_of_the_installed_weights(kernels):
    """Their widths fill whole registers, which those of the small ones do not."""
    values = some_latents(np.random.default_rng(8), (3, 4, 512), 200)
    for name in weights.names():
        model = weights.load(name)
        found = synthesised(ExactDecoder(model), values, 1000, 1, kernels)
        assert np.array_equal(found, IntegerSynthesis.of(model).synthesise(values, 1000))


@pytest.mark.parametrize("kernels", KERNELS)
def test_other_widths_fit_their_buffers(tmp_path, kernels):
    """Squares go through a buffer that all layers share: the widest does not fill it most, and a width may be odd."""
    torch = pytest.importorskip("torch")
    from aecodec.entropy.architecture import Architecture
    from aecodec.networks.export import save_weights
    from aecodec.networks.model import Model

    torch.manual_seed(3)
    arch = Architecture(
        latents=320, width_8=8, width_16=8, blocks_8=1, blocks_16=1, decoder_width_8=128, decoder_width_16=41,
        decoder_blocks_8=1, decoder_blocks_16=1, hyper_width=12, hyper_latents=8, context_width=12,
    )  # fmt: skip
    save_weights(Model(arch).eval(), tmp_path, "wide", {})
    model = weights.load(str(tmp_path))
    values = some_latents(np.random.default_rng(22), (2, 101, 320), 300)
    found = synthesised(ExactDecoder(model), values, 1000, 1, kernels)
    assert np.array_equal(found, IntegerSynthesis.of(model).synthesise(values, 1000))


@pytest.mark.parametrize("kernels", KERNELS)
def test_weights_too_large_for_squares_are_computed_plainly(tmp_path, kernels):
    """Four sums at once would leave 32 bits with them, and the picture would be noise."""
    from safetensors.numpy import load_file, save_file

    model = weights.load("photo")
    tensors = load_file(model.folder / weights.TENSORS)
    rng = np.random.default_rng(21)
    stem = tensors["synthesis.stem.weight"]
    stem[:] = rng.choice(np.array([-100, 100], np.int8), stem.shape)
    assert 2**18 < np.abs(stem[0].astype(int)).sum() < 2**19
    save_file(tensors, tmp_path / weights.TENSORS)
    model = replace(model, id="00000000", folder=tmp_path, tensors=weights.store.expand(tensors))
    values = some_latents(rng, (3, 3, 512), 200)
    found = synthesised(decoder_of(model), values, 1000, 1, kernels)
    assert np.array_equal(found, IntegerSynthesis.of(model).synthesise(values, 1000))


def graphic(name: str) -> np.ndarray:
    """Return a picture (128, 128, 3) in pure colours."""
    y, x = np.mgrid[:128, :128]
    if name == "squares":
        colours = np.random.default_rng(4).integers(0, 2, (4, 4, 3)).astype(np.uint8) * 255
        return colours.repeat(32, 0).repeat(32, 1)
    if name == "noise":
        return np.random.default_rng(6).integers(0, 2, (128, 128, 3)).astype(np.uint8) * 255
    at, one, other = {
        "stripes": (x // 16, (255, 255, 255), (0, 0, 0)),
        "checks": (x // 16 + y // 16, (255, 255, 255), (0, 0, 0)),
        "blue and green": (x // 8 + y // 8, (0, 0, 255), (0, 255, 0)),
    }[name]
    return np.where((at % 2)[..., None], np.uint8(one), np.uint8(other))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["photo", "photo-psnr"])
def test_graphics_in_pure_colours_keep_their_colours(name):
    """Their activations are many times those of photographs; one that is cut off shows as a patch of false colour."""
    torch_runtime = pytest.importorskip("aecodec.runtime.torch_runtime")
    model = weights.load(name)
    floats, decoder = torch_runtime.TorchTransforms(model, "cpu", bfloat16=False), ExactDecoder(model)
    for picture in ("squares", "noise", "stripes", "checks", "blue and green"):
        for rate in (0, MAX_INDEX // 2, MAX_INDEX):
            values = (np.round(floats.analyse(graphic(picture), rate)) * 2**MEAN_FRAC).astype(np.int32)
            shown, wanted = (x.synthesise(values, rate).astype(int) for x in (decoder, floats))
            assert np.abs(shown - wanted).max() <= 2, (picture, rate)


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_threads_change_nothing(edged, threads):
    """Each thread makes a part of the rows, and begins further up than it writes."""
    values = some_latents(np.random.default_rng(threads), (37, 3, edged.arch.latents), 500)
    decoder = decoder_of(edged)
    alone = synthesised(decoder, values, 300, 1, "PLAIN")
    assert np.array_equal(synthesised(decoder, values, 300, threads, "PLAIN"), alone)


@pytest.mark.parametrize("shape", [(4, 4), (8, 20)])
def test_it_gives_the_latents_that_the_entropy_model_gives(opened, shape):
    """A single wrong integer spoils everything after it."""
    rng, decoder, model = np.random.default_rng(9), ExactDecoder(opened), opened.entropy_model
    for rate in (0, 1001, MAX_INDEX):
        y = rng.laplace(0, 20, (*shape, opened.arch.latents)).astype(np.float32)
        z = rng.normal(0, 9, (shape[0] // 4, shape[1] // 4, opened.arch.hyper_latents)).astype(np.float32)
        coded = coder.encode(model, y, z, rate)
        assert np.array_equal(decoder.decode_latents(coded.payload, shape, rate), coded.latents)


def test_a_damaged_payload_is_refused_and_leaves_no_buffer(opened):
    """Whoever sends a file must not crash, or read, the program that opens it."""
    rng, decoder = np.random.default_rng(10), ExactDecoder(opened)
    y = rng.laplace(0, 20, (8, 8, opened.arch.latents)).astype(np.float32)
    payload = coder.encode(opened.entropy_model, y, np.zeros((2, 2, opened.arch.hyper_latents), np.float32), 900).payload
    refused = 0
    for _ in range(300):
        damaged = bytearray(payload)
        for at in rng.integers(0, len(damaged), 3):
            damaged[at] = rng.integers(0, 256)
        try:
            decoder.decode_latents(bytes(damaged[: rng.integers(8, len(damaged) + 1)]), (8, 8), 900)
        except BitstreamError:
            refused += 1
    assert refused > 290


def test_weights_that_are_cut_off_or_changed_are_refused_or_work(opened):
    """Weights come from a folder that anyone may write to."""
    data = (opened.folder / weights.TENSORS).read_bytes()
    rng = np.random.default_rng(11)
    for size in (0, 7, 8, 500, len(data) - 1):
        with pytest.raises(LookupError):
            libaec._compiled.Model(data[:size], b"1234")
    for _ in range(200):
        damaged = bytearray(data)
        for at in rng.integers(0, len(damaged) if rng.random() < 0.3 else 9000, 4):
            damaged[at] = rng.integers(0, 256)
        try:
            model = libaec._compiled.Model(bytes(damaged), b"1234")
            model.synthesise(np.zeros((4, 4, 16), np.int32), np.empty((64, 64, 3), np.uint8), 100, 4, 4, 1, 0, 8, 1)
        except (LookupError, TypeError):
            pass


def test_buffers_that_do_not_fit_are_refused(opened):
    """C believes what it is told about sizes."""
    decoder = ExactDecoder(opened)
    with pytest.raises(TypeError):
        decoder.synthesise(np.zeros((4, 4, 15), np.int32), 0)
    with pytest.raises(TypeError):
        decoder._model.synthesise(np.zeros((4, 4, 16), np.int32), np.empty((64, 63, 3), np.uint8), 0, 4, 4, 1, 0, 8, 1)
    with pytest.raises(TypeError):
        decoder._model.synthesise(np.zeros((4, 4, 16), np.int32), np.empty((64, 64, 3), np.uint8), 2049, 4, 4, 1, 0, 8, 1)
    with pytest.raises(TypeError):
        decoder._model.decode_latents(b"0" * 16, np.zeros((3, 4, 16), np.int32), 0, 3, 4, 0)


def test_another_rounding_is_noticed(opened, monkeypatch):
    """If this passes with a broken rule, the tests above prove nothing."""
    values = some_latents(np.random.default_rng(12), (4, 4, opened.arch.latents), 300)
    monkeypatch.setattr(integer_synthesis, "LOG2_E", integer_synthesis.LOG2_E + 4096)
    assert not np.array_equal(
        IntegerSynthesis.of(opened).synthesise(values, 700), ExactDecoder(opened).synthesise(values, 700)
    )


def test_factors_are_as_near_as_their_bits_allow():
    """A factor that is off by more would cost quality everywhere."""
    values = np.exp(np.random.default_rng(13).uniform(-25, 14, 1000))
    found = factors(values)
    assert np.abs(np.ldexp(found.mantissa.astype(float), -found.shift) / values - 1).max() <= 2.0**-21
    assert factors(np.array([0.0, 2.0**-60])).mantissa.tolist() == [0, 0]
    for wrong in (-1.0, np.inf, np.nan, 2.0**21):
        with pytest.raises(WeightsError):
            factors(np.array([wrong]))


def test_gains_are_exponentials():
    """They are what training multiplied by."""
    log = np.random.default_rng(14).uniform(-15, 10, (9, 50)).astype(np.float16)
    for rate in (0, 256, 300, MAX_INDEX):
        low, part = min(rate // 256, 7), rate / 256 - min(rate // 256, 7)
        wanted = np.exp(log[low].astype(float) + part * (log[low + 1].astype(float) - log[low]))
        assert np.abs(gains(log, rate) / wanted - 1).max() < 1e-6


def test_the_library_decodes_whole_files_as_python_does():
    """The container is read twice, in two languages: a file must open in both."""
    folder = Path(__file__).parent.parent / "conformance"
    for path in sorted(folder.glob("*.aec")):
        stream = bitstream.read(path.read_bytes())
        head = stream.header
        decoder = ExactDecoder(weights.find(head.weights) if stream.payloads else weights.load())
        for bits in (None, 16):
            found = decode_samples(path.read_bytes(), bits=bits, device="cpu")
            picture = found.array(found.depth)
            samples = np.empty_like(picture)
            decoder._model.decode(path.read_bytes(), samples, 1, 0, bits or 0, 1)
            assert np.array_equal(samples, picture), path.stem
        if stream.payloads and not head.tile:
            assert np.array_equal(
                decode_latents(stream), decoder.decode_latents(stream.payloads[0], latent_shape(head), head.rate)
            )


@pytest.mark.parametrize("name", ["cicp", "deep", "deep-gray", "deep-alpha"])
def test_the_library_checks_the_hash(name):
    """Its picture is proven, or refused: of 8 bits and more, with alpha and without."""
    data = (Path(__file__).parent.parent / "conformance" / f"{name}.aec").read_bytes()
    stream = bitstream.read(data)
    found = decode_samples(data, device="cpu")
    decoder, samples = ExactDecoder(weights.load()), np.empty_like(found.array(found.depth))
    decoder._model.decode(data, samples, 1, 0, 0, 1)
    for at in range(8):
        hashed = bytearray(stream.chunks[bitstream.HASH])
        hashed[at] ^= 1
        wrong = bitstream.write(replace(stream, chunks=stream.chunks | {bitstream.HASH: bytes(hashed)}))
        with pytest.raises(ValueError, match="hash"):
            decoder._model.decode(wrong, samples, 1, 0, 0, 1)


@pytest.mark.slow
def test_every_set_of_kernels_computes_what_plain_c_does(tmp_path):
    """A picture must not depend on the instructions of the machine that opens it, whatever numbers are in it."""
    compiler, library = shutil.which("cc"), Path(__file__).parents[2] / "libaec"
    if compiler is None:
        pytest.skip("no C compiler")
    program, folders = tmp_path / "compare_kernels", [f"-I{library}/include", f"-I{library}/src"]
    sources = [*(library / "src").glob("*.c"), Path(__file__).parent / "compare_kernels.c"]
    subprocess.run([compiler, "-std=c11", "-O2", *folders, *sources, "-o", program, "-lm", "-lpthread"], check=True)
    found = subprocess.run([program, "1000"], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
    assert found.stdout.startswith("plain\n")


def test_the_library_refuses_depths_that_do_not_fit():
    """C believes what it is told about sizes."""
    data = (Path(__file__).parent.parent / "conformance" / "deep.aec").read_bytes()
    decoder = ExactDecoder(weights.load())
    for depth, kind in ((0, np.uint8), (16, np.uint8), (7, np.uint16), (17, np.uint16)):
        with pytest.raises(TypeError):
            decoder._model.decode(data, np.empty((70, 130, 3), kind), 1, 0, depth, 1)
    decoder._model.decode(data, np.empty((70, 130, 3), np.uint8), 1, 0, 8, 1)


def latent_shape(head: bitstream.Header) -> tuple[int, int]:
    return -(-head.height // 64) * 4, -(-head.width // 64) * 4


def test_alpha_and_gray_are_decoded(photo):
    """Two ways through one container."""
    from aecodec import decode, encode

    for mode in ("L", "LA", "RGBA"):
        image = photo(70, 50, mode.replace("A", "") if mode != "RGBA" else "RGB")
        if "A" in mode:
            image.putalpha(photo(70, 50, "L", 3))
        data = encode(image, quality=40, device="cpu")
        picture = np.asarray(decode(data, device="cpu"))
        samples = np.empty(picture.shape, np.uint8)
        ExactDecoder(weights.load())._model.decode(data, samples, 1, 0, 0, 1)
        assert np.array_equal(samples, picture), mode


def test_without_the_library_a_file_still_opens(photo, monkeypatch):
    """On a machine without a C compiler a user waits longer, learns why, and sees the picture all the same."""
    from aecodec import decode, encode

    data = encode(photo(70, 50), quality=50, device="cpu")
    wanted = np.asarray(decode(data, device="cpu")).astype(int)
    monkeypatch.setattr(libaec, "_compiled", None)
    monkeypatch.setattr(libaec, "_opened", {})
    with pytest.warns(RuntimeWarning, match="libaec is missing"):
        shown = np.asarray(decode(data, device="cpu"))
    assert np.abs(shown - wanted).max() <= 1
