"""The process that serves a mount: what it holds open, when it ends, and what it survives."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from imagestore.console import UserError
from imagestore.mount import server as mount_server
from imagestore.mount.mount_settings import MountSettings
from tests.helpers.commands import ROOT, environment
from tests.helpers.descriptors import open_descriptors
from tests.helpers.errors import assert_eio
from tests.helpers.mounts import (
    H5VFS,
    contents_of,
    is_mounted,
    newest_helper,
    servers,
    serving,
    shell,
    wait_until,
    wait_until_told,
)
from tests.helpers.odd_stores import make_indexed, make_odd, some_bytes

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

# Mounts as h5vfs.py does, with a bug: the first request of the kernel raises a KeyError.
PROGRAM_WITH_A_BUG_AT_THE_START = """
import sys
import h5vfs
from imagestore.mount import server

def increase_read_ahead(mountpoint):
    return {}["a bug"]

server.increase_read_ahead = increase_read_ahead
sys.exit(h5vfs.main(sys.argv[1:]))
"""


# ----- the answer to the process that waits -----


def test_a_bug_after_mounting_does_not_block_the_caller(store, mountpoint):
    path, contents = store
    command = [sys.executable, "-c", PROGRAM_WITH_A_BUG_AT_THE_START, path, mountpoint]
    done = subprocess.run(
        command, env=environment({"PYTHONPATH": str(ROOT)}), capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0
    assert contents_of(mountpoint) == contents


def test_an_error_after_the_answer_goes_into_no_file(tmp_path, monkeypatch):
    """A file that gets the number of the pipe stays as it is."""

    def serve(settings, on_ready):
        descriptors = open_descriptors()
        on_ready()
        (number,) = (int(name) for name in descriptors - open_descriptors() if int(name) > 2)
        os.dup2(os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT), number)
        (tmp_path / "reached").touch()
        raise KeyError("a bug")

    monkeypatch.setattr(mount_server, "serve_until_unmounted", serve)
    server = mount_server.start_server(MountSettings(stores=[], mountpoint=tmp_path))
    assert os.waitstatus_to_exitcode(os.waitpid(server, 0)[1]) == 1
    assert (tmp_path / "reached").exists()
    assert (tmp_path / "file").read_bytes() == b""


def test_an_error_before_the_mount_is_raised(tmp_path, monkeypatch):
    def serve(settings, on_ready):
        raise UserError("the reason")

    monkeypatch.setattr(mount_server, "serve_until_unmounted", serve)
    with pytest.raises(UserError, match="the reason"):
        mount_server.start_server(MountSettings(stores=[], mountpoint=tmp_path))


def test_a_mount_that_ends_at_once_is_not_refused(run, store, mountpoint):
    """A signal may end it before anybody has looked whether it can be opened."""
    run("h5vfs.py", store[0], mountpoint)
    os.kill(serving(mountpoint)[0], signal.SIGKILL)
    wait_until(lambda: not servers(mountpoint))
    refusals = []
    mount_server._try_to_open(MountSettings(stores=[], mountpoint=mountpoint), lambda: None, refusals)
    assert refusals == []


def test_a_fork_that_fails_leaves_no_pipe_and_no_mask(tmp_path, monkeypatch):
    def fork():
        raise BlockingIOError(errno.EAGAIN, "too many processes")

    monkeypatch.setattr(os, "fork", fork)
    descriptors, signals = open_descriptors(), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with pytest.raises(BlockingIOError):
        mount_server.start_server(MountSettings(stores=[], mountpoint=tmp_path))
    assert open_descriptors() <= descriptors
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == signals


# ----- bugs while serving -----


@pytest.mark.parametrize("debug", [None, "1"])
def test_a_bug_is_shown_in_the_foreground_if_debugging(store, mountpoint, tmp_path, debug):
    with (tmp_path / "messages").open("w") as file:
        server = subprocess.Popen(
            [sys.executable, "-c", PROGRAM_WITH_A_BUG, "-f", store[0], mountpoint],
            env=environment({"PYTHONPATH": str(ROOT), "IMAGESTORE_DEBUG": debug}), stderr=file,
        )  # fmt: skip
    try:
        wait_until_told(tmp_path / "messages")
        assert_eio((mountpoint / "label0/image_0000.jpg").read_bytes)
        assert not (mountpoint / "label0/nothing.jpg").exists()
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=120) == 0
    finally:
        server.kill()
    messages = (tmp_path / "messages").read_text()
    assert ("KeyError: 'a bug'" in messages) == ("Traceback" in messages) == bool(debug)
    assert "nothing.jpg" not in messages


# ----- what the server holds open -----


@pytest.mark.parametrize("is_open", [False, True], ids=["", "with an open file"])
def test_after_a_replacement_the_server_ends_well(store, mountpoint, tmp_path, is_open):
    with (tmp_path / "messages").open("w") as file:
        server = subprocess.Popen([*H5VFS, "-f", "--follow", store[0], mountpoint], stderr=file)
    try:
        wait_until_told(tmp_path / "messages")
        image = mountpoint / "label0/image_0000.jpg"
        with image.open("rb") if is_open else contextlib.nullcontext():
            new = make_indexed(tmp_path / "new.h5", 3, first=100)
            os.replace(tmp_path / "new.h5", store[0])
            assert contents_of(mountpoint) == new
            assert stores_open_in(server.pid) == 1 + is_open
        wait_until(lambda: stores_open_in(server.pid) == 1)
        shell("umount", mountpoint)
        assert server.wait(timeout=120) == 0
    finally:
        server.kill()
    assert (tmp_path / "messages").read_text().count("\n") == 1


def stores_open_in(pid: int) -> int:
    """How many store files a process has open; replaced files count too."""
    count = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed in the meantime
            count += ".h5" in os.readlink(link)
    return count


def test_the_server_holds_no_file_of_its_caller(store, mountpoint, tmp_path):
    reader, writer = os.pipe()
    with (tmp_path / "lock").open("w") as locked, (tmp_path / "lock").open("w") as other:
        fcntl.flock(locked, fcntl.LOCK_EX)
        command, inherited = [*H5VFS, store[0], mountpoint], (writer, locked.fileno())
        subprocess.run(command, pass_fds=inherited, capture_output=True, timeout=120, check=True)
        os.close(writer)
        locked.close()
        assert select.select([reader], [], [], 60)[0], "the pipe does not end"
        assert os.read(reader, 1) == b""
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(reader)
    assert is_mounted(mountpoint)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_a_mount_works_with_closed_standard_streams(run, mountpoint, tmp_path, closed):
    make_odd(tmp_path / "odd.h5")  # it has no index, so a helper process reads it
    command = " ".join([*H5VFS, str(tmp_path / "odd.h5"), str(mountpoint), closed])
    assert subprocess.run(command, shell=True, capture_output=True, timeout=120).returncode == 0
    assert (mountpoint / "files/gzip.jpg").read_bytes() == some_bytes(1)
    run("h5vfs.py", "-u", mountpoint)


def test_an_idle_mount_ends(run, store, mountpoint):
    run("h5vfs.py", "--idle-timeout", "0.3", store[0], mountpoint)
    wait_until(lambda: not is_mounted(mountpoint))


def test_no_idle_mount_ends_under_an_open_file(run, store, mountpoint):
    """The watch of idle mounts runs here, and finds that no request comes."""
    checks = []
    watch = threading.Thread(
        target=mount_server._unmount_when_idle,
        args=(lambda: checks.append("no request"), mountpoint, 0.1), daemon=True,
    )  # fmt: skip
    run("h5vfs.py", store[0], mountpoint)
    with (mountpoint / "label0/image_0000.jpg").open("rb") as file:
        watch.start()
        wait_until(lambda: len(checks) > 40)
        assert is_mounted(mountpoint)
        assert len(file.read()) == 5000
    wait_until(lambda: not is_mounted(mountpoint))
    watch.join(120)


@pytest.mark.slow
def test_a_mount_in_use_is_not_idle(run, store, mountpoint):
    """Though the kernel keeps the answers to those who use it."""
    run("h5vfs.py", "--idle-timeout", "6", store[0], mountpoint)
    end = time.monotonic() + 7
    while time.monotonic() < end:
        time.sleep(0.25)
        assert (mountpoint / "label0/image_0000.jpg").exists()


def test_a_crash_of_hdf5_does_not_end_the_mount(run, mountpoint, tmp_path):
    make_odd(tmp_path / "odd.h5")
    run("h5vfs.py", tmp_path / "odd.h5", mountpoint)
    for name in ("gzip", "lzf", "chunked"):
        os.kill(newest_helper(mountpoint), signal.SIGKILL)
        with contextlib.suppress(
            OSError
        ):  # what meets the dead process may fail; another one takes its place
            (mountpoint / f"files/{name}.jpg").read_bytes()
        assert (mountpoint / f"files/{name}.jpg").read_bytes() == some_bytes(1)
        assert (mountpoint / "files/plain.jpg").read_bytes() == some_bytes(1)
        assert (mountpoint / "files/checksummed.jpg").read_bytes() == some_bytes(1)
