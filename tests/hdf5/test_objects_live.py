"""Files that a program writes to in HDF5's mode SWMR: they are looked into meanwhile."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from h5py import h5d

from imagestore.hdf5.objects import Objects
from imagestore.vfs.open_tree import open_tree
from tests.helpers.commands import Run
from tests.helpers.mounts import shell
from tests.helpers.unfinished_files import live_writer


def frames_in(data: bytes) -> list[int]:
    """The first value of each frame in a NumPy file."""
    return np.load(io.BytesIO(data))[:, 0, 0].tolist()


def test_commands_look_into_a_live_file(run: Run, tmp_path: Path):
    path = tmp_path / "live.h5"
    with live_writer(path) as writer:
        assert run("h5vfs.py", "ls", path, "run").stdout.split() == ["frames.npy", "log.bin", "still.jpg"]
        for frames in (3, 5):
            assert "3 files" in run("h5vfs.py", "verify", path).stdout
            run("h5vfs.py", "unpack", path, f"out{frames}")
            assert frames_in((tmp_path / f"out{frames}/run/frames.npy").read_bytes()) == [
                *range(1, frames + 1)
            ]
            assert len((tmp_path / f"out{frames}/run/log.bin").read_bytes()) == frames * 10
            writer.add(2)
    assert "3 files" in run("h5vfs.py", "verify", path).stdout


def test_a_listed_file_keeps_its_size_while_it_grows(tmp_path: Path):
    path = tmp_path / "live.h5"
    with live_writer(path) as writer, open_tree([path]) as tree:
        frames, log = tree.find(b"/run/frames.npy"), tree.find(b"/run/log.bin")
        writer.add(500)
        assert frames_in(tree.read(frames)) == [1, 2, 3]
        assert len(tree.read(log)) == 30
        with open_tree([path]) as later:
            assert len(frames_in(later.read(later.find(b"/run/frames.npy")))) == 503


def test_a_dataset_that_has_grown_keeps_its_header(tmp_path: Path):
    path = tmp_path / "live.h5"
    with live_writer(path) as writer, path.open("rb") as file:
        objects = Objects(file.fileno(), path, False)
        sizes = {entry.name: entry.size for entry in objects.entries(b"run")}
        writer.add(2)
        frames = h5d.open(objects.file, b"run/frames")
        frames.refresh()
        assert frames.shape[0] == 5
        del frames
        data = objects.read(b"run/frames", 0, 9999)
        assert len(data) == sizes[b"frames"] and frames_in(data) == [1, 2, 3]


def test_a_live_file_that_its_writer_closes_stays_readable(tmp_path: Path):
    path = tmp_path / "live.h5"
    with live_writer(path) as writer:
        tree = open_tree([path])
        node = tree.find(b"/run/frames.npy")
        writer.add(5)
    with tree:
        assert frames_in(tree.read(node)) == [1, 2, 3]


@pytest.mark.usefixtures("fuse_library")
def test_a_live_file_can_be_mounted_and_archived(run: Run, tmp_path: Path):
    path, mountpoint = tmp_path / "live.h5", tmp_path / "mnt"
    with live_writer(path) as writer:
        run("h5vfs.py", path, mountpoint)
        try:
            shell("ls", "-l", mountpoint / "run")
            writer.add(50)
            shell("tar", "cf", tmp_path / "live.tar", "-C", mountpoint, ".")
            assert frames_in((mountpoint / "run/frames.npy").read_bytes()) == [1, 2, 3]
        finally:
            run("h5vfs.py", "-u", mountpoint)
