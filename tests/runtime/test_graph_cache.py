"""Graphs that are kept between processes: they may only ever save time."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from aecodec import weights
from aecodec.runtime import graph_cache
from aecodec.runtime.openvino_runtime import OpenVinoTransforms


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder, which nobody has made yet."""
    monkeypatch.setenv("AECODEC_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.fixture
def synthesise(tiny):
    """Open the small weights again, as a new process does, and decode with them."""
    latents = np.random.default_rng(0).integers(-50, 50, (4, 4, 16)).astype(np.int32)
    return lambda: OpenVinoTransforms(weights.load(str(tiny[1]))).synthesise(latents, 1000).copy()


def test_second_process_reads_what_the_first_compiled(cache, synthesise, monkeypatch):
    """Every start would compile, unnoticed."""
    first = synthesise()
    assert len(list(cache.iterdir())) == 2
    monkeypatch.setattr("aecodec.runtime.openvino_runtime.convolution", None)  # no graph can be built
    assert np.array_equal(synthesise(), first)


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage",
    [lambda data: b"", lambda data: data[:100], lambda data: data[:-1], lambda data: data[:2000] + b"?" + data[2001:]],
)
def test_a_damaged_file_is_compiled_anew(cache, synthesise, damage):
    """A full disk or a bad block must not make every later decode fail."""
    first = synthesise()
    for path in cache.iterdir():
        path.write_bytes(damage(path.read_bytes()))
    before = {path: path.read_bytes() for path in cache.iterdir()}
    assert np.array_equal(synthesise(), first)
    assert all(path.read_bytes() != before[path] for path in cache.iterdir())


def test_another_precision_is_another_graph(cache, tiny):
    """The exactness tests ask for float32 and must not get bfloat16 from an earlier run."""
    latents = np.zeros((4, 4, 16), np.int32)
    for bfloat16 in (False, True):
        OpenVinoTransforms(weights.load(str(tiny[1])), bfloat16=bfloat16).synthesise(latents, 0)
    assert len(list(cache.iterdir())) == 3  # the linear path is the same


def test_a_folder_that_cannot_be_made_is_left_alone(tmp_path, synthesise, monkeypatch):
    """Containers and services often have no home that they can write."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("AECODEC_CACHE", str(tmp_path / "file" / "kept"))
    assert synthesise().any()


def test_nothing_is_kept_where_nobody_wants_it(cache, synthesise, monkeypatch):
    """An empty AECODEC_CACHE must cost time and nothing else."""
    kept = synthesise()
    files = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    monkeypatch.chdir(cache)  # where an empty path leads
    monkeypatch.setenv("AECODEC_CACHE", "")
    assert np.array_equal(synthesise(), kept)
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == files


def test_old_files_go(cache, synthesise, monkeypatch):
    """The folder would grow with every set of weights and every release."""
    monkeypatch.setattr(graph_cache, "MAX_FILES", 2)
    cache.mkdir()
    for i in range(3):
        (cache / f"{i}.graph").touch()
        os.utime(cache / f"{i}.graph", (i, i))
    synthesise()
    assert len(list(cache.iterdir())) == 2
    assert not (cache / "2.graph").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the rules of Linux")
def test_where_the_folder_is(monkeypatch, tmp_path):
    """Not in the working folder, and nowhere if so asked."""
    monkeypatch.delenv("AECODEC_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert graph_cache.folder() == tmp_path / "aecodec"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert graph_cache.folder() == tmp_path / ".cache" / "aecodec"
    monkeypatch.setenv("AECODEC_CACHE", "")
    assert graph_cache.folder() is None


def test_a_graph_of_another_user_is_used(cache, synthesise, monkeypatch):
    """It was read, thrown away because its time of use could not be written, and compiled again by every process."""
    first = synthesise()

    def denied(path):
        raise PermissionError(path)

    monkeypatch.setattr(graph_cache.os, "utime", denied)
    monkeypatch.setattr("aecodec.runtime.openvino_runtime.convolution", None)  # no graph can be built
    assert np.array_equal(synthesise(), first)
