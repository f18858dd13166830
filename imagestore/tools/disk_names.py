"""The names that unpacked files get: the names in the HDF5 file where a file system can hold them."""

from __future__ import annotations

from imagestore.vfs import shown_names
from imagestore.vfs.node import Node
from imagestore.vfs.source import NoSuchName
from imagestore.vfs.tree import Tree


def disk_name(tree: Tree, folder: Node, shown_name: bytes) -> bytes:
    """The file name for what a mount shows as `shown_name` in `folder`; no two in a folder are the same."""
    name, number = original_name(shown_name), 2
    if name != shown_name or shown_names.escape(name) == shown_name:
        return name  # the name of the HDF5 link, which no other link of the group has
    while _has_child(tree, folder, shown_names.escape(name)) or (
        name != shown_name and _has_child(tree, folder, name)
    ):
        name, number = shown_names.numbered(shown_name, number), number + 1
    return name


def original_name(shown_name: bytes) -> bytes:
    """The name of the HDF5 link if a file can have it, else the name that a mount shows."""
    name = shown_names.unescape(shown_name)
    possible = name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name
    unchanged = len(name) <= shown_names.LONGEST and shown_names.escape(name) == shown_name
    return name if possible and unchanged else shown_name


def _has_child(tree: Tree, folder: Node, shown_name: bytes) -> bool:
    try:
        tree.child(folder, shown_name)
    except NoSuchName:
        return False
    except OSError:  # damaged, but its name is taken
        return True
    return True
