"""The room on the disk: a file in the making leaves enough to be finished."""

from __future__ import annotations

import errno
import os

import pytest

from imagestore.files.disk_room import RESERVE, RESERVE_PER_OBJECT, DiskFull, DiskRoom
from imagestore.files.write_and_copy import write_all
from tests.helpers.full_disks import SMALL_DISK as DISK


def test_the_reserve_stays_free(disk):
    with (disk / "file").open("wb") as file:
        room = DiskRoom(file.fileno(), disk / "file")
        with pytest.raises(DiskFull) as raised:
            room.claim(DISK - RESERVE + 1)
        assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(disk / "file"))
        room = DiskRoom(file.fileno(), disk / "file")
        room.claim(DISK - RESERVE - (64 << 10))
        write_all(file.fileno(), bytes(DISK - RESERVE - (64 << 10)), 0)
        with pytest.raises(DiskFull):
            room.claim(1 << 20)


def test_claims_end_before_the_disk_is_full(disk):
    size, written = 100_000, 0
    with (disk / "file").open("wb") as file:
        room = DiskRoom(file.fileno(), disk / "file")
        with pytest.raises(DiskFull):
            while written < DISK:
                room.claim(size)
                write_all(file.fileno(), bytes(size), written)
                written += size
        state = os.fstatvfs(file.fileno())
    assert state.f_bavail * state.f_frsize >= RESERVE
    assert written > DISK - RESERVE - (1 << 20)


def test_each_object_keeps_more_room_free(disk):
    with (disk / "file").open("wb") as file:
        DiskRoom(file.fileno(), disk / "file", objects=0).claim(0)
        too_many = (DISK - RESERVE) // RESERVE_PER_OBJECT
        with pytest.raises(DiskFull):
            DiskRoom(file.fileno(), disk / "file", objects=too_many).claim(0)


def test_room_that_becomes_free_can_be_claimed(disk):
    (disk / "other").write_bytes(bytes(DISK - RESERVE))
    with (disk / "file").open("wb") as file:
        room = DiskRoom(file.fileno(), disk / "file")
        with pytest.raises(DiskFull):
            room.claim(1 << 20)
        (disk / "other").unlink()
        room.claim(1 << 20)


def test_room_is_trusted_as_long_as_it_may_be(disk):
    """Others fill the disk after the first claim. Only a guard that trusts no room asks again."""
    with (disk / "file").open("wb") as file:
        trusting = DiskRoom(file.fileno(), disk / "file")
        careful = DiskRoom(file.fileno(), disk / "file", trusted_room=0)
        trusting.claim(1)
        careful.claim(1)
        (disk / "other").write_bytes(bytes(DISK - RESERVE))
        trusting.claim(1)
        with pytest.raises(DiskFull):
            careful.claim(1)
