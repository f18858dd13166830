"""Datasets whose elements are files, seen as folders: in a tree, in a mount, and by h5vfs.py."""

from __future__ import annotations

import os
import tarfile

import h5py
import numpy as np
import pytest

from imagestore.vfs.open_tree import open_tree
from imagestore.vfs.source import NoSuchName
from tests.helpers.commands import Run
from tests.helpers.errors import assert_eio
from tests.helpers.held_images import add_vlen, as_array, make_vlen, padded, picture
from tests.helpers.mounts import contents_of, shell

PICTURES = [picture(number) for number in range(6)]


@pytest.fixture
def vlen(tmp_path):
    """A file with a dataset of images for each label, and these images by their shown paths."""
    path = tmp_path / "vlen.h5"
    return path, make_vlen(path)


def bytes_by_path(tree) -> dict[str, bytes]:
    return {os.fsdecode(path[1:]): tree.read(node) for path, node in tree.walk() if node.is_file}


def test_a_tree_shows_the_elements_as_files(vlen):
    path, contents = vlen
    with open_tree([path]) as tree:
        assert bytes_by_path(tree) == contents
        assert tree.find(b"/rose/images").is_folder
        node = tree.find(b"/rose/images/000003.jpg")
        assert tree.read(node, 5, 7) == contents["rose/images/000003.jpg"][5:12]
        assert tree.attributes(node) == {}
        assert tree.usage().images == len(contents)


@pytest.mark.parametrize("name", [b"000010.jpg", b"3.jpg", b"000003.png", b"images"])
def test_a_name_that_no_element_has(vlen, name):
    with open_tree([vlen[0]]) as tree, pytest.raises(NoSuchName):
        tree.find(b"/rose/images/" + name)


@pytest.mark.parametrize(
    "options", [{"chunks": (4,)}, {"chunks": (4,), "compression": "gzip"}, {"maxshape": (None,)}]
)
def test_elements_in_chunks(tmp_path, options):
    contents = make_vlen(tmp_path / "a.h5", **options)
    with open_tree([tmp_path / "a.h5"]) as tree:
        assert bytes_by_path(tree) == contents


def test_inode_numbers_are_stable_and_of_one_file_each(vlen):
    path, contents = vlen

    def inodes() -> dict[bytes, int]:
        with open_tree([path]) as tree:
            return {path: node.ino for path, node in tree.walk()}

    first = inodes()
    assert first == inodes()
    assert len(set(first.values())) == len(first) == len(contents) + 5


def test_elements_are_found_by_their_inode_numbers(vlen):
    path, contents = vlen
    with open_tree([path]) as tree:
        files = {name: node for name, node in tree.walk() if node.is_file}
        found = {name: tree.sources[0].node(node.ino) for name, node in files.items()}
        assert len(found) == len(contents)
        assert found == files


def test_elements_have_the_times_and_mode_of_their_dataset(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        dataset = add_vlen(file, "rose/images", PICTURES)
        dataset.attrs["Modified"], dataset.attrs["Permissions"] = np.int64(10**9), np.int64(0o400)
    with open_tree([path]) as tree:
        node = tree.find(b"/rose/images/000000.jpg")
        assert (node.mtime_ns, node.mode & 0o777, tree.permissions(node)) == (10**18, 0o400, 0o400)


def test_rows_in_compressed_chunks_are_read_through_hdf5(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("rows", data=padded(PICTURES), chunks=(2, 99), compression=1)
    with open_tree([path]) as tree:
        assert [tree.read(node) for _, node in tree.children(tree.find(b"/rows"))] == PICTURES


def test_bytes_in_any_type_are_files_under_their_own_names(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["opaque.jpg"] = np.void(PICTURES[0])
        file["signed.jpg"] = as_array(PICTURES[1]).view(np.int8)
        file.create_dataset("row.jpg", data=as_array(PICTURES[2])[None], chunks=(1, 100), compression=1)
        file["pixels"] = np.zeros((5, 8, 8), np.uint8)
    with open_tree([path]) as tree:
        read = bytes_by_path(tree)
    assert read.pop("pixels.npy")[:6] == b"\x93NUMPY"
    assert read == dict(zip(("opaque.jpg", "signed.jpg", "row.jpg"), PICTURES, strict=False))


def test_a_hard_link_and_a_soft_link_to_the_dataset(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        add_vlen(file, "rose/images", PICTURES)
        file["again"] = file["rose/images"]
        file["soft"] = h5py.SoftLink("/rose/images")
    with open_tree([path]) as tree:
        assert tree.target(tree.find(b"/soft"), b"/soft") == b"rose/images"
        assert tree.read(tree.find(b"/again/000002.jpg")) == PICTURES[2]


def test_a_damaged_element_costs_only_itself(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        add_vlen(file, "x", [picture(1), picture(2) + bytes(70_000), picture(3)])
    with open_tree([path]) as tree:
        place = tree.find(b"/x/000001.jpg").key.offset
    with path.open("r+b") as raw:
        raw.seek(place)
        raw.write(b"\xff" * 16)
    with open_tree([path]) as tree:
        assert_eio(lambda: tree.read(tree.find(b"/x/000001.jpg")))
        assert tree.read(tree.find(b"/x/000002.jpg")) == picture(3)


def test_merged_stores_show_the_elements_of_both(tmp_path):
    for first in (0, 3):
        with h5py.File(tmp_path / f"{first}.h5", "w") as file:
            add_vlen(file, "x", PICTURES[first : first + 3])
    with open_tree([tmp_path / "0.h5", tmp_path / "3.h5"]) as tree:
        assert sorted(bytes_by_path(tree).values()) == sorted(PICTURES)


# ----- commands -----


def test_commands_see_the_same_files(run: Run, vlen, tmp_path):
    path, contents = vlen
    assert run("h5vfs.py", "ls", path, "rose/images").stdout.split()[:2] == ["000000.jpg", "000001.jpg"]
    assert "20 files" in run("h5vfs.py", "verify", path).stdout
    run("h5vfs.py", "unpack", path, "out")
    assert contents_of(tmp_path / "out") == contents


@pytest.mark.usefixtures("fuse_library")
def test_a_mount_lists_and_archives_the_elements(run: Run, vlen, tmp_path):
    path, contents = vlen
    (tmp_path / "mnt").mkdir()
    run("h5vfs.py", path, "mnt")
    try:
        found = shell("find", tmp_path / "mnt", "-type", "f").stdout.split("\n")[:-1]
        shell("tar", "cf", tmp_path / "all.tar", "-C", tmp_path / "mnt", ".")
        assert len(found) == len(contents)
    finally:
        run("h5vfs.py", "-u", "mnt")
    with tarfile.open(tmp_path / "all.tar") as tar:
        read = {member.name[2:]: tar.extractfile(member).read() for member in tar if member.isfile()}
    assert read == contents
