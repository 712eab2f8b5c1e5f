"""The map: what is in the page, and what a browser makes of it."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

from aecodec.retrieval import chart, thumbnails, whitening
from aecodec.retrieval.journal import Row

HOSTILE = "</script><b>&{{data}}"
COUNT = 130


def rows() -> list[Row]:
    """Pictures of one colour each, in two groups whose vectors are far from each other."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(2, whitening.LENGTH))
    found = []
    for k in range(COUNT):
        vector = centres[k % 2] + 0.3 * rng.normal(size=whitening.LENGTH)
        vector /= np.linalg.norm(vector)
        image = Image.new("RGB", (60, 40), (k, 0, 255 * (k % 2)))
        name = f"{HOSTILE}/{k}.jpg" if k % 2 else f"b/{k}.aec"
        quality = None if k % 2 else 20.0 + k / 2
        found.append(
            Row(name, (1000 + k, k), vector.astype(np.float16), 600, 400, quality, thumbnails.webp(image, chart.SIDE))
        )
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("map") / "map.html"
    path.write_text(chart.render(rows(), "two groups", "pca"), "utf-8")
    return path


def data_of(page) -> dict:
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    return json.loads(text[1])


def test_the_page_is_alone_and_names_are_no_markup(page):
    """A map would need a network, or run a script that stands in a file's name."""
    text = page.read_text("utf-8")
    assert HOSTILE not in text
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", text)
    assert "default-src 'none'" in text


def test_the_page_knows_every_picture(page):
    """A picture that is missing on the map would be taken for lost."""
    data = data_of(page)
    assert data["pictures"]["path"] == [row.path for row in rows()]
    assert [data["folders"][k] for k in data["pictures"]["folder"][:2]] == ["b", HOSTILE]
    assert chart._shortened(["/a/b", "/a/b/c", "/a/d"]) == ["b", "b/c", "d"]
    assert chart._shortened(["a"]) == ["a"]
    assert sum(len(sheet["sizes"]) for sheet in data["sheets"]) == COUNT
    assert data["sheets"][0]["sizes"][0] == [96, 64]


@pytest.fixture
def opened(browser, page):
    browser.get(page.as_uri())
    yield browser
    faults = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert faults == []  # no errors, and nothing that the policy had to block


def keys(browser, *pressed: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    browser.execute_script("map.focus()")
    ActionChains(browser).send_keys(*pressed).perform()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_click_finds_the_pictures_most_like_one(opened):
    """The map's search would show others than aecodec similar query."""
    from selenium.webdriver.common.action_chains import ActionChains

    canvas = opened.find_element("id", "map")
    x, y = opened.execute_script("draw(); return [view.scale * xs[7] + view.x, view.scale * ys[7] + view.y]")
    size = canvas.size
    ActionChains(opened).move_to_element_with_offset(
        canvas, x - size["width"] / 2, y - size["height"] / 2
    ).click().perform()
    clicked = opened.execute_script("return opened")
    assert clicked >= 0
    vectors = np.array([row.vector for row in rows()], np.float32)
    similarity = vectors @ vectors[clicked]
    similarity[clicked] = -2
    shown = opened.execute_script("return results")
    assert len(set(shown) & set(np.argsort(-similarity)[:12].tolist())) >= 11  # the page's vectors are bytes
    assert opened.find_element("id", "about").text.startswith(rows()[clicked].path)
    assert len(opened.find_elements("css selector", "#similar button")) == 12


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_keys_move_select_and_copy(opened):
    """Who has no mouse could not use the map."""
    from selenium.webdriver.common.keys import Keys

    keys(opened, Keys.ARROW_RIGHT, " ")
    keys(opened, Keys.ARROW_DOWN, " ", Keys.ARROW_LEFT, " ")
    selected = opened.execute_script("return [...selected]")
    assert len(selected) in (2, 3)
    assert f"{COUNT} pictures, {len(selected)} selected" in opened.find_element("id", "count").text
    keys(opened, "c")
    assert opened.execute_script("return document.getElementById('paths').value").splitlines() == [
        rows()[k].path for k in sorted(selected)
    ]
    before = opened.execute_script("return view.scale")
    keys(opened, "+")
    assert opened.execute_script("return view.scale") > before
    keys(opened, Keys.ENTER)
    assert opened.find_element("id", "panel").is_displayed()
    keys(opened, Keys.ESCAPE, Keys.ESCAPE)
    assert not opened.find_element("id", "panel").is_displayed()
    assert opened.execute_script("return selected.size") == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_frames_the_legend_and_the_filter_select(opened):
    """A series of pictures could only be picked one by one."""
    from selenium.webdriver.common.action_chains import ActionChains

    opened.find_element("css selector", "#legend button").click()
    assert opened.execute_script("return selected.size") == COUNT // 2
    opened.find_element("id", "clear").click()
    opened.find_element("id", "filter").send_keys(".AEC")
    assert f"{COUNT // 2} of {COUNT} pictures" in opened.find_element("id", "count").text
    opened.find_element("id", "mode").click()
    canvas = opened.find_element("id", "map")
    height = canvas.size["height"]
    box = opened.execute_script("return [view.x, view.y, view.scale]")
    start = box[0] - 20 - canvas.size["width"] / 2, max(70, box[1] - 20) - height / 2
    ActionChains(opened).move_to_element_with_offset(canvas, *start).click_and_hold().move_by_offset(
        box[2] + 40, min(box[2] + 40, height - 140)
    ).release().perform()
    chosen = opened.execute_script("return [...selected]")
    assert len(chosen) > COUNT // 3
    assert all(k % 2 == 0 for k in chosen)  # those that the filter hides are not selected


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_thumbnails_appear_where_there_is_room(opened):
    """A map of points without pictures helps nobody."""
    from selenium.webdriver.support.ui import WebDriverWait

    opened.execute_script("open(3); close(); zoom(60, view.scale * xs[3] + view.x, view.scale * ys[3] + view.y)")
    place = "const k = devicePixelRatio; draw(); return [...context.getImageData((view.scale * xs[3] + view.x + 12) * k, "
    place += "(view.scale * ys[3] + view.y + 9) * k, 1, 1).data]"
    WebDriverWait(opened, 30).until(lambda b: b.execute_script(place)[2] > 200 and b.execute_script(place)[1] < 60)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_a_dark_room(opened, scheme):
    """Controls beyond the edge of the screen cannot be reached."""
    size = {"width": 390, "height": 780, "deviceScaleFactor": 2, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    try:
        opened.refresh()
        opened.execute_script("open(0)")
        for name in ("filter", "zoom-in", "close", "toggle", "copy"):
            box = opened.find_element("id", name).rect
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390, name
        back = opened.execute_script("draw(); return context.getImageData(2, 2, 1, 1).data[0]")
        assert (back < 60) == (scheme == "dark")
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
