"""Looking into a store without mounting it: list a folder, write out a file, verify everything.

Used by h5vfs.py. Paths are those that a mount shows; links within the store are followed. Verifying asks
HDF5 for everything, whatever an index says, in a process that may crash (see hdf5).
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from imagestore.console import UserError, did_you_mean, printable
from imagestore.vfs import names
from imagestore.vfs.node import Node
from imagestore.vfs.open import open_tree
from imagestore.vfs.tree import Tree

MOST_LINKS = 40  # as Linux's; more is a circle


def list_files(paths: Sequence[str | Path], path: str = "/", long: bool = False) -> int:
    """Print the names in a folder of a store, or of a file itself; returns the exit status.

    `long` adds mode, size and time of each, as `ls -lh` does. Raises UserError where there is no such path.
    """
    with open_tree(paths) as tree:
        found, node = follow(tree, os.fsencode(path))
        listed = tree.children(node) if node.is_folder else iter([(found.strip(b"/"), node)])
        for name, child in listed:
            line = name
            if long and child.is_symlink:
                line += b" -> " + tree.target(child, found.rstrip(b"/") + b"/" + name)
            shown = printable(line).encode() if sys.stdout.isatty() else line
            sys.stdout.buffer.write((_describe(child) if long else b"") + shown + b"\n")
        sys.stdout.buffer.flush()
    return 0


def _describe(node: Node) -> bytes:
    size = "-" if node.is_folder else readable_size(node.size)
    return f"{stat.filemode(node.mode)} {size:>6} {_readable_time(node.mtime_ns)} ".encode()


def readable_size(size: float) -> str:
    """A size as `ls -h` shows it: 999, 9.8K, 12M."""
    for unit in ("", "K", "M", "G", "T"):
        if size < 1000 or unit == "T":
            break
        size /= 1024
    return f"{size:.1f}{unit}" if unit and size < 10 else f"{size:.0f}{unit}"


def _readable_time(mtime_ns: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(mtime_ns // 10**9))
    except (OverflowError, ValueError, OSError):
        return "????-??-?? ??:??"


def cat(paths: Sequence[str | Path], path: str) -> int:
    """Write the bytes of a file to standard output; returns the exit status.

    Raises UserError where there is no such file, OSError where it is damaged.
    """
    with open_tree(paths) as tree:
        node = follow(tree, os.fsencode(path))[1]
        if node.is_folder:
            raise UserError(f"{path}: is a folder; list it with `h5vfs.py ls`")
        for piece in tree.pieces(node):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    return 0


def follow(tree: Tree, path: bytes) -> tuple[bytes, Node]:
    """What a path leads to, links followed, with its own path. Raises UserError where there is nothing."""
    waiting, at, links = deque(path.split(b"/")), b"", 0
    while waiting:
        name = waiting.popleft()
        if name == b"..":
            at = at.rpartition(b"/")[0]
        elif name not in (b"", b"."):
            shown, node = _child(tree, at, name, path)
            if not node.is_symlink:
                at = at + b"/" + shown
                continue
            links += 1
            if links > MOST_LINKS:
                raise UserError(f"{printable(path)}: a link that leads to itself")
            waiting.extendleft(reversed(tree.target(node, at + b"/" + shown).split(b"/")))
    return at or b"/", tree.find(at or b"/")


def _child(tree: Tree, folder: bytes, name: bytes, path: bytes) -> tuple[bytes, Node]:
    for shown in (name, names.escape(name)):  # as it is shown, else as it was before it was packed
        with contextlib.suppress(KeyError):
            return shown, tree.find(folder + b"/" + shown)
    node = tree.find(folder or b"/")
    where = tree.files[0] if len(tree.files) == 1 else f"{len(tree.files)} stores"
    others = (printable(other) for other, _ in tree.children(node)) if node.is_folder else ()
    hint = (
        did_you_mean(printable(name), others) if node.is_folder else f": {printable(folder[1:])} is no folder"
    )
    raise UserError(f"{where}: no such file: {printable(path)}{hint}")
