"""Any HDF5 file as a tree of nodes, listed group by group when somebody first asks for a folder.

Groups are folders, datasets are files or folders of files, and links are symbolic links. A listing is kept
once it is made.
"""

from __future__ import annotations

import bisect
import errno
import hashlib
import itertools
import os
import stat
from collections.abc import Iterator
from operator import itemgetter

from imagestore.console import UserError
from imagestore.hdf5.entry import (
    ARRAY,
    DAMAGED,
    ELEMENTS,
    EXTERNAL_LINK,
    GROUP,
    NO_OFFSET,
    SOFT_LINK,
    UNSHOWN,
    Entry,
)
from imagestore.hdf5.global_heap import HeapReader
from imagestore.hdf5.helper_process import HelperProcess
from imagestore.hdf5.why_not_opened import DAMAGED_OR_UNFINISHED, why_not_opened
from imagestore.vfs import shown_names
from imagestore.vfs.element_listing import ElementListing
from imagestore.vfs.node import ALL_ELEMENTS, INODE_BITS, NO_ELEMENT, NOT_COUNTED, SECTOR, Node, ObjectKey
from imagestore.vfs.source import NoSuchName, Source
from imagestore.vfs.store_file import StoreFile

BLOCK = 1 << 20  # bytes that are read through HDF5 at once


class Hdf5Source(Source):
    """Any HDF5 file; see Source for what the methods promise. The key of a node is an ObjectKey."""

    lists_at_once = False

    def __init__(self, file: StoreFile, helper: HelperProcess, number: int) -> None:
        """`number` is the store's number in the tree. Raises UserError if this is no HDF5 file."""
        self.file, self.images = file, 0
        self._helper, self._number = helper, number
        self._heap = HeapReader(lambda: file.fd)
        # Path of a group or dataset -> shown name -> node.
        self._listings: dict[bytes, dict[bytes, Node] | ElementListing] = {}
        self._files: dict[int, Node] = {}  # inode number -> node, of the files that were listed
        self._element_listings: list[tuple[int, ElementListing]] = []  # by the first element's inode number
        try:
            self._root_entry = helper.entry(b"")
        except OSError as error:
            reason = why_not_opened(file.fd, file.path, error.strerror or "")
            raise UserError(f"{file.path}: {reason}") from error

    def root(self) -> Node:
        entry = self._root_entry
        return self._node(entry, stat.S_IFDIR, ObjectKey(b"", groups=(entry.address,)), NOT_COUNTED)

    def entries(self, folder: Node) -> Iterator[tuple[bytes, int, int]]:
        listing = self._listing(folder)
        if isinstance(listing, ElementListing):
            return listing.entries()
        return ((shown_name, node.mode, node.ino) for shown_name, node in listing.items())

    def children(self, folder: Node, first: int = 0) -> Iterator[tuple[bytes, Node]]:
        listing = self._listing(folder)
        if isinstance(listing, ElementListing):
            return listing.items(first)
        return itertools.islice(listing.items(), first, None)

    def child(self, folder: Node, shown_name: bytes) -> Node:
        node = self._listing(folder).get(shown_name)
        if node is None:
            raise NoSuchName(shown_name)
        if node.is_damaged:
            raise self.file.error(DAMAGED_OR_UNFINISHED)
        return node

    def node(self, ino: int) -> Node:
        node = self._files.get(ino)
        if node is None:
            before = bisect.bisect_right(self._element_listings, ino, key=itemgetter(0)) - 1
            node = self._element_listings[before][1].node(ino) if before >= 0 else None
        if node is None:
            raise NoSuchName(ino)
        return node

    def _listing(self, folder: Node) -> dict[bytes, Node] | ElementListing:
        path = folder.key.path
        if path not in self._listings:
            listing = (
                self._list_elements(folder)
                if folder.key.element == ALL_ELEMENTS
                else self._list_group(folder)
            )
            if self.file.was_changed():
                raise self.file.error("changed since it was opened")
            self._listings[path] = listing
        return self._listings[path]

    def _list_group(self, folder: Node) -> dict[bytes, Node]:
        entries = self._helper.entries(folder.key.path)
        listing = dict(sorted(self._named_node(folder.key, entry) for entry in entries))
        files = {node.ino: node for node in listing.values() if node.is_file and not node.is_damaged}
        self.images += sum(node.is_file for node in listing.values())
        self._files |= files
        return listing

    def _list_elements(self, folder: Node) -> ElementListing:
        files = self._helper.element_files(folder.key.path)
        self.images += len(files.size)
        # The number has a bit that is 0, so that those of the other elements fit in above it.
        first = _hashed_inode(b"elements of %d" % folder.ino) & ~(1 << (INODE_BITS - 2))
        pattern = folder._replace(
            mode=self.file.access.mode(stat.S_IFREG, folder.key.permissions),
            ino=self._number << INODE_BITS | first,
        )
        listing = ElementListing(files, pattern)
        bisect.insort(self._element_listings, (pattern.ino, listing), key=itemgetter(0))
        return listing

    def _named_node(self, folder: ObjectKey, entry: Entry) -> tuple[bytes, Node]:
        """The shown name and the node of one link in a group."""
        path = folder.path + b"/" + entry.name if folder.path else entry.name
        shown_name = shown_names.escape(entry.name)
        if entry.kind == GROUP:
            return shown_name, self._group(folder, entry, path)
        if entry.kind == SOFT_LINK:
            target = _relative_target(entry, folder.path, depth=len(folder.groups) - 1)
            return shown_name, self._symlink(entry, path, target)
        if entry.kind == EXTERNAL_LINK:
            return shown_name, self._symlink(entry, path, shown_names.elsewhere(entry.target))
        if entry.kind == UNSHOWN:
            return shown_name, self._symlink(entry, path, shown_names.not_shown(entry.target))
        if entry.kind == ARRAY:
            node = self._node(entry, stat.S_IFREG, ObjectKey(path), entry.links)
            return shown_names.numpy_file(entry.name, entry.shadowed), node._replace(is_generated=True)
        if entry.kind == ELEMENTS:
            return shown_name, self._node(entry, stat.S_IFDIR, ObjectKey(path, element=ALL_ELEMENTS), nlink=2)
        if entry.kind == DAMAGED:
            return shown_name, self._node(entry, stat.S_IFREG, ObjectKey(path), nlink=0)
        is_in_store_file = entry.address[0] == self._root_entry.address[0]
        key = ObjectKey(path, entry.offset if is_in_store_file else NO_OFFSET)
        return shown_name, self._node(entry, stat.S_IFREG, key, entry.links)

    def _group(self, folder: ObjectKey, entry: Entry, path: bytes) -> Node:
        """A folder; a symbolic link upwards if the group is one of those that hold it."""
        if entry.address not in folder.groups:
            key = ObjectKey(path, groups=(*folder.groups, entry.address))
            return self._node(entry, stat.S_IFDIR, key, NOT_COUNTED)
        levels_up = len(folder.groups) - 1 - folder.groups.index(entry.address)
        return self._symlink(entry, path, b"/".join([b".."] * levels_up) or b".")

    def _symlink(self, entry: Entry, path: bytes, target: bytes) -> Node:
        link = Entry(name=entry.name, kind=SOFT_LINK, size=len(target))
        node = self._node(link, stat.S_IFLNK, ObjectKey(path, target=target))
        return node._replace(mode=stat.S_IFLNK | 0o777)

    def _node(self, entry: Entry, file_type: int, key: ObjectKey, nlink: int = 1) -> Node:
        then = self.file.stat_at_open
        return Node(
            mode=self.file.access.mode(file_type, entry.permissions),
            ino=self._number << INODE_BITS | self._inode(entry, key.path),
            nlink=nlink,
            size=entry.size,
            blocks=-(-entry.stored // SECTOR),
            mtime_ns=then.st_mtime_ns if entry.modified is None else entry.modified * 10**9,
            ctime_ns=then.st_ctime_ns if entry.created is None else entry.created * 10**9,
            source=self._number,
            key=key._replace(permissions=entry.permissions),
        )

    def _inode(self, entry: Entry, path: bytes) -> int:
        """The address of an object in this file; for other objects a hash, which is above all addresses."""
        file_number, address = entry.address
        if file_number == self._root_entry.address[0] and address:
            return address
        return _hashed_inode(b"%d %d %s" % (file_number, address, b"" if address else path))

    def read(self, node: Node, offset: int, size: int) -> bytes:
        if node.is_damaged:
            raise self.file.error(DAMAGED_OR_UNFINISHED)
        size = max(0, min(size, node.size - offset))
        if not size:
            return b""
        start = self._data_start(node)
        if start >= 0:
            data = self.file.pread(start + offset, size)
        else:
            blocks = range(offset // BLOCK, -(-(offset + size) // BLOCK))
            joined = b"".join(self._block(node, block) for block in blocks)
            data = joined[offset - blocks.start * BLOCK :][:size]
        if self.file.was_changed():
            raise self.file.error("changed since it was opened")
        return data

    def _data_start(self, node: Node) -> int:
        """Where the bytes of a file begin in the store file; NO_OFFSET if only HDF5 can read them."""
        key = node.key
        return self._heap.place_of(key.offset, key.heap_number, node.size) if key.heap_number else key.offset

    def _block(self, node: Node, block: int) -> bytes:
        """Block number `block` of a file, through HDF5."""
        data = self.file.cached_block(node.ino, block)
        if data is not None:
            return data
        size = min(BLOCK, node.size - block * BLOCK)
        if node.key.element == NO_ELEMENT:
            data = self._helper.read(node.key.path, block * BLOCK, size)
        else:
            dataset = node.key.path.rpartition(b"/")[0]
            data = self._helper.read_element(dataset, node.key.element, block * BLOCK, size)
        if len(data) != size:
            raise self.file.error("cut short")
        return self.file.cache_block(node.ino, block, data)

    def attributes(self, node: Node) -> dict[str, bytes]:
        if node.is_symlink or node.is_damaged or node.key.element >= 0:
            return {}
        return self._helper.attributes(node.key.path)

    def missing_sources(self, node: Node) -> list[str]:
        return [] if node.key.element >= 0 else self._helper.missing_sources(node.key.path)

    def target(self, node: Node) -> bytes:
        if not node.is_symlink:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return node.key.target

    def hdf5_path(self, node: Node) -> bytes:
        return node.key.path

    def permissions(self, node: Node) -> int | None:
        return node.key.permissions

    def data_offset(self, node: Node) -> int:
        return node.key.offset

    def close(self) -> None:
        self._helper.close()
        self.file.close()


def _hashed_inode(text: bytes) -> int:
    """A number that is above the addresses of all objects."""
    digest = hashlib.blake2b(text, digest_size=8).digest()
    top_bit = 1 << (INODE_BITS - 1)
    return top_bit | int.from_bytes(digest, "little") >> (64 - INODE_BITS + 1)


def _relative_target(entry: Entry, folder: bytes, depth: int) -> bytes:
    """The target of a soft link as the shortest path from its folder, which is `depth` folders deep."""
    target = [part for part in entry.target.split(b"/") if part not in (b"", b".")]
    parts = [shown_names.escape(part) for part in target]
    if entry.target_is_array:
        parts[-1] = shown_names.numpy_file(target[-1], entry.shadowed)
    if not entry.target.startswith(b"/"):
        return b"/".join(parts) or b"."
    here = folder.split(b"/") if folder else []
    pairs = zip(here, target, strict=False)
    common = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    return b"/".join([b".."] * (depth - common) + parts[common:]) or b"."
