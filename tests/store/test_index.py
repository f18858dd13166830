"""The index in memory: built in any order, sorted, searched, pickled."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestore.hdf5.entry import NO_OFFSET
from imagestore.store.index import IndexBuilder, StoreIndex, column_names
from imagestore.store.record import ImageRecord

names = st.binary(min_size=1, max_size=400).filter(lambda name: b"\0" not in name)


def build(*images: ImageRecord) -> StoreIndex:
    builder = IndexBuilder()
    for offset, image in enumerate(images):
        builder.add(image, offset)
    return builder.build()


def small_image(label: bytes, name: bytes) -> ImageRecord:
    return ImageRecord(label=label, name=name, size=1)


@given(
    st.dictionaries(
        st.tuples(st.sampled_from([b"red", b"blue", b"r"]), names), st.integers(0, 2**40), max_size=50
    )
)
def test_every_row_of_an_index_is_found(rows):
    builder = IndexBuilder()
    for (label, name), offset in rows.items():
        builder.add(ImageRecord(label=label, name=name, size=1, member=name, mtime=2, created=3), offset)
    built = builder.build()
    assert len(built) == len(rows)
    for (label, name), offset in rows.items():
        position = built.find(label, name)
        found = built.record(position)
        assert (found.label, found.name, built.offset[position], found.member) == (label, name, offset, name)
    assert built.find(b"none", b"x") == -1
    twice = IndexBuilder()
    twice.extend(built)
    again = twice.build()
    assert [again.record(i) for i in range(len(again))] == [built.record(i) for i in range(len(built))]
    assert again.offset.tolist() == built.offset.tolist()


def test_images_are_sorted_by_label_then_name_as_bytes():
    index = build(*(small_image(label, name) for label in (b"b", b"a") for name in (b"z", b"Z", b"\xff")))
    assert [(index.label_of(i), index.name(i)) for i in range(6)] == [
        (0, b"Z"), (0, b"z"), (0, b"\xff"), (1, b"Z"), (1, b"z"), (1, b"\xff"),
    ]  # fmt: skip
    assert (index.label_bytes, index.labels, index.start.tolist()) == ([b"a", b"b"], ["a", "b"], [0, 3, 6])


def test_every_field_of_a_record_comes_back():
    image = ImageRecord(
        label=b"\xff", name=b"n", size=2**40, member=b"m/n", crc32=2**32 - 1, mtime=-5, created=2**40
    )
    bare = ImageRecord(label=b"a", name=b"", size=0)
    index = build(image, bare)
    assert [index.record(0), index.record(1)] == [bare, image]


@pytest.mark.parametrize("label", [b"a", b"c", b"e"])
def test_labels_between_others_are_not_found(label):
    index = build(small_image(b"b", b"x"), small_image(b"d", b"x"))
    assert index.find(label, b"x") == -1
    assert [index.find("b", "x"), index.find(b"d", b"x"), index.find("b", "y")] == [0, 1, -1]


def test_two_indexes_are_joined():
    builder = IndexBuilder()
    builder.extend(build(small_image(b"b", b"1"), small_image(b"a", b"2")))
    builder.add(small_image(b"a", b"1"), NO_OFFSET)
    builder.extend(build(small_image(b"c", b"3"), small_image(b"a", b"0")))
    joined = builder.build()
    images = [joined.record(i) for i in range(len(joined))]
    assert [(image.label, image.name) for image in images] == [
        (b"a", b"0"), (b"a", b"1"), (b"a", b"2"), (b"b", b"1"), (b"c", b"3"),
    ]  # fmt: skip
    assert joined.offset.tolist() == [1, NO_OFFSET, 1, 0, 0]


@pytest.mark.parametrize("covers", [True, False])
def test_a_joined_index_covers_no_more_than_its_parts(covers):
    part = IndexBuilder()
    part.covers_whole_file = covers
    builder = IndexBuilder()
    builder.extend(part.build())
    assert builder.build().covers_whole_file == covers


def test_columns_are_loaded_once_when_needed():
    source, loaded = build(small_image(b"a", b"1")), []

    def load(key: str) -> np.ndarray:
        loaded.append(key)
        return source.column(key)

    index = StoreIndex(labels=[b"a"], start=source.start, columns={}, load=load)
    assert len(index) == 1 and loaded == []
    assert index.size.tolist() == index.size.tolist() == [1]
    assert loaded == ["size"]


def test_a_pickled_index_has_all_columns():
    source = build(small_image(b"b", b"1"), small_image(b"a", b"2"))
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
    source = build(small_image(b"b", b"1"))
    index = StoreIndex(
        labels=source.label_bytes, start=source.start, columns={}, load=source.column,
        written_with_store=True, covers_whole_file=False,
    )  # fmt: skip
    copy = index.copy_as_walked()
    assert not copy.written_with_store and not copy.covers_whole_file
    assert copy.record(0) == source.record(0)


def test_each_added_image_is_counted():
    counted = []
    builder = IndexBuilder(lambda: counted.append(1))
    builder.add(small_image(b"a", b"1"), 0)
    builder.add(small_image(b"a", b"2"), 1)
    assert len(counted) == len(builder) == 2


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.binary(max_size=9), st.booleans()), max_size=12)
)
def test_images_that_are_left_out_are_as_if_never_added(images):
    """With others added behind them, as PartialFile does."""
    complete, expected = IndexBuilder(), IndexBuilder()
    for i, (label, member, is_kept) in enumerate(images):
        record = ImageRecord(label=label.encode(), name=b"%d" % i, size=i, member=member, crc32=i, created=1)
        complete.add(record, 100 + i)
        if is_kept:
            expected.add(record, 100 + i)
    complete.leave_out([i for i, (_, _, is_kept) in enumerate(images) if not is_kept])
    assert len(complete) == len(expected) and complete.labels() == expected.labels()
    for builder in (complete, expected):
        builder.add(ImageRecord(label=b"b", name=b"x", size=5, member=b"late"), 7)
    found, wanted = complete.build(), expected.build()
    assert found.label_bytes == wanted.label_bytes
    for key in column_names():
        assert found.column(key).tolist() == wanted.column(key).tolist()
