"""Stores that other files have replaced while they are mounted with --follow."""

from __future__ import annotations

from collections.abc import Callable

from imagestore.console import UserError
from imagestore.vfs.tree import Tree


def tree_of_now(tree: Tree, reopen: Callable[[], Tree]) -> Tree:
    """What to show: the tree, or a new one if its stores were replaced and the new ones can be opened.

    `reopen` opens the files that have the stores' paths now.
    """
    if not tree.was_replaced():
        return tree
    try:
        return reopen()
    except (UserError, OSError):
        return tree
