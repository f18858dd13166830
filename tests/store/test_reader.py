"""Reading a store: images, palettes and heuristics, also of files that are damaged or replaced."""

from __future__ import annotations

import os
import pickle
import threading
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.console import UserError
from imagestore.store.reader import ImageStore, StoreError
from imagestore.store.writer import StoreWriter
from tests.helpers.descriptors import open_descriptors
from tests.helpers.written_stores import (
    HEURISTIC,
    IMAGES,
    PALETTE,
    cut_the_index_off,
    images_by_member,
    images_by_path,
    make_record,
    write_store,
)


def test_images_are_read_as_they_were_written(store_path):
    with ImageStore(store_path) as store:
        assert images_by_member(store) == IMAGES
        assert store.labels == ["dark-blue", "red", "white"]
        assert all(store.find(store.path_of(i)) == i for i in range(len(store)))
        assert np.array_equal(store.palette(0), PALETTE)
        assert store.heuristics() == [HEURISTIC]
        with pytest.raises(KeyError):
            store.find("red/none.jpg")


def test_a_damaged_image_is_an_error_and_others_are_read(store_path):
    with ImageStore(store_path) as store:
        position = int(store.index.offset[0])
    data = bytearray(store_path.read_bytes())
    data[position] ^= 1
    store_path.write_bytes(data)
    with ImageStore(store_path) as store:
        with pytest.raises(StoreError, match="checksum"):
            store.read(0)
        assert all(store.read(i) for i in range(1, len(store)))


def test_a_file_cut_short_in_use_is_an_error(store_path):
    with ImageStore(store_path) as store:
        assert images_by_member(store) == IMAGES  # the index is in memory by now
        last = store.positions_by_offset()[-1]
        os.truncate(store_path, int(store.index.offset[last]) + 1)
        with pytest.raises(StoreError, match="cut short"):
            store.read(last)
        assert store.read(store.positions_by_offset()[0])


def test_a_store_can_be_pickled_until_it_is_replaced(store_path):
    with ImageStore(store_path) as store:
        pickled = pickle.dumps(store)
        assert images_by_member(pickle.loads(pickled)) == IMAGES
        write_store(store_path, {("red", b"late.jpg"): b"late"})
        with pytest.raises(StoreError, match="replaced"):
            pickle.loads(pickled)


def test_h5py_can_open_a_file_while_it_is_read(store_path):
    cut_the_index_off(store_path)
    with ImageStore(store_path) as store, h5py.File(store_path) as file:
        assert len(store) == sum(len(group) for group in file.values())


def test_a_replaced_store_is_read_through_hdf5_too(old_store, tmp_path):
    """The file that is open has no name any more; compressed images can only be read through HDF5."""
    with ImageStore(old_store) as store:
        expected = images_by_path(old_store)
        other = tmp_path / "other.h5"
        write_store(other, {("red", b"other.jpg"): b"other"})
        other.replace(old_store)
        assert {store.path_of(i): store.read(i) for i in range(len(store))} == expected
        assert store.heuristics() == []


def test_hdf5_is_opened_again_after_a_fork(old_store):
    with ImageStore(old_store) as store:
        before = images_by_member(store)
        parents_file = store.hdf5()
        pid = os.fork()
        if pid == 0:
            same = store.hdf5() is not parents_file and images_by_member(store) == before
            os._exit(0 if same else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert store.hdf5() is parents_file
        assert images_by_member(store) == before


def test_several_threads_read_the_right_images(store_path):
    wrong = []

    def read_all(store: ImageStore) -> None:
        for _ in range(30):
            if images_by_member(store) != IMAGES:
                wrong.append(threading.current_thread())

    with ImageStore(store_path) as store:
        threads = [threading.Thread(target=read_all, args=(store,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    assert not wrong and not any(thread.is_alive() for thread in threads)


def test_positions_by_offset_are_in_the_order_of_the_bytes(store_path):
    with ImageStore(store_path) as store:
        positions = store.positions_by_offset()
        assert sorted(positions) == list(range(len(IMAGES)))
        assert [store.index.member(i) for i in positions] == [member for _, member in IMAGES]


@pytest.mark.parametrize(
    "changes", [{"member": b""}, {"created": 0}, {}], ids=["no member", "no time", "complete"]
)
def test_only_images_with_all_attributes_are_copyable(tmp_path, changes):
    with StoreWriter(tmp_path / "a.h5") as writer:
        writer.add(replace(make_record("red", b"1.jpg", b"data"), **changes), b"data")
        writer.add(make_record("red", b"2.jpg", b"other"), b"other")
        writer.publish()
    with ImageStore(tmp_path / "a.h5") as store:
        assert store.copyable().tolist() == [not changes, True]


def test_images_beside_other_objects_are_not_copyable(store_path):
    with h5py.File(store_path, "r+") as file:
        file["red/array"] = np.zeros((2, 2))
    with ImageStore(store_path) as store:
        assert not store.copyable().any()


@pytest.mark.parametrize("text", ["no JSON", "7", '["no record"]', None])
def test_heuristics_that_cannot_be_read_are_ignored(store_path, text):
    with h5py.File(store_path, "r+") as file:
        if text is None:
            del file.attrs["heuristic"]
        else:
            file.attrs["heuristic"] = text
    with ImageStore(store_path) as store:
        assert store.heuristics() == []


def test_a_file_that_is_no_store_is_refused(tmp_path):
    (tmp_path / "text.h5").write_text("not HDF5")
    h5py.File(tmp_path / "empty.h5", "w").close()
    for name, words in {
        "none.h5": "no such file",
        "text.h5": "not an HDF5",
        "empty.h5": "holds no image",
        ".": "folder",
    }.items():
        with pytest.raises(UserError, match=words):
            ImageStore(tmp_path / name)


def test_a_store_without_images_opens_if_that_is_allowed(tmp_path):
    h5py.File(tmp_path / "empty.h5", "w").close()
    with ImageStore(tmp_path / "empty.h5", require_images=False) as store:
        assert (len(store), store.labels) == (0, [])


def test_a_refused_file_leaves_no_descriptor_open(tmp_path):
    (tmp_path / "text.h5").write_text("not HDF5")
    before = open_descriptors()
    for name in ("text.h5", "none.h5"):
        with pytest.raises(UserError):
            ImageStore(tmp_path / name)
    assert open_descriptors() <= before


def test_closing_twice_is_harmless(store_path: Path):
    store = ImageStore(store_path)
    store.close()
    store.close()
