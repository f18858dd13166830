"""What a tree needs from each of its stores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from imagestore.vfs.node import Node
from imagestore.vfs.store_file import StoreFile


class NoSuchName(KeyError):
    """A folder holds nothing under a name. Any other KeyError is a bug."""


class Source(Protocol):
    """One store as a tree of nodes.

    `folder` and `node` are nodes that this source returned. Names are shown names, in bytes (see
    `shown_names`). `Node.ino` is the same each time that the store is opened. An OSError has the errno EIO
    and names the damage, unless a method names another errno. A source is not thread-safe. It stays
    usable after a fork.
    """

    file: StoreFile
    lists_at_once: bool  # whether folders are listed without a question to HDF5
    images: int  # how many files the store holds, as far as its folders were listed

    def root(self) -> Node:
        """The root folder."""

    def entries(self, folder: Node) -> Iterator[tuple[bytes, int, int]]:
        """(name, mode, inode number) of each node in a folder, in a fixed order. Raises OSError.

        A damaged object has an entry too.
        """

    def children(self, folder: Node, first: int = 0) -> Iterator[tuple[bytes, Node]]:
        """(name, node) of each node in a folder, in a fixed order, nearly that of the names. Raises OSError.

        The first `first` nodes are left out. A damaged object has a node too: see `Node.is_damaged`.
        """

    def child(self, folder: Node, shown_name: bytes) -> Node:
        """The node under a name in a folder. Raises NoSuchName; OSError if it is damaged."""

    def node(self, ino: int) -> Node:
        """The node with this inode number: a file that was listed, or any node if `lists_at_once`.

        A file under several names has one of its nodes. Raises NoSuchName.
        """

    def read(self, node: Node, offset: int, size: int) -> bytes:
        """Up to `size` bytes of a file from `offset` on; fewer only at the end of the file.

        Raises OSError if the bytes are damaged, or may not be those of the time when the store was opened.
        """

    def missing_sources(self, node: Node) -> list[str]:
        """The sources of a virtual dataset that are not there: HDF5 gives fill values. Raises OSError."""

    def attributes(self, node: Node) -> dict[str, bytes]:
        """The HDF5 attributes of a node: text as UTF-8, other values as JSON. Raises OSError."""

    def target(self, node: Node) -> bytes:
        """The text of a symbolic link: a relative path within this store.

        Raises OSError (EINVAL) if the node is no symbolic link.
        """

    def hdf5_path(self, node: Node) -> bytes:
        """The path of a node in the HDF5 file, without a leading slash."""

    def permissions(self, node: Node) -> int | None:
        """The permissions that the store keeps for a node, or None."""

    def data_offset(self, node: Node) -> int:
        """Where the bytes of a file begin in the store file; NO_OFFSET if only HDF5 can read them."""

    def close(self) -> None:
        """Close the store file, and end the helper process for HDF5. A second call does nothing."""
