"""The user's cache folder: a large store without an index is walked once, and again after each change."""

from __future__ import annotations

import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore import cache_folder
from imagestore.store import index_cache
from imagestore.store.reader import ImageStore
from tests.helpers.images import encode, stripes
from tests.helpers.written_stores import (
    EDITS,
    IMAGES,
    cut_the_index_off,
    edit_with_the_old_time,
    images_by_h5py,
    images_by_member,
    images_by_path,
)


@pytest.fixture
def unindexed(store_path, monkeypatch) -> Path:
    """A store without an index; the cache folder is empty and takes small stores too."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(store_path.parent / "cache"))
    monkeypatch.setattr(index_cache, "FEWEST_IMAGES", 1)
    cut_the_index_off(store_path)
    return store_path


@pytest.fixture
def walked_before(unindexed, monkeypatch) -> Path:
    """The same store; its index is in the user's cache folder."""
    monkeypatch.setattr(index_cache, "SECONDS_TO_SETTLE", 0)
    images_by_path(unindexed)
    assert cache_folder.path_for(unindexed).exists()
    time.sleep(0.05)  # file systems count time in steps
    return unindexed


def test_a_store_without_an_index_is_walked_once(walked_before, monkeypatch):
    monkeypatch.setattr("imagestore.store.reader.walk", None)
    with ImageStore(walked_before) as store:
        assert images_by_member(store) == IMAGES
        assert not store.index.written_with_store and store.index.covers_whole_file


def test_no_index_is_kept_of_a_file_just_written(unindexed, monkeypatch):
    monkeypatch.setattr(index_cache, "SECONDS_TO_SETTLE", 3600)
    images_by_path(unindexed)
    assert not cache_folder.path_for(unindexed).exists()


def test_no_index_is_kept_of_a_small_store(unindexed, monkeypatch):
    monkeypatch.setattr(index_cache, "SECONDS_TO_SETTLE", 0)
    monkeypatch.setattr(index_cache, "FEWEST_IMAGES", len(IMAGES) + 1)
    images_by_path(unindexed)
    assert not cache_folder.path_for(unindexed).exists()


@pytest.mark.parametrize("edit", EDITS)
def test_no_edit_after_a_walk_gives_wrong_bytes(walked_before, edit):
    edit_with_the_old_time(edit, walked_before)
    expected = images_by_h5py(walked_before)
    assert images_by_path(walked_before) == expected


def test_a_damaged_index_in_the_cache_is_ignored(walked_before):
    cached, expected = cache_folder.path_for(walked_before), images_by_path(walked_before)
    intact = cached.read_bytes()
    for position in range(0, len(intact), 7):
        damaged = bytearray(intact)
        damaged[position] ^= 0x55
        cached.write_bytes(damaged)
        assert images_by_path(walked_before) == expected
    cached.write_bytes(intact[:-3])
    assert images_by_path(walked_before) == expected


def test_a_read_only_cache_folder_is_no_error(walked_before, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert len(images_by_path(walked_before)) == len(IMAGES)


def test_the_stamp_changes_with_every_write(walked_before):
    with walked_before.open("r+b") as file:
        first = index_cache.stamp_of(file.fileno())
        assert first is not None and index_cache.stamp_of(file.fileno()) == first
        edit_with_the_old_time(lambda path: path.write_bytes(path.read_bytes()), walked_before)
        assert index_cache.stamp_of(file.fileno()) != first


@pytest.mark.slow
def test_commands_walk_a_large_store_once(run, tmp_path):
    with h5py.File(tmp_path / "large.h5", "w") as file:
        group, data = file.create_group("red"), np.frombuffer(encode(stripes()), np.uint8)
        for i in range(index_cache.FEWEST_IMAGES):
            group[f"{i}.jpg"] = data
    time.sleep(index_cache.SECONDS_TO_SETTLE + 0.1)
    first = run("colourHeuristic.py", "summary", "large.h5")
    (cached,) = (tmp_path / "cache" / "imagestore").iterdir()
    written = cached.stat()
    assert run("colourHeuristic.py", "summary", "large.h5").stdout == first.stdout
    assert cached.stat().st_mtime_ns == written.st_mtime_ns
    assert f"{index_cache.FEWEST_IMAGES}" in first.stdout.replace(",", "")
