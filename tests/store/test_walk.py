"""The index of a file that has none."""

from __future__ import annotations

import pickle

import h5py
import numpy as np
import pytest

from imagestore.hdf5.entry import NO_OFFSET
from imagestore.hdf5.links import NOWHERE
from imagestore.store.index import StoreIndex
from imagestore.store.reader import ImageStore
from imagestore.store.remarks import LinksLeftOut
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


def test_byte_arrays_are_images_and_links_lead_to_them(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["red/1.jpg"] = file["red/deeper/2.jpg"] = DATA
        file["at the top.jpg"] = DATA
        file["red/signed"] = DATA.astype(np.int8)
        file["red/wide"] = DATA.astype(np.uint16)
        file["red/table"] = DATA.reshape(5, 10)
        file["red/soft"] = h5py.SoftLink("/red/1.jpg")
        file["red/far"] = h5py.ExternalLink("b.h5", "/x")
        file["again"] = h5py.SoftLink("/red/1.jpg")
        file["empty/group/x"] = np.dtype("u1")
    counted = []
    with h5py.File(tmp_path / "a.h5") as file:
        index = walk(file, lambda: counted.append(1))
    assert paths_of(index) == [b"/at the top.jpg", b"red/1.jpg", b"red/deeper/2.jpg", b"red/soft"]
    assert len(counted) == 4 and not index.covers_whole_file
    assert index.remarks.links[NOWHERE] == LinksLeftOut(count=1, paths=["red/far"])


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


def test_linked_groups_are_labels_and_the_storage_is_none(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for i in range(4):
            file[f"images/{i}"] = DATA
            file[f"{'red' if i % 2 else 'green'}/{i}.jpg"] = h5py.SoftLink(f"/images/{i}")
    with ImageStore(tmp_path / "a.h5") as store:
        assert store.labels == ["green", "images", "red"]
        assert store.index.remarks.storage_groups == {"images": 0}
        assert store.read(store.find("red/3.jpg")) == DATA.tobytes()


def test_links_that_make_too_many_paths_end(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["20/1.jpg"] = DATA
        for i in range(20):  # a million paths from 0 to the image
            file[f"{i}/left"] = h5py.SoftLink(f"/{i + 1}")
            file[f"{i}/right"] = h5py.SoftLink(f"/{i + 1}")
        assert len(walk(file)) < 2000


def test_a_link_to_the_root_group_is_no_label(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["red/1.jpg"] = DATA
        file["all"] = h5py.SoftLink("/")
        file["hard"] = file["/"]
        assert paths_of(walk(file)) == [b"red/1.jpg"]


def test_images_behind_external_links_are_read(tmp_path):
    with h5py.File(tmp_path / "part.h5", "w") as file:
        file["images/1.jpg"] = DATA
    with h5py.File(tmp_path / "master.h5", "w") as file:
        file["rose"] = h5py.ExternalLink("part.h5", "/images")
    with ImageStore(tmp_path / "master.h5") as store:
        again = pickle.loads(pickle.dumps(store))
        assert store.index.remarks.uses_other_files and not store.index.covers_whole_file
        for opened in (store, again):
            assert opened.path_of(0) == "rose/1.jpg" and opened.read(0) == DATA.tobytes()
        again.close()
