"""Requests over stores that may be replaced by other files: `--follow`, by libfuse 3's low-level interface.

The kernel keeps no names and attributes (timeouts of 0). So it asks for each name again, and gets another
number if the store was replaced. Bytes in its cache belong to a number. An open or mapped file keeps its
number, its bytes and its old store; whoever opens the path again gets the new ones. A folder keeps its
number, so a shell in it sees the new store. One process answers all requests: only it knows its numbers.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass

from imagestore.mount.fuse_options import ShownOptions
from imagestore.mount.low_level_library import LowLevelLibrary
from imagestore.mount.low_level_requests import NO_XATTRS, LowLevelRequests, answered
from imagestore.mount.replaced_stores import tree_of_now
from imagestore.vfs.node import Node
from imagestore.vfs.numbered_nodes import ROOT
from imagestore.vfs.source import NoSuchName
from imagestore.vfs.tree import Tree


@dataclass
class _Known:
    """A node that the kernel knows by its number."""

    path: bytes
    tree: Tree | None  # in which the node was found; None for a folder, which is found again by its path
    node: Node
    lookups: int = 0  # how many answers named it and were not forgotten
    opened: int = 0  # how often it is open


class FollowingRequests(LowLevelRequests):
    """The callbacks over stores that may be replaced: if a store is, it is opened again."""

    callback_names = (
        *(name for name in LowLevelRequests.callback_names if name != "readdirplus"),
        "readdir",
        "forget",
        "release",
    )

    def __init__(
        self, tree: Tree, library: LowLevelLibrary, options: ShownOptions, reopen: Callable[[], Tree]
    ) -> None:
        """`reopen` opens the files that have the stores' paths now. It may raise UserError or OSError."""
        super().__init__(tree, library, options)
        self.reopen = reopen
        self._known = {ROOT: _Known(b"/", None, tree.root, lookups=1)}
        self._numbers: dict[tuple[bytes, Tree | None], int] = {}  # (path, tree; None for a folder) -> number
        self._next = ROOT + 1

    def close(self) -> None:
        """Close the stores, also those that were replaced and are still in use."""
        for tree in {self.tree, *(known.tree for known in self._known.values() if known.tree)}:
            tree.close()

    # ----- which stores -----

    def _reopen_if_replaced(self) -> None:
        """Show the new stores if some were replaced, but not before they can be opened."""
        new = tree_of_now(self.tree, self.reopen)
        if new is self.tree:
            return
        old, self.tree = self.tree, new
        self._owners = self._shown_owners()
        self._xattrs = NO_XATTRS
        self._close_if_unused(old)

    def _close_if_unused(self, tree: Tree | None) -> None:
        """Close replaced stores none of whose files is open. The kernel may know closed ones of them."""
        if tree is None or tree is self.tree:
            return
        files = {number: known for number, known in self._known.items() if known.tree is tree}
        if not any(known.opened for known in files.values()):
            tree.close()
            for number, known in files.items():
                del self._known[number], self._numbers[known.path, tree]

    def find(self, number: int) -> tuple[Tree, Node]:
        """A file as the kernel knows it; a folder in the present stores. Raises NoSuchName, OSError."""
        known = self._known.get(number)
        if known is None:
            raise NoSuchName(number)
        if known.tree is not None:
            return known.tree, known.node
        self._reopen_if_replaced()
        return self.tree, self.tree.find(known.path)

    # ----- numbers -----

    @answered
    def lookup(self, request: int, folder: int, name: bytes) -> None:
        """The number and the attributes of a name in a folder."""
        self._reopen_if_replaced()
        path = self._known[folder].path.rstrip(b"/") + b"/" + name
        node = self.tree.find(path)
        self._fill(node, self._remember(path, node))
        self.library.fuse_reply_entry(request, self._address)

    def _remember(self, path: bytes, node: Node) -> int:
        """The number of a node, which the kernel knows from now on."""
        tree = None if node.is_folder else self.tree
        number = self._numbers.get((path, tree))
        if number is None:
            number = self._numbers[path, tree] = self._next
            self._next += 1
            self._known[number] = _Known(path, tree, node)
        self._known[number].lookups += 1
        return number

    @answered
    def forget(self, request: int, number: int, lookups: int) -> None:
        """The kernel has forgotten a number."""
        known = self._known.get(number)
        if known is not None and number != ROOT:
            known.lookups -= lookups
            if known.lookups <= 0:
                del self._known[number]
                del self._numbers[known.path, known.tree]
        self.library.fuse_reply_none(request)

    # ----- open files -----

    @answered
    def open(self, request: int, number: int, info: int) -> None:
        """From now on, the file's store stays open. The kernel drops the bytes of it that it kept."""
        known = self._known.get(number)
        if known is None:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        known.opened += 1
        self.library.fuse_reply_open(request, info)

    @answered
    def release(self, request: int, number: int, info: int) -> None:
        """A file is closed, and with the last one its store, if that was replaced."""
        known = self._known[number]
        known.opened -= 1
        self._close_if_unused(known.tree)
        self.library.fuse_reply_err(request, 0)

    # ----- listings and links -----

    @answered
    def readdir(self, request: int, folder: int, size: int, offset: int, info: int | None) -> None:
        """As many entries from `offset` on as the buffer takes, without attributes: the kernel keeps none."""
        self._list(request, folder, size, offset, self._add)

    def _add(
        self, request: int, folder: int, address: int, room: int, name: bytes, node: Node, offset: int
    ) -> int:
        self._fill(node, 0)
        return self.library.fuse_add_direntry(request, address, room, name, self._status_address, offset)

    @answered
    def readlink(self, request: int, number: int) -> None:
        """A symbolic link's text."""
        tree, node = self.find(number)
        self.library.fuse_reply_readlink(request, tree.target(node, self._known[number].path))
