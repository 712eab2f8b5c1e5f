"""What the tests of encoder and decoder share."""

from __future__ import annotations

import pytest

from aecodec.codec import decoder, encoder


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 128 pixels, so that a small picture has many."""
    for module in (encoder, decoder):
        monkeypatch.setattr(module, "BLOCK", 128)
