"""Write one file of a store to standard output."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from imagestore.console import UserError
from imagestore.printed_commands import command_line, path_argument, script
from imagestore.tools.resolve_path import resolve_argument
from imagestore.vfs.open_tree import open_tree


def cat(stores: Sequence[str | Path], path: str, follow_external: bool = False) -> int:
    """Write the bytes of a file to standard output; return the exit status.

    Raises UserError if there is no such file, OSError if it is damaged.
    """
    with open_tree(stores, follow_external=follow_external) as tree:
        _, node = resolve_argument(tree, path)
        if node.is_folder:
            words = [*script("h5vfs.py"), "ls", *map(path_argument, (*stores, path))]
            raise UserError(f"{path}: is a folder; list it: {command_line(*words)}")
        for piece in tree.pieces(node):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    return 0
