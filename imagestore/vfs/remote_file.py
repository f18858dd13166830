"""A store behind another file system of fsspec: on a web server, in an object store, in memory.

Its superblock and its index are copied into a sparse file on this machine, each to the place that it has in
the store. So the index is read there as that of any store. All other bytes are fetched when they are asked
for, and no others.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import fsspec.asyn
from fsspec import AbstractFileSystem

from imagestore.console import UserError
from imagestore.files.write_and_copy import write_all
from imagestore.hdf5.superblock import SIGNATURE, end_of_file_address
from imagestore.store.trailer import begin_of_trailer
from imagestore.vfs.shown_access import READABLE
from imagestore.vfs.store_file import StoreFile

HEAD_BYTES = 512  # with the superblock
TAIL_BYTES = 1 << 16  # with the footer of the index, and often with the whole index


class RemoteStoreFile(StoreFile):
    """The file at a path of another file system. Its descriptor is that of the sparse file."""

    def __init__(self, file_system: AbstractFileSystem, place: str) -> None:
        """Fetch the superblock and the index. Raises UserError if there is no index, and OSError."""
        self._file_system, self._pid, self._place = file_system, os.getpid(), place
        self.url = file_system.unstrip_protocol(place)
        self._key_at_open = file_system.ukey(place)
        with tempfile.TemporaryFile(prefix="imagestore-") as sparse:
            self._copy_index(sparse.fileno())
            super().__init__(Path(place), descriptor=os.dup(sparse.fileno()))

    def _copy_index(self, sparse: int) -> None:
        size = self._size()
        os.ftruncate(sparse, size)
        os.fchmod(sparse, READABLE)
        head, tail_at = self.pread(0, min(size, HEAD_BYTES)), max(0, size - TAIL_BYTES)
        if not head.startswith(SIGNATURE):
            raise UserError(f"{self.url}: is no HDF5 file")
        write_all(sparse, head, 0)
        tail = self.pread(tail_at, size - tail_at)
        begin = begin_of_trailer(tail)
        if begin is None or begin != end_of_file_address(sparse):
            raise UserError(
                f"{self.url}: holds no index, so its images cannot be read by ranges: "
                f"copy the file, or read it as simplecache::{self.url}"
            )
        if begin < tail_at:
            write_all(sparse, self.pread(begin, tail_at - begin), begin)
        write_all(sparse, tail, tail_at)
        with contextlib.suppress(NotImplementedError, KeyError, AttributeError):  # it keeps no times
            modified = self._file_system.modified(self._place).timestamp()
            os.utime(sparse, (modified, modified))

    def _size(self) -> int:
        size = self._file_system.info(self._place).get("size")
        if size is None:
            raise UserError(f"{self.url}: the server does not tell its size, so it gives no ranges")
        return int(size)

    def _current_file_system(self) -> AbstractFileSystem:
        """The file system; another one after a fork, since its threads do not survive that."""
        if self._pid != os.getpid():
            fsspec.asyn.reset_lock()  # fsspec did this by itself only later
            old = self._file_system
            self._file_system = type(old)(*old.storage_args, **old.storage_options)
            self._pid = os.getpid()
        return self._file_system

    def was_changed(self) -> bool:
        """Whether the file system shows another size, time or checksum of the file than at first."""
        return self._current_file_system().ukey(self._place) != self._key_at_open

    def was_replaced(self) -> bool:
        """The same: only some file systems tell the two apart."""
        return self.was_changed()

    def pread(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes from `offset`. Raises the errors of the file system, and OSError (EIO)."""
        if not size:
            return b""
        first = int(offset)  # not every file system takes NumPy's integers
        return self._whole(
            self._current_file_system().cat_file(self._place, start=first, end=first + size), size
        )

    def pread_many(self, places: Sequence[tuple[int, int]]) -> list[bytes | BaseException]:
        """The bytes at each (offset, size), or the error of each; many file systems fetch them together."""
        if not places:
            return []
        starts, ends = [offset for offset, _ in places], [offset + size for offset, size in places]
        found = self._current_file_system().cat_ranges(
            [self._place] * len(places), starts, ends, on_error="return"
        )
        return [self._whole_or_error(data, size) for data, (_, size) in zip(found, places, strict=True)]

    def _whole_or_error(self, data: bytes | BaseException, size: int) -> bytes | BaseException:
        try:
            return data if isinstance(data, BaseException) else self._whole(data, size)
        except OSError as error:
            return error

    def _whole(self, data: bytes, size: int) -> bytes:
        if len(data) != size:
            raise self.error("cut short" if len(data) < size else "the server gives no ranges of it")
        return data

    def error(self, reason: str) -> OSError:
        """An OSError (EIO) with the address of this file."""
        return OSError(errno.EIO, reason, self.url)
