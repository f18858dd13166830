"""What is to be said of a file, in a store's own index too."""

from __future__ import annotations

import h5py
import numpy as np

from imagestore.hdf5.links import NOWHERE
from imagestore.store.reader import ImageStore
from imagestore.store.remarks import Remarks
from imagestore.store.writer import StoreWriter
from tests.helpers.written_stores import make_record

DATA = np.arange(50, dtype=np.uint8)


def test_links_are_counted_and_the_first_are_named():
    remarks = Remarks()
    assert not remarks and remarks.links_as_text() == ""
    for i in range(1200):
        remarks.leave_link_out(NOWHERE, b"red/%d\n.jpg" % i)
    assert remarks
    assert remarks.links_as_text() == (
        "; links that lead nowhere: 1,200 (red/0\\n.jpg, red/1\\n.jpg, red/2\\n.jpg, …)"
    )
    assert Remarks.from_json(remarks.as_json()) == remarks


def test_a_writer_keeps_the_remarks_of_the_file_that_it_adds_to(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for i in range(4):
            file[f"images/{i}"] = DATA
            file[f"{'red' if i % 2 else 'green'}/{i}.jpg"] = h5py.SoftLink(f"/images/{i}")
        file["red/missing.jpg"] = h5py.SoftLink("/images/4")
    with StoreWriter(tmp_path / "a.h5") as writer:
        writer.add(make_record("blue", b"new.jpg", b"new"), b"new")
        writer.publish()
    with ImageStore(tmp_path / "a.h5") as store:
        assert store.index.written_with_store and store.labels == ["blue", "green", "images", "red"]
        assert store.index.remarks.storage_groups == {"images": 0}
        assert store.index.remarks.links[NOWHERE].paths == ["red/missing.jpg"]


def test_no_index_of_other_files_is_kept(tmp_path):
    with h5py.File(tmp_path / "part.h5", "w") as file:
        file["images/1.jpg"] = DATA
    with h5py.File(tmp_path / "master.h5", "w") as file:
        file["rose"] = h5py.ExternalLink("part.h5", "/images")
    with StoreWriter(tmp_path / "master.h5") as writer:
        writer.add(make_record("blue", b"new.jpg", b"new"), b"new")
        writer.publish()
    with ImageStore(tmp_path / "master.h5") as store:
        assert not store.index.written_with_store and store.labels == ["blue", "rose"]
