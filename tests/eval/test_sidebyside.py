"""Pictures of equal size for the report."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
import pytest
from PIL import Image

from aecodec.eval import sidebyside
from aecodec.eval.codecs import Codec, open_codecs
from aecodec.eval.measure import Journal, measure_all, missing, open_pictures
from aecodec.eval.results import summarise
from aecodec.eval.sidebyside import at_size, choose, embed


def exponential(calls: list) -> Codec:
    """A codec of qualities 0..100 whose files grow by a third with ten qualities."""

    def encode(image, quality):
        calls.append(quality)
        return bytes(round(1000 * math.exp(quality / 35)))

    return Codec("exponential", "1", "", (0, 100), encode, None, step=0.05)


@pytest.mark.parametrize("target", [1100, 4000, 15000])
def test_the_search_meets_the_size_in_few_steps(target):
    """The words "at equal bytes" would not be true, or a report would take as long as the measurements."""
    calls: list[float] = []
    codec = exponential(calls)
    known = [(quality, len(codec.encode(None, quality))) for quality in (0, 100)]
    quality, data = at_size(None, codec, known, target)
    assert len(data) == pytest.approx(target, rel=0.01)
    assert len(codec.encode(None, quality)) == len(data)
    assert len(calls) < 8


@pytest.mark.parametrize(("target", "quality"), [(10, 0), (10**6, 100)])
def test_sizes_out_of_reach_give_the_nearest(target, quality):
    """A codec that cannot be so small would end the report in an endless search."""
    codec = exponential([])
    known = [(q, len(codec.encode(None, q))) for q in (0, 100)]
    assert at_size(None, codec, known, target)[0] == quality


def test_whole_numbers_stay_whole():
    """JPEG at quality 31.4 is JPEG at 31 under a wrong name."""
    calls: list[float] = []
    codec = exponential(calls)
    known = [(0, 1000), (100, len(codec.encode(None, 100)))]
    object.__setattr__(codec, "step", 1)
    at_size(None, codec, known, 5000)
    assert all(quality == int(quality) for quality in calls)


@pytest.fixture
def measured(tmp_path, photo):
    """Three pictures by JPEG and WebP: (pictures, codecs, results)."""
    for seed in range(3):
        photo(64, 48, seed=seed).save(tmp_path / f"{seed}.png")
    pictures, _ = open_pictures(sorted(tmp_path.glob("*.png")))
    codecs, _ = open_codecs(["jpeg", "webp"])
    journal = Journal()
    assert not any(measure_all(missing(pictures, codecs, ["psnr_rgb"], journal), journal))
    return pictures, codecs, summarise(pictures, codecs, ["psnr_rgb"], journal, "jpeg")


def test_the_worst_picture_comes_first(measured, monkeypatch):
    """A report that shows only what looks good is not believed."""
    _, _, results = measured
    images = results["codecs"]["webp"]["bd_rate_details"]["psnr_rgb"]["pchip"]["images"]
    for name, percent in zip(("0.png", "1.png", "2.png"), (-30.0, 5.0, -60.0), strict=True):
        images[name] = {"percent": percent}
    assert choose(results) == ["1.png", "0.png", "2.png"]
    monkeypatch.setattr(sidebyside, "PICTURES", 2)
    assert choose(results) == ["1.png", "2.png"]


def test_what_is_embedded_is_what_was_decoded(measured):
    """A picture that went through another lossy format would show errors that are not the codec's."""
    pictures, codecs, results = measured
    entry = next(embed(pictures, codecs, results))
    assert [set(level["codecs"]) for level in entry["levels"]] == [{"jpeg", "webp"}] * 2
    jpeg = entry["levels"][1]["codecs"]["jpeg"]
    (codec, _) = codecs
    picture = Image.open(pictures[0].path)
    decoded = codec.decode(codec.encode(picture, jpeg["quality"]))
    shown = Image.open(io.BytesIO(base64.b64decode(jpeg["image"].partition(",")[2])))
    assert np.array_equal(np.asarray(shown.convert("RGB")), np.asarray(decoded))


@pytest.mark.slow
def test_processes_do_not_change_what_is_shown(measured):
    """With -j the pictures would stand under each other's names."""
    pictures, codecs, results = measured
    assert list(embed(pictures, codecs, results, processes=2)) == list(embed(pictures, codecs, results))


def test_the_file_does_not_grow_without_end(measured, monkeypatch):
    """A report of large photographs would be too large to send or to open."""
    pictures, codecs, results = measured
    monkeypatch.setattr(sidebyside, "BUDGET", 1)
    monkeypatch.setattr(sidebyside, "SIDE", 16)
    (entry,) = embed(pictures, codecs, results)
    assert entry["box"] == (24, 16, 40, 32)
    monkeypatch.setattr(sidebyside, "BUDGET", 10**6)
    assert len(list(embed(pictures, codecs, results))) == 3
