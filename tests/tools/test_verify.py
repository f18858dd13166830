"""verify: right and wrong checksums, damaged files, and an index that is wrong."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.hdf5.superblock import end_of_file_address
from imagestore.store.index import StoreIndex
from imagestore.store.index_builder import IndexBuilder
from imagestore.store.reader import ImageStore
from imagestore.store.trailer import read_trailer, write_trailer
from imagestore.tools.pack import pack
from tests.helpers.commands import Run
from tests.helpers.folders import overwrite
from tests.helpers.h5vfs_runs import check_error


def test_right_checksums_are_counted(run: Run, sample_store: Path, old_store: Path):
    done = run("h5vfs.py", "verify", sample_store, old_store)
    assert done.stdout.splitlines() == [
        f"{sample_store}: 60 files, 60 checksums right",
        f"{old_store}: 36 files, 0 checksums right, 36 readable, without a checksum",
    ]


@pytest.mark.parametrize("damage", ["a flipped bit", "another tool", "damaged HDF5 object", "damaged group"])
def test_damaged_files_are_named(run: Run, sample_store: Path, tmp_path: Path, damage: str):
    store = tmp_path / "store.h5"
    shutil.copy(sample_store, store)
    with ImageStore(store) as images:
        name, offset, first = images.path_of(20), int(images.index.offset[20]), images.read(20)[:1]
        address = h5py.h5o.get_info(images.dataset(20)).addr
        label = name.split("/")[0]
        group = h5py.h5o.get_info(images.hdf5()[label].id).addr
        names = {images.path_of(i) for i in range(len(images)) if images.path_of(i).startswith(label + "/")}
    if damage == "a flipped bit":
        overwrite(store, offset, bytes([first[0] ^ 1]))
    elif damage == "another tool":
        with h5py.File(store, "r+") as file:
            file[name][0] = first[0] ^ 1
    else:
        overwrite(store, address if damage == "damaged HDF5 object" else group, b"\xff" * 16)
    done = run("h5vfs.py", "verify", store, sample_store, check=False)
    assert done.returncode == 1
    bad = {line.split(": ")[2] for line in done.stderr.splitlines()}
    assert bad - {label} == (names if damage == "damaged group" else {name})
    assert f"{sample_store}: 60 files, 60 checksums right" in done.stdout
    assert " bad" in done.stdout.splitlines()[0]


def test_a_wrong_place_in_the_index_is_named(run: Run, sample_store: Path, tmp_path: Path):
    store = tmp_path / "store.h5"
    shutil.copy(sample_store, store)
    with rewritten_index(store) as (index, builder):
        for i in range(len(index)):
            builder.add(index.record(i), int(index.offset[i]) + (i == 9))
        path = index.record(9).label + b"/" + index.record(9).name
    done = run("h5vfs.py", "verify", store, check=False)
    assert done.returncode == 1
    assert done.stdout == f"{store}: 60 files, 59 checksums right, 1 bad\n"
    assert f"{os.fsdecode(path)}: the store's index and HDF5" in done.stderr


def test_an_image_that_only_the_index_has_is_named(run: Run, sample_store: Path, tmp_path: Path):
    store = tmp_path / "store.h5"
    shutil.copy(sample_store, store)
    with rewritten_index(store) as (index, builder):
        builder.extend(index)
        builder.add(replace(index.record(0), label=b"red", name=b"lost.jpg"), int(index.offset[0]))
    done = run("h5vfs.py", "verify", store, check=False)
    assert done.returncode == 1
    assert done.stdout == f"{store}: 61 files, 60 checksums right, 1 bad\n"
    assert (
        done.stderr == f"h5vfs: {store}: red/lost.jpg: is in the store's index, but HDF5 does not find it\n"
    )


@contextlib.contextmanager
def rewritten_index(store: Path) -> Iterator[tuple[StoreIndex, IndexBuilder]]:
    """Give the index of a store, and a builder for the index that takes its place."""
    with open(store, "r+b") as file:
        end, builder = end_of_file_address(file.fileno()), IndexBuilder()
        yield read_trailer(file.fileno(), end), builder
        file.truncate(end)  # the rest of a longer trailer would hide the new one
        write_trailer(file.fileno(), end, builder.build())


def test_md5_attributes_of_the_cpp_h5vfs_are_compared(run: Run, tmp_path: Path):
    digest = hashlib.md5(b"image").hexdigest()
    with h5py.File(tmp_path / "md5.h5", "w") as file:
        for name, stored in (("lower", digest), ("upper", digest.upper()), ("wrong", "0" * 32)):
            file[name] = np.frombuffer(b"image", np.uint8)
            file[name].attrs["MD5Hash"] = stored
    done = run("h5vfs.py", "verify", "md5.h5", check=False)
    assert done.stdout == "md5.h5: 3 files, 2 checksums right, 1 bad\n"
    assert (
        done.stderr
        == "h5vfs: md5.h5: wrong: its checksum differs: these are not the bytes that were stored\n"
    )


def test_a_file_with_hard_links_counts_as_one(run: Run, folder: Path):
    pack(folder, folder.parent / "packed.h5")
    assert run("h5vfs.py", "verify", "packed.h5").stdout == "packed.h5: 4 files, 4 checksums right\n"


def test_files_that_are_no_stores_are_named(run: Run, sample_store: Path, tmp_path: Path):
    (tmp_path / "cut.h5").write_bytes(sample_store.read_bytes()[:100_000])
    (tmp_path / "text.h5").write_text("no HDF5")
    done = run("h5vfs.py", "verify", "cut.h5", "text.h5", sample_store, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 2
    assert "60 checksums right" in done.stdout


@pytest.mark.parametrize(
    ("path", "message"), [("no*.h5", "no file matches"), ("pipe.h5", "pipe.h5: is a pipe or a device")]
)
def test_wrong_paths_are_one_line(run: Run, tmp_path: Path, path: str, message: str):
    os.mkfifo(tmp_path / "pipe.h5")
    check_error(run, tmp_path, ["verify", path], message)
