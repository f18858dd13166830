"""A folder, file or symbolic link of a tree."""

from __future__ import annotations

import stat
from typing import Any, NamedTuple

INODE_BITS = 48  # of an inode number within one store; above them stands which store it is


class Node(NamedTuple):
    """A folder, file or symbolic link; sizes in bytes, `blocks` of 512 bytes really stored, times in ns."""

    mode: int
    ino: int
    nlink: int
    size: int
    blocks: int
    mtime_ns: int
    ctime_ns: int
    source: int
    key: Any = None  # of its source: where it is there
    suffix: str = ""  # what the shown name has behind the link's name
    parts: tuple[Node, ...] = ()  # of a folder that several stores share

    @property
    def is_folder(self) -> bool:
        """Whether it holds other nodes."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        """Whether it holds bytes."""
        return stat.S_ISREG(self.mode)

    @property
    def is_symlink(self) -> bool:
        """Whether it names another node."""
        return stat.S_ISLNK(self.mode)
