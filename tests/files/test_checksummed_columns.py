"""Columns in a file: what is written is read, the bytes are as documented, and no damage goes unnoticed."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from imagestore.files.checksummed_columns import DamagedColumn, StoredColumns, read_columns, write_columns

MAGIC = b"sixteen letters!"
COLUMNS = {
    "numbers": np.array([1, -2, 2**40], np.int64),
    "bytes": np.array([7, 8, 9, 10, 11], np.uint8),
    "nothing": np.zeros(0, np.uint32),
    "halves": np.array([0.5], ">f4"),
}
FACTS = {"version": 3, "names": ["\u00e9", "x"]}
BEGIN = b"thirteen bytes"[:13]


def write(path: Path, begin: bytes, facts: dict, columns: dict[str, np.ndarray]) -> None:
    path.write_bytes(begin)
    with path.open("r+b") as file:
        write_columns(file.fileno(), len(begin), MAGIC, facts, columns.items())


@pytest.fixture
def path(tmp_path) -> Path:
    """A file with BEGIN, FACTS and COLUMNS."""
    write(tmp_path / "file", BEGIN, FACTS, COLUMNS)
    return tmp_path / "file"


@pytest.fixture
def fd(path) -> Iterator[int]:
    """The same file, open for reading and writing."""
    fd = os.open(path, os.O_RDWR)
    yield fd
    os.close(fd)


def read(fd: int) -> StoredColumns | None:
    return read_columns(fd, len(BEGIN), MAGIC)


def test_columns_and_facts_are_read_as_they_were_written(fd):
    stored = read(fd)
    assert stored.facts == FACTS
    assert list(stored.places) == list(COLUMNS)
    assert stored.are_intact()
    for key, column in COLUMNS.items():
        loaded = stored.load(key)
        assert loaded.dtype == column.dtype
        np.testing.assert_array_equal(loaded, column)
        assert loaded.flags.writeable  # not mapped from the file


any_columns = st.dictionaries(
    st.text(max_size=10),
    arrays(st.sampled_from(["<i8", "<u4", "|u1", "|i1", ">i2", "<f8"]), st.integers(0, 50)),
    max_size=5,
)


@given(st.binary(max_size=40), st.dictionaries(st.sampled_from("abc"), st.integers()), any_columns)
def test_any_columns_are_read_as_they_were_written(tmp_path_factory, begin, facts, columns):
    path = tmp_path_factory.mktemp("columns") / "file"
    write(path, begin, facts, columns)
    with path.open("rb") as file:
        stored = read_columns(file.fileno(), len(begin), MAGIC)
        assert stored.facts == facts and stored.are_intact()
        loaded = {key: stored.load(key) for key in stored.places}
    assert path.read_bytes().startswith(begin)
    assert loaded.keys() == columns.keys()
    for key, column in columns.items():
        assert loaded[key].dtype == column.dtype and loaded[key].tobytes() == column.tobytes()


def test_a_column_that_is_every_other_element_is_stored(tmp_path):
    """Such an array has gaps in memory."""
    write(tmp_path / "file", b"", {}, {"even": np.arange(10)[::2]})
    with (tmp_path / "file").open("rb") as file:
        assert read_columns(file.fileno(), 0, MAGIC).load("even").tolist() == [0, 2, 4, 6, 8]


def test_the_bytes_are_as_documented(path):
    """Written here with struct and json only."""
    places, body = {}, b""
    for key, kind, data in (
        ("numbers", "<i8", struct.pack("<3q", 1, -2, 2**40)),
        ("bytes", "|u1", bytes([7, 8, 9, 10, 11])),
        ("nothing", "<u4", b""),
        ("halves", ">f4", struct.pack(">f", 0.5)),
    ):
        body += bytes(-(len(BEGIN) + len(body)) % 8)
        count = len(data) // int(kind[2])
        places[key] = [kind, len(BEGIN) + len(body), count, zlib.crc32(data)]
        body += data
    body += bytes(-(len(BEGIN) + len(body)) % 8)
    header = json.dumps({"version": 3, "names": ["\u00e9", "x"], "columns": places}).encode()
    footer = MAGIC + struct.pack("<QQI4x", len(BEGIN), len(header), zlib.crc32(header))
    assert path.read_bytes() == BEGIN + body + header + footer


def test_every_flipped_byte_is_noticed(fd):
    """A damaged footer, header or gap makes the file unreadable, a damaged column only itself."""
    unreadable = damaged = 0
    for position in range(len(BEGIN), os.fstat(fd).st_size):
        (byte,) = os.pread(fd, 1, position)
        os.pwrite(fd, bytes([byte ^ 0x40]), position)
        stored = read(fd)
        unreadable += stored is None
        if stored is not None:
            assert not stored.are_intact(), position
            assert sum(is_damaged(stored, key) for key in COLUMNS) == 1, position
            damaged += 1
        os.pwrite(fd, bytes([byte]), position)
    assert damaged == sum(column.nbytes for column in COLUMNS.values())
    assert unreadable > 40
    assert read(fd).are_intact()


def is_damaged(stored: StoredColumns, key: str) -> bool:
    try:
        stored.load(key)
    except DamagedColumn as error:
        assert key in str(error) and "damaged" in str(error)
        return True
    return False


def test_a_file_cut_short_anywhere_has_no_columns(fd):
    for size in reversed(range(os.fstat(fd).st_size)):
        os.truncate(fd, size)
        assert read(fd) is None, size


def test_bytes_behind_the_footer_hide_the_columns(fd):
    os.pwrite(fd, b"\0", os.fstat(fd).st_size)
    assert read(fd) is None


def test_a_file_cut_short_after_opening_is_an_error(fd):
    stored = read(fd)
    os.truncate(fd, len(BEGIN) + 8)
    assert not stored.are_intact()
    with pytest.raises(DamagedColumn, match="'numbers' of the index is cut short"):
        stored.load("numbers")
    assert stored.load("nothing").tolist() == []


@pytest.mark.parametrize("begin", [None, 0, 12, 14, 2**63])
def test_columns_that_begin_elsewhere_are_not_believed(fd, begin):
    assert read_columns(fd, begin, MAGIC) is None


def test_columns_of_another_kind_are_not_believed(fd):
    assert read_columns(fd, len(BEGIN), b"Sixteen letters!") is None


@pytest.mark.parametrize("size", [0, 1, 39, 40, 1000])
def test_a_file_of_zeros_has_no_columns(tmp_path, size):
    (tmp_path / "zeros").write_bytes(bytes(size))
    with (tmp_path / "zeros").open("rb") as file:
        assert read_columns(file.fileno(), 0, MAGIC) is None


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 10**6])
def test_a_header_longer_than_the_file_is_not_believed(fd, length):
    footer = struct.pack("<16sQQI4x", MAGIC, len(BEGIN), length, 0)
    os.pwrite(fd, footer, os.fstat(fd).st_size - len(footer))
    assert read(fd) is None


def test_a_column_larger_than_a_piece_is_compared_whole(tmp_path):
    """Checksums are compared in pieces of 1 MB."""
    column = np.arange(400_000, dtype=np.int64)
    write(tmp_path / "file", b"", {}, {"large": column})
    with (tmp_path / "file").open("r+b", buffering=0) as file:
        stored = read_columns(file.fileno(), 0, MAGIC)
        assert stored.are_intact()
        file.seek(column.nbytes - 1)
        file.write(b"\xff")
        assert not stored.are_intact()
