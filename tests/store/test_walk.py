"""The index of a file that has none."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from imagestore.hdf5.entry import NO_OFFSET
from imagestore.store.index import StoreIndex
from imagestore.store.reader import ImageStore
from imagestore.store.walk import walk

DATA = np.arange(50, dtype=np.uint8)


def paths_of(index: StoreIndex) -> list[bytes]:
    records = [index.record(i) for i in range(len(index))]
    return [record.label + b"/" + record.name for record in records]


def test_a_walk_finds_what_the_index_says(store_path):
    with ImageStore(store_path) as store:
        assert store.index.written_with_store
        walked = walk(store.hdf5())
        assert not walked.written_with_store and walked.covers_whole_file
        assert walked.labels == store.index.labels
        assert [walked.record(i) for i in range(len(walked))] == [
            store.index.record(i) for i in range(len(store))
        ]
        assert walked.offset.tolist() == store.index.offset.tolist()


def test_only_byte_arrays_below_a_label_are_images(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["red/1.jpg"] = file["red/deeper/2.jpg"] = DATA
        file["at the top.jpg"] = DATA
        file["red/signed"] = DATA.astype(np.int8)
        file["red/wide"] = DATA.astype(np.uint16)
        file["red/table"] = DATA.reshape(5, 10)
        file["red/soft"] = h5py.SoftLink("/red/1.jpg")
        file["red/far"] = h5py.ExternalLink("b.h5", "/x")
        file["empty/group/x"] = np.dtype("u1")
    counted = []
    with h5py.File(tmp_path / "a.h5") as file:
        index = walk(file, lambda: counted.append(1))
    assert paths_of(index) == [b"red/1.jpg", b"red/deeper/2.jpg"]
    assert len(counted) == 2 and not index.covers_whole_file


def add_nothing(file: h5py.File) -> None:
    pass


def add_a_dataset_at_the_top(file: h5py.File) -> None:
    file["top.jpg"] = DATA


def add_a_deeper_group(file: h5py.File) -> None:
    file.create_group("red/deeper")


def add_a_soft_link(file: h5py.File) -> None:
    file["red/link"] = h5py.SoftLink("/red/1.jpg")


def add_another_array(file: h5py.File) -> None:
    file["red/array"] = np.zeros((2, 2))


def add_permissions_to_an_image(file: h5py.File) -> None:
    file["red/1.jpg"].attrs["Permissions"] = 0o600


def add_permissions_to_a_label(file: h5py.File) -> None:
    file["red"].attrs["Permissions"] = 0o700


ADDITIONS = [
    add_a_dataset_at_the_top,
    add_a_deeper_group,
    add_a_soft_link,
    add_another_array,
    add_permissions_to_an_image,
    add_permissions_to_a_label,
]


@pytest.mark.parametrize("add", [add_nothing, *ADDITIONS])
def test_the_index_tells_if_the_file_holds_more(tmp_path, add):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["red/1.jpg"] = DATA
        add(file)
        assert walk(file).covers_whole_file == (add is add_nothing)


def test_groups_that_contain_themselves_end(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["red/1.jpg"] = DATA
        file["red/again"] = file["red"]
        assert paths_of(walk(file)) == [b"red/1.jpg"]


def test_only_contiguous_datasets_have_an_offset(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["red/1.jpg"] = DATA
        file.create_dataset("red/2.jpg", data=DATA, chunks=(10,))
        index = walk(file)
        assert index.offset.tolist() == [file["red/1.jpg"].id.get_offset(), NO_OFFSET]
