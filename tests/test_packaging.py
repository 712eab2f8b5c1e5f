"""The readme as an index of packages shows it. ``make dist`` tries the packages themselves."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def readme():
    """The function of setup.py."""
    pytest.importorskip("setuptools")
    return runpy.run_path(str(ROOT / "setup.py"))["readme"]


def test_an_index_page_has_no_dead_link(readme):
    """There is no folder docs/ beside a page of an index: whoever follows a relative link meets an error."""
    page = "[a](docs/a.md#b) ![c](docs/c.png) [d](https://d.example/) [e](#e) `'.[eval]'`"
    assert readme(page, None) == "a  [d](https://d.example/) [e](#e) `'.[eval]'`"
    assert readme(page, "https://f.example/g/") == (
        "[a](https://f.example/g/blob/HEAD/docs/a.md#b) ![c](https://f.example/g/raw/HEAD/docs/c.png) "
        "[d](https://d.example/) [e](#e) `'.[eval]'`"
    )
    for source in (None, "https://f.example/g"):
        shown = readme((ROOT / "README.md").read_text("utf-8"), source)
        assert "](docs/" not in shown
        assert "](SECURITY.md" not in shown
