"""The tree: several stores merged or side by side, and paths that lead to nodes. Nothing is mounted here."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from imagestore.vfs import shown_names
from imagestore.vfs.open_tree import open_tree
from imagestore.vfs.source import NoSuchName
from tests.helpers.errors import assert_eio
from tests.helpers.odd_stores import make_damaged, make_indexed, make_odd, some_bytes
from tests.helpers.trees import contents_of

# ----- paths -----


def test_a_small_cache_of_paths_changes_nothing(indexed, monkeypatch):
    path, contents = indexed
    monkeypatch.setattr("imagestore.vfs.tree.MOST_CACHED_PATHS", 5)
    with open_tree([path]) as tree:
        assert {name: tree.read(tree.find(f"/{name}".encode())) for name in contents} == contents


@pytest.mark.parametrize("stores", ["a.h5", "*.h5"])
def test_a_path_that_leads_nowhere_is_no_such_name(tmp_path, stores):
    make_indexed(tmp_path / "a.h5", 6)
    make_indexed(tmp_path / "b.h5", 6)
    with open_tree([str(tmp_path / stores)]) as tree:
        for path in (b"/nowhere", b"/label0/nothing.jpg", b"/label0/image_0000.jpg/below", b"/no/where"):
            with pytest.raises(NoSuchName):
                tree.find(path)


def test_cached_children_are_the_same_nodes(tmp_path):
    make_damaged(tmp_path / "store.h5", ["label/good"], ["label/bad"])
    with open_tree([tmp_path / "store.h5"]) as tree, open_tree([tmp_path / "store.h5"]) as other:
        tree.cache_children(b"/label")
        assert tree.find(b"/label/good") == other.find(b"/label/good")
        assert_eio(lambda: tree.find(b"/label/bad"))


def test_a_look_ahead_lists_all_folders(tmp_path):
    make_damaged(tmp_path / "store.h5", ["a/1", "a/2", "b/c/3"], ["b/bad"])
    with open_tree([tmp_path / "store.h5"]) as tree:
        assert tree.usage().images == 0
        tree.look_ahead()
        assert tree.usage().images == 4


def test_a_file_comes_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("imagestore.vfs.tree.PIECE", 2000)
    contents = make_indexed(tmp_path / "store.h5", 1)
    with open_tree([tmp_path / "store.h5"]) as tree:
        pieces = list(tree.pieces(tree.find(b"/label0/image_0000.jpg")))
    assert [len(piece) for piece in pieces] == [2000, 2000, 1000]
    assert b"".join(pieces) == contents["label0/image_0000.jpg"]


# ----- several stores -----


def test_merged_stores_hide_no_file(tmp_path):
    first = make_indexed(tmp_path / "a.h5", 6)
    second = make_indexed(tmp_path / "b.h5", 6, first=3, size=700)
    with open_tree([tmp_path / "a.h5", tmp_path / "b.h5"]) as tree:
        merged = contents_of(tree)
        inodes = [node.ino for _, node in tree.walk()]
    both = first.keys() & second.keys()
    renamed = {
        name.replace(".jpg", "%~2.jpg") if name in both else name: data for name, data in second.items()
    }
    assert len(both) == 3
    assert merged == first | renamed
    assert len(set(inodes)) == len(inodes)


@pytest.mark.parametrize("side_by_side", [False, True])
def test_equal_names_are_numbered_without_a_search(tmp_path, monkeypatch, side_by_side):
    tries = []
    numbered = shown_names.numbered
    monkeypatch.setattr(shown_names, "numbered", lambda *name: tries.append(name) or numbered(*name))
    paths = [tmp_path / str(i) / "x.h5" for i in range(30)]
    for path in paths:
        path.parent.mkdir()
        make_indexed(path, 1)
    with open_tree(paths, side_by_side=side_by_side) as tree:
        names = {name for name, _ in tree.children(tree.find(b"/" if side_by_side else b"/label0"))}
    expected = b"x%%~%d" if side_by_side else b"image_0000%%~%d.jpg"
    assert names == {expected.replace(b"%%~%d", b""), *(expected % number for number in range(2, 31))}
    assert len(tries) == 29


def test_a_link_leads_to_the_file_of_its_own_store(run, tmp_path):
    for number in (1, 2):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["red/same.jpg"] = np.array([number], np.uint8)
            file["red/same"] = np.arange(number)
            file[f"red/near{number}"] = h5py.SoftLink("same.jpg")
            file[f"%41/odd{number}"] = h5py.SoftLink("/red/same.jpg")
            file[f"blue/far{number}"] = h5py.SoftLink("/red/same.jpg")
            file[f"blue/array{number}"] = h5py.SoftLink("/red/same")
            file[f"again{number}"] = h5py.SoftLink(f"blue/far{number}")
            # A file in the first store, a folder in the second.
            file["mixed" if number == 1 else "mixed/deep"] = np.array([number], np.uint8)
            file[f"blue/mixed{number}"] = h5py.SoftLink("/mixed" if number == 1 else "/mixed/deep")
    with open_tree([tmp_path / "1.h5", tmp_path / "2.h5"]) as tree:
        targets = {
            path: tree.target(tree.find(path), path) for path in (b"/red/near1", b"/red/near2", b"/blue/far2")
        }
    assert targets == {
        b"/red/near1": b"same.jpg", b"/red/near2": b"same%~2.jpg", b"/blue/far2": b"../red/same%~2.jpg",
    }  # fmt: skip
    run("h5vfs.py", "unpack", "1.h5", "2.h5", "out")
    for number in (1, 2):
        for name in ("red/near", "%41/odd", "blue/far", "blue/mixed", "again"):
            assert (tmp_path / f"out/{name}{number}").read_bytes() == bytes([number])
        assert len(np.load(tmp_path / f"out/blue/array{number}")) == number


def test_a_damaged_file_in_merged_stores_is_an_error(tmp_path):
    make_damaged(tmp_path / "a.h5", ["label/good"], ["label/bad"])
    make_damaged(tmp_path / "b.h5", ["label/other"], [])
    with open_tree([tmp_path / "a.h5", tmp_path / "b.h5"]) as tree:
        assert_eio(lambda: tree.find(b"/label/bad"))
        for name in (b"/label/good", b"/label/other"):
            assert tree.read(tree.find(name)) == some_bytes(1)


def test_a_merged_folder_has_the_attributes_of_all_stores(tmp_path):
    for name, attributes in (("a.h5", {"x": "1", "y": "2"}), ("b.h5", {"y": "3", "%7E": "4"})):
        with h5py.File(tmp_path / name, "w") as file:
            file.create_group("label").attrs.update(attributes)
    with open_tree([tmp_path / "a.h5", tmp_path / "b.h5"]) as tree:
        label = tree.find(b"/label")
        assert tree.attributes(label) == {"x": b"1", "y": b"2", "%7E": b"4"}
        assert tree.shown_attributes(label) == {b"x": b"1", b"y": b"2", b"%257E": b"4"}


def test_stores_stand_side_by_side(tmp_path):
    first, second = make_indexed(tmp_path / "a.h5", 6), make_indexed(tmp_path / "b.h5", 6, first=3)
    with open_tree([str(tmp_path / "*.h5")], side_by_side=True) as tree:
        contents = {f"a/{name}": data for name, data in first.items()}
        contents |= {f"b/{name}": data for name, data in second.items()}
        assert contents_of(tree) == contents
        assert tree.usage().images == 12


# ----- link counts -----


@pytest.mark.parametrize(
    ("stores", "side_by_side"),
    [
        (["odd.h5"], False),
        (["a.h5"], False),
        (["a.h5", "b.h5"], False),
        (["a.h5", "odd.h5", "b.h5"], False),
        (["odd.h5", "a.h5"], True),
        (["a.h5"], True),
    ],
)
def test_a_folder_counts_its_folders_or_none(tmp_path, stores, side_by_side):
    """`find` looks for as many folders as the link count says; with 1, it looks at everything."""
    make_odd(tmp_path / "odd.h5")
    make_indexed(tmp_path / "a.h5", 6, labels=2)
    make_indexed(tmp_path / "b.h5", 9, first=6)
    with open_tree([tmp_path / name for name in stores], side_by_side=side_by_side) as tree:
        folders = [node for _, node in tree.walk() if node.is_folder]
        for folder in folders:
            inside = sum(node.is_folder for _, node in tree.children(folder))
            assert folder.nlink in (1, 2 + inside)
        assert len(folders) > 2
