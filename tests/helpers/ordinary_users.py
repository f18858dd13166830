"""Mount and read as nobody, in a mount namespace where all users may use /dev/fuse."""

from __future__ import annotations

import os
import shlex
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.helpers.commands import ROOT, environment

NOBODY = 65534
# Of an access ACL, as the kernel keeps it in an extended attribute (linux/posix_acl_xattr.h).
OWNER, USER, GROUP, MASK, OTHERS, NO_ID = 0x01, 0x02, 0x04, 0x10, 0x20, 0xFFFFFFFF

# The imports come first, since nobody may not be able to read this checkout.
H5VFS_AS_NOBODY = """
import multiprocessing.connection, os, sys, h5vfs, imagestore.hdf5.objects, imagestore.vfs.hdf5_source
from imagestore.mount import fuse_library, mount
fuse_library.load_library(os.environ["IMAGESTORE_FUSE"])
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.exit(h5vfs.main())
"""


@contextmanager
def folder_of_everybody() -> Iterator[Path]:
    """A temporary folder that all users can write to; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


def grant_by_acl(path: Path, user: int) -> None:
    """Let one more user read a file of mode 0600, by its ACL."""
    entries = [(OWNER, 6, NO_ID), (USER, 4, user), (GROUP, 0, NO_ID), (MASK, 4, NO_ID), (OTHERS, 0, NO_ID)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    os.setxattr(path, "system.posix_acl_access", acl)


def run_in_namespace(script: str, folder: Path) -> subprocess.CompletedProcess:
    """Run a shell script as root, in `folder`. In it, $H5VFS starts h5vfs.py as nobody."""
    device = folder / "fuse"
    os.mknod(device, stat.S_IFCHR, os.makedev(10, 229))
    os.chmod(device, 0o666)
    as_nobody = shlex.join([sys.executable, "-c", H5VFS_AS_NOBODY])
    start = f"mount --bind {device} /dev/fuse && H5VFS={shlex.quote(as_nobody)} && cd {folder} && {script}"
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", start],
        capture_output=True, text=True, timeout=120, env=environment({"PYTHONPATH": str(ROOT)}),
    )  # fmt: skip
