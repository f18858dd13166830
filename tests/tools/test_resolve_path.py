"""Paths in a store, and the symbolic links in them."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.console import UserError
from imagestore.tools.pack import pack
from imagestore.tools.resolve_path import resolve_path
from imagestore.vfs.open_tree import open_tree


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", "/"), ("/", "/"), ("red", "/red"), ("/red/", "/red"), ("red//./a.jpg", "/red/a.jpg"),
        ("red/../blue", "/blue"), ("../../red", "/red"), ("to-folder", "/red/deep"), ("to-folder/..", "/red"),
        ("blue/far", "/red/a.jpg"), ("to-folder/../../blue/near", "/blue/nothing"),
    ],
)  # fmt: skip
def test_a_path_leads_through_links(folder: Path, tmp_path: Path, path: str, expected: str):
    pack(folder, tmp_path / "packed.h5")
    with open_tree([tmp_path / "packed.h5"]) as tree:
        assert resolve_path(tree, os.fsencode(path)) == (expected.encode(), tree.find(expected.encode()))


def test_a_circle_of_links_is_an_error(tmp_path: Path):
    with h5py.File(tmp_path / "circle.h5", "w") as file:
        file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")
    with open_tree([tmp_path / "circle.h5"]) as tree, pytest.raises(UserError, match="leads to itself"):
        resolve_path(tree, b"a")


def test_a_name_may_be_that_before_packing(tmp_path: Path):
    with h5py.File(tmp_path / "names.h5", "w") as file:
        file[b"label/%FF"] = np.zeros(1, np.uint8)
    with open_tree([tmp_path / "names.h5"]) as tree:
        node = tree.find(b"/label/%25FF")
        for path in (b"label/%FF", b"label/%25FF"):
            assert resolve_path(tree, path) == (b"/label/%25FF", node)
