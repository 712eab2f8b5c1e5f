"""Weights on disk and what is made of them, where the two are not the same thing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from safetensors.numpy import load, save

from aecodec import weights
from aecodec.networks.export import load_float_model, save_weights


def without(folder: Path, names: tuple[str, ...], target: Path) -> str:
    """A copy of a weights folder that lacks tensors."""
    data = save({name: array for name, array in load((folder / weights.TENSORS).read_bytes()).items() if name not in names})
    card = weights.read_card(folder) | {"sha256": weights.content_hash(data)}
    target.mkdir()
    (target / weights.TENSORS).write_bytes(data)
    (target / weights.CARD).write_text(tomli_w.dumps(card), "utf-8")
    return str(target)


def test_weights_of_before_there_was_lapping_do_not_lap(tiny, tmp_path):
    """Files that were written with them must look as they always did."""
    old = weights.load(without(tiny[1], weights.store.LAPPING, tmp_path / "old"))
    model = load_float_model(old)
    for part in (model.analysis, model.synthesis):
        assert np.array_equal(part.lap.weight[:, :, 0, 0].detach().numpy(), np.eye(16))


def test_weights_are_replaced_whole_or_not_at_all(tiny, tmp_path, monkeypatch):
    """A run that is killed while it saves must leave the earlier ones."""
    folder = tmp_path / "weights"
    save_weights(tiny[0], folder, "tiny", {})
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="space"):
        save_weights(tiny[0], folder, "other", {})
    assert {name: (folder / name).read_bytes() for name in before} == before
