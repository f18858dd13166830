"""The first bytes of a file tell whether it is HDF5, and where its data end."""

from __future__ import annotations

import os

import h5py
import pytest

from imagestore.hdf5.superblock import end_of_file_address, is_hdf5


def end_of(path):
    """Return the end-of-file address of a file at `path`."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return end_of_file_address(fd)
    finally:
        os.close(fd)


def test_content_tells_an_hdf5_file(tmp_path, old_store):
    renamed = old_store.rename(tmp_path / "store.txt")
    (tmp_path / "a.h5").write_bytes(b"\xfd7zXZ\x00 is how xz begins")
    assert is_hdf5(renamed)
    assert not is_hdf5(tmp_path / "a.h5")


@pytest.mark.parametrize("size", [512, 1024, 2048, 8192])
def test_a_user_block_may_come_first(tmp_path, old_store, size):
    shifted = tmp_path / "user block"
    shifted.write_bytes(bytes(size) + old_store.read_bytes())
    assert is_hdf5(shifted)


def test_a_signature_elsewhere_is_no_hdf5_file(tmp_path, old_store):
    shifted = tmp_path / "shifted"
    shifted.write_bytes(bytes(600) + old_store.read_bytes())
    assert not is_hdf5(shifted)


def test_folders_and_missing_files_are_no_hdf5_files(tmp_path):
    assert not is_hdf5(tmp_path)
    assert not is_hdf5(tmp_path / "missing")


def test_the_data_end_where_the_file_ends(old_store):
    assert end_of(old_store) == old_store.stat().st_size
    with open(old_store, "ab") as file:
        file.write(b"behind the data")
    assert end_of(old_store) == old_store.stat().st_size - len(b"behind the data")


def test_other_superblocks_have_no_end(tmp_path, old_store):
    with h5py.File(tmp_path / "latest.h5", "w", libver="latest") as file:
        file["a"] = 1
    (tmp_path / "short").write_bytes(old_store.read_bytes()[:40])
    (tmp_path / "text").write_bytes(b"text" * 100)
    for name in ("latest.h5", "short", "text"):
        assert end_of(tmp_path / name) is None
