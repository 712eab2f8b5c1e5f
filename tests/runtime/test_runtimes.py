"""Two runtimes, one codec: what OpenVINO computes must be what torch was trained to."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aecodec import cuda, runtime, weights
from aecodec.errors import DeviceError
from aecodec.metrics import psnr
from aecodec.runtime.openvino_runtime import OpenVinoTransforms
from aecodec.runtime.openvino_unet import OpenVinoUNet
from aecodec.runtime.torch_runtime import BATCH_PIXELS, TorchTransforms, _Batched
from aecodec.runtime.torch_unet import TorchUNet

RATES = (0, 700, 2048)


@pytest.fixture(scope="module")
def both():
    """With a lapping that no transposition leaves as it is, and an edge filter."""
    opened, rng = weights.load(), np.random.default_rng(4)
    lapping = {name: opened.tensors[name] + rng.normal(0, 0.05, (16, 16, 1, 1)) for name in weights.store.LAPPING}
    edges = {"table": rng.normal(0, 0.5, (9, 24)), "strength.weight": rng.normal(0, 0.01, (1, 128, 1, 1))}
    changed = lapping | {f"synthesis.edges.{name}": array for name, array in edges.items()}
    opened = replace(opened, id="lapped", tensors=opened.tensors | {k: v.astype(np.float32) for k, v in changed.items()})
    return OpenVinoTransforms(opened, bfloat16=False), TorchTransforms(opened, "cpu")


@pytest.fixture(scope="module")
def array():
    rng = np.random.default_rng(3)
    smooth = np.add.outer(np.arange(128), np.arange(192))[..., None] * np.array([0.5, 0.7, 0.3])
    return (smooth + rng.normal(0, 12, (128, 192, 3))).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("rate", RATES)
def test_both_write_the_same_latents(both, array, rate):
    """Otherwise the weights are tuned for one runtime and used with another."""
    y, y_torch = (transforms.analyse(array, rate) for transforms in both)
    z, z_torch = (transforms.hyper_analyse(y_torch, rate) for transforms in both)
    assert y.shape == y_torch.shape
    assert z.shape == z_torch.shape
    assert np.abs(y - y_torch).max() < 1e-3 * max(1, np.abs(y_torch).max() / 50)
    assert np.abs(z - z_torch).max() < 1e-3


def test_both_restore_the_same_picture(restorer):
    """A machine without OpenVINO must not see other details."""
    opened = weights.load_restorer(restorer)
    seen = np.random.default_rng(0).integers(0, 256, (48, 64, 6), np.uint8)
    found = [network.restore(seen).astype(int) for network in (OpenVinoUNet(opened), TorchUNet(opened, "cpu"))]
    assert found[0].shape == (48, 64, 3)
    assert np.abs(found[0] - found[1]).max() <= 1
    assert np.abs(found[0] - seen[..., :3]).max() > 4


@pytest.mark.parametrize("rate", RATES)
def test_both_show_the_same_picture(both, array, rate):
    """A file must not look different for having been opened without torch."""
    y = both[1].analyse(array, rate)
    latents = np.rint(y * 16).astype(np.int32)
    shown, shown_torch = (transforms.synthesise(latents, rate).astype(int) for transforms in both)
    assert shown.shape == array.shape
    assert np.abs(shown - shown_torch).max() <= 1


@pytest.fixture(scope="module", params=["openvino", "torch"])
def fast(request):
    opened = weights.load()
    if request.param == "openvino":
        return OpenVinoTransforms(opened, bfloat16=True)
    return TorchTransforms(opened, "cpu", bfloat16=True)


@pytest.mark.slow
@pytest.mark.parametrize("rate", RATES)
def test_bfloat16_costs_no_quality(both, fast, array, rate):
    """What computes with 8 bits where it is fast must not show a worse picture, at the top quality least of all."""
    latents = np.rint(both[0].analyse(array, rate)).astype(np.int32) * 16
    latents_fast = np.rint(fast.analyse(array, rate)).astype(np.int32) * 16
    exact = psnr(array, both[0].synthesise(latents, rate))
    assert psnr(array, fast.synthesise(latents_fast, rate)) > exact - 0.05


def test_pictures_of_several_threads_stay_apart(both, array):
    """On a GPU they are one batch: a neighbour's quality, or its pixels, would be in the file unseen."""
    torch_runtime = both[1]
    arrays = [np.roll(array, 16 * i, 1) for i in range(4)] + [array[:64]]
    rates = [0, 700, 2048, 1300, 700]
    alone = [torch_runtime.analyse(one, rate) for one, rate in zip(arrays, rates, strict=True)]
    with ThreadPoolExecutor(len(arrays)) as threads:
        together = list(threads.map(torch_runtime.analyse, arrays, rates))
    for one, other in zip(alone, together, strict=True):
        assert np.abs(one - other).max() < 1e-3 * np.abs(one).max()


def test_a_runtime_reads_no_weights_again():
    """To read and hash them takes 30 ms, and a second copy would lie in memory next to the first."""
    moved = replace(weights.load(), id="0" * 8, folder=Path("nowhere"))
    transforms = runtime.open_transforms(moved, "cpu")
    assert runtime.open_transforms(moved, "cpu") is transforms


def test_threads_share_the_cpu_runtime(array):
    """A data loader opens pictures in threads; their pixels must not meet in the runtime's buffers."""
    transforms = runtime.open_transforms(weights.load(), "cpu")
    arrays = [np.roll(array, 16 * i, 1) for i in range(6)]
    alone = [transforms.analyse(one, 700) for one in arrays]
    with ThreadPoolExecutor(6) as threads:
        together = list(threads.map(transforms.analyse, arrays, [700] * 6))
    assert all(map(np.array_equal, alone, together))


def held_up(calls: list, pixels: int) -> tuple[list, list[int]]:
    """Results of calls (array, rate), each in a thread of its own, and the sizes of the batches.

    All calls wait while a first one computes.
    """
    begun, go, sizes = threading.Event(), threading.Event(), []

    def compute(batch, rates):
        begun.set()
        go.wait(100)
        sizes.append(len(batch))
        if -1 in rates:
            raise ValueError("a bad rate")
        return batch * np.array(rates)[:, None]

    batched = _Batched(compute, lambda array: pixels)
    with ThreadPoolExecutor(len(calls) + 1) as threads:
        first = threads.submit(batched, np.zeros(1), 0)
        assert begun.wait(100)
        others = [threads.submit(batched, *call) for call in calls]
        while len(batched._waiting) < len(calls):
            pass
        go.set()
        first.result()
        return [future.exception() or future.result() for future in others], sizes[1:]


def test_calls_that_wait_are_computed_as_one_batch():
    """One by one, pictures leave a GPU idle for most of the time."""
    results, sizes = held_up([(np.full(2, i), 10) for i in range(5)], 1)
    assert [result.tolist() for result in results] == [[10 * i, 10 * i] for i in range(5)]
    assert sizes == [5]


def test_batches_are_of_one_size_and_within_memory():
    """What does not fit must be computed all the same, later."""
    results, sizes = held_up([(np.ones(2), 1)] * 3 + [(np.ones(3), 1)] * 2, BATCH_PIXELS // 2)
    assert [len(result) for result in results] == [2, 2, 2, 3, 3]
    assert sorted(sizes) == [1, 2, 2]
    assert held_up([(np.ones(2), 1)] * 2, 2 * BATCH_PIXELS)[1] == [1, 1]


def test_an_error_reaches_the_one_whose_call_failed():
    """A thread that waits for a result that never comes would hang the whole folder; one bad picture must cost no other."""
    results, _ = held_up([(np.ones(2), -1), (np.ones(2), 1), (np.ones(3), 4)], 1)
    assert isinstance(results[0], ValueError)
    assert [result.tolist() for result in results[1:]] == [[1, 1], [4, 4, 4]]


@pytest.mark.slow
def test_encoding_and_decoding_import_no_torch(tmp_path):
    """One careless import would make the command line unusable again: torch takes seconds to import.

    OpenVINO's telemetry is among them: it opens connections, and its thread has hung decoders for good.
    """
    code = (
        "import sys\n"
        "import numpy as np\n"
        "from PIL import Image\n"
        "import aecodec\n"
        "data = aecodec.encode(Image.fromarray(np.zeros((70, 50, 3), np.uint8)), device='cpu')\n"
        "aecodec.decode(data, device='cpu')\n"
        "import threading\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
        "heavy = {*'torch compressai torchvision scipy pandas matplotlib openvino_telemetry'.split()} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr


def test_a_device_that_is_not_there_is_one_clear_line():
    """A traceback from inside a library does not say what to do."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(DeviceError, match="CUDA"):
        runtime.open_transforms(weights.load(), "cuda")
    assert runtime.open_transforms(weights.load(), "auto").device == "cpu"


def test_a_gpu_that_does_not_work_is_none(monkeypatch):
    """The device "auto" is the CPU then: a driver and a torch that do not fit must not cost the picture."""
    import torch

    def fail():
        raise RuntimeError("no kernel image is available for execution on the device")

    monkeypatch.setattr(cuda, "has_driver", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", fail)
    assert not cuda.is_usable.__wrapped__()


def test_an_unknown_device_is_refused():
    """Torch knows others, which nobody has tried."""
    with pytest.raises(ValueError, match="auto, cpu, cuda"):
        runtime.open_transforms(weights.load(), "gpu")
