"""All that a tree holds."""

from __future__ import annotations

import os

from imagestore.vfs.tree import Tree


def contents_of(tree: Tree) -> dict[str, bytes]:
    """The bytes of each file of a tree, by path."""
    return {os.fsdecode(path[1:]): tree.read(node) for path, node in tree.walk() if node.is_file}
