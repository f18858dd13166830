"""The kind of a node, and whether it is damaged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imagestore.vfs.node import Node


def node_of(path: Path) -> Node:
    """The node with the mode and the link count that a real file system gives."""
    state = os.lstat(path)
    return Node(
        mode=state.st_mode, ino=1, nlink=state.st_nlink, size=0, blocks=0, mtime_ns=0, ctime_ns=0,
        source=0, key=0,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["folder", "file", "symlink"])
def test_a_node_has_one_kind(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "symlink").symlink_to("file")
    node = node_of(tmp_path / name)
    kinds = {"folder": node.is_folder, "file": node.is_file, "symlink": node.is_symlink}
    assert [kind for kind, is_kind in kinds.items() if is_kind] == [name]


def test_a_node_without_links_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    node = node_of(tmp_path / "file")
    assert not node.is_damaged
    assert node._replace(nlink=0).is_damaged
