"""Image stores as one file system: which folders, files and links there are, and what they hold.

What a store looks like is defined here (and below, in indexed, walked and names) and nowhere else;
fuse_adapter translates it for the kernel, packing copies it to and from plain folders. Several stores are
one merged tree, or stand side by side. Paths are shown names in bytes, b"/red/image_0001.jpg". Knows no
FUSE. Not thread-safe; usable after a fork.
"""

from __future__ import annotations

import math
import os
import stat
import time
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from types import TracebackType
from typing import NamedTuple

from imagestore.vfs import names
from imagestore.vfs.hdf5_source import Hdf5Source
from imagestore.vfs.indexed_source import IndexedSource
from imagestore.vfs.node import INODE_BITS, Node

PIECE = 4 << 20  # bytes of a file read at once


MOST_FOUND = 1 << 14  # paths whose nodes are remembered


class Usage(NamedTuple):
    """What `df` shows: the stores' size in bytes, and how many images they hold."""

    bytes: int
    images: int


class Tree:
    """One or several stores; a context manager."""

    def __init__(self, sources: Sequence[IndexedSource | Hdf5Source], side_by_side: bool = False) -> None:
        """Takes over the sources and closes them in the end."""
        self.sources = list(sources)
        self.files = [source.file.path for source in self.sources]
        self.side_by_side = side_by_side
        self.root = self._make_root()
        self._found: dict[bytes, Node] = {b"/": self.root}
        self._shared: dict[tuple[int, ...], dict[bytes, Node]] = {}

    def _make_root(self) -> Node:
        roots = [source.root() for source in self.sources]
        if len(roots) == 1 and not self.side_by_side:
            return roots[0]
        # Above every store's numbers, so that no folder has it twice.
        top = roots[0]._replace(ino=len(roots) << INODE_BITS | 1, parts=tuple(roots))
        return top._replace(nlink=2 + len(roots)) if self.side_by_side else top

    def __enter__(self) -> Tree:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all files."""
        for source in self.sources:
            source.close()

    def find(self, path: bytes) -> Node:
        """The node at a path. Raises KeyError where there is none, OSError where HDF5 cannot say."""
        node = self._found.get(path)
        if node is None:
            folder, _, name = path.rpartition(b"/")
            node = self.child(self.find(folder or b"/"), name)
            if len(self._found) >= MOST_FOUND:
                self._found = {b"/": self.root}
            self._found[path] = node
        return node

    def remember(self, path: bytes) -> None:
        """Have what a folder holds ready to be found: cheaper at once than one by one. Raises OSError."""
        prefix, folder = path.rstrip(b"/") + b"/", self.find(path)
        ready = {
            prefix + name: node for name, node in islice(self.children(folder), MOST_FOUND) if node.nlink
        }
        if len(self._found) + len(ready) > MOST_FOUND:
            self._found = {b"/": self.root}
        self._found |= ready

    def child(self, folder: Node, name: bytes) -> Node:
        """The node of one name in a folder. Raises KeyError, OSError."""
        if not folder.is_folder:
            raise KeyError(name)
        if folder.parts:
            node = self._sharing(folder)[name]
            if not node.nlink:
                raise self.sources[node.source].file.damaged("damaged")
            return node
        return self.sources[folder.source].child(folder, name)

    def entries(self, folder: Node) -> Iterator[tuple[bytes, int, int]]:
        """(name, mode, inode number) of all that a folder holds: what a listing needs, cheaply."""
        if folder.parts:
            return ((name, node.mode, node.ino) for name, node in self._sharing(folder).items())
        return self.sources[folder.source].entries(folder)

    def children(self, folder: Node) -> Iterator[tuple[bytes, Node]]:
        """(name, node) of all that a folder holds, sorted by name. Raises OSError."""
        if folder.parts:
            return iter(sorted(self._sharing(folder).items()))
        return self.sources[folder.source].children(folder)

    def walk(self, start: bytes = b"/") -> Iterator[tuple[bytes, Node]]:
        """(path, node) of `start` and all below it, depth first. Raises KeyError, OSError."""
        node = self.find(start)
        yield start, node
        if node.is_folder:
            yield from self._below(start.rstrip(b"/"), node)

    def _below(self, prefix: bytes, folder: Node) -> Iterator[tuple[bytes, Node]]:
        for name, node in self.children(folder):
            path = prefix + b"/" + name
            yield path, node
            if node.is_folder:
                yield from self._below(path, node)

    def _sharing(self, folder: Node) -> dict[bytes, Node]:
        """The contents of a folder that several stores have, made once."""
        key = tuple(part.ino for part in folder.parts)
        if key not in self._shared:
            top = self.side_by_side and folder.ino == self.root.ino
            self._shared[key] = self._stand_side_by_side() if top else self._merge(folder.parts)
        return self._shared[key]

    def _stand_side_by_side(self) -> dict[bytes, Node]:
        listing: dict[bytes, Node] = {}
        for path, root in zip(self.files, self.root.parts, strict=True):
            _add(listing, names.escape(os.fsencode(path.stem)), root)
        return listing

    def _merge(self, parts: tuple[Node, ...]) -> dict[bytes, Node]:
        listing: dict[bytes, Node] = {}
        for part in parts:
            for name, node in self.sources[part.source].children(part):
                other = listing.get(name)
                if other is not None and other.is_folder and node.is_folder:
                    listing[name] = other._replace(parts=(*(other.parts or (other,)), node))
                else:
                    _add(listing, name, node)
        return listing

    def read(self, node: Node, offset: int = 0, size: int | None = None) -> bytes:
        """Bytes of a file, all of them by default. Raises OSError (EIO) where they cannot be had."""
        if not stat.S_ISREG(node.mode):
            raise IsADirectoryError(f"{os.fsdecode(self.link_name(node))}: is no file")
        return self.sources[node.source].read(node, offset, node.size - offset if size is None else size)

    def pieces(self, node: Node) -> Iterator[bytes]:
        """All bytes of a file in pieces, of an empty one too (it may be damaged). Raises OSError (EIO)."""
        for offset in range(0, max(node.size, 1), PIECE):
            yield self.read(node, offset, min(PIECE, node.size - offset))

    def target(self, node: Node, path: bytes) -> bytes:
        """The text of the symbolic link at `path`: a relative path that stays within the tree."""
        text = self.sources[node.source].target(node)
        if len(self.sources) == 1 or self.side_by_side:
            return text
        at, parts = os.path.dirname(path), text.split(b"/")
        for i, name in enumerate(parts):
            try:
                parts[i] = self._name_among_others(node.source, self.find(at), name)
            except (KeyError, OSError):  # it leads nowhere
                break
            at = os.path.normpath(os.path.join(at, parts[i]))
        return b"/".join(parts)

    def _name_among_others(self, source: int, folder: Node, name: bytes) -> bytes:
        """How what `source` has as `name` in a folder is shown, beside what other stores have there."""
        if name in (b".", b"..") or not folder.parts:
            return name
        own = next((part for part in folder.parts if part.source == source), None)
        if own is None:
            raise KeyError(name)
        number, shown = self.sources[source].child(own, name).ino, self._sharing(folder)
        if name in shown and number in _numbers(shown[name]):
            return name
        return next((other for other, node in shown.items() if number in _numbers(node)), name)

    def attributes(self, node: Node) -> dict[str, bytes]:
        """What HDF5 keeps of a node: text as UTF-8, all else as JSON. Raises OSError."""
        parts = node.parts or (node,)
        kept = [self.sources[part.source].attributes(part) for part in reversed(parts)]
        return {name: value for attributes in kept for name, value in attributes.items()}

    def link_name(self, node: Node) -> bytes:
        """The node's path inside its HDF5 file, b"red/image_0001.jpg"."""
        return self.sources[node.source].link(node)

    def permissions(self, node: Node) -> int | None:
        """The permissions kept for a node, also those that no read-only file system grants; or None."""
        return self.sources[node.source].permissions(node)

    def place(self, node: Node) -> int:
        """Where the bytes of a file are in the store; -1 where only HDF5 can read them."""
        return self.sources[node.source].place(node)

    def owners(self) -> list[tuple[int, int]]:
        """(uid, gid) of each store file; a node's is that of its `source`."""
        return [(source.file.opened.st_uid, source.file.opened.st_gid) for source in self.sources]

    def usage(self) -> Usage:
        """The size of all files, and their images (of a file without index, those seen so far)."""
        size = sum(source.file.opened.st_size for source in self.sources)
        return Usage(size, sum(source.images for source in self.sources))

    def replaced(self) -> bool:
        """Whether the name of one of the files leads to another file by now, or the file was changed."""
        return any(source.file.replaced() for source in self.sources)

    def look_ahead(self, seconds: float = math.inf) -> None:
        """List folders, top down, until `seconds` are over; folders that HDF5 cannot read are passed over."""
        end = time.monotonic() + seconds
        waiting = deque(source.root() for source in self.sources if isinstance(source, Hdf5Source))
        while waiting and time.monotonic() < end:
            folder = waiting.popleft()
            try:
                waiting += (
                    node for _, node in self.sources[folder.source].children(folder) if node.is_folder
                )
            except OSError:
                continue


def _numbers(node: Node) -> set[int]:
    """The inode numbers of a node, and of the folders of several stores that it stands for."""
    return {node.ino, *(part.ino for part in node.parts)}


def _add(listing: dict[bytes, Node], name: bytes, node: Node) -> None:
    """Add a node under its name, or where that is taken under a numbered one: nothing is hidden."""
    shown, number = name, 2
    while shown in listing:
        shown, number = names.numbered(name, number), number + 1
    listing[shown] = node
