"""The tree: several stores merged or side by side, and paths that lead to nodes. Nothing is mounted here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

from imagestore.hdf5 import helper_process
from imagestore.hdf5.objects import CHUNK_CACHE, Objects
from imagestore.vfs.open import open_tree
from imagestore.vfs.source import NoSuchName
from tests.helpers.commands import ROOT
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


# ----- HDF5 behind its boundary -----


@pytest.fixture
def packed_by_a_plugin(tmp_path: Path) -> Path:
    """A store whose images are compressed with blosc and zstd."""
    path = tmp_path / "plugin.h5"
    with h5py.File(path, "w") as file:
        data = np.frombuffer(some_bytes(1), np.uint8)
        file.create_dataset("a/blosc", data=data, **hdf5plugin.Blosc())
        file.create_dataset("a/zstd", data=data, **hdf5plugin.Zstd())
    return path


@pytest.mark.parametrize("name", ["blosc", "zstd"])
def test_what_hdf5plugin_can_decompress_is_shown(run, packed_by_a_plugin, name):
    done = run("h5vfs.py", "unpack", packed_by_a_plugin, "out")
    assert (packed_by_a_plugin.parent / "out/a" / name).read_bytes() == some_bytes(1), done.stderr
    read = "import sys; from imagestore.store.reader import ImageStore; s = ImageStore(sys.argv[1]); " + (
        f"sys.stdout.buffer.write(s.read(s.find('a/{name}')))"
    )
    done = subprocess.run([sys.executable, "-c", read, packed_by_a_plugin], capture_output=True, cwd=ROOT)
    assert done.stdout == some_bytes(1), done.stderr


def test_a_filter_that_is_missing_is_named(run, packed_by_a_plugin, tmp_path):
    (tmp_path / "hdf5plugin.py").write_text("raise ImportError")
    without = {"PYTHONPATH": str(tmp_path)}
    done = run("h5vfs.py", "cat", packed_by_a_plugin, "a/zstd", env=without, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "32015): pip install hdf5plugin" in done.stderr and done.stderr.count("\n") == 1


def test_a_compressed_image_beside_others_that_were_added(run, sample, tmp_path):
    data = np.frombuffer(some_bytes(1), np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("red/first.jpg", data=data, compression="gzip")
    run("colourHeuristic.py", "sort", sample, "a.h5", 5, 1)
    run("h5vfs.py", "unpack", "a.h5", "out")
    assert (tmp_path / "out/red/first.jpg").read_bytes() == some_bytes(1)
    assert sum(path.is_file() for path in (tmp_path / "out").rglob("*")) == 6


def test_a_chunk_larger_than_the_cache_is_decompressed_once(tmp_path):
    path = tmp_path / "chunk.h5"
    large = CHUNK_CACHE + 4096
    with h5py.File(path, "w") as file:
        one = file.create_dataset("one", (large,), np.uint8, chunks=(large,), compression=1, fillvalue=1)
        one[0] = 2
    with path.open("rb") as file:
        objects = Objects(file.fileno(), path, False)
        assert objects.read(b"one", 0, 3) == b"\2\1\1"
        _, kept, _ = objects._open[b"one"].dataset.get_access_plist().get_chunk_cache()
    assert kept >= large


def test_a_long_listing_is_not_taken_for_silence(tmp_path, monkeypatch):
    """Each of the texts must be read to know its size: longer than the limit in all, not each."""
    monkeypatch.setattr(helper_process, "SECONDS_TO_ANSWER", 1.0)
    path = tmp_path / "texts.h5"
    with h5py.File(path, "w") as file:
        first = file.create_dataset("label/0000", data=["text"] * 50_000)
        for i in range(1, 100):
            file[f"label/{i:04d}"] = first
    with open_tree([path]) as tree:
        assert len(list(tree.children(tree.find(b"/label")))) == 100


def test_a_crash_of_hdf5_costs_one_question(tmp_path):
    path = tmp_path / "odd.h5"
    make_odd(path)
    with open_tree([path]) as tree:
        node = tree.find(b"/files/gzip.jpg")
        os.kill(tree.sources[0]._helper._pid, signal.SIGKILL)
        assert_eio(lambda: tree.read(node))
        assert tree.read(node) == some_bytes(1)


def test_hdf5_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    path = tmp_path / "odd.h5"
    make_odd(path)
    with open_tree([path]) as tree:
        node = tree.find(b"/files/gzip.jpg")
        os.kill(tree.sources[0]._helper._pid, signal.SIGSTOP)
        monkeypatch.setattr(helper_process, "SECONDS_TO_ANSWER", 0.3)
        assert_eio(lambda: tree.read(node))
        monkeypatch.undo()
        assert tree.read(node) == some_bytes(1)
