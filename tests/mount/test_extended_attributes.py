"""HDF5 attributes as extended attributes of files."""

from __future__ import annotations

import errno
import json
import os

import h5py
import numpy as np
import pytest

from tests.helpers.errors import assert_errno
from tests.helpers.mounts import shell
from tests.helpers.odd_stores import make_odd

STRESS_SECONDS = float(os.environ.get("STRESS_SECONDS", "3"))

pytestmark = pytest.mark.usefixtures("fuse_library")


def test_attributes_are_extended_attributes(run, mountpoint, tmp_path):
    make_odd(tmp_path / "odd.h5")
    run("h5vfs.py", tmp_path / "odd.h5", mountpoint)
    assert os.getxattr(mountpoint, "user.title").decode() == "Blümen"
    assert json.loads(os.getxattr(mountpoint, "user.numbers")) == [1, 2, 3]
    assert set(os.listxattr(mountpoint / "files/plain.jpg")) == {
        "user.Modified", "user.Created", "user.Permissions", "user.palette",
    }  # fmt: skip
    assert 'user.words="[\\"a\\", \\"b\\"]"' in shell("getfattr", "-d", "--absolute-names", mountpoint).stdout
    for name, number in (("user.none", errno.ENODATA), ("security.selinux", errno.ENOTSUP)):
        assert_errno(number, lambda name=name: os.getxattr(mountpoint, name))


def test_long_attributes_do_not_hide_the_others(run, mountpoint, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as file:
        file["red/1.jpg"] = np.arange(9, dtype=np.uint8)
        file["red"].attrs["long"] = "x" * 70_000
        file["red"].attrs["whole"] = "x" * 65_536
        file["red"].attrs["short"] = "z"
        for i in range(1000):
            file["red/1.jpg"].attrs[f"{i:0200d}"] = i
    run("h5vfs.py", tmp_path / "a.h5", mountpoint)
    assert sorted(os.listxattr(mountpoint / "red")) == ["user.short", "user.whole"]
    assert len(os.getxattr(mountpoint / "red", "user.whole")) == 65_536
    assert_errno(errno.E2BIG, lambda: os.getxattr(mountpoint / "red", "user.long"))
    done = shell("getfattr", "-d", "--absolute-names", mountpoint / "red")
    assert 'user.short="z"' in done.stdout and done.returncode == 0
    names = os.listxattr(mountpoint / "red/1.jpg")  # more names than Linux lists
    assert len(names) == 65_536 // 206 and os.getxattr(mountpoint / "red/1.jpg", names[7]) == b"7"
