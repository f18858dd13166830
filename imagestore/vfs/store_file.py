"""The open file of a store, as the sources of a tree share it."""

from __future__ import annotations

import errno
import os
import stat
from collections import OrderedDict
from pathlib import Path

from imagestore.console import UserError
from imagestore.hdf5.open_descriptor import open_descriptor
from imagestore.hdf5.superblock import is_live
from imagestore.open_files import MostRecent
from imagestore.vfs.shown_access import shown_access

CACHED_BYTES = 16 << 20  # of blocks; the last one stays in any case


class StoreFile:
    """An open store file: its state when it was opened, its permissions, and the blocks read last.

    Not thread-safe.
    """

    def __init__(self, path: Path, recent: MostRecent | None = None, descriptor: int | None = None) -> None:
        """Open the file, or take over an open `descriptor` of it. Raises UserError if it cannot be read.

        With `recent`, it is closed while many other files are used, and opened again for its next use.
        """
        self.path, self._recent = path.absolute(), recent
        self._fd = open_descriptor(path) if descriptor is None else descriptor
        self.stat_at_open = os.fstat(self.fd)
        self.is_live = is_live(self.fd)
        self.access = shown_access(self.stat_at_open)
        self.file_mode = self.access.mode(stat.S_IFREG)
        self.folder_mode = self.access.mode(stat.S_IFDIR)
        self._blocks: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._block_bytes = 0

    @property
    def fd(self) -> int:
        """The file's descriptor.

        Raises OSError (EIO) if the file had to be opened again, and is gone or replaced.
        """
        if self._recent is not None:
            self._recent.use(self)
            if self._fd < 0:
                self._fd = self._open_again(self._recent)
        return self._fd

    @property
    def stays_open(self) -> bool:
        """Whether the descriptor stays the same, so that several threads may read at a time."""
        return self._recent is None

    def _open_again(self, recent: MostRecent) -> int:
        try:
            descriptor = open_descriptor(self.path)
        except UserError:
            recent.forget(self)
            raise self.error("gone since it was opened") from None
        if not os.path.samestat(os.fstat(descriptor), self.stat_at_open):
            os.close(descriptor)
            recent.forget(self)
            raise self.error("replaced since it was opened")
        return descriptor

    def release(self) -> None:
        """Close the file until its next use; only for a file with `recent`."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1  # another file may get the old number

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        self.release()
        if self._recent is not None:
            self._recent.forget(self)
            self._recent = None

    def was_changed(self) -> bool:
        """Whether this file was written to since it was opened, in a way that its readers cannot follow."""
        if self.is_live:
            return False
        now, then = os.fstat(self.fd), self.stat_at_open
        return now.st_mtime_ns != then.st_mtime_ns or now.st_size != then.st_size

    def was_replaced(self) -> bool:
        """Whether the path leads to another file or another state of it now; False if it leads to no file."""
        try:
            now = os.stat(self.path)
        except OSError:
            return False
        then = self.stat_at_open
        return (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns) != (
            then.st_dev, then.st_ino, then.st_size, then.st_mtime_ns,
        )  # fmt: skip

    def pread(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes from `offset`. Raises OSError (EIO) if the file ends before."""
        data = os.pread(self.fd, size, offset)
        if len(data) != size:
            raise self.error("cut short")
        return data

    def error(self, reason: str) -> OSError:
        """An OSError (EIO) with this file's path, for bytes that cannot be read."""
        return OSError(errno.EIO, reason, str(self.path))

    def cached_block(self, ino: int, block: int) -> bytes | None:
        """A block of a node if it was read lately: the kernel asks for a file in several pieces."""
        return self._blocks.get((ino, block))

    def cache_block(self, ino: int, block: int, data: bytes) -> bytes:
        """Keep a block that was just read, in place of the oldest ones; returns the block."""
        replaced = self._blocks.pop((ino, block), b"")
        self._blocks[ino, block] = data
        self._block_bytes += len(data) - len(replaced)
        while self._block_bytes > CACHED_BYTES and len(self._blocks) > 1:
            self._block_bytes -= len(self._blocks.popitem(last=False)[1])
        return data
