"""The mountpoint: made if it is missing, refused if it is in use, cleaned up after a crash."""

from __future__ import annotations

import os
import signal
import stat

import pytest

from tests.helpers.mounts import contents_of, refused, servers, wait_until

pytestmark = pytest.mark.usefixtures("fuse_library")


def test_a_mountpoint_that_was_made_is_private(run, store, mountpoint):
    run("h5vfs.py", store[0], mountpoint)
    run("h5vfs.py", "-u", mountpoint)
    assert stat.S_IMODE(mountpoint.stat().st_mode) == 0o700


def test_a_mountpoint_that_cannot_be_used_is_refused(run, store, mountpoint, tmp_path):
    path, _ = store
    text = tmp_path / "notes.txt"
    text.write_text("no folder")
    assert "is no folder" in refused(run, path, text)
    assert "not empty" in refused(run, path, tmp_path)
    assert "cannot be made" in refused(run, path, text / "below")
    run("h5vfs.py", path, mountpoint)
    assert "already" in refused(run, path, mountpoint)


def test_a_mountpoint_that_was_made_is_removed_after_an_error(run, store, mountpoint):
    refused(run, "-o", "no_such_option", store[0], mountpoint)
    assert not mountpoint.exists()
    mountpoint.mkdir()
    refused(run, "-o", "no_such_option", store[0], mountpoint)
    assert mountpoint.exists()


def test_the_next_mount_cleans_up_a_crashed_one(run, store, mountpoint):
    path, contents = store
    run("h5vfs.py", path, mountpoint)
    mountpoint.stat()  # from now on the kernel answers this by itself
    for pid in servers(mountpoint):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not servers(mountpoint))
    with pytest.raises(OSError):
        os.listdir(mountpoint)
    assert "(crashed)" in run("h5vfs.py", "--list").stdout
    assert "crashed" in run("h5vfs.py", path, mountpoint).stderr
    assert contents_of(mountpoint) == contents
