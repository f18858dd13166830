"""A number for each node of a tree, by which the kernel names it: the root has 1.

A file has its inode number, and so has a folder of an indexed store: the number is the place in the index,
and all processes that serve a tree mean the same by it. Folders and links that HDF5 lists may have several
paths, and merged folders have several inode numbers. These are numbered in the order in which they are found.
"""

from __future__ import annotations

import stat

from imagestore.vfs.node import INODE_BITS, Node
from imagestore.vfs.source import NoSuchName
from imagestore.vfs.tree import Tree

ROOT = 1
MOST_WALKED = 20_000  # files: to walk more of them would make a mount wait


class NumberedNodes:
    """The numbers of a tree's nodes. They stay the same as long as this object lives."""

    def __init__(self, tree: Tree) -> None:
        """Number the root. Nothing else is listed."""
        self.tree = tree
        self._kept = {ROOT: tree.root}  # nodes that have no number of their own
        self._paths = {ROOT: b"/"}
        self._numbers: dict[tuple[int, bytes], int] = {}  # (number of the folder, name) -> number
        self._next = len(tree.sources) << INODE_BITS  # above the inode numbers of all stores

    def node(self, number: int) -> Node:
        """The node with a number that was given. Raises NoSuchName."""
        node = self._kept.get(number)
        if node is not None:
            return node
        if number >= self._next:
            raise NoSuchName(number)
        return self.tree.sources[number >> INODE_BITS].node(number)

    def number(self, folder: int, name: bytes, node: Node) -> int:
        """The number of a node, which has a name in the folder with this number."""
        if stat.S_ISREG(node.mode) or self._is_indexed_folder(node):
            return node.ino
        number = self._numbers.get((folder, name))
        if number is None:
            number = self._numbers[folder, name] = self._next
            self._next += 1
            self._kept[number] = node
            self._paths[number] = self._paths[folder].rstrip(b"/") + b"/" + name
        return number

    def _is_indexed_folder(self, node: Node) -> bool:
        is_plain = stat.S_ISDIR(node.mode) and not node.parts and node.ino != ROOT
        return is_plain and self.tree.sources[node.source].lists_at_once

    def path(self, number: int) -> bytes:
        """The path of a symbolic link."""
        return self._paths[number]

    def number_all(self) -> bool:
        """Number all nodes, so that a fork of this process means the same by each number.

        Call it after a look-ahead that has listed everything. Returns False if the tree is large or a folder
        cannot be read: then other numbers are given later.
        """
        indexed = all(source.lists_at_once for source in self.tree.sources)
        if not indexed and self.tree.usage().images > MOST_WALKED:
            return False
        waiting = [ROOT]
        try:
            while waiting:
                waiting += self._number_children(waiting.pop())
        except OSError:
            return False
        return True

    def _number_children(self, folder: int) -> list[int]:
        """Number the nodes in a folder; returns the numbers of the folders that may hold unnumbered nodes."""
        node = self.node(folder)
        children = self.tree.children(node) if self._may_hold_unnumbered(folder, node) else ()
        numbers = ((self.number(folder, name, child), child) for name, child in children)
        return [number for number, child in numbers if child.is_folder and number in self._kept]

    def _may_hold_unnumbered(self, folder: int, node: Node) -> bool:
        """Whether a folder is listed by HDF5, or is that in which stores are merged."""
        parts = node.parts or (node,)
        listed_by_hdf5 = not all(self.tree.sources[part.source].lists_at_once for part in parts)
        return listed_by_hdf5 or (folder == ROOT and bool(node.parts))
