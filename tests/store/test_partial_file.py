"""The file that images are added to: its datasets as other tools see them, names, links, full disks."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from isal.isal_zlib import crc32

from imagestore.console import UserError
from imagestore.files.disk_room import DiskFull
from imagestore.store import journal
from imagestore.store.image_names import LONGEST_NAME
from imagestore.store.partial_file import PartialFile
from imagestore.store.reader import ImageStore
from tests.helpers.descriptors import open_descriptors
from tests.helpers.full_disks import file_size_limit, mounted_tmpfs
from tests.helpers.written_stores import (
    HEURISTIC,
    IMAGES,
    PALETTE,
    images_by_h5py,
    images_by_member,
    images_by_path,
    make_record,
)


@contextlib.contextmanager
def partial_file(folder: Path, base: ImageStore | None = None) -> Iterator[PartialFile]:
    """A partial file in `folder`, closed at the end."""
    partial = PartialFile(folder / "a.partial", folder / "a.journal", base)
    try:
        yield partial
    finally:
        partial.close()


# ----- what other tools see -----


def test_names_are_distinct_and_one_group_deep(store_path):
    with h5py.File(store_path) as file:
        names = [(label, name) for label, group in file.items() for name in group]
        assert len(names) == len(IMAGES)
        assert all(isinstance(file[label][name], h5py.Dataset) for label, name in names)
    for _, name in names:
        assert name not in (".", "..") and len(os.fsencode(name)) <= LONGEST_NAME


def test_h5py_sees_the_bytes_and_the_attributes(store_path):
    with h5py.File(store_path) as file:
        assert set(file) == {"red", "dark-blue", "white"}
        dataset = file["red/one.jpg"]
        assert dataset[()].tobytes() == IMAGES["red", b"jpg/one.jpg"]
        assert (dataset.dtype, dataset.ndim, dataset.chunks, dataset.id.get_offset() is None) == (
            np.uint8,
            1,
            None,
            False,
        )
        assert dataset.attrs["member"] == b"jpg/one.jpg"
        assert dataset.attrs["crc32"] == crc32(IMAGES["red", b"jpg/one.jpg"])
        assert (dataset.attrs["Modified"], dataset.attrs["Created"]) == (1_000_000_000, 1_500_000_000)
        assert np.array_equal(dataset.attrs["palette"], PALETTE)
        assert "H5VFS" in file.attrs


def test_the_tools_of_hdf5_accept_the_file(store_path):
    for tool in (["h5stat"], ["h5ls", "-r"], ["h5dump", "-H"]):
        done = subprocess.run([*tool, store_path], capture_output=True, timeout=120, check=True)
        assert b"error" not in (done.stdout + done.stderr).lower()


# ----- adding -----


def test_equal_names_get_numbers(tmp_path):
    with partial_file(tmp_path) as partial:
        for i in range(4):
            partial.add(make_record("red", b"%d/x.jpg" % i, b"%d" % i), b"%d" % i)
        partial.add(make_record("red", b"5/x~3.jpg", b"5"), b"5")
        partial.add(make_record("blue", b"6/x.jpg", b"6"), b"6")
        partial.finish([])
    assert images_by_h5py(tmp_path / "a.partial") == {
        "red/x.jpg": b"0", "red/x~2.jpg": b"1", "red/x~3.jpg": b"2", "red/x~4.jpg": b"3",
        "red/x~3~2.jpg": b"5", "blue/x.jpg": b"6",
    }  # fmt: skip


def test_an_image_of_no_bytes_is_stored(tmp_path):
    with partial_file(tmp_path) as partial:
        partial.add(make_record("red", b"empty.jpg", b""), b"")
        partial.finish([])
    assert images_by_path(tmp_path / "a.partial") == images_by_h5py(tmp_path / "a.partial")
    assert images_by_path(tmp_path / "a.partial") == {"red/empty.jpg": b""}


def test_the_journal_has_each_image_once_it_is_written(tmp_path):
    with partial_file(tmp_path) as partial:
        for count, ((label, member), data) in enumerate(IMAGES.items(), 1):
            partial.add(make_record(label, member, data), data)
            assert len(partial) == count and len(list(journal.read(tmp_path / "a.journal"))) == count - 1
            partial.write_waiting()
            records = list(journal.read(tmp_path / "a.journal"))
            assert len(records) == len(partial) == count
            image, offset = records[-1]
            with (tmp_path / "a.partial").open("rb") as file:
                assert os.pread(file.fileno(), image.size, offset) == data
            assert (image.label, image.member) == (label.encode(), member)


def test_a_copied_dataset_is_the_same_image(tmp_path, store_path):
    with ImageStore(store_path) as source, partial_file(tmp_path) as partial:
        for i in source.positions_by_offset():
            partial.add(source.index.record(i), source.read(i), copy_of=source.dataset(i))
        partial.finish([HEURISTIC])
        with ImageStore(tmp_path / "a.partial") as copy:
            assert images_by_member(copy) == IMAGES
            records = [copy.index.record(i) for i in range(len(copy))]
            assert records == [source.index.record(i) for i in range(len(source))]
            assert np.array_equal(copy.palette(0), PALETTE)
    with h5py.File(tmp_path / "a.partial") as file:
        assert file["red/one.jpg"].attrs["member"] == b"jpg/one.jpg"


# ----- a base -----


def test_a_copy_of_a_base_keeps_its_images(tmp_path, store_path):
    with ImageStore(store_path) as base, partial_file(tmp_path, base) as partial:
        assert len(partial) == len(IMAGES)
        partial.add(make_record("red", b"new/one.jpg", b"new"), b"new")
        partial.finish([])
    expected = images_by_path(store_path)
    names = images_by_path(tmp_path / "a.partial").keys() - expected.keys()
    assert names == {"red/one~3.jpg"}
    assert images_by_h5py(tmp_path / "a.partial") == expected | {"red/one~3.jpg": b"new"}


def link_to_another_file(path: Path) -> None:
    with h5py.File(path, "r+") as file, h5py.File(path.with_name("other.h5"), "w") as other:
        other.create_group("far")
        file["new"] = h5py.ExternalLink("other.h5", "/far")


def link_to_a_group(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["new"] = h5py.SoftLink("/red")


def put_a_dataset(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["new"] = np.zeros(3, np.uint8)


@pytest.mark.parametrize("change", [link_to_another_file, link_to_a_group, put_a_dataset])
def test_a_label_that_is_no_group_of_the_base_is_refused(tmp_path, store_path, change):
    change(store_path)
    other = store_path.with_name("other.h5")
    before = other.read_bytes() if other.exists() else None
    with ImageStore(store_path) as base, partial_file(tmp_path, base) as partial:
        with pytest.raises(UserError, match=r"images\.h5: 'new' is a link or a dataset there"):
            partial.add(make_record("new", b"x.jpg", b"x" * 5000), b"x" * 5000)
        partial.add(make_record("red", b"x.jpg", b"x"), b"x")
    assert (other.read_bytes() if other.exists() else None) == before


# ----- failures -----


def test_an_image_that_cannot_be_written_leaves_no_dataset(tmp_path):
    with partial_file(tmp_path) as partial:
        partial.add(make_record("red", b"1.jpg", b"first"), b"first")
        partial.write_waiting()
        with file_size_limit(1 << 20), pytest.raises(OSError) as raised:
            partial.add(make_record("red", b"2.jpg", b"x" * (3 << 20)), b"x" * (3 << 20))
        assert raised.value.errno == errno.EFBIG
        assert [image.member for image in partial.dropped] == [b"2.jpg"]
        partial.add(make_record("red", b"3.jpg", b"third"), b"third")
        partial.finish([])
    assert images_by_path(tmp_path / "a.partial") == {"red/1.jpg": b"first", "red/3.jpg": b"third"}
    assert images_by_h5py(tmp_path / "a.partial") == images_by_path(tmp_path / "a.partial")


def test_waiting_images_that_cannot_be_written_are_dropped(tmp_path):
    """Those before the first that cannot be written stay; the others leave no dataset."""
    with partial_file(tmp_path) as partial:
        with file_size_limit(5 << 19), pytest.raises(OSError):
            for i, size in enumerate((1000, 1_900_000, 10, 1_000_000)):
                data = b"%d" % i * size
                partial.add(make_record("red", b"%d.jpg" % i, data), data)
        assert [image.member for image in partial.dropped] == [b"1.jpg", b"2.jpg", b"3.jpg"]
        assert len(partial) == len(list(journal.read(tmp_path / "a.journal"))) == 1
        partial.add(make_record("red", b"2.jpg", b"2" * 10), b"2" * 10)
        partial.finish([])
    assert images_by_h5py(tmp_path / "a.partial") == {"red/0.jpg": b"0" * 1000, "red/2.jpg": b"2" * 10}
    assert images_by_path(tmp_path / "a.partial") == images_by_h5py(tmp_path / "a.partial")


def test_a_copy_that_fails_leaves_no_files(tmp_path, store_path):
    before = open_descriptors()
    with ImageStore(store_path) as base, file_size_limit(10_000), pytest.raises(OSError):
        PartialFile(tmp_path / "a.partial", tmp_path / "a.journal", base)
    assert os.listdir(tmp_path) == ["images.h5"]
    assert open_descriptors() <= before


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 8 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted_tmpfs(disk, "size=8m"):
        yield disk


def test_on_a_full_disk_the_file_can_still_be_finished(small_disk):
    data = b"x" * 100_000
    with partial_file(small_disk) as partial:
        with pytest.raises(DiskFull):
            for i in range(200):
                partial.add(make_record("red", b"%d.jpg" % i, data), data)
        added = len(partial)
        partial.finish([HEURISTIC])
    assert 0 < added < 80
    assert images_by_path(small_disk / "a.partial") == {f"red/{i}.jpg": data for i in range(added)}


def test_a_copy_that_does_not_fit_is_a_full_disk(small_disk, tmp_path):
    path = tmp_path / "large.h5"
    with h5py.File(path, "w") as file:
        file["red/large.jpg"] = np.zeros(9 << 20, np.uint8)
    with ImageStore(path) as base, pytest.raises(DiskFull):
        PartialFile(small_disk / "a.partial", small_disk / "a.journal", base)
    assert os.listdir(small_disk) == []
