"""Hdf5Source: any HDF5 file as folders, files and links. Nothing is mounted here."""

from __future__ import annotations

import io
import json
import os
import stat
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagestore.console import UserError
from imagestore.hdf5 import helper_process
from imagestore.vfs import shown_names
from imagestore.vfs.indexed_source import IndexedSource
from imagestore.vfs.open_tree import open_tree
from imagestore.vfs.tree import Tree
from tests.helpers.errors import assert_eio
from tests.helpers.odd_stores import (
    CREATED,
    MODIFIED,
    ODD_NAMES,
    make_indexed,
    make_odd,
    make_other,
    some_bytes,
)


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """The tree of a file with every kind of object, and the arrays in it, by path."""
    path = tmp_path_factory.mktemp("odd") / "odd.h5"
    arrays = make_odd(path)
    make_other(path.with_name("other.h5"))
    with open_tree([path]) as tree:
        yield tree, arrays


# ----- files -----


@pytest.mark.parametrize(
    "name", ["plain", "chunked", "gzip", "lzf", "checksummed", "grown", "inside", "deeper/still/deep"]
)
def test_a_file_has_its_bytes_in_any_layout(odd, name):
    tree, _ = odd
    node = tree.find(f"/files/{name}.jpg".encode())
    assert node.is_file
    assert node.size == 5000
    assert tree.read(node) == some_bytes(1)
    assert tree.read(node, 4990, 100) == some_bytes(1)[4990:]
    assert tree.read(node, 6000, 10) == b""


def test_an_empty_file(odd):
    tree, _ = odd
    node = tree.find(b"/files/empty.jpg")
    assert (node.size, node.blocks, tree.read(node)) == (0, 0, b"")


def test_a_file_that_was_changed_in_place_gives_no_bytes(tmp_path):
    path = tmp_path / "odd.h5"
    make_odd(path)
    with open_tree([path]) as tree:
        contiguous, compressed = tree.find(b"/files/plain.jpg"), tree.find(b"/files/gzip.jpg")
        assert tree.read(compressed, 0, 10)
        with h5py.File(path, "a") as file:
            del file["files/plain.jpg"]
            file["files/new.jpg"] = np.frombuffer(some_bytes(9), np.uint8)
        assert_eio(lambda: tree.read(contiguous))
        assert_eio(lambda: tree.read(compressed))


# ----- arrays -----


def test_arrays_are_numpy_files(odd):
    tree, arrays = odd
    for name, array in arrays.items():
        if name.startswith("arrays/"):
            loaded = np.load(io.BytesIO(tree.read(tree.find(f"/{name}.npy".encode()))))
            assert loaded.dtype == array.dtype, name
            np.testing.assert_array_equal(loaded, array)


def test_values_without_a_numpy_type_are_text(odd):
    tree, _ = odd
    texts, ragged, nothing = (
        np.load(io.BytesIO(tree.read(tree.find(b"/arrays/" + name)))).tolist()
        for name in (b"texts.npy", b"ragged.npy", b"nothing.npy")
    )
    assert texts == [b"one", b"three", b""]
    assert ragged == [b"[0, 1]", b"[0, 1, 2]"]
    assert nothing == []


@given(st.data())
@settings(max_examples=60)
def test_a_piece_of_an_array_equals_that_of_the_whole(odd, data):
    tree, arrays = odd
    node = tree.find(f"/{data.draw(st.sampled_from(sorted(set(arrays) - {'shadow/x'})))}.npy".encode())
    helper = tree.sources[0]._helper
    offset, size = data.draw(st.integers(0, node.size + 9)), data.draw(st.integers(0, 3000))
    whole = tree.read(node)
    assert len(whole) == node.size
    assert tree.read(node, offset, size) == whole[offset : offset + size]
    assert helper.read(node.key.path, offset, size) == whole[offset : offset + size]


def test_a_piece_of_an_array_larger_than_memory(tmp_path):
    path = tmp_path / "large.h5"
    with h5py.File(path, "w") as file:
        large = file.create_dataset("large", (1 << 21, 1 << 20), "u2", chunks=(1, 1 << 16), fillvalue=7)
        large[1 << 20, 5] = 9
    with open_tree([path]) as tree:
        node = tree.find(b"/large.npy")
        assert node.size > 1 << 42
        assert node.blocks * 512 < 1 << 20
        header = node.size - (1 << 42)
        at = header + ((1 << 40) + 5) * 2
        assert np.frombuffer(tree.read(node, at - 2, 6), "<u2").tolist() == [7, 9, 7]


def test_texts_too_long_for_one_file_are_a_folder(tmp_path):
    path = tmp_path / "texts.h5"
    with h5py.File(path, "w") as file:
        texts = file.create_dataset("label/texts", (100_000,), h5py.string_dtype())
        texts[0] = "x" * (1 << 20)  # as one NumPy type they would be 100 GB
        file["label/plain.jpg"] = np.frombuffer(some_bytes(1), np.uint8)
    with open_tree([path]) as tree:
        assert [name for name, _ in tree.children(tree.find(b"/label"))] == [b"plain.jpg", b"texts"]
        assert tree.read(tree.find(b"/label/plain.jpg")) == some_bytes(1)
        names = [name for name, _ in tree.children(tree.find(b"/label/texts"))]
        assert (len(names), names[0], names[-1]) == (100_000, b"000000.txt", b"099999.txt")
        assert tree.read(tree.find(b"/label/texts/000000.txt")) == b"x" * (1 << 20)
        assert tree.read(tree.find(b"/label/texts/000001.txt")) == b""


def test_what_cannot_be_shown_is_a_link_that_says_so(tmp_path):
    path = tmp_path / "times.h5"
    with h5py.File(path, "w") as file:
        compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        compact.set_layout(h5py.h5d.COMPACT)
        times = h5py.h5t.vlen_create(h5py.h5t.UNIX_D32LE)
        h5py.h5d.create(file.id, b"times", times, h5py.h5s.create_simple((3,)), compact)
        file["link"] = h5py.SoftLink("times")
    with open_tree([path]) as tree:
        assert tree.target(tree.find(b"/times"), b"/times") == (
            b"%not shown: its elements have texts or lists of any length, "
            b"with values that h5py has no type for"
        )
        assert tree.target(tree.find(b"/link"), b"/link") == b"times"


# ----- names and links -----


def test_the_name_of_an_array_hides_no_other_name(odd):
    tree, arrays = odd
    nodes = dict(tree.children(tree.find(b"/shadow")))
    assert sorted(nodes) == [b"x%~.npy", b"x.npy"]
    assert tree.read(nodes[b"x.npy"]) == some_bytes(1)
    np.testing.assert_array_equal(np.load(io.BytesIO(tree.read(nodes[b"x%~.npy"]))), arrays["shadow/x"])


def test_names_that_no_file_system_can_hold(odd):
    tree, _ = odd
    nodes = dict(tree.children(tree.find(b"/names")))
    assert sorted(nodes) == sorted(map(shown_names.escape, ODD_NAMES))
    for name, node in nodes.items():
        assert tree.read(tree.find(b"/names/" + name)) == some_bytes(1)
        assert tree.hdf5_path(node).removeprefix(b"names/") in ODD_NAMES


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("absolute", "../files/plain.jpg"),
        ("relative", "inside/one.jpg"),
        ("to_array", "../arrays/matrix.npy"),
        ("to_link_to_array", "to_array"),
        ("to_shadowed", "../shadow/x%~.npy"),
        ("dangling", "../nowhere/at/all"),
        ("to_root", ".."),
        ("upwards", "../%2E./%2E./%2E./etc/passwd"),
        ("inside/parent", ".."),
        ("inside/top", "../.."),
    ],
)
def test_links_are_relative_and_stay_in_the_store(odd, link, target):
    tree, _ = odd
    node = tree.find(f"/links/{link}".encode())
    assert node.is_symlink
    assert tree.target(node, f"/links/{link}".encode()) == target.encode()
    assert node.size == len(target)


def test_hard_links_have_one_inode_number(odd):
    tree, _ = odd
    first, second = tree.find(b"/files/plain.jpg"), tree.find(b"/links/hard.jpg")
    assert first.ino == second.ino
    assert first.nlink == second.nlink == 2
    assert tree.find(b"/twice").ino == tree.find(b"/files/deeper").ino
    numbers = [node.ino for path, node in tree.walk() if node.nlink == 1 and not path.startswith(b"/twice")]
    assert len(set(numbers)) == len(numbers)


def test_external_links_are_followed_only_on_request(odd):
    tree, _ = odd
    node = tree.find(b"/links/external")
    assert node.is_symlink
    assert tree.target(node, b"/links/external") == b"%external:other.h5:%2Ffar"
    for outside in (b"/files/outside.jpg", b"/files/virtual.jpg", b"/arrays/virtual_texts"):
        assert tree.target(tree.find(outside), outside).startswith(b"%external:")
    with open_tree(tree.files, follow_external=True) as following:
        assert following.read(following.find(b"/links/external/away.jpg")) == some_bytes(3)
        assert following.read(following.find(b"/files/outside.jpg")) == some_bytes(1)
        assert following.read(following.find(b"/files/virtual.jpg")) == some_bytes(3)
        texts = following.read(following.find(b"/arrays/virtual_texts.npy"))
        assert np.load(io.BytesIO(texts)).tolist() == [b"far", b"away"]


# ----- attributes, times, permissions, inode numbers -----


def test_attributes_are_text_or_json(odd):
    tree, _ = odd
    attributes = tree.attributes(tree.root)
    assert attributes["title"] == "Blümen".encode()
    assert json.loads(attributes["numbers"]) == [1, 2, 3]
    assert json.loads(attributes["half"]) == 0.5
    assert json.loads(attributes["words"]) == ["a", "b"]
    assert json.loads(tree.attributes(tree.find(b"/files/plain.jpg"))["palette"]) == [[0.5, 1.0]]


def test_times_and_modes_come_from_attributes_or_the_file(odd):
    tree, _ = odd
    with_attributes, plain = tree.find(b"/files/plain.jpg"), tree.find(b"/files/gzip.jpg")
    file = tree.files[0].stat()
    assert (with_attributes.mtime_ns, with_attributes.ctime_ns) == (MODIFIED * 10**9, CREATED * 10**9)
    assert (plain.mtime_ns, plain.ctime_ns) == (file.st_mtime_ns, file.st_ctime_ns)
    assert stat.S_IMODE(with_attributes.mode) == 0o751 & 0o555 & ~0o222
    assert stat.S_IMODE(plain.mode) == file.st_mode & 0o444


@pytest.mark.parametrize(
    ("mode", "file", "with_permissions", "folder"),
    [(0o600, 0o400, 0o500, 0o500), (0o640, 0o440, 0o550, 0o550)],
)
def test_modes_grant_no_more_than_the_store_file(tmp_path, mode, file, with_permissions, folder):
    path = tmp_path / "private.h5"
    make_odd(path)
    path.chmod(mode)
    with open_tree([path]) as tree:
        paths = (b"/files/gzip.jpg", b"/files/plain.jpg", b"/links")
        modes = [stat.S_IMODE(tree.find(path).mode) for path in paths]
    assert modes == [file, with_permissions, folder]


def test_inode_numbers_are_the_same_next_time(odd):
    tree, _ = odd
    with open_tree(tree.files) as again:
        assert [(p, n.ino) for p, n in again.walk()] == [(p, n.ino) for p, n in tree.walk()]


# ----- damaged files -----


@pytest.mark.slow
@pytest.mark.parametrize("make", [make_indexed, make_odd])
def test_damaged_stores_give_errors_or_the_right_bytes(tmp_path, make, monkeypatch):
    """With random bytes changed, images of an indexed store have the right bytes or raise an error."""
    monkeypatch.setattr(helper_process, "SECONDS_TO_ANSWER", 5)
    path = tmp_path / "store.h5"
    contents = make(path)
    count, first = int(os.environ.get("FUZZED_STORES", "200")) // 2, int(os.environ.get("FUZZ_SEED", "0"))
    for seed in damaged_copies(path, path.read_bytes(), count, first):
        try:
            tree = open_tree([path])
        except UserError:
            continue
        with tree:
            is_indexed = isinstance(tree.sources[0], IndexedSource)
            for name, data in read_all(tree).items():
                assert not is_indexed or contents[name] == data, f"seed {seed}: {name}"


def damaged_copies(path: Path, intact: bytes, count: int, first: int):
    """Write copies of a store with a few random bytes changed; yield the seed of each copy."""
    for seed in range(first, first + count):
        random = np.random.default_rng(seed)
        data = bytearray(intact)
        for at in random.integers(0, len(data), random.integers(1, 20)):
            data[at] = random.integers(0, 256)
        path.write_bytes(data)
        yield seed


def read_all(tree: Tree) -> dict[str, bytes]:
    """The bytes of each file that can be read, by path. Only an OSError may keep a file from being read."""
    contents, waiting = {}, [(b"", tree.root)]
    while waiting:
        prefix, folder = waiting.pop()
        try:
            children = list(tree.children(folder))
        except OSError:
            continue
        for name, node in children:
            path = prefix + b"/" + name
            try:
                if node.is_file and node.size < 1 << 24:
                    contents[os.fsdecode(path[1:])] = tree.read(node)
                    tree.attributes(node)
            except OSError:
                continue
            if node.is_folder and path.count(b"/") < 8:
                waiting.append((path, node))
    return contents
