"""What the tests of training share."""

from __future__ import annotations

import pytest

from aecodec.training import compression


@pytest.fixture(autouse=True)
def few_crops_to_count(monkeypatch) -> None:
    """Symbols are counted of two crops: those of a real run's number would take most of the time of every short run."""
    monkeypatch.setattr(compression, "RECOUNT_CROPS", 2)
