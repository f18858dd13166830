"""A mount by an ordinary user can be read by this user, whatever let the user read the store."""

from __future__ import annotations

import os
import shlex
import shutil
import sys

import h5py
import numpy as np
import pytest

from tests.helpers.commands import ROOT
from tests.helpers.ordinary_users import NOBODY, folder_of_everybody, grant_by_acl, run_in_namespace

pytestmark = pytest.mark.usefixtures("fuse_library")
MOUNT_AND_READ = """
    eval "$H5VFS store.h5 mnt" &&
    runuser -u nobody -- cat mnt/label1/image_0004.jpg > copy;
    runuser -u nobody -- ls -l mnt > listing;
    runuser -u nobody -- fusermount3 -u mnt
"""

# What `unshare -rm h5vfs.py …` does for a member of group 4242 who can read this checkout.
MOUNT_IN_A_USER_NAMESPACE = """
import ctypes, os, sys, h5vfs
from pathlib import Path
from imagestore.mount import fuse_library, mount
libc = ctypes.CDLL(None)
fuse_library.load_library(os.environ["IMAGESTORE_FUSE"])
os.setgroups([4242]); os.setgid(65534); os.setuid(65534)
libc.prctl(4, 1)  # PR_SET_DUMPABLE: without it, root owns /proc/self
assert libc.unshare(0x10020000) == 0  # CLONE_NEWUSER | CLONE_NEWNS
Path("/proc/self/setgroups").write_text("deny")
Path("/proc/self/uid_map").write_text("0 65534 1")
Path("/proc/self/gid_map").write_text("0 65534 1")
assert h5vfs.main() == 0
Path("copy").write_bytes(Path("mnt/label1/image_0004.jpg").read_bytes())
sys.argv[1:] = ["-u", "mnt"]
sys.exit(h5vfs.main())
"""


@pytest.fixture(autouse=True)
def _as_root() -> None:
    """Skip without root. If REQUIRE_FUSE is set, as in CI, the test fails instead."""
    if os.geteuid() != 0 and os.environ.get("REQUIRE_FUSE"):
        pytest.fail("needs root")
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")


@pytest.fixture
def folder():
    with folder_of_everybody() as folder:
        yield folder


@pytest.fixture
def private_store(folder, store):
    """A store that its mode shows to root only, and the bytes of an image in it."""
    path, contents = store
    shutil.copy(path, folder / "store.h5")
    os.chmod(folder / "store.h5", 0o600)
    return folder / "store.h5", contents["label1/image_0004.jpg"]


def test_a_store_that_an_acl_lets_read(folder, private_store):
    path, image = private_store
    grant_by_acl(path, NOBODY)
    done = run_in_namespace(MOUNT_AND_READ, folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"mounted on {folder}/mnt; to unmount: fusermount3 -u {folder}/mnt\n"
    assert (folder / "copy").read_bytes() == image
    assert (folder / "listing").read_text().count("dr-xr-x---") == 3


def test_a_file_of_another_tool_with_stored_permissions(folder):
    """Its owner may read the object, and this user may read the file: so this user reads the object."""
    with h5py.File(folder / "store.h5", "w") as file:
        file["label1/image_0004.jpg"] = np.frombuffer(b"bytes", np.uint8)
        file["label1"].attrs["Permissions"] = 0o700
        file["label1/image_0004.jpg"].attrs["Permissions"] = 0o600
    done = run_in_namespace(MOUNT_AND_READ, folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "copy").read_bytes() == b"bytes"


def test_a_store_that_a_capability_lets_read(folder, private_store):
    path, image = private_store
    path.chmod(0)
    caps = "--inh-caps=+dac_read_search --ambient-caps=+dac_read_search"
    nobody = f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups {caps}"
    script = f"H5VFS='{nobody} {sys.executable} {ROOT / 'h5vfs.py'}'; {MOUNT_AND_READ}"
    done = run_in_namespace(script, folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "copy").read_bytes() == image


def test_a_group_that_a_user_namespace_does_not_know(folder, private_store):
    path, image = private_store
    os.chown(path, 0, 4242)
    path.chmod(0o640)
    python = f"OPENBLAS_NUM_THREADS=1 {sys.executable}"  # a process with threads cannot enter a namespace
    done = run_in_namespace(f"{python} -c {shlex.quote(MOUNT_IN_A_USER_NAMESPACE)} store.h5 mnt", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "copy").read_bytes() == image


def test_a_mount_that_its_user_cannot_read_is_refused(folder, private_store):
    path, _ = private_store
    grant_by_acl(path, NOBODY)
    done = run_in_namespace('eval "$H5VFS -o uid=0,umask=077 store.h5 mnt"', folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert "you cannot read what is mounted (Permission denied); leave out -o uid=0,umask=077" in done.stderr
    assert not (folder / "mnt").exists()
