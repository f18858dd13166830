"""The attributes of HDF5 objects as extended attributes of files: `member` becomes `user.member`.

Linux bounds names, values and lists of names. What is beyond these bounds is not listed, so programs that
copy all attributes get those that they can get. `h5vfs.py attrs` prints all of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from imagestore.vfs.node import Node
from imagestore.vfs.tree import Tree

PREFIX = b"user."
# The bounds of Linux, by their names there, in bytes.
XATTR_NAME_MAX, XATTR_SIZE_MAX, XATTR_LIST_MAX = 255, 65536, 65536


def extended_attributes(tree: Tree, node: Node) -> dict[bytes, bytes]:
    """The extended attributes of a node whose names Linux can take. Raises OSError."""
    return {
        PREFIX + name: value
        for name, value in tree.shown_attributes(node).items()
        if len(PREFIX + name) <= XATTR_NAME_MAX
    }


def listed_names(attributes: Mapping[bytes, bytes]) -> bytes:
    """The names for listxattr, each with a NUL: those whose values Linux can take, as many as it can list."""
    names, length = [], 0
    for name, value in attributes.items():
        if len(value) <= XATTR_SIZE_MAX and length + len(name) < XATTR_LIST_MAX:
            names.append(name + b"\0")
            length += len(name) + 1
    return b"".join(names)
