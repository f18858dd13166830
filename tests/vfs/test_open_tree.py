"""Opening stores as a tree: which source a store gets, and which files are refused."""

from __future__ import annotations

import os

import h5py
import numpy as np
import pytest

from imagestore.console import UserError
from imagestore.vfs.open_tree import open_tree
from tests.helpers.descriptors import open_descriptors
from tests.helpers.odd_stores import make_indexed, make_odd, some_bytes


def test_a_store_with_more_than_images_shows_all_of_it(tmp_path):
    path = tmp_path / "odd.h5"
    make_odd(path)
    make_indexed(path)  # adds images, and leaves an index of these and those that were there
    with open_tree([path]) as tree:
        for name in (b"/label0/image_0000.jpg", b"/files/gzip.jpg", b"/arrays/cube.npy", b"/links/absolute"):
            assert tree.find(name)


def test_a_store_with_a_compressed_image_shows_all_of_it(run, sample, tmp_path):
    data = np.frombuffer(some_bytes(1), np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("red/first.jpg", data=data, compression="gzip")
    run("colourHeuristic.py", "sort", sample, "a.h5", 5, 1)
    run("h5vfs.py", "unpack", "a.h5", "out")
    assert (tmp_path / "out/red/first.jpg").read_bytes() == some_bytes(1)
    assert sum(path.is_file() for path in (tmp_path / "out").rglob("*")) == 6


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"no HDF5 here" * 100, "not an HDF5 file"), (None, "no such file")],
)
def test_a_file_that_is_no_store_is_refused(tmp_path, content, message):
    path = tmp_path / "bad.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        open_tree([path])


def test_a_store_that_was_cut_short_is_refused(tmp_path):
    path = tmp_path / "odd.h5"
    make_odd(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(UserError, match="cut short"):
        open_tree([path])


def test_files_are_closed_if_one_of_them_is_no_store(tmp_path):
    make_indexed(tmp_path / "a.h5")
    make_odd(tmp_path / "b.h5")
    (tmp_path / "c.h5").write_bytes(b"no HDF5")
    before = open_descriptors()
    with pytest.raises(UserError, match=r"c\.h5: not an HDF5 file"):
        open_tree([str(tmp_path / "*.h5")])
    assert open_descriptors() <= before
