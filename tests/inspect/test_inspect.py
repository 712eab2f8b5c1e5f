"""What is counted and drawn of a file, and the command."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

import aecodec
from aecodec.codec.encoder import Encoder
from aecodec.container.tiles import whole
from aecodec.entropy.trellis import STEP_SIZE
from aecodec.errors import AecodecError, WeightsError
from aecodec.inspect import bits, channels, growth, page, paths, report, scales
from aecodec.inspect.opened import Opened, middle
from aecodec.weights.store import at_gain_one

EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"


@pytest.fixture(autouse=True)
def _few_channels(monkeypatch):
    """Each of the strongest channels is decoded twice, and four show what sixteen do."""
    monkeypatch.setattr(report, "STRONGEST", 4)


def mixed(photo) -> np.ndarray:
    """A screen with a photograph in it, (128, 192, 3)."""
    array = np.full((128, 192, 3), 250, np.uint8)
    array[::3, ::2] = 20, 40, 90
    array[10:110, 100:180] = np.asarray(photo(80, 100))
    return array


@pytest.fixture(scope="module")
def made(photo, file):
    """Files of every kind, by what is special about them."""
    alpha = photo(72, 40)
    alpha.putalpha(Image.linear_gradient("L").resize(alpha.size))
    described = photo(40, 24)
    described.info["exif"] = EXIF
    return {
        "plain": file,
        "gray": aecodec.encode(photo(40, 24, "L"), 40),
        "alpha": aecodec.encode(alpha, 30),
        "metadata": Encoder(described).encode(700).data,
        "tiles": Encoder(photo(290, 150)).encode(900, tile=256).data,
        "mixed": aecodec.encode(mixed(photo), 30),
        "lossless": aecodec.encode(photo(30, 20), lossless=True),
        "psnr": aecodec.encode(photo(96, 64), 70, weights="photo-psnr"),
    }


@pytest.fixture(scope="module")
def opened(made):
    return {name: Opened.open(data) for name, data in made.items()}


@pytest.fixture(scope="module")
def counted(opened):
    """(tally, map) of the files that have latents."""
    return {name: bits.count(file) for name, file in opened.items() if file.weights is not None}


KINDS = ("plain", "gray", "alpha", "metadata", "tiles", "mixed", "lossless", "psnr")


@pytest.mark.parametrize("name", KINDS)
def test_the_parts_add_up_to_the_file(opened, counted, name):
    """A part that is missing or counted twice makes every share wrong."""
    parts = bits.parts(opened[name], counted.get(name, (None,))[0])
    assert sum(part.size for part in parts) == pytest.approx(len(opened[name].data), abs=1e-6)
    assert all(part.size >= 0 for part in parts)
    kinds = {part.kind for part in parts}
    assert ("alpha" in kinds) == (name == "alpha")
    assert ("metadata" in kinds) == (name == "metadata")
    assert ("pixels" in kinds) == (name in ("mixed", "lossless"))
    assert ("latents" in kinds) == (name != "lossless")


def test_the_bits_are_those_that_the_coder_wrote(photo):
    """Where bits go would be told from tables that the file was not coded with."""
    file = Opened.open(aecodec.encode(photo(200, 150), 80))
    total, where = bits.count(file)
    written = 8 * sum(map(len, file.stream.payloads))
    counted = total.hyper_bits.sum() + total.step_bits.sum()
    assert counted == pytest.approx(written, rel=0.01)
    assert counted <= written
    assert where.sum() == pytest.approx(counted, rel=1e-4)
    assert total.bits.sum() == pytest.approx(total.step_bits.sum())
    assert total.uses.sum() == total.coded.sum() == total.step_coded.sum()
    assert total.nothing.sum() == total.zeros.sum()
    assert total.squares.sum() == pytest.approx(total.residual.sum())


def test_the_map_is_bright_where_the_picture_is_busy():
    """A map of other places would send whoever looks for the costly part of a picture to the wrong one."""
    array = np.full((64, 192, 3), 90, np.uint8)
    array[:, 128:] = np.random.default_rng(1).integers(0, 255, (64, 64, 3))
    encoder = Encoder(array, all_learned=True)
    file = Opened.open(encoder.encode(1000).data)
    rows = np.array(report.of_file(file, {}).numbers["map"]["bits"])
    assert rows.shape == (4, 12)
    assert rows[:, 8:].sum() > 0.9 * rows.sum()


@pytest.mark.parametrize("name", ["plain", "gray", "tiles", "mixed", "psnr"])
def test_a_picture_grows_to_what_the_file_decodes_to(opened, made, name):
    """The last frame would be a picture that no decoder shows."""
    file = opened[name]
    area = middle(file.area, 256)
    shown = list(growth.frames(file, area))
    decoded = aecodec.decode(made[name], crop=(area.left, area.top, *area.shape[::-1]))
    final = np.asarray(decoded.convert("RGB"))
    assert np.array_equal(file.decode(area), final)
    assert name == "mixed" or np.array_equal(shown[-1], final)
    errors = [np.square(np.subtract(each, shown[-1], dtype=float)).mean() for each in shown]
    assert errors[0] > errors[2] > errors[-1] == 0


def test_an_impulse_is_local_and_as_large_as_its_step_says(opened):
    """Pictures of channels would show something else, or steps would be in other units than they claim."""
    file, total = opened["plain"], bits.count(opened["plain"])[0]
    steps = scales.pixel_steps(file.learned, file.header.rate)
    for channel in bits.channel_order(total)[:3]:
        size = channels.size_for(file, channel, 60)
        added = channels.impulse(file, channel, size).astype(float)
        assert np.abs(added[20:44, 20:44]).max() > 10 * np.abs(added[[0, -1]]).max()
        assert np.linalg.norm(added) / size * STEP_SIZE == pytest.approx(steps[channel], rel=0.25)
    assert (scales.pixel_steps(file.learned, 2048) < scales.pixel_steps(file.learned, 400))[:20].all()


def test_a_response_is_the_channel(opened):
    """A tile in another's place would be a picture of nothing."""
    file = opened["tiles"]
    assert len(file.tiles) > 1
    where = channels.response(file, 0)
    assert where.shape == file.latent_area.shape
    assert np.array_equal(where, file.latents_of(file.latent_area)[..., 0] / np.float32(16))
    pixels = np.asarray(aecodec.decode(file.data).convert("L"), float)[:144, :288]
    blocks = pixels.reshape(9, 16, 18, 16).mean((1, 3))
    assert abs(np.corrcoef(blocks.ravel(), where[:9, :18].ravel())[0, 1]) > 0.8  # channel 0 is brightness


def test_scales_are_compared_with_what_the_file_holds(opened, counted):
    """A model that predicts badly would look calibrated, or the other way round."""
    found = scales.levels(opened["tiles"].learned.entropy_model, counted["tiles"][0])
    assert sum(level.count for level in found) == counted["tiles"][0].uses.sum()
    for level in (each for each in found if each.count > 300):
        assert level.zeros == pytest.approx(level.table_zeros, abs=0.15)
        assert level.deviation == pytest.approx(level.tables, rel=0.35, abs=0.1)
    large = [level for level in found if level.scale > 2]
    assert all(level.tables == pytest.approx(level.scale, rel=0.2) for level in large)


def test_gains_are_undone_and_applied(opened):
    """Latents of two qualities could not be mixed."""
    file = opened["plain"]
    values = file.latents[0]
    there = at_gain_one(values, file.learned, file.header.rate)
    assert np.array_equal(paths.at_gain_of(there, file.learned, file.header.rate), values)
    other = Opened.open(aecodec.encode(Image.fromarray(file.decode(file.area)), 90))
    again = at_gain_one(other.latents[0], other.learned, other.header.rate)
    assert np.corrcoef(there.ravel(), again.ravel())[0, 1] > 0.97


def test_blends_begin_and_end_with_the_pictures(opened, photo):
    """A slider from one picture to the other would begin with a third."""
    first, second = opened["plain"], Opened.open(aecodec.encode(photo(120, 80, seed=3), 50))
    both = paths.pair(first, second, 768)
    assert both.cropped
    assert [box.shape for box in both.windows] == [(64, 96)] * 2
    assert not paths.pair(first, first, 768).cropped
    shown = list(both.blends(3))
    inner = (slice(0, 48), slice(0, 80))  # padding of the first, and what lies around the second, reach a little inside
    assert np.abs(np.subtract(shown[0], first.decode(first.area), dtype=int)[inner]).max() <= 1
    cut = second.decode(both.windows[1])
    assert np.abs(np.subtract(shown[2], cut, dtype=int)[16:48, 16:80]).mean() < 1.5
    mean = (shown[0].astype(float) + shown[2]) / 2
    assert np.abs(shown[1] - mean).mean() < 8
    with pytest.raises(AecodecError, match="different weights"):
        paths.pair(first, opened["psnr"], 768)
    with pytest.raises(WeightsError, match="no latents"):
        paths.pair(first, opened["lossless"], 768)


def test_directions_are_those_of_most_variance():
    """A walk would go where the pictures of the folder do not differ."""
    random = np.random.default_rng(0)
    axes = np.linalg.qr(random.normal(size=(8, 2)))[0].T
    amounts = random.normal(size=(50, 2)) * [3, 0.5]
    pooled = [np.concatenate([one * axes[0], two * axes[1] + 1]).astype(np.float32) for one, two in amounts]
    colour, _, texture, _ = paths.directions(pooled, 2)
    assert (colour.kind, texture.kind) == ("colour", "texture")
    assert colour.share > 0.999
    assert abs(colour.vector @ axes[0]) == pytest.approx(amounts[:, 0].std(ddof=1), rel=1e-3)
    assert abs(texture.vector @ axes[1]) == pytest.approx(amounts[:, 1].std(ddof=1), rel=1e-3)
    values = random.normal(size=(4, 4, 8)).astype(np.float32)
    for direction in (colour, texture):
        assert np.allclose(direction.walk(values, 0), values, atol=1e-6)
    assert np.allclose(colour.walk(values, 2) - values, 2 * colour.vector, atol=1e-5)
    ratio = texture.walk(values, 2).std((0, 1)) / values.std((0, 1))
    assert np.allclose(np.log(ratio), 2 * texture.vector, atol=1e-4)
    with pytest.raises(AecodecError, match="too few"):
        paths.directions(pooled[:2], 2)


@pytest.mark.parametrize("name", ["gray", "alpha", "tiles", "mixed", "lossless"])
def test_every_kind_of_file_has_a_page(opened, name):
    """A gray, transparent, tiled or exact picture would end in a traceback."""
    found = report.of_file(opened[name], {"name": "</script>{{style}}"})
    json.dumps(found.numbers, allow_nan=False)
    text = page.render(found, {"Command": "aecodec inspect"})
    assert "{{script}}" not in text
    assert text.count("</script>") == 2
    assert ("channels" in found.numbers) == (name != "lossless")
    picture = found.pictures["picture"].split(",", 1)[0]
    assert picture in ("data:image/webp;base64", "data:image/png;base64")


def test_large_maps_are_pooled(opened):
    """A page of a large photograph would be too heavy to open."""
    values = np.arange(35.0).reshape(5, 7)
    assert bits.pooled(values, 7) is not values
    assert np.array_equal(bits.pooled(values, 7), values)
    small = bits.pooled(values, 3)
    assert small.shape == (2, 3)
    assert small[0, 0] == values[:3, :3].mean()
    assert small[1, 2] == values[3:, 6:].mean()
    assert middle(whole(2000, 900), 768) == (608, 64, 1376, 832)


# ---------------------------------------------------------------- the command


def test_a_page_and_its_numbers(cli, tmp_path, file):
    """Whoever scripts this would get other numbers than the page shows."""
    (tmp_path / "in.aec").write_bytes(file)
    result = cli("inspect", "--json", "-o", "page.html", "in.aec")
    assert result.exit_code == 0, result.stderr
    numbers = json.loads(result.stdout)
    text = (tmp_path / "page.html").read_text("utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert (numbers.pop("input"), numbers.pop("output")) == ("in.aec", "page.html")
    assert data["numbers"] == numbers
    known = json.loads(cli("info", "--json", "in.aec").stdout)
    assert {key: numbers["facts"][key] for key in known if key not in ("input", "output")} == {
        key: value for key, value in known.items() if key not in ("input", "output")
    }
    alone = json.loads(cli("inspect", "--json", "in.aec").stdout)
    assert "output" not in alone
    assert alone["parts"] == numbers["parts"]
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", text)
    assert "https://" not in text
    assert "default-src 'none'" in text


@pytest.mark.slow
def test_a_picture_is_encoded_in_memory(cli, tmp_path, photo, tiny):
    """Whoever wonders what a picture would cost would have to write files first."""
    photo(64, 48).save(tmp_path / "in.png")
    numbers = json.loads(cli("inspect", "--json", "-q", 30, "in.png").stdout)
    assert numbers["facts"]["encoded"]
    assert numbers["facts"]["bytes"] == len(aecodec.encode(tmp_path / "in.png", 30))
    result = cli("inspect", "--weights", tiny[1], "-o", "page.html", "in.png")
    assert result.exit_code == 0, result.stderr
    assert "latents" in result.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"in.png", "page.html"}


def test_two_files_are_blended(cli, tmp_path, photo, file):
    """A picture of another size would be refused, or the cut would be silent."""
    (tmp_path / "a.aec").write_bytes(file)
    photo(80, 80, seed=2).save(tmp_path / "b.png")
    result = cli("inspect", "--json", "-o", "page.html", "a.aec", "b.png")
    assert result.exit_code == 0, result.stderr
    numbers = json.loads(result.stdout)
    assert numbers["window"] == {"width": 80, "height": 64, "cropped": True}
    assert [each["name"] for each in numbers["facts"]] == ["a.aec", "b.png"]
    assert len(numbers["blends"]) == report.BLENDS


def test_directions_of_a_folder_survive_a_bad_file(cli, tmp_path, photo, file):
    """One broken picture would cost the walk, or hide in it."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for seed in range(3):
        photo(64, 64, seed=seed).save(folder / f"{seed}.png")
    (folder / "bad.png").write_bytes(b"no picture")
    (folder / "one.aec").write_bytes(file)
    (tmp_path / "in.aec").write_bytes(file)
    result = cli("inspect", "--json", "--directions", "folder", "-o", "page.html", "in.aec")
    assert result.exit_code == 1
    assert "bad.png: " in result.stderr
    assert len(result.stderr.splitlines()) == 1
    directions = json.loads(result.stdout)["directions"]
    assert [each["kind"] for each in directions] == ["colour"] * 3 + ["texture"] * 3
    assert sum(each["share"] for each in directions[:3]) == pytest.approx(1, abs=1e-6)  # four pictures span three
    assert (tmp_path / "page.html").exists()


def test_directions_of_an_index_are_those_of_its_pictures(cli, fails, tmp_path, photo, file):
    """Who has an index of an archive would have to collect its pictures in one folder."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    for seed in range(3):
        photo(64, 64, seed=seed).save(tmp_path / "one" / f"{seed}.png")
    (tmp_path / "two" / "own.aec").write_bytes(file)
    (tmp_path / "in.aec").write_bytes(file)
    assert cli("similar", "index", "-o", "two/photos.index", "one", "two").exit_code == 0
    result = cli("inspect", "--json", "--directions", "two/photos.index", "-o", "page.html", "in.aec")
    assert result.exit_code == 0, result.stderr
    shares = [each["share"] for each in json.loads(result.stdout)["directions"]]
    assert sum(shares[:3]) == pytest.approx(1, abs=1e-6)  # four pictures span three
    (tmp_path / "two" / "own.aec").unlink()
    result = cli("inspect", "-f", "--directions", "two/photos.index", "-o", "page.html", "in.aec")
    assert result.exit_code == 1  # the page has the directions of the others
    assert "own.aec: no such file" in result.stderr
    assert "not an index of aecodec" in fails(1, "inspect", "-f", "--directions", "in.aec", "-o", "page.html", "in.aec")


def test_faults_are_one_line(cli, fails, tmp_path, file, made):
    """A traceback tells a user nothing."""
    (tmp_path / "in.aec").write_bytes(file)
    (tmp_path / "exact.aec").write_bytes(made["lossless"])
    (tmp_path / "bad.aec").write_bytes(file[:-9])
    (tmp_path / "there.html").write_text("mine")
    assert "--force" in fails(1, "inspect", "-o", "there.html", "in.aec")
    assert (tmp_path / "there.html").read_text() == "mine"
    assert "truncated" in fails(3, "inspect", "-o", "page.html", "bad.aec")
    assert "the second file exact.aec: every pixel" in fails(1, "inspect", "-o", "page.html", "in.aec", "exact.aec")
    assert "is the input itself" in fails(1, "inspect", "-f", "-o", "in.aec", "in.aec")
    for wrong in (["in.aec"], ["--json", "-o", "-", "in.aec"], ["-o", "p", "in.aec", "in.aec", "in.aec"], ["-o", "p"]):
        assert cli("inspect", *wrong).exit_code == 2
    (tmp_path / "empty").mkdir()
    assert "no pictures in the folder" in fails(1, "inspect", "--directions", "empty", "-o", "page.html", "in.aec")
    assert not (tmp_path / "page.html").exists()


def test_a_page_goes_through_pipes(cli, file):
    """A server that makes pages would need files."""
    result = cli("inspect", "-o", "-", "-", stdin=file)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("<!doctype html>")
    assert "standard input" in result.stdout


# ---------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def written(tmp_path_factory, opened, photo):
    """Pages of one file with directions, and of two files."""
    folder = tmp_path_factory.mktemp("pages")
    along = paths.directions([paths.pool(opened[name]) for name in ("plain", "gray", "tiles")], 2)
    facts = {"name": "photo.aec", "width": 290, "height": 150, "mode": "RGB", "quality": 44, "bpp": 1.0, "encoded": False}
    file = opened["tiles"]
    one = report.of_file(file, {**facts, "bytes": len(file.data)}, along)
    two = report.of_pair(opened["plain"], opened["plain"], [{**facts, "bytes": 1}, {**facts, "bytes": 1}])
    exact = report.of_file(opened["lossless"], {**facts, "bytes": 1, "metadata": []})
    for name, found in (("one", one), ("two", two), ("exact", exact)):
        (folder / f"{name}.html").write_text(page.render(found, {"Command": "aecodec inspect"}), "utf-8")
    return folder


def faults(browser) -> list:
    return [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_sliders_move_by_keyboard(browser, written, opened):
    """Frames that only a mouse reaches are closed to many."""
    from selenium.webdriver.common.keys import Keys

    browser.get((written / "one.html").as_uri())
    sections = [node.get_attribute("id") for node in browser.find_elements("css selector", "main > section")]
    assert sections == [
        "map", "parts", "channels", "steps", "quantiser", "strongest", "growth", "scales", "directions", "how"
    ]  # fmt: skip
    slider, image = (browser.find_element("css selector", f"#growth {name}") for name in ("input", ".frame img"))
    before = image.get_attribute("src")
    slider.send_keys(Keys.ARROW_RIGHT)
    assert image.get_attribute("src") != before
    assert "After context step 1" in browser.find_element("css selector", "#growth figcaption").text
    canvas = browser.find_element("css selector", "#heat canvas")
    browser.find_element("id", "opacity").send_keys(Keys.HOME)
    assert canvas.value_of_css_property("opacity") == "0"
    plot = browser.find_element("css selector", "#channels svg")
    plot.send_keys(Keys.ARROW_RIGHT)
    assert "symbols are 0" in browser.find_element("css selector", "#channels .tip").text
    browser.find_elements("css selector", "#directions .choices button")[3].click()
    assert "deviations" in browser.find_element("css selector", "#directions figcaption").text
    total = browser.find_element("css selector", "#parts tfoot").text
    assert re.sub(r"\D", "", total.split("file")[1].split("100 %")[0]) == str(len(opened["tiles"].data))
    assert faults(browser) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["one", "two", "exact"])
def test_pages_fit_a_phone(browser, written, name):
    """A page that scrolls sideways is not read on a phone."""
    browser.set_window_size(390, 800)
    browser.get((written / f"{name}.html").as_uri())
    wide = browser.execute_script("return document.documentElement.scrollWidth > window.innerWidth")
    browser.set_window_size(1100, 900)
    assert not wide
    assert faults(browser) == []
