"""A store as a tree of nodes, read from the columns of its index.

A folder is a slice of the columns, and an image is read with one `pread`. So a million images are ready at
once. The CRC-32 of each image is compared. HDF5 is only asked for attributes.
"""

from __future__ import annotations

import errno
import os
from array import array
from bisect import bisect_left
from collections.abc import Iterator

from isal.isal_zlib import crc32

from imagestore.hdf5.helper_process import HelperProcess
from imagestore.hdf5.superblock import end_of_file_address
from imagestore.store.index import StoreIndex
from imagestore.store.trailer import read_trailer
from imagestore.vfs import shown_names
from imagestore.vfs.node import INODE_BITS, SECTOR, Node
from imagestore.vfs.source import NoSuchName, Source
from imagestore.vfs.store_file import StoreFile

LARGEST_CHECKED = 16 << 20  # bytes: a larger image is read in pieces, and its checksum is not compared
PIECE = 128 << 10  # bytes: most programs have the kernel read so much at once, or more
MOST_IN_PIECES = 4096  # images of which the checksums of pieces are kept; each takes some hundred bytes
NODES_AT_ONCE = 256  # of a listing: somebody may want only a few of them
ROOT_INODE, FIRST_LABEL_INODE = 1, 2
ROOT_KEY = -1  # the key of the root folder; that of a label's folder is the label's number


def complete_index(fd: int) -> StoreIndex | None:
    """The fresh index of a file, if one `pread` can read each image and the file holds only these images."""
    index = read_trailer(fd, end_of_file_address(fd))
    if index is None or not index.covers_whole_file or ((index.offset < 0) & (index.size > 0)).any():
        return None
    return index


class IndexedSource(Source):
    """A store whose index is complete; see Source for what the methods promise.

    The key of an image's node is its position in the index.
    """

    lists_at_once = True

    def __init__(self, file: StoreFile, helper: HelperProcess, number: int, index: StoreIndex) -> None:
        """`number` is the store's number in the tree. Loads the columns.

        If the file is cut short later, only the images behind the cut are lost, and no names.
        """
        self.file, self.images = file, len(index)
        self._helper, self._number, self._index = helper, number, index
        # A view gives a single number three times as fast as an array.
        self._offset, self._size = memoryview(index.offset), memoryview(index.size)
        self._crc32, self._has_crc = memoryview(index.crc32), memoryview(index.has_crc)
        self._mtime, self._created = memoryview(index.mtime), memoryview(index.created)
        self._name_end = memoryview(index.column("name_end"))
        self._name_text = memoryview(index.column("name_text"))
        self._first_image_inode = self._inode(FIRST_LABEL_INODE + len(index.label_bytes))
        self._mtime_ns_at_open = file.stat_at_open.st_mtime_ns
        self._ctime_ns_at_open = file.stat_at_open.st_ctime_ns
        self._label_numbers = {shown_names.escape(label): i for i, label in enumerate(index.label_bytes)}
        self._piece_checksums: dict[int, array[int]] = {}  # of images that were read in pieces, by position
        self._shortened: dict[int, dict[bytes, int]] = {}  # label number -> shortened name -> image position

    def root(self) -> Node:
        return self._folder(ROOT_KEY, ROOT_INODE, nlink=2 + len(self._index.label_bytes))

    def _folder(self, key: int, inode: int, nlink: int = 2) -> Node:
        return Node(
            mode=self.file.folder_mode,
            ino=self._inode(inode),
            nlink=nlink,
            size=0,
            blocks=0,
            mtime_ns=self._mtime_ns_at_open,
            ctime_ns=self._ctime_ns_at_open,
            source=self._number,
            key=key,
        )

    def _label_folder(self, label: int) -> Node:
        return self._folder(label, FIRST_LABEL_INODE + label)

    def _image(self, position: int, size: int, mtime: int, created: int) -> Node:
        """The node of an image; times in seconds, see ImageRecord for 0.

        This runs for each image of a listing. Keywords would take 1.6 times as long, so the fields are in
        Node's order.
        """
        return Node(
            self.file.file_mode,
            self._first_image_inode + position,
            1,  # nlink
            size,
            -(-size // SECTOR),  # blocks
            mtime * 10**9 if mtime or created else self._mtime_ns_at_open,
            created * 10**9 or self._ctime_ns_at_open,
            self._number,
            position,  # key
        )

    def _inode(self, number: int) -> int:
        return self._number << INODE_BITS | number

    def entries(self, folder: Node) -> Iterator[tuple[bytes, int, int]]:
        if folder.key == ROOT_KEY:
            for shown_name, label in sorted(self._label_numbers.items()):
                yield shown_name, self.file.folder_mode, self._inode(FIRST_LABEL_INODE + label)
            return
        mode, first_inode = self.file.file_mode, self._first_image_inode
        for position, name in self._names(*self._image_range(folder.key)):
            yield shown_names.escape(name), mode, first_inode + position

    def children(self, folder: Node, first: int = 0) -> Iterator[tuple[bytes, Node]]:
        if folder.key == ROOT_KEY:
            for shown_name, label in sorted(self._label_numbers.items())[first:]:
                yield shown_name, self._label_folder(label)
            return
        start, end = self._image_range(folder.key)
        for begin in range(start + first, end, NODES_AT_ONCE):
            stop = min(begin + NODES_AT_ONCE, end)
            columns = (column[begin:stop].tolist() for column in (self._size, self._mtime, self._created))
            for (position, name), size, mtime, created in zip(
                self._names(begin, stop), *columns, strict=True
            ):
                yield shown_names.escape(name), self._image(position, size, mtime, created)

    def _image_range(self, label: int) -> tuple[int, int]:
        """The positions of a label's images: the first, and the one behind the last."""
        return int(self._index.start[label]), int(self._index.start[label + 1])

    def _names(self, first: int, end: int) -> Iterator[tuple[int, bytes]]:
        """(position, link name) of the images at these positions."""
        ends = self._name_end[first:end].tolist()
        text_start = self._name_end[first - 1] if first else 0
        text = self._name_text[text_start : ends[-1] if ends else text_start].tobytes()
        begin = 0
        for position, end in enumerate(ends, first):
            yield position, text[begin : end - text_start]
            begin = end - text_start

    def child(self, folder: Node, shown_name: bytes) -> Node:
        if folder.key == ROOT_KEY:
            label = self._label_numbers.get(shown_name)
            if label is None:
                raise NoSuchName(shown_name)
            return self._label_folder(label)
        return self._image_at(self._position(folder.key, shown_name))

    def node(self, ino: int) -> Node:
        position = ino - self._first_image_inode
        if 0 <= position < self.images:
            return self._image_at(position)
        label = ino - self._inode(FIRST_LABEL_INODE)
        if 0 <= label < len(self._index.label_bytes):
            return self._label_folder(label)
        if ino == self._inode(ROOT_INODE):
            return self.root()
        raise NoSuchName(ino)

    def _image_at(self, i: int) -> Node:
        return self._image(i, self._size[i], self._mtime[i], self._created[i])

    def _position(self, label: int, shown_name: bytes) -> int:
        """The position of an image, by bisection: names take no memory then, however many there are."""
        if shown_names.is_shortened(shown_name):
            return self._position_of_shortened(label, shown_name)
        name = shown_names.unescape(shown_name)
        images = range(*self._image_range(label))
        position = images.start + bisect_left(images, name, key=self._name)
        if position == images.stop or shown_names.escape(self._name(position)) != shown_name:
            raise NoSuchName(shown_name)
        return position

    def _name(self, i: int) -> bytes:
        """The link name of an image."""
        return self._name_text[self._name_end[i - 1] if i else 0 : self._name_end[i]].tobytes()

    def _position_of_shortened(self, label: int, shown_name: bytes) -> int:
        """The position of an image whose shown name may be a short form, which nothing can undo."""
        if label not in self._shortened:
            names = self._names(*self._image_range(label))
            shown = ((shown_names.escape(name), position) for position, name in names)
            self._shortened[label] = {name: i for name, i in shown if shown_names.is_shortened(name)}
        position = self._shortened[label].get(shown_name)
        if position is None:
            raise NoSuchName(shown_name)
        return position

    def read(self, node: Node, offset: int, size: int) -> bytes:
        if node.size > LARGEST_CHECKED or not self._has_crc[node.key]:
            return self._read_unchecked(node, offset, min(size, max(0, node.size - offset)))
        if not offset and size >= node.size:
            return self._read_checked(node)  # the kernel keeps it
        if node.size > PIECE:
            return self._read_pieces(node, offset, size)
        data = self.file.cached_block(node.ino, 0)
        if data is None:
            data = self.file.cache_block(node.ino, 0, self._read_checked(node))
        return data[offset : offset + size] if offset or size < len(data) else data

    def read_whole(self, node: Node) -> bytes:
        """All bytes of an image, of any size. Nothing is kept, and several threads may call this at a time.

        Raises OSError if they do not fit their checksum.
        """
        if not self._has_crc[node.key]:
            return self._read_unchecked(node, 0, node.size)
        return self._read_checked(node)

    def _read_checked(self, node: Node) -> bytes:
        """The whole image, if it fits its checksum."""
        return self.checked(node, self.file.pread(self._offset[node.key], node.size) if node.size else b"")

    def checked(self, node: Node, data: bytes) -> bytes:
        """The bytes of an image, if the store keeps no other checksum of it. Raises OSError."""
        if self._has_crc[node.key] and crc32(data) != self._crc32[node.key]:
            raise self.file.error("not the bytes that were stored")
        return data

    def _read_pieces(self, node: Node, offset: int, size: int) -> bytes:
        """Bytes of an image that the kernel asks for in several parts.

        The whole image is compared once. Then the checksums of its pieces are known, and only the pieces that
        are needed are read and compared.
        """
        checksums = self._piece_checksums.get(node.key)
        if checksums is None:
            data = self._read_checked(node)
            if len(self._piece_checksums) >= MOST_IN_PIECES:
                self._piece_checksums.clear()
            self._piece_checksums[node.key] = _checksums(data)
            return data[offset : offset + size]
        first, end = offset // PIECE, -(-min(offset + size, node.size) // PIECE)
        start = first * PIECE
        data = self.file.pread(self._offset[node.key] + start, max(0, min(end * PIECE, node.size) - start))
        if _checksums(data) != checksums[first:end]:
            raise self.file.error("not the bytes that were stored")
        return data[offset - start : offset - start + size]

    def _read_unchecked(self, node: Node, offset: int, size: int) -> bytes:
        data = self.file.pread(self._offset[node.key] + offset, size) if size else b""
        if self.file.was_changed():
            raise self.file.error("changed since it was opened")
        return data

    def attributes(self, node: Node) -> dict[str, bytes]:
        return self._helper.attributes(self.hdf5_path(node))

    def missing_sources(self, node: Node) -> list[str]:
        return []

    def target(self, node: Node) -> bytes:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))  # an indexed store has no links

    def hdf5_path(self, node: Node) -> bytes:
        label = node.key if node.is_folder else self._index.label_of(node.key)
        if label == ROOT_KEY:
            return b""
        folder = self._index.label_bytes[label]
        return folder if node.is_folder else folder + b"/" + self._index.name(node.key)

    def permissions(self, node: Node) -> None:
        return None  # an indexed store keeps none

    def data_offset(self, node: Node) -> int:
        return self._offset[node.key]

    def close(self) -> None:
        self._helper.close()
        self.file.close()


def _checksums(data: bytes) -> array[int]:
    """The CRC-32 of each piece."""
    view = memoryview(data)
    return array("I", (crc32(view[start : start + PIECE]) for start in range(0, len(data), PIECE)))
