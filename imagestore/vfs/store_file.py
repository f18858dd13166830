"""What trees are made of: a node, and the open store file that it comes from.

Used by indexed, walked and tree. Not thread-safe: a StoreFile keeps its recent reads.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import OrderedDict
from pathlib import Path

from imagestore.hdf5.open import open_descriptor

RECENT_BYTES = 32 << 20


class StoreFile:
    """The open file under a source: what it was when it was opened, who may read it, recent reads."""

    def __init__(self, path: Path) -> None:
        """Raises UserError where it cannot be read."""
        self.path = path.absolute()
        self.fd = open_descriptor(path)
        self.opened = os.fstat(self.fd)
        readable = self.opened.st_mode & 0o444
        self.file_mode = stat.S_IFREG | readable
        self.folder_mode = stat.S_IFDIR | readable | readable >> 2
        self._recent: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._recent_bytes = 0

    def mode(self, kind: int, permissions: int | None) -> int:
        """The mode of a node of type `kind`: its own permissions, never beyond what the store file grants."""
        default = self.folder_mode if kind == stat.S_IFDIR else self.file_mode
        return default if permissions is None else kind | permissions & self.folder_mode & 0o777

    def changed(self) -> bool:
        """Whether the file was written to since it was opened."""
        now = os.fstat(self.fd)
        return now.st_mtime_ns != self.opened.st_mtime_ns or now.st_size != self.opened.st_size

    def replaced(self) -> bool:
        """Whether the file's name leads to something else by now; not while it leads nowhere."""
        try:
            now = os.stat(self.path)
        except OSError:
            return False
        then = self.opened
        return (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns) != (
            then.st_dev, then.st_ino, then.st_size, then.st_mtime_ns,
        )  # fmt: skip

    def pread(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes. Raises OSError where the file ends before."""
        data = os.pread(self.fd, size, offset)
        if len(data) != size:
            raise self.damaged("cut short")
        return data

    def damaged(self, why: str) -> OSError:
        """The error for bytes that cannot be had."""
        return OSError(errno.EIO, why, str(self.path))

    def recent(self, ino: int, block: int) -> bytes | None:
        """A block read lately: a file is asked for in several pieces, and then not again."""
        return self._recent.get((ino, block))

    def remember(self, ino: int, block: int, data: bytes) -> bytes:
        """Keep a block for a while; the oldest go when there are too many bytes."""
        self._recent[ino, block] = data
        self._recent_bytes += len(data)
        while self._recent_bytes > RECENT_BYTES:
            self._recent_bytes -= len(self._recent.popitem(last=False)[1])
        return data
