"""Whether this machine lets this user mount anything, and what to do if not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from imagestore.console import UserError
from imagestore.mount.fuse_library import Library


def check_can_mount(library: Library) -> None:
    """Raise UserError if this machine does not let this user mount anything."""
    if not Path("/dev/fuse").exists():
        raise UserError(
            "/dev/fuse is missing: modprobe fuse (root), or start the container with --device /dev/fuse "
            "--cap-add SYS_ADMIN; or use ./h5vfs.py unpack instead"
        )
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise UserError("/dev/fuse: permission denied; ask for access, or use ./h5vfs.py unpack instead")
    helper = library.package.mount_helper
    if os.geteuid() != 0 and not shutil.which(helper):
        raise UserError(
            f"{helper} is missing, so only root can mount: apt install fuse3, or mount in a user namespace "
            "(unshare -rm sh -c './h5vfs.py FILE.h5 MOUNTPOINT && exec $SHELL')"
        )
