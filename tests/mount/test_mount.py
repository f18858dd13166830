"""Mounting in the background, in the foreground and for a command: real mounts, with both FUSE packages."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from tests.helpers.commands import environment
from tests.helpers.hooks import write_hook
from tests.helpers.mounts import (
    H5VFS,
    contents_of,
    is_mounted,
    refused,
    servers,
    shell,
    wait_until,
    wait_until_told,
)
from tests.helpers.odd_stores import MODIFIED, make_damaged, make_indexed, some_bytes

pytestmark = pytest.mark.usefixtures("fuse_library")


# ----- in the background -----


def test_a_mount_shows_the_store_until_unmounted(run, store, mountpoint):
    path, contents = store
    done = run("h5vfs.py", path, mountpoint)
    assert str(mountpoint) in done.stdout
    assert done.stdout == f"mounted on {mountpoint}; to unmount: fusermount3 -u {mountpoint}\n"
    assert stat.S_IMODE(mountpoint.parent.stat().st_mode) != 0o777
    assert contents_of(mountpoint) == contents
    assert sorted(os.listdir(mountpoint)) == ["label0", "label1", "label2"]
    image = (mountpoint / "label1/image_0004.jpg").stat()
    assert (image.st_size, int(image.st_mtime), image.st_blocks) == (5004, MODIFIED + 4, 10)
    assert f"{mountpoint}  {path}" in run("h5vfs.py", "--list").stdout
    run("h5vfs.py", "-u", mountpoint)
    assert not is_mounted(mountpoint)
    assert os.listdir(mountpoint) == []
    wait_until(lambda: not servers(mountpoint))


def test_a_mount_of_an_indexed_store_imports_little(store, mountpoint):
    path, contents = store
    command = [sys.executable, "-X", "importtime", *H5VFS[1:], path, mountpoint]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {"numpy", "imagestore.vfs.indexed_source", "imagestore.mount.server"} <= imported
    not_needed = {"h5py", "multiprocessing", "hashlib", "tempfile", "imagestore.vfs.hdf5_source"}
    assert imported & not_needed == set()
    assert contents_of(mountpoint) == contents


def test_several_stores_are_merged_or_side_by_side(run, mountpoint, tmp_path):
    first, second = make_indexed(tmp_path / "a.h5", 6), make_indexed(tmp_path / "b.h5", 6, first=6)
    run("h5vfs.py", tmp_path / "a.h5", tmp_path / "b.h5", mountpoint)
    assert contents_of(mountpoint) == first | second
    run("h5vfs.py", "-u", mountpoint)
    run("h5vfs.py", "--side-by-side", tmp_path / "*.h5", mountpoint)
    assert contents_of(mountpoint / "b") == second


def test_a_file_that_is_no_store_is_refused(run, mountpoint, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("no HDF5")
    os.mkfifo(tmp_path / "pipe.h5")
    assert "is a pipe" in refused(run, tmp_path / "pipe.h5", mountpoint)
    assert "no such file" in refused(run, tmp_path / "none.h5", mountpoint)
    assert "not an HDF5 file" in refused(run, text, mountpoint)
    assert "is a folder" in refused(run, tmp_path, mountpoint)
    assert not mountpoint.exists()


def test_sigterm_while_mounting_leaves_nothing(mountpoint, tmp_path):
    """The process that is about to mount sends it to the one that waits, and then takes long."""
    for i in range(3):
        make_damaged(tmp_path / f"part-{i}.h5", ["label/good"], [])
    action = f"os.kill(os.getppid(), {int(signal.SIGTERM)}); time.sleep(300)"
    hook = write_hook(tmp_path / "hook", "open", "part-2.h5", f"if os.getsid(0) == os.getpid(): {action}")
    done = subprocess.run(
        [*H5VFS, tmp_path / "part-*.h5", mountpoint], stderr=subprocess.PIPE, text=True, timeout=120,
        env=environment({"PYTHONPATH": str(hook)}),
    )  # fmt: skip
    assert (done.stderr, done.returncode) == ("h5vfs: terminated\n", 143)
    assert not is_mounted(mountpoint)
    assert not mountpoint.exists()
    wait_until(lambda: not servers(mountpoint))


def test_sigterm_just_when_mounted_succeeds_or_leaves_nothing(store, mountpoint):
    for _ in range(3):
        job = subprocess.Popen(
            [*H5VFS, store[0], mountpoint], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            wait_until(lambda: is_mounted(mountpoint), pause=0.0001)
            job.send_signal(signal.SIGTERM)
            messages = job.communicate(timeout=120)[1]
        finally:
            job.kill()
        assert (job.returncode, messages) in [(0, b""), (143, b"h5vfs: terminated\n")]
        assert is_mounted(mountpoint) == mountpoint.exists() == (job.returncode == 0)
        if is_mounted(mountpoint):
            shell("umount", "-l", mountpoint)
            mountpoint.rmdir()


def test_a_user_mounts_in_a_namespace_without_root(store, mountpoint):
    mountpoint.mkdir()
    h5vfs, image = " ".join(H5VFS), mountpoint / "label0/image_0000.jpg"
    command = f"{h5vfs} {store[0]} {mountpoint} && cat {image} && {h5vfs} -u {mountpoint}"
    done = subprocess.run(["unshare", "-rm", "sh", "-c", command], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(some_bytes(0))
    assert not is_mounted(mountpoint)


# ----- in the foreground -----


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_unmounts(store, mountpoint, tmp_path, number):
    messages = tmp_path / "messages"
    with messages.open("w") as file:
        server = subprocess.Popen([*H5VFS, store[0], "-f", mountpoint], stderr=file)
    wait_until_told(messages)
    assert is_mounted(mountpoint)
    server.send_signal(number)
    assert server.wait(timeout=120) == 0
    assert "Traceback" not in messages.read_text()
    assert not is_mounted(mountpoint)


def test_under_nohup_a_lost_terminal_does_not_unmount(store, mountpoint, tmp_path):
    path, contents = store
    messages = tmp_path / "messages"
    with messages.open("w") as file:
        server = subprocess.Popen(["nohup", *H5VFS, path, "-f", mountpoint], stderr=file)
    try:
        wait_until_told(messages)
        server.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        assert contents_of(mountpoint) == contents
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=120) == 0
    finally:
        server.kill()


def test_an_error_before_the_mount_is_shown_in_the_foreground(run, store, mountpoint):
    assert "-o subtype=x cannot be given" in refused(run, "-f", "-o", "subtype=x", store[0], mountpoint)
    assert "unknown option" in refused(run, "-f", "-o", "no_such_option", store[0], mountpoint)
    assert not mountpoint.exists()
