"""Commands on the workers of a Dask cluster, which run in another folder than the client."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from aecodec.errors import AecodecError
from aecodec.eval import codecs, measure

pytest.importorskip("distributed")
import distributed

from aecodec import executors
from aecodec.eval import cluster as measuring

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    """The name of an executor: two workers, started where no test's pictures are."""
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as started:
        yield started.scheduler_address.replace("tcp", "dask")


@pytest.fixture
def photos(tmp_path, photo):
    (tmp_path / "photos").mkdir()
    for seed, name in enumerate(("a.png", "b.png")):
        photo(48, 32, seed=seed).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


def points(folder) -> dict:
    """Return what was measured, without seconds."""
    found = json.loads((folder / "results.json").read_text())["codecs"]
    return {
        (codec, image, point["quality"]): (point["bytes"], point["psnr_rgb"])
        for codec, entry in found.items()
        for image, own in entry["images"].items()
        for point in own
    }


def test_a_report_does_not_depend_on_where_it_was_measured(cli, cluster, photos, tmp_path):
    """Figures of two machines could not be compared."""
    quick = ("--codecs", "jpeg,webp", "--qualities", "3", "--metrics", "psnr_rgb")
    assert cli("eval", "photos", "-o", "here", *quick).exit_code == 0
    there = cli("eval", "photos", "-o", "there", "--executor", cluster, *quick)
    assert there.exit_code == 0, there.stderr
    assert len(points(tmp_path / "there")) == 12
    assert points(tmp_path / "there") == points(tmp_path / "here")


def test_restoration_is_measured_on_workers(cli, cluster, photos, tmp_path):
    """The same, for methods that restore."""
    pytest.importorskip("skimage")
    result = cli("eval", "photos/a.png", "--task", "dejpeg", "-o", "there", "--executor", cluster)
    assert result.exit_code == 0, result.stderr
    cases = json.loads((tmp_path / "there" / "results.json").read_text())["cases"]
    assert len(cases) == 4


def test_codecs_of_another_version_are_not_measured(cluster, photos):
    """A curve of two libraries under the name of one; seconds of processes that do several things at a time."""
    jpeg = replace(codecs.open_codecs(["jpeg"])[0][0], version="Pillow 1.0")
    pictures, _ = measure.open_pictures([photos / "a.png"])
    tasks = measure.missing(pictures, [jpeg], ["psnr_rgb"], measure.Journal())
    with executors.open_executor(cluster) as executor:
        with pytest.raises(AecodecError, match=r"no such jpeg: .* instead of Pillow 1.0"):
            list(measure.measure_all(tasks, measure.Journal(), executor=executor))
        executor.threads = lambda: 4
        with pytest.raises(AecodecError, match="workers of one thread"):
            list(measuring.measure_there(tasks, measure._attempt, executor))


def test_anomalies_are_judged_by_the_model_as_it_is_now(cli, cluster, tmp_path):
    """Workers live for weeks; a model that was fitted again under its name would never be used."""
    rng = np.random.default_rng(0)
    for kind, level in (("dark", 60), ("bright", 180)):
        (tmp_path / kind).mkdir()
        for number in range(8):
            pixels = (level + rng.integers(-20, 20, (64, 64))).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / kind / f"{number}.png")
    for good in ("dark", "bright"):
        fit = cli("anomaly", "fit", good, "-f", "-o", "model", "--method", "gaussian", "--features", "patches")
        assert fit.exit_code == 0, fit.stderr
        args = ("anomaly", "score", "model", "dark", "bright", "--json")
        here, there = (cli(*args, *more).stdout.splitlines() for more in ((), ("--executor", cluster)))
        assert _scores(there) == _scores(here)
        assert len(there) == 16


def _scores(lines) -> dict:
    return {line["input"]: line["score"] for line in map(json.loads, lines)}


def test_weights_in_a_folder_are_found_by_workers(cli, cluster, photos, tiny, tmp_path):
    """A path that means nothing where the worker runs would fail for each picture."""
    shutil.copytree(tiny[1], tmp_path / "mine")
    encoded = cli("encode", "--executor", cluster, "--weights", "mine", "--output-dir", "out", "photos")
    assert encoded.exit_code == 0, encoded.stderr
    decoded = cli("decode", "--executor", cluster, "--weights", "mine", "--output-dir", "back", "out")
    assert decoded.exit_code == 0, decoded.stderr
    assert Image.open(tmp_path / "back" / "a.png").size == (48, 32)
