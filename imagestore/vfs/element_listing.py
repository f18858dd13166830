"""The listing of a dataset whose elements are files: nodes are made when they are asked for.

A hundred thousand nodes would take 50 MB and half a second to make. The columns of ElementFiles take 2 MB.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagestore.hdf5.element_files import ElementFiles
from imagestore.vfs.node import SECTOR, Node, ObjectKey


class ElementListing:
    """The nodes of a dataset's elements by their shown names, with the methods of a dictionary."""

    def __init__(self, files: ElementFiles, first: Node) -> None:
        """`first` is the node of the first element; the inode numbers of the others follow it.

        The key of `first` has the path of the dataset.
        """
        self._files, self._first = files, first

    def get(self, name: bytes) -> Node | None:
        """The node with this name; None if there is none."""
        number = self._files.number(name)
        if number is None:
            return None
        return self._node(number, name, *(int(column[number]) for column in self._files[1:]))

    def entries(self) -> Iterator[tuple[bytes, int, int]]:
        """(name, mode, inode number) of each element, in order: cheaper than its node."""
        mode, first = self._first.mode, self._first.ino
        return ((name, mode, first + number) for number, name in enumerate(self._files.names()))

    def items(self, first: int = 0) -> Iterator[tuple[bytes, Node]]:
        """(name, node) of each element from number `first` on, in order."""
        columns = (column[first:].tolist() for column in self._files[1:])
        for number, (name, *values) in enumerate(zip(self._files.names(first), *columns, strict=True), first):
            yield name, self._node(number, name, *values)

    def node(self, ino: int) -> Node | None:
        """The node with this inode number; None if no element has it."""
        number = ino - self._first.ino
        if not 0 <= number < len(self._files.size):
            return None
        name = next(self._files.names(number))
        return self._node(number, name, *(int(column[number]) for column in self._files[1:]))

    def _node(self, number: int, name: bytes, size: int, offset: int, heap_number: int) -> Node:
        first = self._first
        key = ObjectKey(
            path=first.key.path + b"/" + name,
            offset=offset,
            permissions=first.key.permissions,
            element=number,
            heap_number=heap_number,
        )
        blocks, ino = -(-size // SECTOR), first.ino + number
        return Node(first.mode, ino, 1, size, blocks, first.mtime_ns, first.ctime_ns, first.source, key)
