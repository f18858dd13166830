"""Opening stores by paths and globs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imagestore.console import UserError
from imagestore.store.expand_paths import expand_paths
from imagestore.store.open_stores import open_stores
from tests.helpers.written_stores import write_store


def test_a_glob_opens_all_stores_that_match(tmp_path, store_path):
    write_store(tmp_path / "other.h5", {("red", b"x.jpg"): b"x"})
    stores = open_stores([str(tmp_path / "*.h5")])
    assert [store.path.name for store in stores] == ["images.h5", "other.h5"]
    assert all(store.read(0) for store in stores)
    for store in stores:
        store.close()


def test_a_glob_that_matches_nothing_is_an_error(tmp_path):
    with pytest.raises(UserError, match="matches"):
        expand_paths([str(tmp_path / "*.hdf5")])


def test_a_path_is_taken_once(tmp_path, store_path):
    assert expand_paths([store_path, str(tmp_path / "*.h5"), store_path]) == [store_path]


def test_an_existing_file_with_glob_characters_is_itself(tmp_path):
    odd, other = tmp_path / "[ab]*.h5", tmp_path / "a.h5"
    odd.touch()
    other.touch()
    assert expand_paths([odd]) == [odd]


def test_a_path_without_a_file_is_left_to_the_opening():
    assert expand_paths(["none.h5"]) == [Path("none.h5")]


def test_the_home_folder_is_found_in_a_glob(tmp_path, store_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand_paths(["~/*.h5"]) == [store_path]


def test_if_one_store_is_refused_none_stays_open(tmp_path, store_path):
    (tmp_path / "text.h5").write_text("not HDF5")
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(UserError, match=r"text\.h5"):
        open_stores([store_path, tmp_path / "text.h5"])
    assert set(os.listdir("/proc/self/fd")) == before
