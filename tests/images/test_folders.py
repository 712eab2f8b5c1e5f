"""Which files of a folder are its pictures: one rule for encoding, training and measuring."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from aecodec.cli import plan
from aecodec.errors import AecodecError
from aecodec.eval.measure import find_pictures
from aecodec.images import folders

WANTED = ["B.PNG", "a.heic", "link.png", "z.tif", "sub/c.jpg", "sub/deep/d.gif"]


@pytest.fixture
def tree(tmp_path):
    """A folder with the pictures WANTED, and with all that is none."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "e.png").touch()
    root = tmp_path / "photos"
    for name in (*WANTED, ".hidden.png", "._B.PNG", ".trash/f.png", "notes.txt", "raw.CR2", "sub/named.png/x.txt"):
        if name != "link.png":
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
    (root / "link.png").symlink_to(tmp_path / "elsewhere" / "e.png")
    (root / "dead.png").symlink_to(tmp_path / "missing.png")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    return root


@pytest.mark.parametrize(
    "find",
    [
        lambda root: [found.path for found in plan.expand([root], folders.EXTENSIONS, True)],
        lambda root: find_pictures([root], recursive=True),
        lambda root: pytest.importorskip("aecodec.training.data").find([root], pytest.fail),
        lambda root: folders.paths(Path(root), folders.EXTENSIONS, True),
    ],
    ids=["encode", "eval", "train", "folders"],
)
def test_all_that_takes_a_folder_takes_the_same_pictures(tree, find):
    """Weights would be trained on other pictures than are encoded, and reports would lack some without a word."""
    assert [os.path.relpath(path, tree) for path in find(str(tree))] == WANTED


def test_what_is_left_out_is_counted(tree):
    """Raw files are the originals, and whoever believes that all is done deletes them."""
    left_out = Counter()
    found = list(folders.search(str(tree), folders.EXTENSIONS, True, left_out, str(tree / "sub" / "deep")))
    assert [each.below.as_posix() for each in found] == WANTED[:-1]
    assert left_out == {"hidden": 3, "link": 2, "other file": 2, "raw file": 1, "output folder": 1}


def test_a_folder_alone_gives_its_own_files(tree):
    """Pictures of subfolders would be encoded that nobody has asked for."""
    assert [path.name for path in folders.paths(tree, folders.EXTENSIONS, False)] == WANTED[:4]


def test_an_unreadable_folder_is_no_empty_one(tree, monkeypatch):
    """The means of a report would be those of other pictures than its reader believes."""
    scandir = os.scandir

    def denied(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    *found, last = folders.search(str(tree), folders.EXTENSIONS, True)
    assert [each.below.as_posix() for each in found] == WANTED[:-1]
    assert last.problem == "cannot read the folder: permission denied"
    with pytest.raises(AecodecError, match="deep: cannot read the folder: permission denied"):
        folders.paths(tree, folders.EXTENSIONS, True)
