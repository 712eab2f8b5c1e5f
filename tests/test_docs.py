"""The pages: their examples run, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [path for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]) if path.name != "CHANGELOG.md"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["README.md", "docs/api.md"])
def test_the_examples_run(tmp_path, monkeypatch, photo, file, name):
    """The first thing that a programmer does is to copy one."""
    pytest.importorskip("ssimulacra2")
    monkeypatch.chdir(tmp_path)
    photo(96, 64).save("photo.png")
    Path("photo.aec").write_bytes(file)
    text = (ROOT / name).read_text("utf-8")
    examples = [match for match in FENCE.finditer(text) if match[1] == "python"]
    assert examples
    names: dict[str, object] = {}
    for match in examples:
        above = text[: match.start(2)].count("\n")  # so that a traceback has the line of the page
        exec(compile("\n" * above + match[2], str(ROOT / name), "exec"), names)


def anchors(text: str) -> set[str]:
    """Return the names by which the headings of a page are linked to."""
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_lead_somewhere(page):
    """A page that was renamed leaves its readers at a dead end."""
    text = FENCE.sub("", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        linked = page.parent / path if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked.read_text("utf-8")), target
