"""The process that serves a mount: what it holds open, when it ends, and what it survives."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import sys
import time

import pytest

from tests.helpers.commands import ROOT, environment
from tests.helpers.errors import assert_eio
from tests.helpers.mounts import H5VFS, is_mounted, servers, wait_until, wait_until_listed
from tests.helpers.odd_stores import make_odd, some_bytes

pytestmark = pytest.mark.usefixtures("fuse_library")

# Mounts as h5vfs.py does, with a bug: reading a file raises a KeyError.
PROGRAM_WITH_A_BUG = """
import sys
import h5vfs
from imagestore.vfs.tree import Tree

def read(tree, node, offset, size):
    return {}["a bug"]

Tree.read = read
sys.exit(h5vfs.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("debug", [None, "1"])
def test_a_bug_is_shown_in_the_foreground_if_debugging(store, mountpoint, debug):
    server = subprocess.Popen(
        [sys.executable, "-c", PROGRAM_WITH_A_BUG, "-f", store[0], mountpoint],
        env=environment({"PYTHONPATH": str(ROOT), "IMAGESTORE_DEBUG": debug}),
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_until_listed(mountpoint)
        assert_eio((mountpoint / "label0/image_0000.jpg").read_bytes)
        assert not (mountpoint / "label0/nothing.jpg").exists()
        server.send_signal(signal.SIGTERM)
        _, messages = server.communicate(timeout=20)
    finally:
        server.kill()
    assert server.returncode == 0
    assert ("KeyError: 'a bug'" in messages) == ("Traceback" in messages) == bool(debug)
    assert "nothing.jpg" not in messages


def test_the_server_holds_no_file_of_its_caller(store, mountpoint, tmp_path):
    reader, writer = os.pipe()
    with (tmp_path / "lock").open("w") as locked, (tmp_path / "lock").open("w") as other:
        fcntl.flock(locked, fcntl.LOCK_EX)
        command, inherited = [*H5VFS, store[0], mountpoint], (writer, locked.fileno())
        subprocess.run(command, pass_fds=inherited, capture_output=True, timeout=30, check=True)
        os.close(writer)
        locked.close()
        assert select.select([reader], [], [], 10)[0], "the pipe does not end"
        assert os.read(reader, 1) == b""
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(reader)
    assert is_mounted(mountpoint)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_a_mount_works_with_closed_standard_streams(run, mountpoint, tmp_path, closed):
    make_odd(tmp_path / "odd.h5")  # it has no index, so a helper process reads it
    command = " ".join([*H5VFS, str(tmp_path / "odd.h5"), str(mountpoint), closed])
    assert subprocess.run(command, shell=True, capture_output=True, timeout=30).returncode == 0
    assert (mountpoint / "files/gzip.jpg").read_bytes() == some_bytes(1)
    run("h5vfs.py", "-u", mountpoint)


def test_an_idle_mount_ends_but_not_under_an_open_file(run, store, mountpoint):
    run("h5vfs.py", "--idle-timeout", "0.6", store[0], mountpoint)
    with (mountpoint / "label0/image_0000.jpg").open("rb") as file:
        time.sleep(1.5)
        assert is_mounted(mountpoint)
        assert len(file.read()) == 5000
    for _ in range(6):  # somebody uses the mount, though the kernel keeps the answer
        time.sleep(0.25)
        assert (mountpoint / "label0/image_0000.jpg").exists()
    wait_until(lambda: not is_mounted(mountpoint))


def test_a_crash_of_hdf5_does_not_end_the_mount(run, mountpoint, tmp_path):
    make_odd(tmp_path / "odd.h5")
    run("h5vfs.py", tmp_path / "odd.h5", mountpoint)
    for name in ("gzip", "lzf", "chunked"):
        helper = max(servers(mountpoint))
        os.kill(helper, signal.SIGKILL)
        with contextlib.suppress(OSError):  # the kernel may ask a second time after a read-ahead failed
            assert (mountpoint / f"files/{name}.jpg").read_bytes() == some_bytes(1)
        assert (mountpoint / "files/plain.jpg").read_bytes() == some_bytes(1)
        assert (mountpoint / "files/checksummed.jpg").read_bytes() == some_bytes(1)
