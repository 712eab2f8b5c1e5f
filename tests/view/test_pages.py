"""Pages that show files, in a real browser: from a disk without a network, and from the server for a folder."""

from __future__ import annotations

import hashlib
import http.client
import http.server
import json
import threading
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

import aecodec
from aecodec.view.page import render
from aecodec.view.server import Server, _Handler as handler

CONFORMANCE = Path(__file__).parents[1] / "conformance"
INDEX = json.loads((CONFORMANCE / "index.json").read_text())
LIMIT = 250  # seconds
HASHES = """
const done = arguments[arguments.length - 1];
const hex = (digest) => [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
(async () => {
  const { decoder } = await starting, found = {};
  for (const { name, place } of entries) {
    const bytes = await fetched(place), { depth } = await decoder.info(bytes);
    const { data } = await decoder.decode(bytes, { depth });
    found[name] = hex(await crypto.subtle.digest("SHA-256", data));
  }
  return found;
})().then(done, (error) => done(error.message));
"""


SHOWN = """
const canvas = document.querySelector('#under canvas');
return [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]
"""


@pytest.fixture(scope="module")
def server():
    """A server for the conformance streams."""
    with Server(lambda: [(path.name, path) for path in sorted(CONFORMANCE.glob("*.aec"))]) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


@pytest.fixture
def patient(browser):
    browser.set_script_timeout(LIMIT)
    browser.set_page_load_timeout(LIMIT)
    browser.get_log("browser")
    yield browser
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def ask(server, path, **headers):
    """Return status and body of what a client gets."""
    parts = urlsplit(server.address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def wait(browser, text):
    """Wait until the page's status begins with a text; the page must not have failed meanwhile."""
    from selenium.webdriver.support.ui import WebDriverWait

    def status(session):
        found = session.find_element("id", "status")
        kind, shown = found.get_attribute("class") or "", found.text  # in this order: the page sets the text first
        assert shown.startswith(text) or "bad" not in kind, shown
        return shown.startswith(text)

    WebDriverWait(browser, LIMIT, 0.2).until(status)


def faults(browser):
    return [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.mark.slow
def test_chromium_gives_the_pixels_of_every_other_decoder(patient, server):
    """A picture would look different in a browser."""
    patient.get(server.address)
    found = patient.execute_async_script(HASHES)
    assert found == {f"{name}.aec": entry["pixels"] for name, entry in INDEX.items()}
    assert faults(patient) == []


@pytest.mark.slow
def test_a_page_on_a_disk_shows_its_picture_without_a_network(patient, tmp_path):
    """A stranger who got one HTML file would see nothing."""
    data = (CONFORMANCE / "rgb-high.aec").read_bytes()
    (tmp_path / "page.html").write_text(render(data, "rgb-high.aec"), "utf-8")
    patient.get((tmp_path / "page.html").as_uri())
    wait(patient, "decoded")
    assert bytes(patient.execute_script(SHOWN)) == aecodec.decode(data, device="cpu").convert("RGBA").tobytes()
    assert "97 \u00d7 65" in patient.find_element("id", "facts").text
    assert faults(patient) == []
    fetches = "return performance.getEntriesByType('resource').filter(({name}) => !/^(blob|data):/.test(name)).length"
    assert patient.execute_script(fetches) == 0


def preview_of(data):
    """The four channels of what there is of a file, as a canvas has them."""
    with pytest.warns(UserWarning, match="preview"):
        return aecodec.decode(data, preview=True).convert("RGBA").tobytes()


@pytest.mark.slow
def test_a_file_is_shown_while_it_comes_in_pieces(patient):
    """Who waits for a large picture would look at nothing."""
    paths = [CONFORMANCE / "pixel.aec", CONFORMANCE / "rgb-high.aec"]
    data = paths[1].read_bytes()
    half, seen = len(data) // 2, threading.Event()

    class InPieces(handler):
        def send_content(self, content):
            if content != data:
                super().send_content(content)
                return
            self.wfile.write(content[:half])
            assert seen.wait(LIMIT)
            self.wfile.write(content[half:])

    with Server(lambda: [(path.name, path) for path in paths]) as found:
        found.RequestHandlerClass = InPieces
        threading.Thread(target=found.serve_forever, daemon=True).start()
        try:
            patient.get(found.address)
            wait(patient, "decoded")
            patient.find_element("id", "stage").send_keys("n")
            wait(patient, "rgb-high.aec: 50 %")
            assert bytes(patient.execute_script(SHOWN)) == preview_of(data[:half])
            seen.set()
            wait(patient, "decoded")
            assert bytes(patient.execute_script(SHOWN)) == aecodec.decode(data, device="cpu").convert("RGBA").tobytes()
        finally:
            seen.set()
            found.shutdown()
    assert faults(patient) == []


SEEN = """
const page = frames[0]?.document, image = page?.getElementById("preview");
if (!image?.complete || !image.naturalWidth) return null;
const canvas = Object.assign(document.createElement("canvas"), {width: 12, height: 8});
canvas.getContext("2d").drawImage(image, 0, 0, 12, 8);
const {left, top, right, bottom} = image.getBoundingClientRect(), {innerWidth, innerHeight} = frames[0];
return {pixels: [...canvas.getContext("2d").getImageData(0, 0, 12, 8).data], state: page.readyState,
    inside: image.checkVisibility() && left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight};
"""
FRAME = "document.body.append(Object.assign(document.createElement('iframe'), {src: '/page', width: 900, height: 800}))"


@pytest.mark.slow
def test_a_page_that_comes_in_pieces_shows_its_picture_before_the_decoder_is_there(patient, photo):
    """Over a slow line a reader would look at an empty page for as long as eight megabytes take."""
    from selenium.webdriver.support.ui import WebDriverWait

    picture = photo(240, 160)
    page = render(aecodec.encode(picture, 70), "photo.aec").encode()
    start, seen = page.index(b'id="module"'), threading.Event()

    class InPieces(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            content = page if self.path == "/page" else b"<!doctype html>"  # a frame: the driver waits for whole pages
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:start])
            if content is page:
                assert seen.wait(LIMIT)
                self.wfile.write(content[start:])

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), InPieces) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        try:
            patient.get(f"http://127.0.0.1:{found.server_port}/")
            patient.execute_script(FRAME)
            shown = WebDriverWait(patient, LIMIT, 0.2).until(lambda session: session.execute_script(SEEN))
            assert shown["state"] == "loading"
            assert shown["inside"]
            small = np.asarray(picture.convert("RGBA").resize((12, 8), Image.Resampling.BOX), int)
            assert np.abs(np.reshape(shown["pixels"], small.shape) - small).mean() < 12
            seen.set()
            patient.switch_to.frame(0)
            wait(patient, "decoded")
        finally:
            seen.set()
            found.shutdown()


@pytest.mark.slow
def test_a_file_that_was_cut_off_is_shown_and_called_so(patient, tmp_path):
    """A stranger with half a download would see nothing, or take it for all."""
    data = (CONFORMANCE / "rgb-high.aec").read_bytes()
    (tmp_path / "page.html").write_text(render(data, "rgb-high.aec"), "utf-8")
    (tmp_path / "part.aec").write_bytes(data[:-1000])
    patient.get((tmp_path / "page.html").as_uri())
    wait(patient, "decoded")
    patient.find_element("id", "chooser").send_keys(str(tmp_path / "part.aec"))
    wait(patient, "part.aec: the file ends early")
    assert bytes(patient.execute_script(SHOWN)) == preview_of(data[:-1000])


@pytest.mark.slow
def test_two_files_are_compared_from_the_keyboard_on_a_phone_in_the_dark(patient, server):
    """Who has no mouse, or a small screen, could not use the page."""
    from selenium.webdriver.common.keys import Keys

    metrics = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    patient.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    patient.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    patient.get(server.address)
    wait(patient, "decoded")
    assert patient.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    stage = patient.find_element("id", "stage")
    patient.execute_script("arguments[0].value = entries.findIndex(({name}) => name === 'rgb-low.aec');"
        "arguments[0].dispatchEvent(new Event('change'))", patient.find_element("id", "first"))  # fmt: skip
    wait(patient, "decoded")
    stage.send_keys("c")
    wait(patient, "rgb-low.aec: decoded")
    slider, over = patient.find_element("id", "slider"), patient.find_element("id", "over")
    before = over.get_attribute("style")
    slider.send_keys(Keys.HOME)
    assert over.get_attribute("style") != before
    scale = patient.find_element("id", "scale")
    fitted = scale.text
    stage.send_keys("+", Keys.ARROW_LEFT)
    assert scale.text != fitted
    stage.send_keys("0")
    assert scale.text == fitted
    assert patient.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    red, green, blue = patient.execute_script(
        "return getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)"
    )
    assert max(red, green, blue) < 64
    assert faults(patient) == []


def test_the_server_gives_nothing_but_what_is_listed(server):
    """Other users of the machine, or a web site that a browser visits, would read files."""
    root = urlsplit(server.address).path
    assert ask(server, f"{root}file/0")[1] == min(CONFORMANCE.glob("*.aec")).read_bytes()
    assert ask(server, root)[0] == 200
    for path in (
        "/",
        "/file/0",
        f"{root}file/99",
        f"{root}file/../../index.json",
        f"{root}index.json",
        f"{root}weights/no",
    ):
        assert ask(server, path)[0] == 404
    assert ask(server, root, Host="site.example")[0] == 404  # a name that leads to this address


def test_a_page_has_the_preview_and_a_policy_in_front_of_its_megabytes():
    """A reader would look at nothing while the page loads, and a damaged picture could run a script."""
    page = render((CONFORMANCE / "pixel.aec").read_bytes(), "</script><b>.aec")
    assert 0 < page.index('id="preview"') < page.index('id="weights-')
    assert "default-src 'none'" in page
    assert "'unsafe-eval'" not in page.replace("'wasm-unsafe-eval'", "")
    assert "</script><b>" not in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")[:20000]


def test_the_command_writes_a_page_and_opens_it_when_asked(cli, fails, monkeypatch, tmp_path):
    """The command would overwrite a file, or open a browser on a server."""
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    stream = CONFORMANCE / "pixel.aec"
    assert cli("view", stream, "--no-open").exit_code == 0
    assert (tmp_path / "pixel.html").read_text("utf-8").startswith("<!doctype html>")
    assert opened == []
    assert "exists" in fails(1, "view", stream)
    assert cli("view", stream, "-o", "page.html").exit_code == 0
    assert opened == [(tmp_path / "page.html").as_uri()]
    (tmp_path / "bad.aec").write_bytes(stream.read_bytes()[:-9])
    fails(3, "view", "bad.aec")
    assert not (tmp_path / "bad.html").exists()
    assert cli("view", tmp_path, "-o", "page.html").exit_code == 2


def test_a_digest_of_the_script_is_in_the_policy():
    """Browsers would refuse the page's own script."""
    import base64

    page = render((CONFORMANCE / "pixel.aec").read_bytes(), "a.aec")
    script = page.rsplit("<script>", 1)[1].rsplit("</script>", 1)[0]
    assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in page
