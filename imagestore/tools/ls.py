"""List a folder of a store, as a mount shows it."""

from __future__ import annotations

import stat
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from imagestore.console import printable
from imagestore.tools.resolve_path import resolve_argument
from imagestore.vfs.node import Node
from imagestore.vfs.open_tree import open_tree


def ls(
    stores: Sequence[str | Path], path: str = "/", long: bool = False, follow_external: bool = False
) -> int:
    """Print the names in a folder, or the path of a file itself; return the exit status.

    `long` adds the mode, size and time of each, as `ls -lh` does. Raises UserError if there is no such path.
    """
    with open_tree(stores, follow_external=follow_external) as tree:
        real_path, node = resolve_argument(tree, path)
        listing = tree.children(node) if node.is_folder else iter([(real_path.strip(b"/"), node)])
        for name, child in listing:
            line = name
            if long and child.is_symlink:
                line += b" -> " + tree.target(child, real_path.rstrip(b"/") + b"/" + name)
            if sys.stdout.isatty():
                line = printable(line).encode(sys.stdout.encoding, sys.stdout.errors)
            sys.stdout.buffer.write((_long_columns(child) if long else b"") + line + b"\n")
        sys.stdout.buffer.flush()
    return 0


def _long_columns(node: Node) -> bytes:
    size = "-" if node.is_folder else _readable_size(node.size)
    return f"{stat.filemode(node.mode)} {size:>6} {_readable_time(node.mtime_ns)} ".encode()


def _readable_size(size: float) -> str:
    """A size in bytes as `ls -h` shows it: 999, 9.8K, 12M."""
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
