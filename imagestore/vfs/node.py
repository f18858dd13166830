"""A folder, file or symbolic link of a tree."""

from __future__ import annotations

import stat
from typing import NamedTuple

from imagestore.hdf5.entry import NO_OFFSET

NO_ELEMENT, ALL_ELEMENTS = -1, -2
SECTOR = 512  # bytes; the unit of Node.blocks
NOT_COUNTED = 1  # link count of a folder whose folders are not counted; `find` then looks at each entry
INODE_BITS = 48  # of an inode number within one store; the bits above them are the store's number


class ObjectKey(NamedTuple):
    """How an Hdf5Source finds the object of a node again."""

    path: bytes  # in the HDF5 file
    offset: int = NO_OFFSET  # of a file's bytes in the store file
    target: bytes = b""  # the text of a symbolic link
    # Of a folder: the addresses of the groups on its path, from the root group to its own group.
    groups: tuple[tuple[int, int], ...] = ()
    permissions: int | None = None  # as stored; the node's mode has those that a read-only file system grants
    # If the file is an element of a dataset, its number there; ALL_ELEMENTS for the folder of them.
    element: int = NO_ELEMENT
    heap_number: int = 0  # of an element of variable length: see ElementFiles


class Node(NamedTuple):
    """A folder, file or symbolic link, with what stat(2) says of it."""

    mode: int
    ino: int
    nlink: int  # of a folder: 2 + the folders in it, or NOT_COUNTED; 0: the object is damaged
    size: int  # bytes
    blocks: int  # of SECTOR bytes, as many as the store file has for this file
    mtime_ns: int
    ctime_ns: int
    source: int  # the number of the store in the tree
    key: int | ObjectKey  # how the source finds the node; an IndexedSource takes a number
    is_generated: bool = False  # a NumPy file, made from a dataset whose elements are not bytes
    parts: tuple[Node, ...] = ()  # of a folder that several stores have: its node in each of them

    @property
    def is_folder(self) -> bool:
        """Whether this is a folder."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        """Whether this is a regular file."""
        return stat.S_ISREG(self.mode)

    @property
    def is_symlink(self) -> bool:
        """Whether this is a symbolic link."""
        return stat.S_ISLNK(self.mode)

    @property
    def is_damaged(self) -> bool:
        """Whether HDF5 cannot open the object. Such a node has a name and no bytes."""
        return self.nlink == 0
