"""The command for whose length a tree is mounted."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

import pytest

from tests.helpers.mounts import (
    H5VFS,
    is_mounted,
    wait_until,
)

pytestmark = pytest.mark.usefixtures("fuse_library")


def test_the_status_of_a_command_is_returned(run, store, mountpoint):
    path, _ = store
    script = f'cd "{mountpoint}" && cat label0/image_0000.jpg | wc -c; exit 7'
    done = run("h5vfs.py", path, mountpoint, "--", "sh", "-c", script, check=False)
    assert done.returncode == 7
    assert done.stdout.split() == ["5000"]
    assert not mountpoint.exists()


def test_a_command_that_cannot_run_leaves_no_mount(run, store, mountpoint):
    mountpoint.mkdir()
    done = run("h5vfs.py", store[0], mountpoint, "--", "no-such-command", check=False)
    assert done.returncode == 1
    assert "no-such-command" in done.stderr
    assert not is_mounted(mountpoint)
    assert mountpoint.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_mount_for_a_command_ends_with_h5vfs(store, mountpoint, tmp_path, number):
    command = ["sh", "-c", 'touch "$0"; exec sleep 300', tmp_path / "begun"]
    job = subprocess.Popen([*H5VFS, store[0], mountpoint, "--", *command], start_new_session=True)
    try:
        wait_until((tmp_path / "begun").exists)
        job.send_signal(number)
        assert job.wait(timeout=120) in (128 + number, -number)
        wait_until(lambda: not is_mounted(mountpoint))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)
