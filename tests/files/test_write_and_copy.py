"""Writing all bytes, and copying the start of a file."""

from __future__ import annotations

import errno
import os
import random

import pytest

from imagestore.files.write_and_copy import copy_start, write_all
from tests.helpers.full_disks import SMALL_DISK as DISK
from tests.helpers.full_disks import file_size_limit


def test_all_bytes_are_written_at_their_place(tmp_path):
    with (tmp_path / "file").open("w+b") as file:
        write_all(file.fileno(), b"abc", 5)
        write_all(file.fileno(), memoryview(b"xy"), 0)
        write_all(file.fileno(), b"", 100)
        assert (tmp_path / "file").read_bytes() == b"xy\0\0\0abc"
        assert file.tell() == 0


def test_a_write_that_stops_in_the_middle_is_an_error(tmp_path):
    """Up to the limit, the system writes a part without an error; only the next call fails."""
    with (tmp_path / "file").open("wb") as file, file_size_limit(1000), pytest.raises(OSError) as raised:
        write_all(file.fileno(), b"x" * 5000, 0)
    assert raised.value.errno == errno.EFBIG
    assert (tmp_path / "file").read_bytes() == b"x" * 1000


@pytest.mark.parametrize("flags", [0, os.O_APPEND], ids=["in the kernel", "through memory"])
@pytest.mark.parametrize("size", [0, 1, 5_000_000, 9_000_000])
def test_the_start_of_a_file_is_copied(tmp_path, flags, size):
    """The kernel refuses to copy to a file that is opened to append: the bytes then go through memory."""
    data = random.Random(size).randbytes(9_000_000)
    (tmp_path / "source").write_bytes(data)
    source = os.open(tmp_path / "source", os.O_RDONLY)
    target = os.open(tmp_path / "target", os.O_RDWR | os.O_CREAT | flags)
    try:
        copy_start(source, target, size)
    finally:
        os.close(source)
        os.close(target)
    assert (tmp_path / "target").read_bytes() == data[:size]


def test_a_source_that_is_too_short_is_an_error(tmp_path):
    (tmp_path / "source").write_bytes(bytes(1000))
    with (
        (tmp_path / "source").open("rb") as source,
        (tmp_path / "target").open("wb") as target,
        pytest.raises(OSError, match="ends after 1000 of 1001 bytes") as raised,
    ):
        copy_start(source.fileno(), target.fileno(), 1001)
    assert raised.value.errno == errno.EIO


def test_a_copy_to_a_full_disk_is_an_error(disk, tmp_path_factory):
    source = tmp_path_factory.mktemp("source") / "file"
    source.write_bytes(bytes(DISK + 1))
    with (
        source.open("rb") as file,
        (disk / "target").open("wb") as target,
        pytest.raises(OSError) as raised,
    ):
        copy_start(file.fileno(), target.fileno(), DISK + 1)
    assert raised.value.errno == errno.ENOSPC
