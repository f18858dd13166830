"""cat: the bytes of one file of a store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.tools.pack import pack
from tests.helpers.commands import ROOT, Run
from tests.helpers.h5vfs_runs import check_error
from tests.helpers.odd_stores import make_odd, some_bytes


def test_cat_writes_the_bytes(folder: Path, tmp_path: Path):
    pack(folder, tmp_path / "packed.h5")
    for path in ("red/a.jpg", "/red//a.jpg", "blue/far", "blue/../to-folder/../a.jpg"):
        command = [sys.executable, str(ROOT / "h5vfs.py"), "cat", "packed.h5", path]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=True)
        assert done.stdout == (folder / "red/a.jpg").read_bytes()


def test_cat_is_quiet_when_nobody_reads_on(tmp_path: Path):
    with h5py.File(tmp_path / "large.h5", "w") as file:
        file["label/large"] = np.zeros(20 << 20, np.uint8)
    command = f"'{sys.executable}' '{ROOT / 'h5vfs.py'}' cat large.h5 label/large | head -c 10"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, timeout=120, check=True)
    assert (done.stdout, done.stderr) == (bytes(10), b"")


def test_closed_standard_streams_are_no_obstacle(tmp_path: Path):
    make_odd(tmp_path / "odd.h5")
    command = f"'{sys.executable}' '{ROOT / 'h5vfs.py'}'"
    for arguments, expected in (
        ("cat odd.h5 files/gzip.jpg <&-", some_bytes(1)),
        ("cat odd.h5 files/gzip.jpg <&- 2>&-", some_bytes(1)),
        ("ls odd.h5 links/inside >&-", b""),
        ("ls odd.h5 links/inside <&- >&- 2>&-", b""),
    ):
        done = subprocess.run(
            f"{command} {arguments}", shell=True, cwd=tmp_path, capture_output=True, timeout=120
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, expected, b""), arguments


@pytest.mark.parametrize(("path", "message"), [("red", "red: is a folder"), ("blue/nowhere", "no such file")])
def test_wrong_paths_are_one_line(run: Run, folder: Path, path: str, message: str):
    pack(folder, folder.parent / "good.h5")
    check_error(run, folder.parent, ["cat", "good.h5", path], message)
