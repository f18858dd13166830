"""A store with a fresh index as files: folders are slices of its columns, images are read with `pread`.

A million images are ready at once, and every image's CRC-32 is checked; HDF5 is only asked for attributes.
Used by tree, which sees it as it sees a Hdf5Source. Not thread-safe; usable after a fork.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from isal.isal_zlib import crc32

from imagestore.hdf5.helper_process import HelperProcess
from imagestore.hdf5.superblock import end_of_file_address
from imagestore.store.index import StoreIndex
from imagestore.store.trailer import read_trailer
from imagestore.vfs import names
from imagestore.vfs.node import INODE_BITS, Node
from imagestore.vfs.store_file import StoreFile

LARGEST_CHECKED = 16 << 20  # bytes: a larger image is read in pieces, without its checksum


MOST_NAMES = 200_000  # in dictionaries of names; larger folders are searched by bisection


ROOT, FIRST_LABEL = 1, 2  # inode numbers


TOP = -1  # the root folder's key, where a label's is its position


def index_that_says_all(fd: int) -> StoreIndex | None:
    """A file's fresh index, unless the file holds more than the images whose places it knows."""
    index = read_trailer(fd, end_of_file_address(fd))
    if index is None or not index.whole or ((index.offset < 0) & (index.size > 0)).any():
        return None
    return index


class IndexedSource:
    """A store with a fresh index: folders are slices of its columns."""

    def __init__(self, file: StoreFile, helper: HelperProcess, number: int, index: StoreIndex) -> None:
        """Loads the columns: a file cut short later costs the images behind the cut, not the names."""
        self.file, self.helper, self.number, self.index = file, helper, number, index
        self.offset, self.size = index.offset, index.size
        self.crc32, self.has_crc = index.crc32, index.has_crc
        self.mtime, self.created = index.mtime, index.created
        self.name_end, self.name_text = index.column("name_end"), index.column("name_text")
        self.first_image = FIRST_LABEL + len(index.label_bytes)
        self._places: dict[int, dict[bytes, int]] = {}
        self._labels = {names.escape(label): i for i, label in enumerate(index.label_bytes)}

    @property
    def images(self) -> int:
        """How many images there are."""
        return len(self.index)

    def root(self) -> Node:
        """The store's root folder."""
        return self._folder(ROOT, TOP, 2 + len(self.index.label_bytes))

    def _folder(self, ino: int, label: int, nlink: int) -> Node:
        mode, then = self.file.folder_mode, self.file.opened
        times = then.st_mtime_ns, then.st_ctime_ns
        return Node(mode, self._ino(ino), nlink, 0, 0, *times, self.number, label)

    def _ino(self, ino: int) -> int:
        return self.number << INODE_BITS | ino

    def entries(self, folder: Node) -> Iterator[tuple[bytes, int, int]]:
        """(shown name, mode, inode number) of all that a folder holds: what a listing needs."""
        if folder.key == TOP:
            for shown, label in sorted(self._labels.items()):
                yield shown, self.file.folder_mode, self._ino(FIRST_LABEL + label)
            return
        mode, first = self.file.file_mode, self._ino(self.first_image)
        for i, name in self._names(folder.key):
            yield names.escape(name), mode, first + i

    def children(self, folder: Node) -> Iterator[tuple[bytes, Node]]:
        """(shown name, node) of all that a folder holds."""
        if folder.key == TOP:
            for shown, label in sorted(self._labels.items()):
                yield shown, self._folder(FIRST_LABEL + label, label, 2)
            return
        then, mode, ino = self.file.opened, self.file.file_mode, self._ino(self.first_image)
        images = slice(int(self.index.start[folder.key]), int(self.index.start[folder.key + 1]))
        columns = (column[images].tolist() for column in (self.size, self.mtime, self.created))
        for (i, name), size, mtime, created in zip(self._names(folder.key), *columns, strict=True):
            times = mtime * 10**9 or then.st_mtime_ns, created * 10**9 or then.st_ctime_ns
            yield names.escape(name), Node(mode, ino + i, 1, size, -(-size // 512), *times, self.number, i)

    def _names(self, label: int) -> Iterator[tuple[int, bytes]]:
        first, last = int(self.index.start[label]), int(self.index.start[label + 1])
        ends = self.name_end[first:last].tolist()
        at = int(self.name_end[first - 1]) if first else 0
        text = self.name_text[at : ends[-1] if ends else at].tobytes()
        begin = 0
        for i, end in enumerate(ends, first):
            yield i, text[begin : end - at]
            begin = end - at

    def child(self, folder: Node, shown: bytes) -> Node:
        """The node of one name. Raises KeyError."""
        if folder.key == TOP:
            label = self._labels[shown]
            return self._folder(FIRST_LABEL + label, label, 2)
        i, then = self._position(folder.key, shown), self.file.opened
        size, mtime, created = int(self.size[i]), int(self.mtime[i]), int(self.created[i])
        times = mtime * 10**9 or then.st_mtime_ns, created * 10**9 or then.st_ctime_ns
        ino = self._ino(self.first_image + i)
        return Node(self.file.file_mode, ino, 1, size, -(-size // 512), *times, self.number, i)

    def _position(self, label: int, shown: bytes) -> int:
        """The position of an image, by a dictionary of the folder's names; in a huge folder by bisection."""
        if label in self._places:
            return self._places[label][shown]
        count = int(self.index.start[label + 1] - self.index.start[label])
        if count <= MOST_NAMES or names.is_shortened(shown):
            return self._placed(label, count)[shown]
        i = self.index.find(self.index.label_bytes[label], names.unescape(shown))
        if i < 0 or names.escape(self.index.name(i)) != shown:
            raise KeyError(shown)
        return i

    def _placed(self, label: int, count: int) -> dict[bytes, int]:
        if sum(map(len, self._places.values())) + count > MOST_NAMES:
            self._places.clear()
        self._places[label] = {names.escape(name): i for i, name in self._names(label)}
        return self._places[label]

    def read(self, node: Node, offset: int, size: int) -> bytes:
        """Bytes of an image, compared with its checksum. Raises OSError (EIO) where they do not fit it."""
        if node.size > LARGEST_CHECKED or not self.has_crc[node.key]:
            return self._unchecked(node, offset, min(size, max(0, node.size - offset)))
        data = self.file.recent(node.ino, 0)
        if data is None:
            data = self.file.remember(node.ino, 0, self._checked(node))
        return data[offset : offset + size] if offset or size < len(data) else data

    def _checked(self, node: Node) -> bytes:
        data = self.file.pread(int(self.offset[node.key]), node.size) if node.size else b""
        if crc32(data) != self.crc32[node.key]:
            raise self.file.damaged("not the bytes that were stored")
        return data

    def _unchecked(self, node: Node, offset: int, size: int) -> bytes:
        data = self.file.pread(int(self.offset[node.key]) + offset, size) if size else b""
        if self.file.changed():
            raise self.file.damaged("changed since it was opened")
        return data

    def attributes(self, node: Node) -> dict[str, bytes]:
        """The attributes that HDF5 keeps of a node."""
        return self.helper.attributes(self.link(node))

    def link(self, node: Node) -> bytes:
        """The node's path in the HDF5 file."""
        label = node.key
        if node.is_folder:
            return self.index.label_bytes[label] if label >= 0 else b""
        return self.index.label_bytes[self.index.label_of(node.key)] + b"/" + self.index.name(node.key)

    def permissions(self, node: Node) -> int | None:
        """The permissions kept for a node; an indexed store keeps none."""
        return None

    def place(self, node: Node) -> int:
        """Where the bytes of an image are in the file."""
        return int(self.offset[node.key])

    def target(self, node: Node) -> bytes:
        """Text of a symbolic link; an indexed store has none."""
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    def close(self) -> None:
        """Let go of the file."""
        self.helper.close()
        os.close(self.file.fd)
