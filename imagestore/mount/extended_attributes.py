"""The attributes of HDF5 objects as extended attributes of files: `member` becomes `user.member`."""

from __future__ import annotations

from imagestore.vfs.node import Node
from imagestore.vfs.tree import Tree

PREFIX = b"user."
XATTR_NAME_MAX, XATTR_SIZE_MAX = 255, 65536  # bytes; the bounds of Linux, by their names there


def extended_attributes(tree: Tree, node: Node) -> dict[bytes, bytes]:
    """The extended attributes of a node, without attributes that are too large for Linux. Raises OSError."""
    return {
        PREFIX + name: value
        for name, value in tree.shown_attributes(node).items()
        if len(PREFIX + name) <= XATTR_NAME_MAX and len(value) <= XATTR_SIZE_MAX
    }
