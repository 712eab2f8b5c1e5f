"""What the tests of training share."""

from __future__ import annotations

import pytest

from aecodec.training import compression, validation


@pytest.fixture(autouse=True)
def short_ends(monkeypatch) -> None:
    """The end of a run looks at few crops: those of a real run's number would take most of the time of every short run."""
    monkeypatch.setattr(compression, "RECOUNT_CROPS", 2)
    monkeypatch.setattr(compression, "RECOUNTS", 1)
    monkeypatch.setattr(validation, "CROPS", 2)


@pytest.fixture
def all_crops(short_ends, monkeypatch) -> None:
    """For a test of what is measured or counted: as many crops as in a real run."""
    monkeypatch.setattr(compression, "RECOUNTS", 2)
    monkeypatch.setattr(validation, "CROPS", 64)
