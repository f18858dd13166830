"""The table of mounts: listing them and unmounting them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from imagestore.mount.mount_table import find_mount, unmount_command, user_mounts
from tests.helpers.commands import ROOT
from tests.helpers.mounts import H5VFS, is_mounted, mounted_below, refused, shell

pytestmark = pytest.mark.usefixtures("fuse_library")


def test_fusermount_unmounts_too(run, store, mountpoint):
    run("h5vfs.py", store[0], mountpoint)
    shell("fusermount", "-u", mountpoint)
    assert not is_mounted(mountpoint)


def test_the_advice_names_a_program_that_can_unmount(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    programs = {name: tmp_path / name for name in ("fusermount3", "fusermount", "umount")}
    for program in programs.values():
        program.touch(mode=0o755)
    script = f"{H5VFS[0]} {ROOT}/h5vfs.py -u /m"
    monkeypatch.setattr(sys, "argv", [f"{ROOT}/h5vfs.py"])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert unmount_command(Path("/m")) == script
    programs["fusermount"].chmod(0o4755)  # fusermount3 is conda's: it does not become root
    assert unmount_command(Path("/m")) == "fusermount -u /m"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for name, command in (("fusermount3", "fusermount3 -u /m"), ("fusermount", "fusermount -u /m")):
        assert unmount_command(Path("/m")) == command
        programs[name].unlink()
    assert unmount_command(Path("/m")) == "umount /m"


def test_odd_mountpoints_are_listed_and_unmounted(run, store, mountpoint, tmp_path):
    """A mountpoint with a line end in its name, and one that is a symbolic link."""
    odd, link, path = tmp_path / "a\rb c", tmp_path / "link", store[0].rename(tmp_path / "a#b.h5")
    mountpoint.mkdir()
    link.symlink_to(mountpoint)
    for folder in (odd, link):
        run("h5vfs.py", path, folder, timeout=120)
        assert len(os.listdir(folder)) == 3
    listed = subprocess.run([*H5VFS, "--list"], capture_output=True, timeout=120, check=True).stdout
    assert os.fsencode(f"{odd}  {path}\n") in listed
    for folder in (odd, link):
        run("h5vfs.py", "-u", folder)
        assert not mounted_below(tmp_path) or folder == odd
    assert link.is_symlink()


def test_a_mount_is_found_with_its_stores(run, store, mountpoint, tmp_path):
    run("h5vfs.py", store[0], mountpoint)
    run("h5vfs.py", store[0], tmp_path / "other")
    mount = find_mount(mountpoint)
    assert (mount.mountpoint, mount.stores) == (mountpoint, str(store[0]))
    assert not mount.is_crashed()
    assert [mount.mountpoint for mount in user_mounts() if mount.mountpoint.parent == tmp_path] == [
        mountpoint, tmp_path / "other",
    ]  # fmt: skip


def test_a_mount_in_use_is_only_unmounted_lazily(run, store, mountpoint):
    run("h5vfs.py", store[0], mountpoint)
    with (mountpoint / "label0/image_0000.jpg").open("rb") as file:
        done = run("h5vfs.py", "-u", mountpoint, check=False)
        assert done.returncode == 1
        assert "in use" in done.stderr
        run("h5vfs.py", "-u", "--lazy", mountpoint)
        assert not is_mounted(mountpoint)
        assert len(file.read()) == 5000


def test_a_folder_that_is_no_mount_cannot_be_unmounted(run, mountpoint):
    assert "not mounted" in refused(run, "-u", mountpoint)
