"""Find what a path in a store leads to, through symbolic links."""

from __future__ import annotations

import contextlib
from collections import deque

from imagestore import stored_names
from imagestore.console import UserError, counted, did_you_mean, printable
from imagestore.store.label_names import group_name, path_in_group
from imagestore.vfs import shown_names
from imagestore.vfs.node import Node
from imagestore.vfs.source import NoSuchName
from imagestore.vfs.tree import Tree

MOST_LINKS = 40  # as in Linux; more are a circle


def resolve_argument(tree: Tree, path: str) -> tuple[bytes, Node]:
    """What an argument of the command line leads to, in the first of its readings that exists.

    All of it, or its folder, may be a label such as AC/DC, whose group has another name. Otherwise as
    `resolve_path`.
    """
    of_labels = [group_name(path.strip("/")), path_in_group(path)]
    readings = [*stored_names.readings(path), *of_labels]
    return stored_names.find_first(
        lambda name: resolve_path(tree, stored_names.encode(name)), readings, UserError
    )


def resolve_path(tree: Tree, path: bytes) -> tuple[bytes, Node]:
    """The absolute path that `path` leads to, without symbolic links, `.` and `..`, and the node there.

    Raises UserError if the path does not exist, is in another file or cannot be shown, or if links lead in a
    circle.
    """
    waiting, links = deque(path.split(b"/")), 0
    resolved, node = b"", tree.root
    while waiting:
        name = waiting.popleft()
        if name == b"..":
            resolved = resolved.rpartition(b"/")[0]
            node = tree.find(resolved or b"/")
        elif name not in (b"", b"."):
            child_path, child = _find_child(tree, resolved, name, path)
            if not child.is_symlink:
                resolved, node = child_path, child
                continue
            links += 1
            if links > MOST_LINKS:
                raise UserError(f"{printable(path)}: a link that leads to itself")
            target = tree.target(child, child_path)
            _check_leads_somewhere(path, target)
            waiting.extendleft(reversed(target.split(b"/")))
    return resolved or b"/", node


def _check_leads_somewhere(path: bytes, target: bytes) -> None:
    """Raise UserError if the text of a link says that it stands for something that is not in the tree."""
    if shown_names.is_elsewhere(target):
        says = f"{shown_names.what_link_says(target)}; --follow-external reads them if they are there"
        raise UserError(f"{printable(path)}: {says}")
    if shown_names.is_not_shown(target):
        raise UserError(f"{printable(path)}: {shown_names.what_link_says(target)}")


def _find_child(tree: Tree, folder: bytes, name: bytes, path: bytes) -> tuple[bytes, Node]:
    """Path and node of the child `name`, given as a mount shows it or as it was before packing."""
    for shown_name in (name, shown_names.escape(name)):
        child_path = folder + b"/" + shown_name
        with contextlib.suppress(NoSuchName):
            return child_path, tree.find(child_path)
    raise UserError(_no_such_file(tree, folder, name, path))


def _no_such_file(tree: Tree, folder: bytes, name: bytes, path: bytes) -> str:
    where = tree.files[0] if len(tree.files) == 1 else counted(len(tree.files), "store")
    node = tree.find(folder or b"/")
    if node.is_folder:
        hint = did_you_mean(printable(name), (printable(other) for other, _ in tree.children(node)))
    else:
        hint = f": {printable(folder[1:])} is no folder"
    return f"{where}: no such file: {printable(path)}{hint}"
