"""One file, one set of integer latents: whatever computes them, with however many threads."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from aecodec import weights
from aecodec.codec.decoder import decode_latents
from aecodec.container.bitstream import read
from aecodec.entropy import integer, reference
from aecodec.quality import index_of_quality
from aecodec.runtime.torch_runtime import TorchTransforms

SCRIPT = """
import hashlib, sys
from aecodec.codec.decoder import decode_latents
from aecodec.container.bitstream import read
latents = decode_latents(read(sys.stdin.buffer.read()))
print(hashlib.sha256(latents.astype("<i4").tobytes()).hexdigest())
"""


def set_onednn(on: bool) -> None:
    torch.backends.mkldnn.enabled = on


SETTINGS = {
    "1 thread": (torch.get_num_threads, torch.set_num_threads, 1),
    "2 threads": (torch.get_num_threads, torch.set_num_threads, 2),
    "without oneDNN": (lambda: torch.backends.mkldnn.enabled, set_onednn, False),
    "medium precision": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "medium"),
    "deterministic": (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms, True),
}


@pytest.fixture(params=SETTINGS)
def setting(request):
    """Run torch under one of the settings, and afterwards as before."""
    get, change, value = SETTINGS[request.param]
    before = get()
    change(value)
    yield request.param
    change(before)


@pytest.fixture(scope="module")
def expected(file):
    """The digest of the file's latents, before anything is set."""
    return digest(decode_latents(read(file)))


def digest(latents: np.ndarray) -> str:
    return hashlib.sha256(latents.astype("<i4").tobytes()).hexdigest()


@pytest.mark.slow
def test_torch_settings_do_not_change_what_a_file_means(encoder, setting, monkeypatch):
    """The float analysis may differ in its last bits; what it wrote must mean the same to every reader."""
    monkeypatch.setattr(encoder, "_transforms", TorchTransforms(encoder.weights, "cpu"))
    written = read(encoder.encode(index_of_quality(70)).data)
    integers = replace(encoder.weights.entropy_model, arithmetic=reference)
    assert digest(decode_latents(written)) == digest(decode_latents(written, integers))


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
        {"OPENBLAS_CORETYPE": "Prescott"},  # no AVX, no fused multiply-add
        {"OPENBLAS_CORETYPE": "Haswell"},
    ],
    ids=lambda environment: " ".join(f"{name}={value}" for name, value in environment.items()),
)
def test_other_processes_decode_the_same_latents(file, expected, environment):
    """A file that is written on one machine must open on another, with other cores and other kernels."""
    if "OPENBLAS_CORETYPE" in environment and platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("these kernels are for x86")
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT], input=file, capture_output=True, env={**os.environ, **environment}
    )
    assert process.returncode == 0, process.stderr.decode()
    assert process.stdout.decode().strip() == expected


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["NCHW", "NHWC"])
def test_torch_computes_the_same_sums(setting, layout):
    """The claim behind it all: float32 convolutions of these integers are exact, whoever computes them."""
    random = np.random.default_rng(11)
    layers = weights.load().entropy_model.layers
    for name in ("hyper_synthesis.up_32", "hyper_synthesis.out", "context.2.mix", "context.2.gather", "context.2.out"):
        layer = layers[name]
        inputs = layer.weight.shape[0] if layer.depthwise else layer.weight.shape[1]
        low = -layer.input_max if layer.input_max == integer.COMPAND_MAX else 0
        x = random.integers(low, layer.input_max + 1, (9, 7, inputs)).astype(np.float32)
        tensor = torch.from_numpy(x).permute(2, 0, 1)[None].contiguous(memory_format=layout)
        weight = torch.from_numpy(layer.weight).float()
        sums = F.conv2d(tensor, weight, padding=weight.shape[-1] // 2, groups=inputs if layer.depthwise else 1)
        sums = sums[0].permute(1, 2, 0).contiguous().numpy()
        assert np.array_equal(layer.requantise(sums, layer.bias[0].astype(np.float32)), integer.apply(layer, x, 0))
