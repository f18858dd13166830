"""Find what a path in a store leads to, through symbolic links."""

from __future__ import annotations

import contextlib
from collections import deque

from imagestore.console import UserError, did_you_mean, printable
from imagestore.vfs import shown_names
from imagestore.vfs.source import NoSuchName
from imagestore.vfs.tree import Tree

MOST_LINKS = 40  # as in Linux; more are a circle


def resolve_path(tree: Tree, path: bytes) -> bytes:
    """The absolute path that `path` leads to, without symbolic links, `.` and `..`.

    Raises UserError if the path does not exist, or if links lead in a circle.
    """
    waiting, resolved, links = deque(path.split(b"/")), b"", 0
    while waiting:
        name = waiting.popleft()
        if name == b"..":
            resolved = resolved.rpartition(b"/")[0]
        elif name not in (b"", b"."):
            child = _child_path(tree, resolved, name, path)
            node = tree.find(child)
            if not node.is_symlink:
                resolved = child
                continue
            links += 1
            if links > MOST_LINKS:
                raise UserError(f"{printable(path)}: a link that leads to itself")
            waiting.extendleft(reversed(tree.target(node, child).split(b"/")))
    return resolved or b"/"


def _child_path(tree: Tree, folder: bytes, name: bytes, path: bytes) -> bytes:
    """The path of the child `name`, given as a mount shows it or as it was before packing."""
    for shown_name in (name, shown_names.escape(name)):
        child = folder + b"/" + shown_name
        with contextlib.suppress(NoSuchName):
            tree.find(child)
            return child
    raise UserError(_no_such_file(tree, folder, name, path))


def _no_such_file(tree: Tree, folder: bytes, name: bytes, path: bytes) -> str:
    where = tree.files[0] if len(tree.files) == 1 else f"{len(tree.files)} stores"
    node = tree.find(folder or b"/")
    if node.is_folder:
        hint = did_you_mean(printable(name), (printable(other) for other, _ in tree.children(node)))
    else:
        hint = f": {printable(folder[1:])} is no folder"
    return f"{where}: no such file: {printable(path)}{hint}"
