"""IndexedSource: images from the columns of an index, compared with their checksums."""

from __future__ import annotations

import os
import zlib

import h5py
import numpy as np
import pytest

from imagestore.store.record import ImageRecord
from imagestore.store.writer import StoreWriter
from imagestore.vfs.open_tree import open_tree
from imagestore.vfs.source import NoSuchName
from tests.helpers.errors import assert_eio
from tests.helpers.odd_stores import make_indexed, some_bytes
from tests.helpers.trees import contents_of


def test_bisection_finds_the_same_images(indexed):
    path, contents = indexed
    with open_tree([path]) as tree:
        for name in contents:
            assert tree.read(tree.find(f"/{name}".encode())) == contents[name]
        for missing in (b"/label0/image", b"/label0/zzz", b"/nowhere", b"/label0/image_0000.jpg/x"):
            with pytest.raises(NoSuchName):
                tree.find(missing)


def test_names_that_are_shown_in_another_way_are_found(tmp_path):
    names = [
        b"caf\xe9.jpg",
        b"50%C1.jpg",
        "café.jpg".encode(),
        b"\xe9" * 100 + b".jpg",
        b"\xe9" * 101 + b".jpg",
    ]
    with StoreWriter(tmp_path / "a.h5") as writer:
        for i, name in enumerate(names):
            writer.add(
                ImageRecord(label=b"x", name=name, member=name, size=1, crc32=zlib.crc32(b"%d" % i)),
                b"%d" % i,
            )
        writer.publish()
    with open_tree([tmp_path / "a.h5"]) as tree:
        folder = tree.find(b"/x")
        for shown_name, node in tree.children(folder):
            assert tree.child(folder, shown_name) == node
        assert {tree.hdf5_path(node)[2:]: tree.read(node) for _, node in tree.children(folder)} == {
            name: b"%d" % i for i, name in enumerate(names)
        }
        for missing in (b"caf\xe9.jpg", b"50%C1.jpg", b"x" * 237 + b"%%~0123456789abcdef.jpg"):
            with pytest.raises(NoSuchName):
                tree.child(folder, missing)


def test_a_large_image_is_read_in_pieces_that_are_compared(tmp_path):
    make_indexed(tmp_path / "a.h5", 2, size=1_000_000)
    data = some_bytes(0, 1_000_000)
    parts = [(0, 10), (990_000, 50_000), (131_000, 200), (131_072, 131_072), (5, 999_990), (1_000_000, 9)]
    with open_tree([tmp_path / "a.h5"]) as tree:
        node = tree.find(b"/label0/image_0000.jpg")
        for offset, size in parts * 2:
            assert tree.read(node, offset, size) == data[offset : offset + size]
        with (tmp_path / "a.h5").open("r+b") as file:
            file.seek(tree.data_offset(node) + 300_000)
            file.write(bytes([data[300_000] ^ 1]))
        assert tree.read(node, 500_000, 1000) == data[500_000:501_000]
        for offset, size in ((262_144, 10), (250_000, 200_000), (0, 1_000_000)):
            assert_eio(lambda offset=offset, size=size: tree.read(node, offset, size))


def test_a_flipped_bit_is_an_error_of_that_image_only(indexed):
    path, contents = indexed
    with open_tree([path]) as tree:
        node = tree.find(b"/label1/image_0001.jpg")
        with path.open("r+b") as file:
            file.seek(tree.data_offset(node) + 100)
            file.write(bytes([contents["label1/image_0001.jpg"][100] ^ 1]))
        assert_eio(lambda: tree.read(node, 4000, 10))
        others = {p: n for p, n in tree.walk() if n.is_file and n.ino != node.ino}
        assert {os.fsdecode(p[1:]): tree.read(n) for p, n in others.items()} == {
            name: data for name, data in contents.items() if name != "label1/image_0001.jpg"
        }


def test_a_store_cut_short_in_use_loses_images_behind_the_cut(indexed):
    path, contents = indexed
    with open_tree([path]) as tree:
        nodes = {os.fsdecode(p[1:]): n for p, n in tree.walk() if n.is_file}
        offsets = {name: tree.data_offset(node) for name, node in nodes.items()}
        cut = sorted(offsets.values())[len(offsets) // 2]
        os.truncate(path, cut)
        for name, node in nodes.items():
            if offsets[name] < cut:
                assert tree.read(node) == contents[name]
            else:
                assert_eio(lambda node=node: tree.read(node))


def test_images_stay_readable_when_others_are_added(indexed):
    path, contents = indexed
    with open_tree([path]) as tree:
        with h5py.File(path, "a") as file:
            file["label0/new.jpg"] = np.frombuffer(some_bytes(9), np.uint8)
        assert contents_of(tree) == contents
