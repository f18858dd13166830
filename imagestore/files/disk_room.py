"""The room on the disk that an unfinished file may still take."""

from __future__ import annotations

import errno
import os
from pathlib import Path

RESERVE = 4 << 20  # bytes of the disk that stay free, so that HDF5 can finish a file
RESERVE_PER_OBJECT = 1 << 10  # and these bytes for each object in the file
TRUSTED_ROOM = 64 << 20  # bytes that are written before the file system is asked again
NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


class DiskFull(OSError):
    """The disk has no room for more."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


class DiskRoom:
    """Guards the room on the disk that HDF5 needs to finish an open file: it cannot on a full disk.

    RESERVE bytes stay free, and RESERVE_PER_OBJECT for each object in the file.
    """

    def __init__(
        self, descriptor: int, path: Path, objects: int = 0, *, trusted_room: int = TRUSTED_ROOM
    ) -> None:
        """`path` is named in errors; `objects` is the number of objects that the file holds already.

        The file system is asked again after `trusted_room` bytes; before each object if this is 0.
        """
        self._descriptor, self._path, self._objects = descriptor, path, objects
        self._trusted_room = trusted_room
        self._room = 0  # bytes that may be written before the file system is asked again

    def claim(self, size: int) -> None:
        """Count one more object of `size` bytes, before it is written. Raises DiskFull."""
        self._objects += 1
        self._room -= size + RESERVE_PER_OBJECT
        if self._room < 0:
            self._room = min(self._room_after(size), self._trusted_room)

    def _room_after(self, size: int) -> int:
        state = os.fstatvfs(self._descriptor)
        reserve = RESERVE + RESERVE_PER_OBJECT * self._objects
        room = state.f_bavail * state.f_frsize - reserve - size
        if room < 0:
            raise DiskFull(self._path)
        return room
