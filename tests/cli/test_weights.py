"""``aecodec weights``: which models there are, and whether they can be trusted."""

from __future__ import annotations

import json
import shutil

import pytest

import aecodec
from aecodec import weights
from aecodec.errors import WeightsError


@pytest.fixture
def copied(tmp_path):
    """A folder with the installed weights, to be changed."""
    return shutil.copytree(weights.cards.INSTALLED / "photo", tmp_path / "copy")


def change_card(folder, old: str, new: str) -> None:
    card = folder / weights.CARD
    text = card.read_text("utf-8")
    assert old in text
    card.write_text(text.replace(old, new), "utf-8")


def test_list(cli):
    """The ids are what a file's header names."""
    first, *_ = cli("weights", "list").stdout.splitlines()
    assert first.split()[:2] == ["photo", weights.load().id]
    first, *_ = cli("weights", "list", "--json").stdout.splitlines()
    assert json.loads(first).items() >= {"name": "photo", "id": weights.load().id}.items()


def test_show(cli, copied):
    """The card, and what the networks cost: the numbers by which somebody chooses a model."""
    for name in ("photo", copied):
        output = cli("weights", "show", name).stdout
        assert f'sha256 = "{weights.load().card["sha256"]}"' in output
        totals = dict(line.split() for line in output[output.index("accumulates") :].splitlines()[1:])
        costs = weights.load().card["kmac_per_pixel"]
        parts = ("synthesis", "hyper_synthesis", "context")
        assert float(totals["reading"]) == pytest.approx(sum(costs[part] for part in parts), abs=0.06)
        assert float(totals["reading"]) <= 35  # for a decoder that a laptop runs; why not 25, docs/research-log.md says


def test_verify(cli):
    """Every integer layer is listed, with the largest sum that it can reach."""
    result = cli("weights", "verify")
    assert result.exit_code == 0
    bounds = {line.split()[0]: int(line.split()[1]) for line in result.stdout.splitlines() if "% of 2**24" in line}
    assert bounds.keys() == weights.load().entropy_model.layers.keys()
    assert max(bounds.values()) < 2**24
    assert result.stdout.splitlines()[-1].endswith("as the card states")


def test_verify_finds_a_changed_byte(fails, copied):
    """Weights that were damaged on the way would write files that nobody else can read."""
    tensors = copied / weights.TENSORS
    data = bytearray(tensors.read_bytes())
    data[-1] ^= 1
    tensors.write_bytes(data)
    assert "not the file that its card describes" in fails(1, "weights", "verify", copied)


def test_verify_finds_a_wrong_answer(cli, copied):
    """The known answer is the self-test of a machine: if it differs, the user must not go on."""
    change_card(copied, weights.load().card["known_answer"], "0123456789abcdef")
    result = cli("weights", "verify", copied)
    assert result.exit_code == 1
    assert "known-answer test" in result.stderr


def test_verify_finds_another_certificate(cli, copied):
    """A certificate that belongs to other tensors proves nothing about these."""
    change_card(copied, '"context.0.mix" = ', '"context.0.mix" = 1')
    result = cli("weights", "verify", copied)
    assert result.exit_code == 1
    assert "certificate" in result.stderr


def test_missing_weights(fails, tmp_path):
    """The message says which there are."""
    for command in ("show", "verify"):
        assert "installed: photo" in fails(1, "weights", command, "no-such")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("latents = 5", "latents = 2"),
        ("hyper_width = ", "hyper_width = -"),
        ("context_width", "width_of_context"),
        ("[architecture]", "[architect]"),
        ("[", "[[["),
    ],
)
@pytest.mark.parametrize("command", ["show", "verify"])
def test_broken_cards_are_told_in_one_line(cli, copied, command, old, new):
    """A card is edited by hand, so it is broken by hand."""
    change_card(copied, old, new)
    result = cli("weights", command, copied)
    if (command, new) == ("show", "latents = 2"):
        assert result.exit_code == 0  # a card that makes sense, if for other tensors
        return
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1


def test_weights_that_are_trained_anew_are_opened_anew(tiny, copied, photo):
    """A process that lives long would code with the old weights, whatever the folder holds."""
    before = weights.load(str(copied))
    assert weights.load(str(copied)) is before
    shutil.copytree(tiny[1], copied, dirs_exist_ok=True)
    after = weights.load(str(copied))
    assert after.id == weights.load(str(tiny[1])).id != before.id
    data = aecodec.encode(photo(), weights=str(copied))
    assert aecodec.decode(data, weights=str(copied)).size == photo().size


def test_a_restoring_network_without_its_tensors_is_named_as_such(restorer, tmp_path):
    """And not as one that is not there."""
    folder = shutil.copytree(restorer, tmp_path / "half")
    (folder / weights.TENSORS).unlink()
    with pytest.raises(WeightsError, match="cannot open the weights in"):
        weights.load_restorer(str(folder))


def test_a_relative_name_is_that_of_the_folder_one_is_in(tiny, copied, monkeypatch):
    """Two runs of one name, one below each folder."""
    other = copied.parent / "other"
    other.mkdir()
    shutil.copytree(tiny[1], other / "copy")
    ids = []
    for folder in (copied.parent, other):
        monkeypatch.chdir(folder)
        ids.append(weights.load("copy").id)
    assert ids[0] != ids[1]
