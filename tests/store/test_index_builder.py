"""Building an index: in any order, from others, without some; what is built is found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestore.hdf5.entry import NO_OFFSET
from imagestore.store.index import column_names
from imagestore.store.index_builder import IndexBuilder
from imagestore.store.record import ImageRecord
from tests.helpers.small_indexes import index_of, small_image

names = st.binary(min_size=1, max_size=400).filter(lambda name: b"\0" not in name)


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
    index = index_of(*(small_image(label, name) for label in (b"b", b"a") for name in (b"z", b"Z", b"\xff")))
    assert [(index.label_of(i), index.name(i)) for i in range(6)] == [
        (0, b"Z"), (0, b"z"), (0, b"\xff"), (1, b"Z"), (1, b"z"), (1, b"\xff"),
    ]  # fmt: skip
    assert (index.label_bytes, index.labels, index.start.tolist()) == ([b"a", b"b"], ["a", "b"], [0, 3, 6])


def test_two_indexes_are_joined():
    builder = IndexBuilder()
    builder.extend(index_of(small_image(b"b", b"1"), small_image(b"a", b"2")))
    builder.add(small_image(b"a", b"1"), NO_OFFSET)
    builder.extend(index_of(small_image(b"c", b"3"), small_image(b"a", b"0")))
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
