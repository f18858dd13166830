"""HDF5 attributes as extended attributes of files."""

from __future__ import annotations

import errno
import json
import os

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
