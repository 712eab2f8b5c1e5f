"""The decoder for JavaScript in node: the pixels of every other decoder, and a rejected promise for all that is damaged."""

from __future__ import annotations

import gzip
import hashlib
import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import aecodec
from aecodec.view.weights import decoder_weights
from aecodec.weights import cards

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "aecodec" / "view" / "module"
CONFORMANCE = ROOT / "tests" / "conformance"
INDEX = json.loads((CONFORMANCE / "index.json").read_text())
LIMIT = 280  # seconds


@pytest.fixture(scope="session")
def node():
    """Runs decode.mjs with a request; returns its answers."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("there is no node")

    def run(files, weights=(), worker=True, **options):
        request = {"files": [*map(str, files)], "weights": [*map(str, weights)], "worker": worker, "options": options}
        script = Path(__file__).with_name("decode.mjs")
        result = subprocess.run(
            [found, script, MODULE / "aecodec.js", json.dumps(request)], capture_output=True, text=True, timeout=LIMIT
        )
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    return run


@pytest.fixture(scope="module")
def stripped(tmp_path_factory):
    """The decoder's part of all installed models."""
    folder = tmp_path_factory.mktemp("weights")
    for name in cards.names():
        (folder / name).write_bytes(decoder_weights(name))
    return [folder / name for name in cards.names()]


def digests(answers):
    return [answer.get("sha256") or answer for answer in answers]


@pytest.mark.slow
def test_node_gives_the_pixels_of_every_other_decoder(node, stripped):
    """A picture would look different in a browser."""
    answers = node([CONFORMANCE / f"{name}.aec" for name in INDEX], stripped, native=True)[:-1]
    assert digests(answers) == [entry["pixels"] for entry in INDEX.values()]


@pytest.mark.slow
def test_whole_weights_and_plain_kernels_give_the_same(node):
    """A site that has model.safetensors as it is, or a browser that gets other kernels, would show other pixels."""
    names = ["rgb-high", "gray", "pixel"]
    whole = [cards.folder_of(cards.names()[0]) / cards.TENSORS]
    answers = node([CONFORMANCE / f"{name}.aec" for name in names], whole, worker=False, plainKernels=True)
    assert digests(answers[:-1]) == [INDEX[name]["pixels"] for name in names]


@pytest.mark.slow
def test_previews_are_those_of_every_other_decoder(node, stripped, tmp_path):
    """A page that shows a file while it loads would show something else than the desktop, or nothing."""
    parts = []
    for name in ("rgb-middle", "page", "page-without-loss", "tiles"):
        data = (CONFORMANCE / f"{name}.aec").read_bytes()
        parts.append(tmp_path / name)
        parts[-1].write_bytes(data[: len(data) * 3 // 5])
    answers = node(parts, stripped, preview=True)[:-1]
    with pytest.warns(UserWarning, match="preview"):
        wanted = [aecodec.decode_array(part, preview=True) for part in parts]
    assert digests(answers) == [hashlib.sha256(array.tobytes()).hexdigest() for array in wanted]
    assert all(answer["truncated"] for answer in answers)
    assert {answer["message"] for answer in node(parts, stripped)[:-1]} == {"the file is truncated"}


@pytest.mark.slow
def test_damaged_files_are_rejected_with_a_reason(node, stripped, tmp_path, photo):
    """A page could not tell its reader what is wrong, or would hang, or take gigabytes for a file of some bytes."""
    good = (CONFORMANCE / "rgb-low.aec").read_bytes()
    crashes = sorted(path for path in (ROOT / "fuzz" / "crashes").rglob("*") if path.is_file())
    cases = {"empty": b"", "other": b"GIF89a", "short": good[:200], "flipped": good[:99] + b"\xff" + good[100:]}
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
    lossless = tmp_path / "lossless"
    lossless.write_bytes(aecodec.encode(photo(40, 30), lossless=True))
    paths = [tmp_path / name for name in cases]
    answers = node([*paths, *crashes, lossless, CONFORMANCE / "rgb-low.aec"], stripped[:1])
    messages = [answer["message"] for answer in answers[:4]]
    assert messages[:2] == ["the file is empty", "this is no aecodec file"]
    assert all("truncated" in text or "damaged" in text for text in messages[2:])
    assert all(answer["code"] == "damaged" for answer in answers[:4])
    for answer in answers[4:-3]:
        assert answer.get("code") != "argument"
        assert "stopped" not in answer.get("message", "")
    assert answers[-3]["lossless"]
    assert answers[-2]["sha256"] == INDEX["rgb-low"]["pixels"]
    assert answers[-1] == {"message": "the decoder is closed"}


@pytest.mark.slow
def test_limits_weights_and_four_channels(node, stripped):
    """Pages could not bound memory, would decode with other weights, or would have to add alpha themselves."""
    (limited, *_) = node([CONFORMANCE / "tiles.aec"], stripped[:1], maxPixels=1000)
    assert limited == {"message": "the picture is over the limit of pixels", "code": "limit"}
    (without, *_) = node([CONFORMANCE / "gray.aec"])
    assert without == {"message": "the file needs other weights", "code": "weights"}
    (four, *_) = node([CONFORMANCE / "gray.aec"], stripped[:1], rgba=True)
    picture = aecodec.decode((CONFORMANCE / "gray.aec").read_bytes(), device="cpu").convert("RGBA")
    assert four["channels"] == 4
    assert four["sha256"] == hashlib.sha256(picture.tobytes()).hexdigest()


def test_the_module_is_built_from_these_sources():
    """Browsers would run an earlier decoder than everything else; run make wasm."""
    tool = runpy.run_path(str(ROOT / "scripts" / "wasm_digest.py"))
    assert tool["noted"]((MODULE / "aecodec.wasm").read_bytes())[0] == tool["digest"]()


@pytest.mark.slow
def test_building_it_again_gives_the_same_bytes(tmp_path):
    """Nobody could check that the module in the repository is what its sources say."""
    compiler = shutil.which("clang")
    built = (MODULE / "aecodec.wasm").read_bytes()
    if compiler is None or not shutil.which("wasm-ld"):
        pytest.skip("there is no clang with wasm-ld (Debian: clang lld wasi-libc libclang-rt-14-dev-wasm32)")
    version = subprocess.run([compiler, "-dumpversion"], capture_output=True, text=True).stdout.strip()
    wanted = runpy.run_path(str(ROOT / "scripts" / "wasm_digest.py"))["noted"](built)[1]
    if version != wanted:
        pytest.skip(f"the module was built with clang {wanted}, this is {version}")
    target = tmp_path / "aecodec.wasm"
    result = subprocess.run(
        ["make", "-C", ROOT, "wasm", f"WASM={target}", f"PYTHON={sys.executable}"],
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert result.returncode == 0, result.stderr
    assert target.read_bytes() == built


def test_weights_without_the_encoder_are_small_and_say_what_they_are():
    """A page would be twice as large, or could not tell which files its weights are for."""
    name = cards.names()[0]
    whole = cards.folder_of(name) / cards.TENSORS
    part = decoder_weights(name)
    assert len(part) < 0.5 * whole.stat().st_size
    assert part == decoder_weights(name)
    head = gzip.decompress(part)[:200]
    assert cards.content_hash(whole.read_bytes())[:8].encode() in head


def test_npm_packs_everything_that_the_module_needs():
    """Whoever installs the package from npm would miss a file."""
    package = json.loads((MODULE / "package.json").read_text("utf-8"))
    assert {path.name for path in MODULE.iterdir()} == {*package["files"], "package.json"}
    assert package["version"] == aecodec.__version__
