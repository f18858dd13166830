"""Any HDF5 file as files: listed group by group through HDF5 when a folder is first looked into.

Groups are folders, datasets files, links links; what has been listed stays listed. Used by tree, which sees
it as it sees an IndexedSource. Not thread-safe; usable after a fork.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from imagestore.console import UserError
from imagestore.hdf5 import objects
from imagestore.hdf5.helper_process import HelperProcess
from imagestore.hdf5.objects import Entry
from imagestore.vfs import names
from imagestore.vfs.node import INODE_BITS, Node
from imagestore.vfs.store_file import StoreFile

BLOCK = 1 << 20  # bytes asked of HDF5 at once


class Place(NamedTuple):
    """Where a node of a walked file is: its path, its bytes' offset, a link's text, the groups above it.

    And the permissions that are kept for it, of which its mode shows what a read-only file system may grant.
    """

    path: bytes
    offset: int = -1
    target: bytes = b""
    above: tuple[tuple[int, int], ...] = ()
    permissions: int | None = None


class Hdf5Source:
    """Any HDF5 file, listed group by group when a folder is first looked into."""

    def __init__(self, file: StoreFile, helper: HelperProcess, number: int) -> None:
        """Raises UserError where it is no HDF5 file."""
        self.file, self.helper, self.number = file, helper, number
        self._listed: dict[bytes, dict[bytes, Node]] = {}
        self.images = 0
        try:
            self._root = self.helper.entry(b"")
        except OSError as error:
            helper.close()
            reason = error.strerror or ""
            cut = (
                "cut short: copy or make it again"
                if "truncated" in reason
                else "not an HDF5 file, or damaged"
            )
            raise UserError(f"{file.path}: {cut}") from error

    def root(self) -> Node:
        """The file's root group."""
        return self._node(self._root, stat.S_IFDIR, Place(b"", above=(self._root.address,)), nlink=2)

    def _node(self, entry: Entry, kind: int, place: Place, nlink: int = 1, suffix: str = "") -> Node:
        then = self.file.opened
        return Node(
            self.file.mode(kind, entry.permissions),
            self.number << INODE_BITS | self._ino(entry, place.path),
            nlink,
            entry.size if kind != stat.S_IFLNK else len(place.target),
            -(-entry.stored // 512),
            then.st_mtime_ns if entry.modified is None else entry.modified * 10**9,
            then.st_ctime_ns if entry.created is None else entry.created * 10**9,
            self.number,
            place._replace(permissions=entry.permissions),
            suffix,
        )

    def _ino(self, entry: Entry, path: bytes) -> int:
        """The object's address in this file; for all else a number from its path, above every address."""
        number, address = entry.address
        if number == self._root.address[0] and address:
            return address
        digest = hashlib.blake2b(b"%d %d %s" % (number, address, b"" if address else path), digest_size=8)
        return 1 << INODE_BITS - 1 | int.from_bytes(digest.digest(), "little") >> 64 - INODE_BITS + 1

    def _listing(self, folder: Node) -> dict[bytes, Node]:
        path = folder.key.path
        if path not in self._listed:
            listing = dict(self._child_of(folder.key, entry) for entry in self.helper.entries(path))
            if self.file.changed():
                raise self.file.damaged("changed since it was opened")
            self.images += sum(node.is_file for node in listing.values())
            self._listed[path] = listing
        return self._listed[path]

    def _child_of(self, folder: Place, entry: Entry) -> tuple[bytes, Node]:
        path = folder.path + b"/" + entry.name if folder.path else entry.name
        shown = names.escape(entry.name)
        if entry.kind == objects.GROUP:
            if entry.address in folder.above:
                up = len(folder.above) - 1 - folder.above.index(entry.address)
                return shown, self._symlink(entry, path, b"/".join([b".."] * up) or b".")
            return shown, self._node(
                entry, stat.S_IFDIR, Place(path, above=(*folder.above, entry.address)), 2
            )
        if entry.kind == objects.SOFT:
            return shown, self._symlink(entry, path, _relative(entry, len(folder.above) - 1, folder.path))
        if entry.kind == objects.EXTERNAL:
            return shown, self._symlink(entry, path, b"%external:" + names.escape(entry.target))
        if entry.kind == objects.ARRAY:
            shown, place = names.generated(entry.name, entry.shadowed), Place(path)
            return shown, self._node(entry, stat.S_IFREG, place, entry.links, ".npy")
        if entry.kind == objects.DAMAGED:
            return shown, self._node(entry, stat.S_IFREG, Place(path), nlink=0)
        offset = entry.offset if entry.address[0] == self._root.address[0] else -1
        return shown, self._node(entry, stat.S_IFREG, Place(path, offset), entry.links)

    def _symlink(self, entry: Entry, path: bytes, target: bytes) -> Node:
        plain = Entry(entry.name, objects.SOFT)
        node = self._node(plain, stat.S_IFLNK, Place(path, target=target))
        return node._replace(mode=stat.S_IFLNK | 0o777)

    def entries(self, folder: Node) -> Iterator[tuple[bytes, int, int]]:
        """(shown name, mode, inode number) of all that a folder holds. Raises OSError."""
        return ((shown, node.mode, node.ino) for shown, node in self._listing(folder).items())

    def children(self, folder: Node) -> Iterator[tuple[bytes, Node]]:
        """(shown name, node) of all that a folder holds. Raises OSError."""
        return iter(sorted(self._listing(folder).items()))

    def child(self, folder: Node, shown: bytes) -> Node:
        """The node of one name. Raises KeyError; OSError where HDF5 cannot make sense of it."""
        node = self._listing(folder)[shown]
        if node.nlink == 0:
            raise self.file.damaged("damaged")
        return node

    def read(self, node: Node, offset: int, size: int) -> bytes:
        """Bytes of a dataset as a file. Raises OSError (EIO)."""
        if node.nlink == 0:
            raise self.file.damaged("damaged")
        size = max(0, min(size, node.size - offset))
        if not size:
            return b""
        if node.key.offset >= 0:
            data = self.file.pread(node.key.offset + offset, size)
        else:
            blocks = range(offset // BLOCK, -(-(offset + size) // BLOCK))
            whole = b"".join(self._block(node, block) for block in blocks)
            data = whole[offset - blocks.start * BLOCK :][:size]
        if self.file.changed():
            raise self.file.damaged("changed since it was opened")
        return data

    def _block(self, node: Node, block: int) -> bytes:
        data = self.file.recent(node.ino, block)
        if data is not None:
            return data
        wanted = min(BLOCK, node.size - block * BLOCK)
        data = self.helper.read(node.key.path, block * BLOCK, wanted)
        if len(data) != wanted:
            raise self.file.damaged("cut short")
        return self.file.remember(node.ino, block, data)

    def attributes(self, node: Node) -> dict[str, bytes]:
        """The attributes that HDF5 keeps of a node. Raises OSError."""
        return {} if node.is_symlink or node.nlink == 0 else self.helper.attributes(node.key.path)

    def link(self, node: Node) -> bytes:
        """The node's path in the HDF5 file."""
        return node.key.path

    def permissions(self, node: Node) -> int | None:
        """The permissions kept for a node, or None."""
        return node.key.permissions

    def place(self, node: Node) -> int:
        """Where the bytes of a file are; -1 where only HDF5 can read them."""
        return node.key.offset

    def target(self, node: Node) -> bytes:
        """Text of a symbolic link: relative, and within the store."""
        return node.key.target

    def close(self) -> None:
        """Let go of the file."""
        self.helper.close()
        os.close(self.file.fd)


def _relative(entry: Entry, depth: int, folder: bytes) -> bytes:
    """A soft link's target as the shortest path from its folder, which is `depth` folders deep."""
    target = [part for part in entry.target.split(b"/") if part not in (b"", b".")]
    shown = [names.escape(part) for part in target]
    if entry.target_is_array:
        shown[-1] = names.generated(target[-1], entry.shadowed)
    if not entry.target.startswith(b"/"):
        return b"/".join(shown) or b"."
    here = folder.split(b"/") if folder else []
    common = sum(
        1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(here, target, strict=False))
    )
    return b"/".join([b".."] * (depth - common) + shown[common:]) or b"."
