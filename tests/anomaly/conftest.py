"""A small set: striped textures, some with a scratch, laid out as those of MVTec, and a model of its good pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aecodec.anomaly import learned
from aecodec.anomaly.model import Model

SIDE = 72


def texture(rng):
    """Stripes of two colours at any phase, with noise."""
    phase = rng.uniform(0, 6)
    stripes = 120 + 40 * np.sin(np.arange(SIDE) / 4 + phase)[None, :, None] * [1, 0.8, 0.5]
    return (stripes + rng.normal(0, 8, (SIDE, SIDE, 1))).clip(0, 255).astype(np.uint8)


def scratched(rng):
    """The same with a light scratch, 18 pixels long and 2 wide; and where it is."""
    pixels, mask = texture(rng), np.zeros((SIDE, SIDE), np.bool_)
    top, left = rng.integers(8, SIDE - 16), rng.integers(8, SIDE - 26)
    for step in range(18):
        mask[top + step // 3 : top + step // 3 + 2, left + step] = True
    pixels[mask] = 225
    return pixels, mask


def make_set(folder: Path, good: int = 14, tested: int = 6) -> Path:
    rng = np.random.default_rng(5)
    for name in ("train/good", "test/good", "test/scratch", "ground_truth/scratch"):
        (folder / name).mkdir(parents=True)
    for number in range(good):
        Image.fromarray(texture(rng)).save(folder / f"train/good/{number:02}.png")
    for number in range(tested):
        Image.fromarray(texture(rng)).save(folder / f"test/good/{number:02}.png")
        pixels, mask = scratched(rng)
        Image.fromarray(pixels).save(folder / f"test/scratch/{number:02}.png")
        Image.fromarray(mask).save(folder / f"ground_truth/scratch/{number:02}_mask.png")
    return folder


@pytest.fixture(scope="session")
def scratches(tmp_path_factory) -> Path:
    return make_set(tmp_path_factory.mktemp("anomaly") / "scratches")


@pytest.fixture(scope="session")
def fit(scratches):
    """fit(method, options) fits to the good pictures of the set, with few lessons."""

    def function(*args, **kwargs) -> Model:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(learned, "DAMAGED", 42)
            return Model.fit(sorted((scratches / "train" / "good").iterdir()), *args, **kwargs)

    return function


@pytest.fixture(scope="session")
def model(fit) -> Model:
    return fit()
