"""One or several stores as one tree of folders, files and symbolic links.

The room vfs alone decides how a store looks as a file system. A mount translates the tree for the kernel, and
`h5vfs.py unpack` copies it to plain files. Paths are shown names in bytes, such as b"/red/image_0001.jpg".
"""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from types import TracebackType
from typing import NamedTuple

from imagestore import stored_names
from imagestore.console import printable
from imagestore.hdf5.why_not_opened import DAMAGED_OR_UNFINISHED
from imagestore.vfs import shown_names
from imagestore.vfs.node import INODE_BITS, NOT_COUNTED, Node
from imagestore.vfs.source import NoSuchName, Source

PIECE = 4 << 20  # bytes of a file that are read at once
MOST_CACHED_PATHS = 1 << 14


class Usage(NamedTuple):
    """What `df` shows: the size of the store files in bytes, and the number of their images."""

    bytes: int
    images: int


class Tree:
    """One or several stores; a context manager.

    Several stores are merged: folders of the same name become one folder. Or the stores stand side by side,
    each in a folder with the name of its file. All methods that look into a folder raise OSError (EIO) if
    HDF5 cannot read it. Not thread-safe; usable after a fork.
    """

    def __init__(self, sources: Sequence[Source], side_by_side: bool = False) -> None:
        """The tree closes the sources in the end. Each source's number is its position in `sources`."""
        self.sources = list(sources)
        self.files = [source.file.path for source in self.sources]
        self.side_by_side = side_by_side
        self.root = self._make_root()
        self._nodes: dict[bytes, Node] = {b"/": self.root}  # path -> node
        self._merged: dict[tuple[int, ...], dict[bytes, Node]] = {}  # inode numbers of the parts -> listing

    def _make_root(self) -> Node:
        roots = [source.root() for source in self.sources]
        if len(roots) == 1 and not self.side_by_side:
            return roots[0]
        # This inode number is above those of all stores.
        nlink = 2 + len(roots) if self.side_by_side else NOT_COUNTED
        return roots[0]._replace(ino=len(roots) << INODE_BITS | 1, nlink=nlink, parts=tuple(roots))

    def __enter__(self) -> Tree:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all store files."""
        for source in self.sources:
            source.close()

    # ----- from paths to nodes -----

    def find(self, path: bytes) -> Node:
        """The node at a path. Raises NoSuchName."""
        node = self._nodes.get(path)
        if node is None:
            folder, _, name = path.rpartition(b"/")
            node = self.child(self.find(folder or b"/"), name)
            if len(self._nodes) >= MOST_CACHED_PATHS:
                self._nodes = {b"/": self.root}
            self._nodes[path] = node
        return node

    def cache_children(self, path: bytes) -> None:
        """Prepare `find` for all paths in a folder: faster than to find one path after the other."""
        prefix, folder = path.rstrip(b"/") + b"/", self.find(path)
        children = islice(self.children(folder), MOST_CACHED_PATHS)
        nodes = {prefix + name: node for name, node in children if node.nlink}
        if len(self._nodes) + len(nodes) > MOST_CACHED_PATHS:
            self._nodes = {b"/": self.root}
        self._nodes |= nodes

    def child(self, folder: Node, name: bytes) -> Node:
        """The node under a name in a folder. Raises NoSuchName."""
        if not folder.is_folder:
            raise NoSuchName(name)
        if not folder.parts:
            return self.sources[folder.source].child(folder, name)
        node = self._merged_listing(folder).get(name)
        if node is None:
            raise NoSuchName(name)
        if node.is_damaged:
            raise self.sources[node.source].file.error(DAMAGED_OR_UNFINISHED)
        return node

    def entries(self, folder: Node) -> Iterator[tuple[bytes, int, int]]:
        """(name, mode, inode number) of each node in a folder. Cheaper than `children`."""
        if folder.parts:
            return ((name, node.mode, node.ino) for name, node in self._merged_listing(folder).items())
        return self.sources[folder.source].entries(folder)

    def children(self, folder: Node, first: int = 0) -> Iterator[tuple[bytes, Node]]:
        """(name, node) of each node in a folder, in a fixed order, nearly that of the names.

        The first `first` nodes are left out.
        """
        if folder.parts:
            return islice(self._merged_listing(folder).items(), first, None)
        return self.sources[folder.source].children(folder, first)

    def walk(self, start: bytes = b"/") -> Iterator[tuple[bytes, Node]]:
        """(path, node) of `start` and of all nodes below it, depth first. Raises NoSuchName."""
        node = self.find(start)
        yield start, node
        if node.is_folder:
            yield from self._walk_below(start.rstrip(b"/"), node)

    def _walk_below(self, prefix: bytes, folder: Node) -> Iterator[tuple[bytes, Node]]:
        for name, node in self.children(folder):
            path = prefix + b"/" + name
            yield path, node
            if node.is_folder:
                yield from self._walk_below(path, node)

    def look_ahead(self, seconds: float = math.inf) -> bool:
        """List folders that only HDF5 can list, from the top down, until `seconds` are over.

        Folders that HDF5 cannot read are left out. Returns whether there is none, and all are listed.
        """
        could_read_all = True
        end = time.monotonic() + seconds
        waiting = deque(source.root() for source in self.sources if not source.lists_at_once)
        while waiting and time.monotonic() < end:
            folder = waiting.popleft()
            try:
                children = self.sources[folder.source].children(folder)
                waiting += (node for _, node in children if node.is_folder)
            except OSError:
                could_read_all = False
        return could_read_all and not waiting

    # ----- folders that several stores have -----

    def _merged_listing(self, folder: Node) -> dict[bytes, Node]:
        """The nodes in a folder with parts, by their names and in their order."""
        key = tuple(part.ino for part in folder.parts)
        if key not in self._merged:
            is_top = self.side_by_side and folder.ino == self.root.ino
            listing = self._list_stores() if is_top else self._merge(folder.parts)
            self._merged[key] = dict(sorted(listing.items()))
        return self._merged[key]

    def _list_stores(self) -> dict[bytes, Node]:
        listing = _Listing()
        for path, root in zip(self.files, self.root.parts, strict=True):
            listing.add(shown_names.escape(os.fsencode(path.stem)), root)
        return listing.nodes

    def _merge(self, parts: tuple[Node, ...]) -> dict[bytes, Node]:
        listing = _Listing()
        for part in parts:
            for name, node in self.sources[part.source].children(part):
                other = listing.nodes.get(name)
                if other is not None and other.is_folder and node.is_folder:
                    parts = (*(other.parts or (other,)), node)
                    listing.nodes[name] = other._replace(nlink=NOT_COUNTED, parts=parts)
                else:
                    listing.add(name, node)
        return listing.nodes

    # ----- what a node holds -----

    def read(self, node: Node, offset: int = 0, size: int | None = None) -> bytes:
        """Bytes of a file; all of them by default. Raises OSError (EIO) if they are damaged."""
        if not node.is_file:
            raise IsADirectoryError(f"{printable(self.hdf5_path(node))}: is no file")
        return self.sources[node.source].read(node, offset, node.size - offset if size is None else size)

    def pieces(self, node: Node) -> Iterator[bytes]:
        """All bytes of a file in pieces. Raises OSError (EIO) if they are damaged."""
        for offset in range(0, max(node.size, 1), PIECE):  # an empty file is read too: it may be damaged
            yield self.read(node, offset, min(PIECE, node.size - offset))

    def target(self, node: Node, path: bytes) -> bytes:
        """The text of the symbolic link `node` at `path`: a relative path that stays within the tree.

        In merged stores, the link leads to the file of its own store, even if that has a numbered name.
        """
        text = self.sources[node.source].target(node)
        if len(self.sources) == 1 or self.side_by_side:
            return text
        folder, parts = os.path.dirname(path), text.split(b"/")
        for i, name in enumerate(parts):
            try:
                parts[i] = self._merged_name(self.find(folder), node.source, name)
            except (NoSuchName, OSError):  # the link is broken
                break
            folder = os.path.normpath(os.path.join(folder, parts[i]))
        return b"/".join(parts)

    def _merged_name(self, folder: Node, source: int, name: bytes) -> bytes:
        """The name that a node of one store has in a folder, where other stores may have taken its name.

        `name` is its name in its own store. Raises NoSuchName.
        """
        if name in (b".", b"..") or not folder.parts:
            return name
        part = next((part for part in folder.parts if part.source == source), None)
        if part is None:
            raise NoSuchName(name)
        inode, listing = self.sources[source].child(part, name).ino, self._merged_listing(folder)
        if name in listing and inode in _inodes(listing[name]):
            return name
        return next((other for other, node in listing.items() if inode in _inodes(node)), name)

    def attributes(self, node: Node) -> dict[str, bytes]:
        """The HDF5 attributes of a node: text as UTF-8, other values as JSON. Raises OSError.

        If several stores have the folder, the first store with an attribute counts.
        """
        merged: dict[str, bytes] = {}
        for part in reversed(node.parts or (node,)):
            merged |= self.sources[part.source].attributes(part)
        return merged

    def shown_attributes(self, node: Node) -> dict[bytes, bytes]:
        """The attributes of a node by their shown names. Raises OSError."""
        attributes = self.attributes(node)
        return {
            shown_names.escape_text(stored_names.encode(name)): value for name, value in attributes.items()
        }

    def hdf5_path(self, node: Node) -> bytes:
        """The path of a node inside its HDF5 file, b"red/image_0001.jpg"."""
        return self.sources[node.source].hdf5_path(node)

    def permissions(self, node: Node) -> int | None:
        """The permissions that the store keeps for a node, or None. Its mode has only some of them."""
        return self.sources[node.source].permissions(node)

    def missing_sources(self, node: Node) -> list[str]:
        """The sources of a virtual dataset that are not there: HDF5 gives fill values. Raises OSError."""
        return self.sources[node.source].missing_sources(node)

    def data_offset(self, node: Node) -> int:
        """Where the bytes of a file begin in the store file; NO_OFFSET if only HDF5 can read them."""
        return self.sources[node.source].data_offset(node)

    # ----- the store files -----

    @property
    def is_live(self) -> bool:
        """Whether a program writes to one of the files: to open it again may show other objects."""
        return any(source.file.is_live for source in self.sources)

    def owners(self) -> list[tuple[int, int]]:
        """(uid, gid) that each store shows; `Node.source` is the position."""
        return [(source.file.access.uid, source.file.access.gid) for source in self.sources]

    def usage(self) -> Usage:
        """The size of all store files, and the number of their images, as far as folders were listed."""
        size = sum(source.file.stat_at_open.st_size for source in self.sources)
        return Usage(size, sum(source.images for source in self.sources))

    def was_replaced(self) -> bool:
        """Whether the path of a store file leads to another file now, or the file was changed."""
        return any(source.file.was_replaced() for source in self.sources)


def _inodes(node: Node) -> set[int]:
    """The inode numbers of a node and of its parts."""
    return {node.ino, *(part.ino for part in node.parts)}


class _Listing:
    """The nodes of several stores by their names; no node hides another."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, Node] = {}
        self._numbers: dict[bytes, int] = {}  # name -> the number to try next

    def add(self, name: bytes, node: Node) -> None:
        """Add a node under its name, or under a numbered name if another node has it."""
        self.nodes[self._free_name(name) if name in self.nodes else name] = node

    def _free_name(self, name: bytes) -> bytes:
        number = self._numbers.get(name, 2)
        while (free_name := shown_names.numbered(name, number)) in self.nodes:
            number += 1
        self._numbers[name] = number + 1
        return free_name
