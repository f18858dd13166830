"""StoreFile: the state of an open store file, and the blocks read last."""

from __future__ import annotations

import os

import pytest

from imagestore.vfs import store_file
from imagestore.vfs.store_file import StoreFile
from tests.helpers.errors import assert_eio


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "store.h5"
    path.write_bytes(b"0123456789")
    path.chmod(0o640)
    return path


@pytest.fixture
def file(path):
    file = StoreFile(path)
    yield file
    file.close()


def test_a_read_gives_all_bytes_or_an_error(file):
    assert file.pread(3, 4) == b"3456"
    assert_eio(lambda: file.pread(8, 3))


def test_a_file_that_was_written_to_is_changed(file, path):
    assert not file.was_changed()
    path.write_bytes(b"longer than before")
    assert file.was_changed()
    assert file.was_replaced()


def test_a_file_under_the_same_name_is_a_replacement(file, path):
    new = path.with_name("new.h5")
    new.write_bytes(path.read_bytes())
    os.utime(new, ns=(file.stat_at_open.st_mtime_ns,) * 2)
    assert not file.was_replaced()
    new.replace(path)
    assert file.was_replaced()
    assert not file.was_changed()
    assert file.pread(0, 10) == b"0123456789"


def test_a_removed_file_is_not_replaced(file, path):
    path.unlink()
    assert not file.was_replaced()


def test_the_cache_drops_the_oldest_blocks(file, monkeypatch):
    monkeypatch.setattr(store_file, "CACHED_BYTES", 25)
    for block in range(4):
        assert file.cache_block(7, block, bytes([block]) * 10) == bytes([block]) * 10
    assert [file.cached_block(7, block) for block in range(4)] == [None, None, b"\2" * 10, b"\3" * 10]
    assert file.cached_block(8, 3) is None


def test_a_block_that_is_kept_again_counts_once(file, monkeypatch):
    monkeypatch.setattr(store_file, "CACHED_BYTES", 25)
    for block in (0, 0, 0, 1):
        file.cache_block(7, block, bytes([block]) * 10)
    assert [file.cached_block(7, block) for block in (0, 1)] == [b"\0" * 10, b"\1" * 10]


def test_a_second_close_leaves_other_files_open(path):
    file = StoreFile(path)
    number = file.fd
    file.close()
    with path.open("rb") as other:
        assert other.fileno() == number
        file.close()
        assert other.read() == b"0123456789"
