"""The page, as text and in a browser."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from aecodec.eval.codecs import open_codecs, with_qualities
from aecodec.eval.measure import Journal, measure_all, missing, open_pictures
from aecodec.eval.report import render
from aecodec.eval.results import environment, summarise
from aecodec.eval.sidebyside import choose, embed
from aecodec.metrics import CURVES, METRICS

HOSTILE = "</script><b>&{{data}}.png"


@pytest.fixture(scope="module")
def page(tmp_path_factory, photo):
    """report.html of two pictures by JPEG and WebP, with a failure and an absent codec."""
    folder = tmp_path_factory.mktemp("report")
    for seed in range(2):
        photo(96, 64, seed=seed).save(folder / f"{seed}.png")
    pictures, _ = open_pictures(sorted(folder.glob("*.png")))
    codecs = with_qualities(open_codecs(["jpeg", "webp"])[0], ["4"])
    journal, metrics = Journal(), ["psnr_rgb", "ssim", "ms_ssim"]  # the last is not defined for so small ones
    assert not any(measure_all(missing(pictures, codecs, metrics, journal), journal))
    results = summarise(pictures, codecs, metrics, journal, "jpeg")
    results["failures"] = [{"picture": HOSTILE, "codec": None, "quality": None, "reason": "it is broken"}]
    results["absent"] = {"jxl": "needs a plugin"}
    results["references"]["Paper"] = {
        "source": "paper.json", "description": "",
        "points": [{"bpp": 0.5, "psnr_rgb": 30.0}, {"bpp": 1.0, "psnr_rgb": 33.0}],
    }  # fmt: skip
    results["environment"] = environment("aecodec eval", 1)
    shown = [picture for name in choose(results) for picture in pictures if picture.name == name]
    path = folder / "report.html"
    path.write_text(render(results, list(embed(shown, codecs, results))), "utf-8")
    return path


def test_the_page_is_one_file_that_asks_no_network(page):
    """A report that is sent to somebody would come without its pictures, or tell a server that it was opened."""
    text = page.read_text("utf-8")
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", text)
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text
    assert "default-src 'none'" in text
    assert "{{style}}" not in text
    assert "{{script}}" not in text


def test_names_of_files_are_no_markup(page):
    """A file's name could run a script in the browser of whoever opens the report."""
    assert HOSTILE not in page.read_text("utf-8")
    assert "\\u003c/script>\\u003cb>&{{data}}.png" in page.read_text("utf-8")


@pytest.fixture
def opened(browser, page):
    """The browser with the page open and its pictures drawn."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(page.as_uri())
    WebDriverWait(browser, 60).until(lambda b: b.find_element("id", "caption-b").text)
    yield browser
    faults = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert faults == []  # no errors, and nothing that the policy had to block


def pixel(browser, canvas: str) -> list[int]:
    script = "return [...document.getElementById(arguments[0]).getContext('2d').getImageData(20, 20, 1, 1).data]"
    return browser.execute_script(script, canvas)


@pytest.mark.timeout(900)
def test_the_curves_answer_to_the_pointer(opened):
    """The values behind a point could not be read."""
    from selenium.webdriver.common.action_chains import ActionChains

    marker = opened.find_element("css selector", "#curve-plot rect")  # JPEG's, the first codec's would be a circle
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", marker)
    ActionChains(opened).move_to_element(marker).perform()
    tip = opened.find_element("css selector", "#curve-plot .tip")
    assert tip.is_displayed()
    assert re.match(r"webp, quality \d+\n[\d.]+ bits per pixel\nPSNR-RGB [\d.]+\nSSIM 0\.\d+ \([\d.]+ dB\)", tip.text)


@pytest.mark.timeout(900)
def test_the_slider_moves_and_zooms(opened):
    """Two codecs could not be compared by eye."""
    from selenium.webdriver.common.action_chains import ActionChains

    stage, pane = (opened.find_element("id", name) for name in ("stage", "pane-b"))
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", stage)
    assert "50%" in pane.get_attribute("style")
    bar = opened.find_element("id", "bar")
    ActionChains(opened).drag_and_drop_by_offset(bar, -stage.size["width"] // 4, 0).perform()
    divider = float(opened.find_element("id", "divider").get_attribute("value"))
    assert divider == pytest.approx(25, abs=2)
    clip = re.search(r"([\d.]+)%", pane.get_attribute("style"))
    assert float(clip[1]) == pytest.approx(divider, abs=0.5)
    zoom_in = opened.find_element("id", "zoom-in")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", zoom_in)
    zoom_in.click()
    assert "scale(2)" in opened.find_element("id", "canvas-a").get_attribute("style")


@pytest.mark.timeout(900)
def test_the_error_map_of_the_original_is_black(opened):
    """A map against anything but the original shows errors where there are none."""
    from selenium.webdriver.support.ui import Select, WebDriverWait

    before = pixel(opened, "canvas-a")
    Select(opened.find_element("id", "look-a")).select_by_value("original")
    Select(opened.find_element("id", "look-mode")).select_by_value("error")
    WebDriverWait(opened, 60).until(lambda b: pixel(b, "canvas-a") != before)
    WebDriverWait(opened, 60).until(lambda b: pixel(b, "canvas-a") == [0, 0, 4, 255])
    assert pixel(opened, "canvas-b") != [0, 0, 4, 255]


@pytest.mark.timeout(900)
def test_everything_that_was_promised_is_on_the_page(opened):
    """Failures, absent codecs and versions are what makes the numbers believable."""
    text = opened.find_element("tag name", "body").text
    for expected in (HOSTILE, "it is broken", "needs a plugin", "Pillow", "aecodec eval", "PSNR-RGB in detail", "1.png"):
        assert expected in text
    assert opened.find_element("id", "bd-head").text == "Every codec against jpeg"
    headings = [cell.text for cell in opened.find_elements("css selector", "#picture-table th")]
    assert headings == ["picture", "size", "webp ↓"]
    opened.find_element("css selector", "#picture-table th button").click()
    first = opened.find_element("css selector", "#picture-table tbody td").text
    assert first == "0.png"
    opened.find_elements("css selector", "#metrics button")[1].click()
    assert opened.find_element("id", "bd-title").text == "SSIM in detail"
    opened.set_window_size(390, 800)
    wide = opened.execute_script("return document.documentElement.scrollWidth > window.innerWidth")
    opened.set_window_size(1100, 900)
    assert not wide


@pytest.mark.timeout(900)
def test_curves_are_drawn_of_what_bd_rates_are_of(opened):
    """The page has the functions a second time: a plot in other units than the table below it."""
    values = {"plain": 70, "similarity": 0.97, "jod": 9.3}
    drawn = {name: opened.execute_script(f"return CURVES.{name}({value})") for name, value in values.items()}
    assert drawn == pytest.approx({name: CURVES[name](value) for name, value in values.items()})
    assert CURVES.keys() == values.keys() == {metric.curve for metric in METRICS.values()}
    assert opened.execute_script("return [CURVES.similarity(1), CURVES.jod(10)]") == [None, None]  # infinite


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_aecodec_has_a_table_against_each_of_the_others(browser, tmp_path, photo):
    """The first question of whoever chooses a codec, by the metric of eyes and in the headline."""
    photo(176, 176).save(tmp_path / "0.png")
    pictures, _ = open_pictures([tmp_path / "0.png"])
    jpeg, webp = with_qualities(open_codecs(["jpeg", "webp"])[0], ["4"])
    codecs, journal = [replace(webp, name="aecodec-photo"), jpeg, webp], Journal()
    assert not any(measure_all(missing(pictures, codecs, list(METRICS), journal), journal))
    results = summarise(pictures, codecs, list(METRICS), journal, "jpeg")
    results |= {"absent": {}, "environment": environment("aecodec eval", 1)}
    path = tmp_path / "report.html"
    path.write_text(render(results, []), "utf-8")
    browser.get(path.as_uri())
    rate = abs(results["against"]["aecodec-photo"]["jpeg"]["ssimulacra2"]["percent"])
    assert browser.find_element("id", "headline").text.endswith(f"{rate:.1f} % fewer bytes than jpeg at equal SSIMULACRA2")
    cells = [cell.text for cell in browser.find_elements("css selector", "#against-all :is(th, td)")]
    assert cells[:4] == ["against", "settings", "SSIMULACRA2", "CVVDP"]
    rows = [cells[start : start + 8] for start in (8, 16)]
    assert [row[0] for row in rows] == ["jpeg", "webp"]
    assert rows[0][2] == f"−{rate:.1f} %"
    assert rows[1][2] == "+0.0 %"
    assert "CVVDP" in browser.find_element("id", "definitions").text
    assert browser.find_element("css selector", "#curve-plot svg").get_attribute("aria-label").startswith("SSIMULACRA2")
