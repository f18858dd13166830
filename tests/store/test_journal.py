"""The journal of a partial file: its records, and what is read after a kill in the middle of one."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from imagestore.store import journal
from tests.helpers.written_stores import PALETTE, make_record

names = st.binary(min_size=1, max_size=400).filter(lambda name: b"\0" not in name)


def write_journal(path: Path, count: int) -> None:
    with path.open("wb") as file:
        for i in range(count):
            journal.append(file, make_record("red", b"jpg/%d.jpg" % i, b"data %d" % i), 1000 + i)


@given(st.lists(st.tuples(names, st.integers(0, 2**40), st.booleans())), st.integers(0, 10**6))
def test_a_journal_is_read_up_to_where_it_breaks_off(tmp_path_factory, records, cut):
    path = tmp_path_factory.mktemp("journal") / "journal"
    ends = []
    with path.open("wb") as file:
        for name, offset, has_palette in records:
            journal.append(file, make_record("red", name, name, PALETTE if has_palette else None), offset)
            ends.append(file.tell())
    os.truncate(path, min(cut, path.stat().st_size))
    found = list(journal.read(path))
    assert len(found) == sum(end <= cut for end in ends)
    for (image, at), (name, offset, has_palette) in zip(found, records, strict=False):
        assert (image.member, at, image.palette is not None) == (name, offset, has_palette)


def test_every_field_of_a_record_comes_back(tmp_path):
    image = replace(make_record("dark-blue", b"jpg/1.jpg", b"data"), name=b"other name.jpg")
    with (tmp_path / "journal").open("wb") as file:
        journal.append(file, image, 2**40)
    ((found, offset),) = journal.read(tmp_path / "journal")
    assert (found, offset) == (image, 2**40)
    assert np.array_equal(found.palette, PALETTE) and found.palette.dtype == np.float32


def test_a_flipped_byte_ends_the_journal(tmp_path):
    """No wrong record is ever read: those before the flipped byte come, and none after it."""
    path = tmp_path / "journal"
    write_journal(path, 3)
    intact, expected = path.read_bytes(), list(journal.read(path))
    size = len(intact) // 3
    for position in range(len(intact)):
        damaged = bytearray(intact)
        damaged[position] ^= 0x21
        path.write_bytes(damaged)
        assert list(journal.read(path)) == expected[: position // size], position


def test_an_empty_journal_has_no_records(tmp_path):
    (tmp_path / "journal").touch()
    assert list(journal.read(tmp_path / "journal")) == []
