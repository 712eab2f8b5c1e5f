"""Names of files: paths and URLs."""

from __future__ import annotations

import os
from pathlib import PurePath

import pytest

from aecodec.stores import names

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("name", "base", "suffix", "parent"),
    [
        ("s3://bucket/a/b.PNG", "b.PNG", ".png", "s3://bucket/a"),
        ("s3://bucket/what?.png", "what?.png", ".png", "s3://bucket"),
        ("https://host/a/b.jpg?id=3", "b.jpg", ".jpg", "https://host/a?id=3"),
        ("zip://a/b.png::s3://bucket/c.zip", "b.png", ".png", "zip://a::s3://bucket/c.zip"),
        ("a/b.png", "b.png", ".png", "a"),
        ("b", "b", "", "."),
    ],
)
def test_parts_of_a_name(name, base, suffix, parent):
    """An output of the wrong name or format, or in the wrong place."""
    assert (names.base(name), names.suffix(name), names.parent(name)) == (base, suffix, parent)


@pytest.mark.parametrize(
    ("folder", "below", "joined"),
    [
        ("s3://b/in/", ("a//b.png",), "s3://b/in/a//b.png"),
        ("s3://b", (PurePath(), "a.aec"), "s3://b/a.aec"),
        ("s3://b", (PurePath("x/y"), "a.aec"), "s3://b/x/y/a.aec"),
        ("zip://::s3://b/a.zip", ("x/a.png",), "zip://x/a.png::s3://b/a.zip"),
        ("out", (PurePath(), "a.aec"), str(PurePath("out/a.aec"))),
    ],
)
def test_a_name_below_a_folder(folder, below, joined):
    """A key with "//" is another picture than the one without."""
    assert names.join(folder, *below) == joined


@pytest.mark.parametrize("name", ["C:/a.png", "C:\\a.png", "a:b.png", "a::b.png", "-", "photos/what?.png"])
def test_a_path_is_no_url(name):
    """A local file must not be looked for in a store."""
    assert not names.is_url(name)
    assert names.shown(name) == name


def test_a_file_url_is_a_path():
    """It goes the way of all local files, with their permissions, links and renames."""
    assert names.local_path("file:///tmp/a.png") == names.local_path("file://localhost/tmp/a.png") == "/tmp/a.png"
    assert names.local_path("s3://a/b") == "s3://a/b"


@pytest.mark.parametrize(
    ("name", "folder", "relative"),
    [
        ("s3://b/in/x.png", "s3://b/out", "../in/x.png"),
        ("s3://b/out/sub/x.aec", "s3://b/out", "sub/x.aec"),
        ("s3://b/x.aec", "s3://b", "x.aec"),
        ("s3://b/in/x.png", "s3://other/out", "s3://b/in/x.png"),
        ("s3://b/in//x.png", "s3://b/out", "s3://b/in//x.png"),
        ("s3://b/in/x.png", "out", "s3://b/in/x.png"),
        (os.path.abspath("in/x.png"), "s3://b/out", os.path.abspath("in/x.png")),
        (os.path.normpath("in/x.png"), "out", os.path.normpath("../in/x.png")),
    ],
)
def test_a_relative_name_leads_back(name, folder, relative):
    """A manifest or index would name a file that is not there."""
    assert names.relative(name, folder) == relative
    assert names.absolute(relative, folder) == name


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://me:{SECRET}@host/a.png", "https://host/a.png"),
        (f"https://{SECRET}@host/a.png", "https://host/a.png"),
        (f"https://host/a b.png?X-Amz-Signature={SECRET}", "https://host/a b.png"),
        (f"https://host/a.png?sv=1&sig={SECRET}", "https://host/a.png"),
        (f"https://host/a.png?t={SECRET * 5}", "https://host/a.png"),
        ("https://host/a.png?id=3", "https://host/a.png?id=3"),
        (f"zip://a.png::https://u:{SECRET}@host/z.zip?token={SECRET}", "zip://a.png::https://host/z.zip"),
        ("abfs://container@account/a.png", "abfs://container@account/a.png"),
        ("s3://bucket/photo@2x.png", "s3://bucket/photo@2x.png"),
    ],
)
def test_secrets_of_a_url_are_not_shown(url, shown):
    """A password or signature in a log is a password or signature lost; a name without its parts is none."""
    assert names.shown(url) == shown
    assert SECRET not in names.masked(f"cannot read {url}: no such file ({url})")
