"""The comparison of kinds and the contact sheets."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from aecodec.autoencoders import Autoencoder, page
from aecodec.autoencoders.compare import compare, split
from aecodec.autoencoders.kinds import Linear
from aecodec.autoencoders.sheets import CELL, GAP, MARGIN, interpolation, sheet, traversal
from aecodec.errors import SettingsError


@pytest.fixture(scope="module")
def found(digits, tmp_path_factory):
    """Two kinds of two sizes on pictures of two digits, 16 x 16, and the folder of the models."""
    from sklearn.datasets import load_digits

    labels = load_digits().target
    chosen = np.flatnonzero(labels < 2)[:120]
    pictures = np.repeat(np.repeat(digits[chosen], 2, 1), 2, 2)[..., None]
    folder = tmp_path_factory.mktemp("models")
    settings = Autoencoder(epochs=4, size=16)
    steps = []

    def run():
        return compare(
            pictures, [str(labels[each]) for each in chosen], ["tied", "vq-vae"], [2, 6], settings, folder=folder,
            tell=lambda *step: steps.append(step),
        )  # fmt: skip

    first = run()
    trained = len(steps)
    return first, run(), trained, len(steps) - trained


@pytest.mark.slow
def test_rows_say_what_kinds_reach(found):
    """A table whose numbers do not move with what they measure."""
    rows = {(row.kind, row.latent): row for row in found[0].rows}
    few, many = rows["tied", 2], rows["tied", 6]
    assert many.psnr > few.psnr
    assert many.ssim > few.ssim
    assert many.bits > few.bits > 2
    assert many.numbers == 6
    assert many.sharpness > few.sharpness
    assert many.psnr > many.noisy > few.psnr - 6
    assert many.probe > 0.9
    assert found[0].classes == 2
    assert found[0].floor < few.frechet
    assert (found[0].pictures, found[0].held_out) == (96, 24)


@pytest.mark.slow
def test_kept_models_are_not_fitted_again(found):
    """A comparison of an hour that was interrupted would begin again."""
    first, second, trained, again = found
    assert trained == 4 * 5
    assert again == 4
    assert [row.psnr for row in first.rows] == [row.psnr for row in second.rows]
    assert [row.frechet for row in first.rows] == [row.frechet for row in second.rows]


@pytest.mark.slow
def test_the_page_holds_everything_and_opens(found, browser, tmp_path):
    """A page that asks a network for a part shows nothing where there is none; a script with an error shows a heading."""
    text = page.render(found[0], "Digits </script>", {"Command": "aecodec"})
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert [row["kind"] for row in data["rows"]] == ["tied", "tied", "vq-vae", "vq-vae"]
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    (tmp_path / "page.html").write_text(text, "utf-8")
    browser.get((tmp_path / "page.html").as_uri())
    assert browser.title == "Digits </script>"
    assert len(browser.find_elements("css selector", "#table tbody tr")) == 4
    assert len(browser.find_elements("css selector", "#plot circle")) >= 4
    assert len(browser.find_elements("css selector", "#sheets img")) == 2 + 3 * 4
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_held_out_pictures_are_not_learned_from():
    """Numbers of pictures that were learned from are no test."""
    learned, held = split(50, 0.2, seed=1)
    assert sorted([*learned, *held]) == list(range(50))
    assert len(held) == 10
    with pytest.raises(SettingsError, match="too few"):
        split(3, 0.2, 0)


def test_a_sheet_has_a_cell_for_each_picture():
    """Pixels that are blended away hide what a model really draws."""
    pictures = np.zeros((5, 8, 8), np.uint8)
    pictures[4, 0, 0] = 255
    image = sheet(pictures, 3)
    factor = CELL // 8
    assert image.size == (3 * (8 * factor + GAP) - GAP, 2 * (8 * factor + GAP) - GAP)
    assert np.asarray(image)[8 * factor + GAP, 8 * factor + GAP].tolist() == [255] * 3
    assert sheet(pictures, 5, ["row"]).width == MARGIN + 5 * (8 * factor + GAP) - GAP
    with pytest.raises(SettingsError, match="gray or RGB"):
        sheet(np.zeros((1, 8, 8, 2)), 1)


def test_an_interpolation_goes_from_one_picture_to_the_other(digits):
    """Its ends must be the pictures, and its middle between them."""
    model = Autoencoder("tied", 16, epochs=5).fit(digits[..., None])
    found = interpolation(model, digits[0], digits[1], 5)
    assert found.shape == (7, 8, 8, 1)
    assert np.abs(found[0, ..., 0] - digits[0]).max() < 0.01
    assert np.abs(found[-1, ..., 0] - digits[1]).max() < 0.01
    middle = (found[1] + found[5]) / 2
    assert np.abs(found[3] - middle).mean() < 0.2 * np.abs(found[1] - middle).mean()


def test_a_traversal_moves_one_number_and_begins_with_the_strongest(digits):
    """Rows that show nothing first hide what the code says."""
    model = Autoencoder(Linear(tied=True), 4, epochs=5).fit(digits[..., None])
    pictures, numbers = traversal(model, None, 3, 5, 2.0)
    assert pictures.shape == (15, 8, 8, 1)
    rows = pictures.reshape(3, 5, 8, 8)
    moves = np.square(rows[:, -1] - rows[:, 0]).sum((1, 2))
    assert len(set(numbers)) == 3
    assert (np.diff(moves) < 0.2 * moves[0]).all()
    assert np.allclose(rows[0, 2], rows[1, 2])
    started, _ = traversal(model, digits[3][..., None], 1, 3, 1.0)
    assert np.allclose(started[1], model.inverse_transform(model.transform(digits[3:4, ..., None]))[0], atol=1e-2)


def test_a_model_of_a_table_has_no_sheet(table):
    """Rows of numbers would be shown as a picture of one line."""
    with pytest.raises(SettingsError, match="not of pictures"):
        traversal(Autoencoder("tied", 2, epochs=1).fit(table), None, 1, 3, 1.0)
