"""Trees that several threads, and several file systems of fsspec, use together.

A Tree is not thread-safe. A SharedTree lets one thread at a time look into it. Images of indexed stores are
read by several threads at a time.
"""

from __future__ import annotations

import errno
import os
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator, Sequence

from imagestore.thread_lock import ThreadLock
from imagestore.vfs import shown_names
from imagestore.vfs.indexed_source import IndexedSource
from imagestore.vfs.node import Node
from imagestore.vfs.remote_file import RemoteStoreFile
from imagestore.vfs.source import NoSuchName
from imagestore.vfs.tree import Tree

MOST_LINKS = 40  # as in Linux; more are a circle
MOST_KEPT = 8  # trees that stay open while no file system uses them


class SharedTree:
    """A tree for several threads. It is closed when nobody uses it any more. Usable after a fork."""

    def __init__(self, tree: Tree) -> None:
        self._tree, self._lock = tree, ThreadLock()
        weakref.finalize(self, tree.close)

    def find(self, path: bytes) -> Node:
        """What a path leads to. Raises FileNotFoundError."""
        try:
            with self._lock:
                node = self._tree.find(path)
        except NoSuchName:  # a folder of the path may be a link
            return self.follow(path)[1]
        return self.follow(path)[1] if node.is_symlink else node

    def follow(self, path: bytes) -> tuple[bytes, Node]:
        """The path without links that a path leads to, and the node there. Raises FileNotFoundError."""
        with self._lock:
            return self._follow(path)

    def _follow(self, path: bytes) -> tuple[bytes, Node]:
        waiting, links, real = deque(path.split(b"/")), 0, b""
        try:
            while waiting:
                name = waiting.popleft()
                if name == b"..":
                    real = real.rpartition(b"/")[0]
                elif name not in (b"", b"."):
                    node = self._tree.find(real + b"/" + name)
                    if node.is_symlink:
                        links += 1
                        waiting.extendleft(reversed(self._target(node, real + b"/" + name, links)))
                    else:
                        real += b"/" + name
            return real or b"/", self._tree.find(real or b"/")
        except NoSuchName:
            raise _missing(path) from None

    def _target(self, node: Node, path: bytes, links: int) -> list[bytes]:
        """The names of a link's path. Raises FileNotFoundError if it leads nowhere."""
        text = self._tree.target(node, path)
        if shown_names.is_elsewhere(text) or shown_names.is_not_shown(text):
            raise FileNotFoundError(errno.ENOENT, shown_names.what_link_says(text), path.decode())
        if links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path.decode())
        return text.split(b"/")

    def children(self, folder: bytes) -> Iterator[tuple[bytes, Node]]:
        """(name, node) of all that is in a folder; of a link, the node it leads to. Raises OSError.

        Some links stay links: those that lead to nothing in the tree, and, so that a walk comes to an end,
        links to a folder that holds them, and links to folders if the path of `folder` has a link in it.
        """
        real, node = self.follow(folder)
        with self._lock:
            children = list(self._tree.children(node))
        for name, child in children:
            yield name, self._leads_to(child, real, name, real == folder) if child.is_symlink else child

    def _leads_to(self, link: Node, folder: bytes, name: bytes, may_be_folder: bool) -> Node:
        try:
            target, node = self.follow(folder.rstrip(b"/") + b"/" + name)
        except OSError:
            return link
        holds_link = (folder.rstrip(b"/") + b"/").startswith(target.rstrip(b"/") + b"/")
        return link if node.is_folder and (holds_link or not may_be_folder) else node

    def read(self, node: Node, offset: int, size: int) -> bytes:
        """Up to `size` bytes of a file. Raises OSError (EIO) if they are damaged."""
        source = self._tree.sources[node.source]
        if not offset and size >= node.size and _is_for_threads(source):
            return source.read_whole(node)
        with self._lock:
            return self._tree.read(node, offset, min(size, max(0, node.size - offset)))

    def read_all(self, nodes: Sequence[Node]) -> list[bytes | BaseException]:
        """All bytes of each file, or its error. Those of a remote store are fetched together."""
        found = self._fetch(nodes)
        return [found[i] if i in found else self._bytes_or_error(node) for i, node in enumerate(nodes)]

    def _bytes_or_error(self, node: Node) -> bytes | BaseException:
        try:
            return self.read(node, 0, node.size)
        except OSError as error:
            return error

    def _fetch(self, nodes: Sequence[Node]) -> dict[int, bytes | BaseException]:
        """The bytes of those files that are in remote stores, by their position."""
        found: dict[int, bytes | BaseException] = {}
        for number, source in enumerate(self._tree.sources):
            if isinstance(source, IndexedSource) and isinstance(source.file, RemoteStoreFile):
                wanted = [i for i, node in enumerate(nodes) if node.source == number and node.size]
                places = [(source.data_offset(nodes[i]), nodes[i].size) for i in wanted]
                for i, data in zip(wanted, source.file.pread_many(places), strict=True):
                    found[i] = _checked(source, nodes[i], data)
        return found


def _is_for_threads(source: object) -> bool:
    return isinstance(source, IndexedSource) and source.file.stays_open


def _checked(source: IndexedSource, node: Node, data: bytes | BaseException) -> bytes | BaseException:
    try:
        return data if isinstance(data, BaseException) else source.checked(node, data)
    except OSError as error:
        return error


def _missing(path: bytes) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path.decode(errors="surrogateescape"))


class SharedTrees:
    """The trees that were opened last, by a key that says which stores they show, and in which state."""

    def __init__(self) -> None:
        self._trees: OrderedDict[Hashable, SharedTree] = OrderedDict()
        self._lock = ThreadLock()

    def get(self, key: Hashable, open_it: Callable[[], Tree]) -> SharedTree:
        """The tree with this key, opened if it is not open. Raises what `open_it` raises."""
        with self._lock:
            if key not in self._trees:
                self._trees[key] = SharedTree(open_it())
            self._trees.move_to_end(key)
            if len(self._trees) > MOST_KEPT:
                self._trees.popitem(last=False)
            return self._trees[key]
