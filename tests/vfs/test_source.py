"""Both sources keep the promises of Source: for a store that both can show, they give the same answers."""

from __future__ import annotations

import errno
import inspect
import os

import pytest

from imagestore.vfs.hdf5_source import Hdf5Source
from imagestore.vfs.indexed_source import IndexedSource
from imagestore.vfs.node import INODE_BITS
from imagestore.vfs.open_tree import open_tree
from imagestore.vfs.source import NoSuchName, Source
from tests.helpers.errors import assert_eio, assert_errno
from tests.helpers.trees import contents_of

METHODS = [name for name, _ in inspect.getmembers(Source, inspect.isfunction) if not name.startswith("_")]


@pytest.fixture
def sources(indexed):
    """The same store as an IndexedSource and as an Hdf5Source."""
    path, _ = indexed
    with open_tree([path]) as fast, open_tree([path], use_index=False) as slow:
        yield fast.sources[0], slow.sources[0]


def nodes_of(source, folder=None, path=b""):
    """Each node of a source, by its path."""
    folder = folder or source.root()
    nodes = {path: folder}
    for name, node in source.children(folder):
        nodes |= nodes_of(source, node, path + b"/" + name) if node.is_folder else {path + b"/" + name: node}
    return nodes


@pytest.mark.parametrize("source", [IndexedSource, Hdf5Source])
def test_a_source_defines_each_method_of_the_protocol(source):
    for name in METHODS:
        assert name in vars(source), name
        promised, defined = (inspect.signature(getattr(kind, name)) for kind in (Source, source))
        assert defined.parameters == promised.parameters, name


def test_both_sources_show_the_same_tree(indexed):
    path, contents = indexed
    trees = []
    for use_index in (True, False):
        with open_tree([path], use_index=use_index) as tree:
            assert isinstance(tree.sources[0], IndexedSource) == use_index
            assert contents_of(tree) == contents
            trees.append([(p, n.mode, n.size, n.blocks, n.mtime_ns, n.ctime_ns) for p, n in tree.walk()])
            assert tree.usage() == (path.stat().st_size, len(contents))
            assert tree.attributes(tree.find(b"/label0/image_0000.jpg"))["member"] == b"jpg/image_0000.jpg"
    assert trees[0] == trees[1]


def test_each_method_gives_the_same_answer(sources):
    indexed, hdf5 = (nodes_of(source) for source in sources)
    assert list(indexed) == list(hdf5)
    for path in indexed:
        answers = []
        for source, node in zip(sources, (indexed[path], hdf5[path]), strict=True):
            answer = [source.hdf5_path(node), source.permissions(node), source.attributes(node)]
            if node.is_file:
                answer += [source.data_offset(node), node.nlink]
                answer += [
                    source.read(node, *part) for part in ((0, 10), (4990, 9000), (9000, 1), (0, 1 << 20))
                ]
            answers.append(answer)
        assert answers[0] == answers[1]


def test_entries_are_those_of_the_children(sources):
    for source in sources:
        for folder in (source.root(), source.child(source.root(), b"label1")):
            children = [(name, node.mode, node.ino) for name, node in source.children(folder)]
            assert sorted(source.entries(folder)) == children
            assert [source.child(folder, name) for name, _, _ in children] == [
                node for _, node in source.children(folder)
            ]


def test_children_begin_anywhere(sources):
    for source in sources:
        for folder in (source.root(), source.child(source.root(), b"label1")):
            children = list(source.children(folder))
            for first in (0, 1, len(children) - 1, len(children), len(children) + 5):
                assert list(source.children(folder, first)) == children[first:]


def test_a_listed_file_is_found_by_its_inode_number(sources):
    for source in sources:
        for node in nodes_of(source).values():
            if node.is_file or source.lists_at_once:
                assert source.node(node.ino) == node
        for ino in (0, 7 << 40):
            with pytest.raises(NoSuchName):
                source.node(ino)


def test_inode_numbers_are_unique_and_within_one_store(sources):
    for source in sources:
        inodes = [node.ino for node in nodes_of(source).values()]
        assert len(set(inodes)) == len(inodes)
        assert max(inodes) < 1 << INODE_BITS


def test_a_missing_name_is_no_such_name(sources):
    for source in sources:
        folder = source.child(source.root(), b"label0")
        for parent, name in ((source.root(), b"nowhere"), (folder, b"image_0001.jpg"), (folder, b"")):
            with pytest.raises(NoSuchName):
                source.child(parent, name)


def test_only_a_symbolic_link_has_a_target(sources):
    for source in sources:
        image = source.child(source.child(source.root(), b"label0"), b"image_0000.jpg")
        for node in (source.root(), image):
            assert_errno(errno.EINVAL, lambda source=source, node=node: source.target(node))


def test_an_image_behind_the_end_of_the_file_is_an_error(sources, indexed):
    path, _ = indexed
    nodes = [source.child(source.child(source.root(), b"label0"), b"image_0000.jpg") for source in sources]
    os.truncate(path, sources[0].data_offset(nodes[0]) + 10)
    for source, node in zip(sources, nodes, strict=True):
        assert_eio(lambda source=source, node=node: source.read(node, 0, 100))
