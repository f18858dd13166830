"""A user who may not mount gets one line with the reason.

The tests run as root: each mounts another /dev/fuse in its own mount namespace, and then becomes nobody.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from imagestore.mount.check_can_mount import check_can_mount
from imagestore.mount.fuse_library import load_library
from tests.helpers.commands import ROOT, environment

pytestmark = pytest.mark.usefixtures("fuse_library")

HELPERS = {"fusepy": "fusermount", "mfusepy": "fusermount3"}

# The imports come first, since nobody may not be able to read this checkout.
MOUNT_AS_NOBODY = """
import os, sys, h5vfs
from imagestore.mount import fuse_library, mount
fuse_library.load_library(os.environ["IMAGESTORE_FUSE"])
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.exit(h5vfs.main(sys.argv[1:]))
"""


@pytest.fixture(autouse=True)
def _as_root() -> None:
    """Skip without root. If REQUIRE_FUSE is set, as in CI, the test fails instead."""
    if os.geteuid() != 0 and os.environ.get("REQUIRE_FUSE"):
        pytest.fail("needs root")
    if os.geteuid() != 0:
        pytest.skip("only root can mount another /dev/fuse and become another user")


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """A file that stands in for /dev/fuse; all users may read and write it."""
    path = tmp_path / "device"
    path.touch()
    path.chmod(0o666)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder."""
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def refused_to_nobody(bind: Path, over: str, search_path: str, store: Path) -> str:
    """The one line that nobody gets from h5vfs.py while `bind` is mounted over the path `over`."""
    script = f'mount --bind {shlex.quote(str(bind))} {over} && PATH={shlex.quote(search_path)} exec "$@"'
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to nobody
        os.chmod(folder, 0o777)
        python = [sys.executable, "-c", MOUNT_AS_NOBODY, str(store), "-f", f"{folder}/mnt"]
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, "sh", *python],
            capture_output=True, text=True, timeout=120, env=environment({"PYTHONPATH": str(ROOT)}),
        )  # fmt: skip
        assert os.listdir(folder) == []
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.startswith("h5vfs: error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_only_root_can_mount_without_the_helper(
    fuse_library: str, device: Path, folder: Path, store: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = refused_to_nobody(device, "/dev/fuse", str(folder), store[0])
    assert f"{HELPERS[fuse_library]} is missing, so only root can mount: apt install fuse3" in line
    monkeypatch.setenv("PATH", str(folder))
    check_can_mount(load_library(fuse_library), [store[0]], folder)  # as root


def test_a_device_that_may_not_be_used_is_told(device: Path, store: tuple) -> None:
    for mode in (0o600, 0o644):
        device.chmod(mode)
        line = refused_to_nobody(device, "/dev/fuse", os.environ["PATH"], store[0])
        assert "/dev/fuse: permission denied" in line


def test_a_missing_device_is_told(folder: Path, store: tuple) -> None:
    line = refused_to_nobody(folder, "/dev", os.environ["PATH"], store[0])
    assert "/dev/fuse is missing: modprobe fuse" in line
