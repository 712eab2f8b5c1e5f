"""What several tests share: pictures made on the spot, files of them, and the command line."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Callable

import hypothesis
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from aecodec.cli.main import main
from aecodec.codec.encoder import Encoder
from aecodec.quality import index_of_quality

hypothesis.settings.register_profile("suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("suite")  # a busy machine is no fault of what is tested
os.environ["TRITON_INTERPRET"] = "1"  # kernels run on the CPU; read when triton is first imported, which torch may do


def pytest_configure(config: pytest.Config) -> None:
    """Keep compiled graphs in one folder for all processes of this run, and none in the user's folders.

    Workers of pytest-xdist have one thread each; a second one would wait for the other worker's.
    """
    if hasattr(config, "workerinput"):  # a worker, which has the environment of the process that started it
        return
    if config.getoption("numprocesses", None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["AECODEC_CACHE"] = folder = tempfile.mkdtemp(prefix="aecodec-tests-")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def _photo(width: int = 96, height: int = 64, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Smooth colours, an edge and a little texture, which is what a photograph is to a codec."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 48
    slopes, phases = random.uniform(0.5, 2, (3, 2)), random.uniform(0, 6, 3)
    colours = [np.sin(a * x + b * y + phase) for (a, b), phase in zip(slopes, phases, strict=True)]
    edge = 30.0 * (x + 0.4 * y > 1)
    texture = random.normal(0, 5, (height, width))
    array = 128 + 60 * np.stack(colours, -1) + (edge + texture)[..., None]
    return Image.fromarray(array.clip(0, 255).astype(np.uint8)).convert(mode)


@pytest.fixture(scope="session")
def photo() -> Callable[..., Image.Image]:
    """photo(width, height, mode, seed) makes a picture."""
    return _photo


@pytest.fixture(scope="session")
def reopened() -> Callable[..., Image.Image]:
    """reopened(image, kind, **options) is the picture after a way through a file, opened and not loaded."""

    def save_and_open(image: Image.Image, kind: str = "PNG", **options) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return Image.open(buffer)

    return save_and_open


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """A colour picture of 96 x 64, ready to be encoded."""
    return Encoder(_photo())


@pytest.fixture(scope="session")
def file(encoder: Encoder) -> bytes:
    """That picture as a file of quality 50."""
    return encoder.encode(index_of_quality(50)).data


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> tuple:
    """(model, folder): a small untrained torch model, and its weights in a folder.

    Every bias is random, and where a weights file can hold it; scales are spread over all levels and beyond.
    """
    import torch

    from aecodec.entropy.architecture import Architecture
    from aecodec.networks.export import save_weights
    from aecodec.networks.integer import IntegerConv2d, weight_exponents
    from aecodec.networks.model import Model

    torch.manual_seed(7)
    arch = Architecture(
        latents=16, width_8=8, width_16=8, blocks_8=1, blocks_16=1, decoder_width_8=8, decoder_width_16=8,
        decoder_blocks_8=1, decoder_blocks_16=1, hyper_width=12, hyper_latents=8, context_width=12,
    )  # fmt: skip
    model = Model(arch).eval()
    with torch.no_grad():
        model.gain.log.add_(torch.rand_like(model.gain.log))
        model.hyper_scale.uniform_(-0.3, 9)
        for layer in model.modules():
            if not isinstance(layer, IntegerConv2d):
                continue
            layer.bias.uniform_(-0.5, 1.5)
            if not layer.relu:
                layer.bias[:, : arch.latents] *= 4
                layer.bias[:, arch.latents :] *= 5
            grid = torch.exp2(weight_exponents(layer.weight, layer.input_max) + layer.input_frac)
            layer.bias.copy_(torch.round(layer.bias * grid) / grid)
        for part in (model.analysis, model.synthesis):
            part.lap.weight.add_(0.05 * torch.randn(part.lap.weight.shape))
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    save_weights(model, folder, "tiny", {})
    return model, folder


@pytest.fixture(scope="session")
def restorer(tmp_path_factory) -> str:
    """A folder of a small network that restores: it changes every picture a little, and heeds its hints."""
    import torch

    from aecodec.networks.export import save_unet
    from aecodec.networks.unet import UNet
    from aecodec.weights.restorer import UNetArchitecture

    torch.manual_seed(5)
    network = UNet(UNetArchitecture((8, 12, 16), (1, 1, 1)))
    with torch.no_grad():
        network.head.weight.normal_(0, 0.02)
    folder = tmp_path_factory.mktemp("restorer") / "restore"
    save_unet(network, folder, "restore", {})
    return str(folder)


@pytest.fixture
def cli(tmp_path, monkeypatch) -> Callable[..., Result]:
    """Runs the command line in tmp_path; arguments are turned into strings."""
    monkeypatch.chdir(tmp_path)

    def run(*args: object, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(main, [str(arg) for arg in args], input=stdin)

    return run


@pytest.fixture
def fails(cli) -> Callable[..., str]:
    """Runs the command line, which must end with ``code`` and one line on standard error; returns that line."""

    def run(code: int, *args: object, stdin: bytes | None = None) -> str:
        result = cli(*args, stdin=stdin)
        assert isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == code, result.stderr
        assert result.stdout_bytes == b""
        (line,) = result.stderr.splitlines()
        assert line.startswith("aecodec: ")
        return line

    return run


@pytest.fixture
def memory():
    """The store in memory, empty."""
    store = pytest.importorskip("fsspec").filesystem("memory")
    store.store.clear()
    store.pseudo_dirs[:] = [""]
    return store


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium."""
    webdriver = pytest.importorskip("selenium.webdriver")
    binary, driver = (next(filter(None, map(shutil.which, names)), None) for names in (
        ("chromium", "chromium-browser", "google-chrome"), ("chromedriver",)))  # fmt: skip
    if not binary or not driver:
        pytest.skip("there is no Chromium with its chromedriver (Debian: chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1100,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    from selenium.webdriver.chrome.service import Service

    session = webdriver.Chrome(options=options, service=Service(driver))
    yield session
    session.quit()
