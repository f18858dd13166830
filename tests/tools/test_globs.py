"""Globs: what --include and --exclude decide."""

from __future__ import annotations

import pytest

from imagestore.tools.globs import Choice, Globs


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
    included, excluded = (Globs(include=[glob]), Globs(exclude=[glob]))
    assert included.choose(path, folder_is_copied=False) is (Choice.COPIED if matches else Choice.SEARCHED)
    assert excluded.choose(path, folder_is_copied=False) is (Choice.EXCLUDED if matches else Choice.COPIED)


def test_without_globs_all_is_copied():
    assert Globs().choose(b"a", folder_is_copied=False) is Choice.COPIED


def test_one_of_several_globs_is_enough():
    globs = Globs(include=["a", "b"], exclude=["c", "d"])
    choices = {path: globs.choose(path, folder_is_copied=False) for path in (b"a", b"b", b"c", b"d", b"e")}
    assert [path for path, choice in choices.items() if choice is Choice.COPIED] == [b"a", b"b"]
    assert [path for path, choice in choices.items() if choice is Choice.EXCLUDED] == [b"c", b"d"]


def test_exclude_wins_over_include():
    globs = Globs(include=["*.jpg"], exclude=["a.*"])
    for folder_is_copied in (True, False):
        assert globs.choose(b"a.jpg", folder_is_copied=folder_is_copied) is Choice.EXCLUDED


def test_the_contents_of_a_copied_folder_are_copied():
    globs = Globs(include=["red"])
    assert globs.choose(b"red/a.jpg", folder_is_copied=True) is Choice.COPIED
    assert globs.choose(b"blue/a.jpg", folder_is_copied=False) is Choice.SEARCHED
