"""The FUSE package: which one is used, and the options that it gets."""

from __future__ import annotations

import os

import pytest

pytestmark = pytest.mark.usefixtures("fuse_library")


def test_without_libfuse_the_error_says_what_to_install(run, store, mountpoint):
    done = run(
        "h5vfs.py", store[0], mountpoint, env={"FUSE_LIBRARY_PATH": "/nowhere/libfuse.so"}, check=False
    )
    assert done.returncode == 1
    assert "apt install fuse3 libfuse2" in done.stderr
    assert not mountpoint.exists()


def test_an_unknown_package_is_refused(run, store, mountpoint):
    done = run("h5vfs.py", store[0], mountpoint, env={"IMAGESTORE_FUSE": "other"}, check=False)
    assert done.returncode == 1
    assert "no such FUSE package" in done.stderr


def test_any_number_of_stores_can_be_mounted(run, store, mountpoint, tmp_path):
    """All their names together are longer than the kernel allows for the first column of /proc/mounts."""
    deep = tmp_path / ("d" * 200)
    deep.mkdir()
    for i in range(100):
        (deep / f"{i}.h5").hardlink_to(store[0])
    run("h5vfs.py", deep / "*.h5", mountpoint)
    assert len(os.listdir(mountpoint / "label0")) == 1000
    assert f"{mountpoint}  /" in run("h5vfs.py", "--list").stdout
