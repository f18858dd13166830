"""Whether this machine lets this user mount anything, and what to do if not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from imagestore.console import UserError
from imagestore.mount.fuse_library import Library
from imagestore.printed_commands import command_line, path_argument, script


def check_can_mount(library: Library, stores: Sequence[str | Path], mountpoint: Path) -> None:
    """Raise UserError if this machine does not let this user mount anything."""
    if not Path("/dev/fuse").exists():
        raise UserError(
            "/dev/fuse is missing: modprobe fuse (root), or start the container with --device /dev/fuse "
            "--cap-add SYS_ADMIN"
        )
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise UserError("/dev/fuse: permission denied; ask for access")
    helper = library.package.mount_helper
    if os.geteuid() != 0 and not shutil.which(helper):
        h5vfs = [*script("h5vfs.py"), *map(path_argument, stores), mountpoint]
        raise UserError(
            f"{helper} is missing, so only root can mount: apt install fuse3, or mount for a shell in a user "
            f"namespace: {command_line('unshare', '-rm', *h5vfs, '--', 'bash')}"
        )


def without_a_mount(stores: Sequence[str | Path], mountpoint: Path) -> str:
    """The advice to copy stores to the folder where they cannot be mounted."""
    command = [*script("h5vfs.py"), "unpack", *map(path_argument, stores), mountpoint]
    return f"without a mount: {command_line(*command)}"
