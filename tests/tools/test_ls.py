"""ls: the names in a folder of a store."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.store.label_names import group_name
from imagestore.tools.pack import pack
from tests.helpers.commands import Run
from tests.helpers.h5vfs_runs import check_error


def test_ls_lists_as_a_mount_shows(run: Run, folder: Path, tmp_path: Path):
    pack(folder, tmp_path / "packed.h5")
    assert run("h5vfs.py", "ls", "packed.h5").stdout.split() == [
        "blue",
        "empty",
        "red",
        "root.txt",
        "to-folder",
    ]
    assert run("h5vfs.py", "ls", "packed.h5", "/red/").stdout.split() == ["a.jpg", "deep"]
    assert run("h5vfs.py", "ls", "packed.h5", "to-folder").stdout.split() == ["b.jpg"]
    assert run("h5vfs.py", "ls", "packed.h5", "red/a.jpg").stdout.split() == ["red/a.jpg"]
    long = run("h5vfs.py", "ls", "-l", "packed.h5", "blue", env={"TZ": "UTC"}).stdout.splitlines()
    assert long[0].split()[-3:] == ["far", "->", "../red/a.jpg"]
    assert long[1].split() == ["-r--r--r--", "100K", "2001-02-03", "04:05", "hard.jpg"]


def test_sizes_are_readable_and_times_possible(run: Run, tmp_path: Path):
    with h5py.File(tmp_path / "sizes.h5", "w") as file:
        for size in (999, 10_000, 12 << 20):
            file.create_dataset(f"label/{size:08d}", (size,), np.uint8).attrs["Modified"] = np.int64(2**62)
    lines = run("h5vfs.py", "ls", "-l", "sizes.h5", "label").stdout.splitlines()
    assert [line.split()[1:4] for line in lines] == [
        ["999", "????-??-??", "??:??"], ["9.8K", "????-??-??", "??:??"], ["12M", "????-??-??", "??:??"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["good.h5", "red/a.jpf"], "no such file: red/a.jpf: did you mean a.jpg?"),
        (["good.h5", "root.txt/x"], "root.txt is no folder"),
        (["pipe.h5"], "pipe.h5: is a pipe or a device"),
    ],
)
def test_wrong_paths_are_one_line(run: Run, folder: Path, arguments: list[str], message: str):
    pack(folder, folder.parent / "good.h5")
    os.mkfifo(folder.parent / "pipe.h5")
    check_error(run, folder.parent, ["ls", *arguments], message)


def test_the_group_of_a_label_is_listed_by_its_name(run: Run, tmp_path: Path):
    """So a folder of the mount is the label, as with `--labels folder`."""
    groups = [group_name(label) for label in ("AC/DC", "AC%2FDC", "..", "x//y")]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for group in groups:
            file[f"{group}/1.jpg"] = np.zeros(3, np.uint8)
    assert run("h5vfs.py", "ls", "a.h5").stdout.split() == sorted(groups)
    for folder in ("AC%2FDC", "AC/DC", "/AC/DC/", "x//y"):
        assert run("h5vfs.py", "ls", "a.h5", folder).stdout == "1.jpg\n"
    assert run("h5vfs.py", "cat", "a.h5", "AC/DC/1.jpg").stdout == "\0\0\0"
    assert "no such file: AC/DC/2.jpg" in run("h5vfs.py", "cat", "a.h5", "AC/DC/2.jpg", check=False).stderr
