"""The comparison of the integer entropy model with its float twin."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from aecodec.eval import twin
from aecodec.networks.export import import_tensors
from aecodec.networks.model import Model
from aecodec.weights.store import load


def test_the_twin_is_the_same_model_without_rounding(tiny, photo):
    """If both sides ran the same arithmetic, the price of exactness would always read as nothing."""
    opened = load(str(tiny[1]))
    model = Model(opened.arch).eval()
    model.load_state_dict(import_tensors(opened))
    array = np.asarray(photo())
    rounded = twin.curve(model, array)
    model.quantise(False)
    free = twin.curve(model, array)
    assert len(rounded) == len(twin.POSITIONS)
    assert rounded != free
    for (rate, db), (free_rate, free_db) in zip(rounded, free, strict=True):
        assert abs(rate / free_rate - 1) < 0.1
        assert abs(db - free_db) < 0.5


@pytest.mark.slow
def test_the_command_prints_one_percentage(photo, tmp_path):
    """The figure in the notes must come from a command that runs."""
    photo(64, 64).save(tmp_path / "a.png")
    result = CliRunner().invoke(twin.main, [str(tmp_path)])
    assert result.exit_code == 0, result.output
    last = result.output.splitlines()[-1]
    assert last.startswith("rate of the integer model at equal PSNR:")
    assert abs(float(last.split()[-2])) < 5
