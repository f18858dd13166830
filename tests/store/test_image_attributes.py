"""The attributes of an image: their types, and which of them are read again."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagestore.store.image_attributes import AttributeWriter, read_palette, read_record
from imagestore.store.partial_file import PartialFile
from imagestore.store.reader import ImageStore
from imagestore.store.record import PALETTE_COLUMNS, ImageRecord
from imagestore.store.walk import walk
from tests.helpers.written_stores import make_record

DATA = np.arange(50, dtype=np.uint8)


# ----- written -----


def test_the_types_of_attributes_are_as_documented(store_path):
    with h5py.File(store_path) as file:
        attributes = file["red/one.jpg"].attrs
        types = {key: attributes.get_id(key).get_type().dtype.str for key in attributes}
        assert types == {
            "crc32": "<u4", "Modified": "<i8", "Created": "<i8", "member": "|S11", "palette": "<f4",
        }  # fmt: skip
        assert file.attrs["H5VFS"] == "imagestore 1"
        assert file.attrs["palette_columns"] == "share L a b R G B"


def test_an_image_without_palette_and_member_is_stored(tmp_path):
    with contextlib.closing(PartialFile(tmp_path / "a.partial", tmp_path / "a.journal", None)) as partial:
        partial.add(replace(make_record("red", b"x.jpg", b"x", None), member=b""), b"x")
        partial.finish([])
    with h5py.File(tmp_path / "a.partial") as file:
        assert set(file["red/x.jpg"].attrs) == {"crc32", "Modified", "Created"}


FLOATS = st.floats(width=32, allow_nan=False)
PALETTES = st.none() | st.lists(st.tuples(*[FLOATS] * len(PALETTE_COLUMNS)), min_size=1, max_size=5).map(
    lambda rows: np.array(rows, np.float32)
)
SECONDS = st.integers(-(2**63), 2**63 - 1)  # since 1970
RECORDS = st.builds(
    ImageRecord,
    label=st.just(b"red"),
    name=st.just(b"1.jpg"),
    size=st.just(50),
    member=st.binary(max_size=40).filter(lambda member: not member.endswith(b"\0")),
    crc32=st.integers(0, 2**32 - 1),
    mtime=SECONDS,
    created=SECONDS,
    palette=PALETTES,
)


@given(records=st.lists(RECORDS, min_size=1, max_size=4))
@settings(max_examples=50)
def test_attributes_are_read_as_they_were_written(records):
    """One writer writes all records, as it keeps types and shapes for the next image."""
    writer = AttributeWriter()
    with h5py.File("attributes.h5", "w", driver="core", backing_store=False) as file:
        for i, record in enumerate(records):
            file[f"red/{i}"] = DATA
            dataset = file[f"red/{i}"].id
            writer.write(dataset, record)
            assert read_record(dataset, b"red", b"1.jpg", dataset.shape[0]) == record
            palette = read_palette(dataset)
            assert (palette is None) == (record.palette is None)
            assert palette is None or (palette.dtype, palette.tolist()) == ("f4", record.palette.tolist())


# ----- of other tools -----


@pytest.mark.parametrize(
    ("attributes", "crc32", "mtime", "member"),
    [
        ({"crc32": np.uint32(5), "Modified": np.int64(9), "member": np.bytes_(b"a/b")}, 5, 9, b"a/b"),
        ({"crc32": "text", "Modified": 1.5, "member": 7}, None, 0, b""),
        ({"crc32": [1, 2], "Modified": h5py.Empty("i8"), "member": "variable length"}, None, 0, b""),
        ({"crc32": np.zeros((1, 1), int), "member": np.array([b"a/b"])}, None, 0, b""),
        ({}, None, 0, b""),
    ],
    ids=["right", "wrong types", "wrong shapes", "lists of one", "none"],
)
def test_attributes_of_other_kinds_are_ignored(tmp_path, attributes, crc32, mtime, member):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["red/1.jpg"] = DATA
        file["red/1.jpg"].attrs.update(attributes)
        image = walk(file).record(0)
    assert (image.crc32, image.mtime, image.member, image.created) == (crc32, mtime, member, 0)


@pytest.mark.parametrize(
    "value", ["no table", np.zeros(7, "f4"), np.zeros((2, 3), "f4"), np.zeros((2, 7), "i4")],
    ids=["text", "one row", "too few columns", "integers"],
)  # fmt: skip
def test_an_attribute_that_is_no_palette_is_ignored(store_path, value):
    with h5py.File(store_path, "r+") as file:
        file["red/one.jpg"].attrs["palette"] = value
    with ImageStore(store_path) as store:
        assert store.palette(store.find("red/one.jpg")) is None
