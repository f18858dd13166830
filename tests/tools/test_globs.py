"""Globs: which paths --include and --exclude match."""

from __future__ import annotations

import pytest

from imagestore.tools.globs import Globs


@pytest.mark.parametrize(
    ("glob", "path", "matches"),
    [
        ("*.jpg", b"a.jpg", True), ("*.jpg", b"red/a.jpg", True), ("*.jpg", b"a.jpg.txt", False),
        ("red/*", b"red/a", True), ("./red/", b"red", True), ("red", b"blue/red", True),
        ("red", b"redder", False), ("[ab]", b"b", True), ("A", b"a", False),
        ("caf\udce9", b"caf\xe9", True), ("d\u00e9j\u00e0", "d\u00e9j\u00e0".encode(), True),
    ],
)  # fmt: skip
def test_a_glob_matches_a_path_or_a_name(glob: str, path: bytes, matches: bool):
    assert Globs(include=[glob]).includes(path) == matches
    assert Globs(exclude=[glob]).excludes(path) == matches


def test_without_globs_all_is_included():
    assert Globs().includes(b"a")
    assert not Globs().excludes(b"a")


def test_one_of_several_globs_is_enough():
    globs = Globs(include=["a", "b"], exclude=["c", "d"])
    assert [path for path in (b"a", b"b", b"c", b"d") if globs.includes(path)] == [b"a", b"b"]
    assert [path for path in (b"a", b"b", b"c", b"d") if globs.excludes(path)] == [b"c", b"d"]
