"""Opening an HDF5 file: refusals in one line, no locks, and files that lose their name while open."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.console import UserError
from imagestore.hdf5.open_descriptor import open_descriptor
from imagestore.hdf5.open_hdf5 import has_real_path, open_hdf5, path_of_descriptor
from tests.helpers.descriptors import open_descriptors


@pytest.fixture
def path(tmp_path) -> Path:
    """An HDF5 file with one dataset."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.arange(1000)
    return tmp_path / "a.h5"


@pytest.fixture
def descriptor(path) -> Iterator[int]:
    """The same file, open."""
    descriptor = open_descriptor(path)
    yield descriptor
    os.close(descriptor)


def assert_readable(descriptor: int, path: Path) -> None:
    with open_hdf5(descriptor, path) as file:
        assert file["x"][()].tolist() == list(range(1000))


def test_an_open_file_is_read(descriptor, path):
    assert_readable(descriptor, path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.h5", "no such file"),
        ("folder", "is a folder; expected an HDF5 file (*.h5)"),
        ("pipe", "is a pipe or a device; expected an HDF5 file (*.h5)"),
        ("a.h5/x", "cannot be read (Not a directory)"),
        ("loop", "cannot be read (Too many levels of symbolic links)"),
    ],
)
def test_what_is_no_file_is_refused_in_one_line(path, name, message):
    folder = path.parent
    (folder / "folder").mkdir()
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")  # to open it must not wait for a writer
    before = open_descriptors()
    with pytest.raises(UserError) as raised:
        open_descriptor(folder / name)
    assert str(raised.value) == f"{folder / name}: {message}"
    assert open_descriptors() <= before


def test_a_device_is_refused():
    with pytest.raises(UserError, match="is a pipe or a device"):
        open_descriptor(Path("/dev/zero"))


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (0, "not an HDF5 file, or damaged"),
        (4000, "cut short, or its writer did not finish: copy or make it again"),
    ],
)
def test_a_file_that_hdf5_cannot_open_is_refused(descriptor, path, size, message):
    os.truncate(path, size)
    with pytest.raises(UserError) as raised:
        open_hdf5(descriptor, path)
    assert str(raised.value) == f"{path}: {message}"


def test_the_lock_of_another_process_is_ignored(descriptor, path):
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as HDF5 does while it writes
        with pytest.raises(OSError, match="lock"):
            h5py.File(path, "r", locking=True)
        assert_readable(descriptor, path)


def rename(path: Path) -> None:
    path.rename(path.with_name("renamed.h5"))


def replace(path: Path) -> None:
    with h5py.File(path.with_name("b.h5"), "w") as file:
        file["other"] = 1
    path.with_name("b.h5").replace(path)


@pytest.mark.parametrize("change", [rename, replace, Path.unlink])
def test_the_open_file_is_read_after_its_name_is_gone(descriptor, path, change):
    change(path)
    assert_readable(descriptor, path)


def test_only_a_file_with_a_name_has_a_real_path(descriptor, path):
    opened = path_of_descriptor(descriptor, path)
    assert os.path.samefile(opened, path) and has_real_path(opened) and has_real_path(path)
    path.unlink()
    assert not has_real_path(opened) and not has_real_path(path)
