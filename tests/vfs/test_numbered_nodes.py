"""Numbers of nodes: each node has one, it is found by it, and forked processes mean the same by it."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from imagestore.vfs import numbered_nodes
from imagestore.vfs.numbered_nodes import ROOT, NumberedNodes
from imagestore.vfs.open_tree import open_tree
from imagestore.vfs.source import NoSuchName
from tests.helpers.odd_stores import make_damaged, make_indexed, make_odd, some_bytes


def numbers_of(nodes: NumberedNodes, folder: int = ROOT, path: bytes = b"") -> dict[bytes, int]:
    """The number of each node, by its path."""
    found = {}
    for name, node in nodes.tree.children(nodes.node(folder)):
        if not node.is_damaged:
            number = found[path + b"/" + name] = nodes.number(folder, name, node)
            found |= numbers_of(nodes, number, path + b"/" + name) if node.is_folder else {}
    return found


def make_stores(folder, kinds):
    """One store of each kind that is named."""
    paths = []
    for i, kind in enumerate(kinds.split()):
        paths.append(folder / f"{i}.h5")
        if kind == "indexed":
            make_indexed(paths[-1], 9)
        elif kind == "odd":
            make_odd(paths[-1])
        else:
            with h5py.File(paths[-1], "w") as file:
                file["label0/plain.jpg"] = np.frombuffer(some_bytes(1), np.uint8)
                file["again"] = file["label0"]  # a second path of the same group
                file["label0/more"] = h5py.SoftLink("plain.jpg")
    return paths


KINDS = ["indexed", "odd", "links", "indexed indexed", "indexed links odd", "links indexed"]


@pytest.mark.parametrize("side_by_side", [False, True])
@pytest.mark.parametrize("kinds", KINDS)
def test_each_node_is_found_by_its_number(tmp_path, kinds, side_by_side):
    with open_tree(make_stores(tmp_path, kinds), side_by_side=side_by_side) as tree:
        nodes = NumberedNodes(tree)
        for path, number in numbers_of(nodes).items():
            found, node = nodes.node(number), tree.find(path)
            assert found.ino == node.ino and found.mode == node.mode
            if node.is_file:
                assert tree.read(found) == tree.read(node)
            else:
                assert found == node
            if node.is_symlink:
                assert nodes.path(number) == path


@pytest.mark.parametrize("side_by_side", [False, True])
@pytest.mark.parametrize("kinds", KINDS)
def test_after_all_are_numbered_everybody_gives_the_same_numbers(tmp_path, kinds, side_by_side):
    paths = make_stores(tmp_path, kinds)
    with (
        open_tree(paths, side_by_side=side_by_side) as tree,
        open_tree(paths, side_by_side=side_by_side) as other,
    ):
        numbers = []
        for opened in (tree, other):
            assert opened.look_ahead()
            nodes = NumberedNodes(opened)
            assert nodes.number_all()
            numbers.append(numbers_of(nodes))
        assert numbers[0] == numbers[1]
        folders_and_links = [path for path in numbers[0] if not tree.find(path).is_file]
        assert len({numbers[0][path] for path in folders_and_links}) == len(folders_and_links)
        assert ROOT not in numbers[0].values()


def test_a_tree_that_is_not_walked_has_no_numbers_for_all(tmp_path, monkeypatch):
    make_damaged(tmp_path / "a.h5", ["label/good"], [])
    with open_tree([tmp_path / "a.h5"]) as tree:
        tree.look_ahead()
        assert NumberedNodes(tree).number_all()
        monkeypatch.setattr(numbered_nodes, "MOST_WALKED", 0)
        assert not NumberedNodes(tree).number_all()


def test_a_number_that_was_not_given_is_of_no_node(tmp_path):
    with open_tree(make_stores(tmp_path, "indexed links")) as tree:
        for number in (0, 700, 1 << 47, 1 << 48, 3 << 48):
            with pytest.raises(NoSuchName):
                NumberedNodes(tree).node(number)
