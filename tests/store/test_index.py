"""The index in memory: searched, loaded, pickled."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from imagestore.store.index import StoreIndex, column_names
from imagestore.store.record import ImageRecord
from tests.helpers.small_indexes import index_of, small_image


def test_every_field_of_a_record_comes_back():
    image = ImageRecord(
        label=b"\xff", name=b"n", size=2**40, member=b"m/n", crc32=2**32 - 1, mtime=-5, created=2**40
    )
    bare = ImageRecord(label=b"a", name=b"", size=0)
    index = index_of(image, bare)
    assert [index.record(0), index.record(1)] == [bare, image]


@pytest.mark.parametrize("label", [b"a", b"c", b"e"])
def test_labels_between_others_are_not_found(label):
    index = index_of(small_image(b"b", b"x"), small_image(b"d", b"x"))
    assert index.find(label, b"x") == -1
    assert [index.find("b", "x"), index.find(b"d", b"x"), index.find("b", "y")] == [0, 1, -1]


def test_columns_are_loaded_once_when_needed():
    source, loaded = index_of(small_image(b"a", b"1")), []

    def load(key: str) -> np.ndarray:
        loaded.append(key)
        return source.column(key)

    index = StoreIndex(labels=[b"a"], start=source.start, columns={}, load=load)
    assert len(index) == 1 and loaded == []
    assert index.size.tolist() == index.size.tolist() == [1]
    assert loaded == ["size"]


def test_a_pickled_index_has_all_columns():
    source = index_of(small_image(b"b", b"1"), small_image(b"a", b"2"))
    index = StoreIndex(
        labels=source.label_bytes, start=source.start, columns={}, load=source.column,
        written_with_store=True, covers_whole_file=False,
    )  # fmt: skip
    copy = pickle.loads(pickle.dumps(index))
    for key in column_names():
        assert np.array_equal(copy.column(key), source.column(key))
    assert copy.written_with_store and not copy.covers_whole_file
    assert [copy.record(i) for i in range(2)] == [source.record(i) for i in range(2)]


def test_a_copy_as_walked_vouches_for_no_bytes():
    source = index_of(small_image(b"b", b"1"))
    index = StoreIndex(
        labels=source.label_bytes, start=source.start, columns={}, load=source.column,
        written_with_store=True, covers_whole_file=False,
    )  # fmt: skip
    copy = index.copy_as_walked()
    assert not copy.written_with_store and not copy.covers_whole_file
    assert copy.record(0) == source.record(0)
